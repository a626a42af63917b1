//! Who may begin, and who is told to come later.

use std::{num::NonZero, time::Duration};

use bytes::Bytes;
use facade::Trace;
use orchestrator::{
    config::{Limits, Sagas},
    driver::{Refusal, Requester, Start},
    journal,
};
use tokio::sync::oneshot;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::test_driver::{TestDriver, definition};

const STEP: &str = "
  - step: work
    call: work.v1.Work/Do
    timeout: 60s
    retry: { attempts: 9, base: 10s, cap: 10s }
";

fn named(name: &str) -> String {
    definition("deadline: 1h", &[STEP]).replacen("saga: work", &format!("saga: {name}"), 1)
}

fn limits(max_running: usize, sagas: Sagas) -> Limits {
    Limits { max_running, sagas, ..Limits::default() }
}

fn shares(share_per_definition: u8, share_per_participant: u8) -> Sagas {
    Sagas { share_per_definition, share_per_participant, max_waiting: 0, ..Sagas::default() }
}

fn is_refused_for(setting: &str, started: Result<String, Status>) {
    let refused = started.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains(setting), "{refused:?}");
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::ZERO);
}

#[tokio::test]
async fn sagas_that_wait_for_a_participant_or_a_person_keep_no_others_from_starting() {
    let mut test_driver = TestDriver::within(limits(3, shares(100, 100)), &[&named("work")]).await;
    for answer in [Status::unavailable("down"), Status::unimplemented("not here")] {
        for number in 0..20 {
            let saga_id = test_driver.start(&format!("{number} {answer}")).await;
            test_driver.next().await.say(Err(answer.clone()));
            test_driver.asleep(&saga_id).await;
        }
    }
    assert_eq!(test_driver.driver().running(), 0, "they have no tasks");
    test_driver.start("beside them").await;
    test_driver.called("work forward").await.done();
}

#[tokio::test]
async fn no_definition_takes_more_than_its_share_and_a_repeat_is_answered_also_then() {
    let definitions = [&*named("work"), &named("other")];
    let mut test_driver = TestDriver::within(limits(4, shares(50, 100)), &definitions).await;
    let first = test_driver.start("1").await;
    test_driver.start("2").await;
    is_refused_for("limits.sagas.share_per_definition", test_driver.try_start("work", "3").await);
    assert_eq!(test_driver.start("1").await, first, "its key is looked up first");
    test_driver.try_start("other", "1").await.unwrap();
    test_driver.try_start("other", "2").await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(test_driver.next().await);
    }
    is_refused_for("limits.max_running", test_driver.try_start("work", "3").await);
    assert_eq!(test_driver.start("1").await, first);
    calls.remove(0).unavailable();
    test_driver.asleep(&first).await;
    test_driver.start("3").await;
}

#[tokio::test]
async fn a_participant_that_does_not_answer_holds_no_more_than_its_share() {
    let mut test_driver = TestDriver::within(limits(4, shares(100, 50)), &[&named("work")]).await;
    test_driver.start("1").await;
    let first = test_driver.next().await;
    test_driver.start("2").await;
    let _second = test_driver.next().await;
    is_refused_for("limits.sagas.share_per_participant", test_driver.try_start("work", "3").await);
    first.done();
    while test_driver.driver().running() > 1 {
        tokio::task::yield_now().await;
    }
    test_driver.start("3").await;
}

