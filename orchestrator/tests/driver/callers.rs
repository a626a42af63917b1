//! How long whoever waits for a saga is kept.

use std::time::Duration;

use bytes::Bytes;
use facade::{Trace, codec::Raw};
use http::uri::PathAndQuery;
use orchestrator::driver::{Requester, Start};
use proto::saga::v1::{SagaState, WaitSagaRequest};
use tokio::task::JoinHandle;
use tonic::{Code, Request, client::Grpc};

use crate::test_driver::{TestDriver, definition};

const STEP: &str = "
  - step: work
    call: work.v1.Work/Do
    timeout: 1h
";

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits until one waits for an instant, beside so many others.
async fn waits_beside(test_driver: &TestDriver, others: usize) {
    while test_driver.time.waiting() <= others {
        tokio::task::yield_now().await;
    }
}

/// A WaitSaga, for as long as is asked for, by a caller that gives it so long.
fn wait(
    test_driver: &TestDriver,
    saga_id: &str,
    asked: Option<Duration>,
    given: Option<Duration>,
) -> JoinHandle<SagaState> {
    let timeout = asked.map(|asked| prost_types::Duration::try_from(asked).unwrap());
    let saga_id = saga_id.to_owned();
    let mut request =
        Request::new(WaitSagaRequest { saga_id, timeout, ..WaitSagaRequest::default() });
    if let Some(given) = given {
        request.set_timeout(given);
    }
    let mut sagas = test_driver.sagas();
    tokio::spawn(async move {
        sagas.wait_saga(request).await.unwrap().into_inner().saga.unwrap().state()
    })
}

#[tokio::test]
async fn a_wait_lasts_as_long_as_asked_five_minutes_at_most_and_less_than_its_caller_waits() {
    let cases = [
        (None, None, 30_000),
        (Some(40_000), None, 40_000),
        (Some(3_600_000), None, 300_000),
        // A tenth of a second for any answer, and a twentieth to look up where the saga stands.
        (None, Some(10_000), 9_850),
        (Some(5_000), Some(10_000), 5_000),
    ];
    for (asked, given, expected) in cases {
        let mut test_driver = TestDriver::open(&definition("deadline: 2h", &[STEP])).await;
        let saga_id = test_driver.start("k").await;
        let _under_way = test_driver.called("work forward").await;
        let others = test_driver.time.waiting();
        let waiting = wait(&test_driver, &saga_id, asked.map(millis), given.map(millis));
        // A call with a deadline has a limit for its handler too.
        waits_beside(&test_driver, others + usize::from(given.is_some())).await;
        test_driver.time.advance_to_next().await;
        assert_eq!(waiting.await.unwrap(), SagaState::Running);
        assert_eq!(test_driver.took(), millis(expected), "{asked:?} {given:?}");
    }
}

#[tokio::test]
async fn who_waits_for_a_saga_that_another_runs_looks_for_it_every_five_seconds() {
    let mut test_driver = TestDriver::open(&definition("deadline: 2h", &[STEP])).await;
    let other = test_driver.next_driver().await;
    let work = test_driver.driver().registry().find("work", 0).unwrap().compiled;
    let started = other
        .start(work, "k".to_owned(), Bytes::new(), &Trace::start(), &Requester::default())
        .await
        .unwrap();
    let Start::New { saga_id, .. } = started else { panic!("{started:?}") };
    let call = test_driver.called("work forward").await;
    let waiting = wait(&test_driver, &saga_id, None, None);
    waits_beside(&test_driver, 3).await;
    call.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    test_driver.time.advance_to_next().await;
    assert_eq!(waiting.await.unwrap(), SagaState::Succeeded);
    assert_eq!(test_driver.took(), millis(5_000));
    other.abort();
}

#[tokio::test]
async fn a_caller_of_a_served_method_learns_where_its_saga_stands_before_its_own_time_is_up() {
    let served =
        "serves: work.v1.Front/Order\nkey: request.id\ndeadline: 2h\nreply: { id: request.id }";
    let cases = [
        (None, 2 * 3_600_000 + 30_000),
        (Some(10_000), 9_840),
        // A tenth of the time is reserved for the answer, and a quarter of the rest for the look-up.
        (Some(200), 135),
    ];
    for (given, expected) in cases {
        let step = STEP.replace("1h", "5h").replace("Do\n", "Do\n    pivot: true\n");
        let mut test_driver = TestDriver::open(&definition(served, &[&step])).await;
        let mut request = Request::new(Bytes::from_static(b"\n\x01k"));
        if let Some(given) = given {
            request.set_timeout(millis(given));
        }
        let mut front = Grpc::new(test_driver.node.service().in_process());
        let calling = tokio::spawn(async move {
            front.ready().await.unwrap();
            let path = PathAndQuery::from_static("/work.v1.Front/Order");
            front.unary::<Bytes, Bytes, _>(request, path, Raw).await
        });
        let _under_way = test_driver.called("work forward").await;
        waits_beside(&test_driver, 1 + usize::from(given.is_some())).await;
        test_driver.time.advance_to_next().await;
        let late = calling.await.unwrap().unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
        assert!(late.message().contains("work"), "{late:?}");
        assert_eq!(test_driver.took(), millis(expected), "{given:?}");
    }
}