#[tokio::test]
async fn no_more_sagas_run_than_may_whose_participants_are_within_this_process() {
    let sagas = Sagas { max_within: NonZero::new(1).unwrap(), ..shares(100, 100) };
    let elsewhere = named("elsewhere").replace(
        "steps:",
        "steps:
  - step: look
    call: sagamesh.order.v1.OrderService/GetOrder
    with: { order_no: \"'1'\" }",
    );
    let definitions = [&*named("work"), &elsewhere];
    let mut test_driver = TestDriver::within(limits(9, sagas), &definitions).await;
    test_driver.start("1").await;
    let under_way = test_driver.next().await;
    is_refused_for("limits.sagas.max_within", test_driver.try_start("work", "2").await);
    under_way.done();
    while test_driver.driver().running() > 0 {
        tokio::task::yield_now().await;
    }
    test_driver.start("2").await;
    // Nobody serves their first step, here least of all.
    for key in ["1", "2"] {
        test_driver.try_start("elsewhere", key).await.unwrap();
    }
}

#[tokio::test]
async fn sagas_that_steer_others_have_room_of_their_own() {
    let steering = "
saga: steering
version: 1
steps:
  - step: cancel
    call: sagamesh.saga.v1.SagaService/CancelSaga
    with: { saga_id: request.saga_id, reason: \"'by another saga'\" }
  - step: work
    call: work.v1.Work/Do
"
    .replace("version: 1", "version: 1\ndescriptors: [work.proto]");
    let sagas = Sagas { max_steering: NonZero::new(1).unwrap(), ..shares(100, 100) };
    let definitions = [&*named("work"), &steering];
    let mut test_driver = TestDriver::within(limits(1, sagas), &definitions).await;
    let placing = test_driver.start("1").await;
    let _under_way = test_driver.next().await;
    is_refused_for("limits.max_running", test_driver.try_start("work", "2").await);
    let request = proto::saga::v1::StartSagaRequest {
        definition: "steering".to_owned(),
        key: "1".to_owned(),
        input_json: format!(r#"{{"saga_id": "{placing}"}}"#),
        ..Default::default()
    };
    test_driver.sagas().start_saga(request.clone()).await.unwrap();
    let _steps_on = test_driver.called("work forward").await;
    let second = proto::saga::v1::StartSagaRequest { key: "2".to_owned(), ..request };
    let refused = test_driver.sagas().start_saga(second).await.map(|_| String::new());
    is_refused_for("limits.sagas.max_steering", refused);
}

#[tokio::test]
async fn those_that_are_due_together_go_on_as_many_at_once_as_there_is_room_for() {
    const SAGAS: usize = 9;
    // Half of the room is for those that have waited.
    let mut test_driver = TestDriver::within(limits(6, shares(100, 100)), &[&named("work")]).await;
    for number in 0..SAGAS {
        let saga_id = test_driver.start(&number.to_string()).await;
        test_driver.next().await.unavailable();
        test_driver.asleep(&saga_id).await;
    }
    test_driver.pass(10_000);
    let mut left = SAGAS;
    while left > 0 {
        let woken = test_driver.driver().recover_once().await.unwrap();
        assert_eq!(woken, left.min(3));
        for _ in 0..woken {
            test_driver.called("work forward").await.done();
        }
        while test_driver.driver().running() > 0 {
            tokio::task::yield_now().await;
        }
        left -= woken;
    }
}

/// Keeps the journal's writer busy until it is dropped.
struct Blocked {
    _go_on: oneshot::Sender<()>,
}

async fn block(test_driver: &TestDriver) -> Blocked {
    let (begin, begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel::<()>();
    let mut gate = Some((begin, told));
    let database = test_driver.journal.database().clone();
    tokio::spawn(async move {
        let busy = database.write(move |_| {
            let (begin, told) = gate.take().unwrap();
            begin.send(()).unwrap();
            let _ = told.blocking_recv();
            Ok::<_, journal::Error>(())
        });
        busy.await.unwrap();
    });
    begun.await.unwrap();
    Blocked { _go_on: go_on }
}

fn start(
    test_driver: &TestDriver,
    key: &str,
    requester: Requester,
) -> impl Future<Output = Start> + use<> {
    let driver = test_driver.driver().clone();
    let work = driver.registry().find("work", 0).unwrap().compiled;
    let (key, trace) = (key.to_owned(), Trace::start());
    async move { driver.start(work, key, Bytes::new(), &trace, &requester).await.unwrap() }
}

#[tokio::test]
async fn a_start_whose_caller_is_gone_before_it_is_on_disk_is_dropped() {
    let mut test_driver = TestDriver::within(Limits::default(), &[&named("work")]).await;
    let blocked = block(&test_driver).await;
    {
        let starting = start(&test_driver, "gone", Requester::default());
        tokio::pin!(starting);
        for _ in 0..10 {
            assert!(futures::poll!(&mut starting).is_pending());
            tokio::task::yield_now().await;
        }
    }
    drop(blocked);
    test_driver.start("here").await;
    test_driver.called("work forward").await.done();
    while test_driver.driver().running() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(test_driver.arrivals.try_recv().is_err());
    let all = test_driver.journal.list(&journal::Filter::default(), "", 10).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[tokio::test]
async fn a_start_that_would_wait_for_too_long_is_refused_and_first_one_that_nobody_waits_for() {
    // An append waits 50 ms, and a saga of one step for three of them.
    let cases = [
        // The limit, who waits, what is left of the caller's time, the refusal.
        (300, false, None, false),
        (299, false, None, true),
        (150, true, None, false),
        (149, true, None, true),
        (1_000, true, Some(150), false),
        (1_000, true, Some(149), true),
    ];
    for (delay, waits, rest, refused) in cases {
        let max_delay = Duration::from_millis(delay);
        let sagas = Sagas { max_delay, ..shares(100, 100) };
        let mut test_driver = TestDriver::within(limits(1_000, sagas), &[&named("work")]).await;
        let mut calls = Vec::new();
        for number in 0..62 {
            test_driver.start(&number.to_string()).await;
            calls.push(test_driver.next().await);
        }
        for slow in ["62", "63"] {
            let blocked = block(&test_driver).await;
            let mut begun = Box::pin(start(&test_driver, slow, Requester::default()));
            for _ in 0..10 {
                assert!(futures::poll!(&mut begun).is_pending());
                tokio::task::yield_now().await;
            }
            test_driver.pass(50);
            drop(blocked);
            drop(begun.await);
            calls.push(test_driver.next().await);
        }
        let requester = Requester { peer: None, waits, rest: rest.map(Duration::from_millis) };
        match (start(&test_driver, "next", requester).await, refused) {
            (Start::New { .. }, false) => {}
            (Start::Refused(Refusal { limit, why, retry_after }), true) => {
                assert_eq!(limit.setting(), "limits.sagas.max_delay");
                assert!(why.contains("limits.sagas.max_delay"), "{why}");
                assert_eq!(retry_after, Duration::from_millis(150));
            }
            other => panic!("{delay} {waits} {rest:?}: {other:?}"),
        }
        let again = start(&test_driver, "63", requester).await;
        assert!(matches!(again, Start::Already { .. }), "a repeat is answered: {again:?}");
    }
}

#[tokio::test]
async fn of_one_saga_and_in_all_as_many_are_watched_as_may_be_and_those_that_go_make_room() {
    let sagas = Sagas { max_watchers: 3, max_watchers_per_saga: 2, ..shares(100, 100) };
    let mut test_driver = TestDriver::within(limits(10, sagas), &[&named("work")]).await;
    let (one, other) = (test_driver.start("1").await, test_driver.start("2").await);
    let _calls = [test_driver.next().await, test_driver.next().await];
    let watch = async |saga_id: &str| {
        let request =
            proto::saga::v1::WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
        test_driver.sagas().watch_saga(request).await.map(tonic::Response::into_inner)
    };
    let first = watch(&one).await.unwrap();
    let _second = watch(&one).await.unwrap();
    let refused = watch(&one).await.map(|_| String::new());
    is_refused_for("limits.sagas.max_watchers_per_saga", refused);
    let _third = watch(&other).await.unwrap();
    let refused = watch(&other).await.map(|_| String::new());
    is_refused_for("limits.sagas.max_watchers", refused);
    drop(first);
    watch(&one).await.unwrap();
}
