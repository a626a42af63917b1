//! What a collector is told of a saga: one tree, whatever happens to the saga and to the node that runs it.

mod deaths;
mod picture;

use std::time::Duration;

use collector::Kind;
use proto::saga::v1::{PauseSagaRequest, ResolveSagaRequest, ResumeSagaRequest, SagaState};
use tonic::{Code, Status};

use self::picture::Picture;
use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

const DO: &str = "work.v1.Work/Do";
const UNDO: &str = "work.v1.Work/Undo";

/// Tried as often as the test likes, ten seconds apart.
const PATIENT: &str = "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    retry: { base: 10s, cap: 10s }
    undo: work.v1.Work/Undo
";

async fn test_driver() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await
}

#[tokio::test]
async fn a_saga_is_one_trace_with_a_span_for_each_attempt_whose_id_the_participant_gets() {
    let mut test_driver = test_driver().await;
    let started = picture::start(&test_driver, true).await;
    let mut arrived = Vec::new();
    for call in ["freeze forward", "charge forward"] {
        let call = test_driver.called(call).await;
        arrived.push(picture::traceparent(&call));
        call.done();
    }
    let picture = Picture::of(&started).await;
    picture.is_whole(&arrived);
    let server = picture.one("sagamesh.saga.v1.SagaService/StartSaga");
    let start = picture.one("saga.start");
    assert_eq!(start.parent.as_ref(), Some(&server.id));
    let slice = picture.one("saga.run work");
    assert_eq!((slice.parent.as_ref(), slice.kind), (Some(&start.id), Kind::Internal));
    assert_eq!((slice.attribute("saga.state"), &slice.error), ("SUCCEEDED", &None));
    let attempts = picture.all(DO);
    assert_eq!(attempts.len(), 2);
    for (attempt, step) in attempts.iter().zip(["freeze", "charge"]) {
        assert_eq!((attempt.parent.as_ref(), attempt.kind), (Some(&slice.id), Kind::Client));
        assert_eq!((&attempt.error, attempt.links.len()), (&None, 0));
        for (name, value) in [
            ("saga.id", started.saga_id.as_str()),
            ("saga.name", "work"),
            ("saga.version", "1"),
            ("saga.step", step),
            ("saga.direction", "forward"),
            ("saga.attempt", "1"),
            ("saga.answer", "done"),
            ("rpc.system.name", "grpc"),
            ("rpc.method", DO),
            ("rpc.response.status_code", "OK"),
        ] {
            assert_eq!(attempt.attribute(name), value, "{name}");
        }
    }
    let summary = picture.one("saga.summary");
    assert_eq!(summary.parent.as_ref(), Some(&start.id));
    assert_eq!(summary.attribute("saga.outcome"), "succeeded");
    assert!(summary.start <= slice.start && slice.end <= summary.end);
}

#[tokio::test]
async fn a_participant_that_is_unavailable_twice_is_three_attempts_in_three_slices() {
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &[PATIENT])).await;
    let started = picture::start(&test_driver, true).await;
    let mut arrived = Vec::new();
    for number in 1..=3 {
        let call = test_driver.called("freeze forward").await;
        arrived.push(picture::traceparent(&call));
        if number == 3 {
            call.done();
            break;
        }
        let records = *test_driver.driver().find(&started.saga_id).unwrap().records().borrow();
        call.unavailable();
        test_driver.recorded(&started.saga_id, records + 1).await;
        test_driver.pass(10_000);
    }
    let picture = Picture::of(&started).await;
    picture.is_whole(&arrived);
    let (attempts, slices) = (picture.all(DO), picture.all("saga.run work"));
    assert_eq!((attempts.len(), slices.len()), (3, 3));
    let start = picture.one("saga.start");
    for (number, (attempt, slice)) in attempts.iter().zip(&slices).enumerate() {
        assert_eq!(attempt.attribute("saga.attempt"), (number + 1).to_string());
        assert_eq!(attempt.parent.as_ref(), Some(&slice.id));
        assert_eq!(slice.parent.as_ref(), Some(&start.id));
        let before = number.checked_sub(1);
        let retried = before.map(|before| ("retry_of", attempts[before]));
        assert_eq!(picture.links(attempt), Vec::from_iter(retried));
        let resumed = before.map(|before| ("resumed_from", slices[before]));
        assert_eq!(picture.links(slice), Vec::from_iter(resumed));
        let (error, answer) = if number < 2 { ("UNAVAILABLE", "unknown") } else { ("", "done") };
        assert_eq!(attempt.attribute("error.type"), error);
        assert_eq!(
            (attempt.error.is_some(), attempt.attribute("saga.answer")),
            (number < 2, answer)
        );
    }
}

#[tokio::test]
async fn an_undo_is_linked_to_the_call_that_it_compensates_and_a_strangers_reason_is_not_told() {
    let mut test_driver = test_driver().await;
    let started = picture::start(&test_driver, true).await;
    test_driver.called("freeze forward").await.done();
    test_driver
        .called("charge forward")
        .await
        .say(Err(Status::not_found("card MARK-1111111111111")));
    test_driver.called("freeze undo").await.done();
    let picture = Picture::of(&started).await;
    picture.is_whole(&[]);
    let [freeze, charge] = picture.all(DO)[..] else { panic!("{picture:#?}") };
    assert_eq!(charge.attribute("saga.answer"), "declined");
    assert_eq!(charge.attribute("error.type"), "NOT_FOUND");
    let undo = picture.one(UNDO);
    assert_eq!(undo.attribute("saga.direction"), "undo");
    assert_eq!(picture.links(undo), [("compensates", freeze)]);
    let summary = picture.one("saga.summary");
    assert_eq!(summary.attribute("saga.outcome"), "compensated");
    assert_eq!(summary.attribute("saga.reason"), "NOT_FOUND");
    assert!(!format!("{picture:?}").contains("MARK-1"), "{picture:#?}");
}

#[tokio::test]
async fn a_lookup_is_an_attempt_of_the_undo_and_the_undo_itself_is_no_retry_of_it() {
    const RESERVE: &str = "
  - step: reserve
    call: work.v1.Work/Do
    timeout: 1s
    retry: { attempts: 1 }
    undo: work.v1.Work/Undo
    undo_with:
      when_known: { id: reserve.id }
      when_unknown:
        lookup: { call: work.v1.Work/Find, with: { id: saga.key }, found: lookup.id != 'none' }
        with: { id: lookup.id }
    undo_retry: { attempts: unlimited, base: 10s, cap: 10s }
";
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &[RESERVE])).await;
    let started = picture::start(&test_driver, true).await;
    let mut arrived = Vec::new();
    let call = test_driver.called("reserve forward").await;
    arrived.push(picture::traceparent(&call));
    let records = *test_driver.driver().find(&started.saga_id).unwrap().records().borrow();
    call.unavailable();
    test_driver.recorded(&started.saga_id, records + 2).await;
    // The call may be under way for as long as it may take.
    test_driver.pass(1_000);
    for _ in 0..2 {
        let lookup = test_driver.called("lookup").await;
        arrived.push(picture::traceparent(&lookup));
        match arrived.len() {
            2 => {
                let handle = test_driver.driver().find(&started.saga_id).unwrap();
                let records = *handle.records().borrow();
                lookup.unavailable();
                test_driver.recorded(&started.saga_id, records + 1).await;
                test_driver.pass(10_000);
            }
            _ => lookup.job("no. 7"),
        }
    }
    let undo = test_driver.called("reserve undo").await;
    arrived.push(picture::traceparent(&undo));
    undo.done();
    let picture = Picture::of(&started).await;
    picture.is_whole(&arrived);
    let [first, second] = picture.all("work.v1.Work/Find")[..] else { panic!("{picture:#?}") };
    assert_eq!(first.attribute("saga.direction"), "lookup");
    assert_eq!(picture.links(first), []);
    assert_eq!(picture.links(second), [("retry_of", first)]);
    assert_eq!(picture.links(picture.one(UNDO)), [("compensates", picture.one(DO))]);
}

#[tokio::test]
async fn a_node_that_stops_in_a_slice_leaves_the_same_tree_with_the_attempt_that_was_lost() {
    let mut test_driver = test_driver().await;
    let started = picture::start(&test_driver, true).await;
    let freeze = test_driver.called("freeze forward").await;
    let mut arrived = vec![picture::traceparent(&freeze)];
    freeze.done();
    let lost = test_driver.called("charge forward").await;
    arrived.push(picture::traceparent(&lost));
    test_driver.driver().abort();
    test_driver.pass(2_000);
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    let again = test_driver.called("charge forward").await;
    arrived.push(picture::traceparent(&again));
    again.done();
    let picture = Picture::of(&started).await;
    picture.is_whole(&arrived);
    let [first, second] = picture.all("saga.run work")[..] else { panic!("{picture:#?}") };
    assert_eq!(first.attribute("error.type"), "worker_lost");
    assert_eq!(picture.links(second), [("resumed_from", first)]);
    let [freeze, lost, again] = picture.all(DO)[..] else { panic!("{picture:#?}") };
    assert_eq!([&freeze.parent, &lost.parent], [&Some(first.id.clone()); 2]);
    assert_eq!((freeze.attribute("saga.answer"), &freeze.error), ("done", &None));
    assert_eq!(
        (lost.attribute("error.type"), lost.attribute("saga.attempt")),
        ("worker_lost", "1")
    );
    assert_eq!(lost.end - lost.start, Duration::from_secs(2).as_nanos() as u64);
    assert_eq!(again.parent.as_ref(), Some(&second.id));
    assert_eq!(picture.links(again), [("retry_of", lost)]);
    next.abort();
}

#[tokio::test]
async fn a_slice_that_grows_long_is_told_at_its_next_record_also_where_its_node_stops_behind_it() {
    let mut test_driver = test_driver().await;
    let started = picture::start(&test_driver, true).await;
    let freeze = test_driver.called("freeze forward").await;
    let mut arrived = vec![picture::traceparent(&freeze)];
    test_driver.pass(11_000);
    freeze.done();
    let lost = test_driver.called("charge forward").await;
    arrived.push(picture::traceparent(&lost));
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    let again = test_driver.called("charge forward").await;
    arrived.push(picture::traceparent(&again));
    again.done();
    let picture = Picture::of(&started).await;
    picture.is_whole(&arrived);
    let slices = picture.all("saga.run work");
    let ends = slices.iter().map(|slice| slice.attribute("error.type"));
    assert_eq!(Vec::from_iter(ends), ["", "worker_lost", ""]);
    let parents = picture.all(DO).into_iter().map(|attempt| attempt.parent.clone().unwrap());
    let expected = slices.iter().map(|slice| slice.id.clone());
    assert_eq!(Vec::from_iter(parents), Vec::from_iter(expected));
    next.abort();
}

#[tokio::test]
async fn a_saga_that_has_grown_old_goes_on_in_a_trace_that_is_linked_to_what_was_before() {
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &[PATIENT])).await;
    let started = picture::start(&test_driver, true).await;
    let call = test_driver.called("freeze forward").await;
    let saga_id = started.saga_id.clone();
    let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: "a look at it".to_owned() };
    test_driver.sagas().pause_saga(pause).await.unwrap();
    call.unavailable();
    test_driver.asleep(&saga_id).await;
    test_driver.pass(600_000);
    let resume = ResumeSagaRequest { saga_id, reason: "it is well".to_owned() };
    let operator = picture::sampled(resume);
    test_driver.sagas().resume_saga(operator.request).await.unwrap();
    let call = test_driver.called("freeze forward").await;
    let arrived = picture::traceparent(&call);
    assert!(!arrived.contains(&started.trace_id));
    call.done();
    let picture = Picture::of(&started).await;
    picture.is_whole(std::slice::from_ref(&arrived));
    let slices = picture.all("saga.run work");
    let (last, before) = slices.split_last().unwrap();
    assert!(before.iter().all(|slice| slice.trace_id == started.trace_id));
    assert!(arrived.contains(&last.trace_id));
    assert_eq!(last.parent, None);
    let start = picture.one("saga.start");
    let [by, resumed, ordered] = &last.links[..] else { panic!("{last:#?}") };
    assert_eq!((by.attributes["saga.link"].as_str(), &by.span_id), ("started_by", &start.id));
    let previous = before.last().unwrap();
    assert_eq!(
        (resumed.attributes["saga.link"].as_str(), &resumed.span_id),
        ("resumed_from", &previous.id)
    );
    assert_eq!(
        (ordered.attributes["saga.link"].as_str(), &ordered.trace_id),
        ("operator", &operator.trace_id)
    );
    assert_eq!(picture.one("saga.summary").trace_id, started.trace_id);
}

#[tokio::test]
async fn a_slice_behind_which_the_saga_needs_a_person_is_an_error_and_a_closed_saga_leaves_no_attempt_out()
 {
    let mut test_driver = test_driver().await;
    let started = picture::start(&test_driver, true).await;
    let unusable = Status::new(Code::Unimplemented, "not here");
    test_driver.called("freeze forward").await.say(Err(unusable));
    test_driver.stands(&started.saga_id, SagaState::Attention).await;
    let order = picture::sampled(proto::saga::v1::RetrySagaRequest {
        saga_id: started.saga_id.clone(),
        reason: "it is there now".to_owned(),
    });
    test_driver.sagas().retry_saga(order.request).await.unwrap();
    let under_way = test_driver.called("freeze forward").await;
    let arrived = picture::traceparent(&under_way);
    let pause = PauseSagaRequest {
        saga_id: started.saga_id.clone(),
        reason: "see ticket MARK-2".to_owned(),
    };
    test_driver.sagas().pause_saga(pause).await.unwrap();
    let resolve = ResolveSagaRequest {
        saga_id: started.saga_id.clone(),
        reason: "done by hand, see ticket MARK-2".to_owned(),
    };
    test_driver.sagas().resolve_saga(resolve).await.unwrap();
    let picture = Picture::of(&started).await;
    picture.is_whole(std::slice::from_ref(&arrived));
    let [first, second, last] = picture.all("saga.run work")[..] else { panic!("{picture:#?}") };
    assert_eq!(first.attribute("saga.state"), "ATTENTION");
    assert_eq!((first.attribute("error.type"), first.error.is_some()), ("UNIMPLEMENTED", true));
    assert_eq!((second.attribute("saga.state"), &second.error), ("PAUSED", &None));
    assert_eq!((last.attribute("saga.state"), &last.error), ("RESOLVED", &None));
    let linked = second.links.iter().map(|link| link.attributes["saga.link"].as_str());
    assert_eq!(Vec::from_iter(linked), ["resumed_from", "operator", "operator"]);
    let cut_off = picture.all(DO)[1];
    assert_eq!(cut_off.attribute("error.type"), "CANCELLED");
    assert_eq!(cut_off.parent.as_ref(), Some(&second.id));
    assert_eq!(picture.one("saga.summary").attribute("saga.reason"), "RESOLVED_BY_OPERATOR");
    assert!(!format!("{picture:?}").contains("MARK-2"), "{picture:#?}");
}

#[tokio::test]
async fn nothing_is_told_of_a_saga_that_is_not_sampled_and_each_attempt_says_so_also_after_a_restart()
 {
    let mut test_driver = test_driver().await;
    let unsampled = picture::start(&test_driver, false).await;
    let lost = test_driver.called("freeze forward").await;
    let mut arrived = vec![picture::traceparent(&lost)];
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    for call in ["freeze forward", "charge forward"] {
        let call = test_driver.called(call).await;
        arrived.push(picture::traceparent(&call));
        call.done();
    }
    test_driver.stands(&unsampled.saga_id, SagaState::Succeeded).await;
    for traceparent in &arrived {
        assert!(traceparent.starts_with(&format!("00-{}-", unsampled.trace_id)), "{traceparent}");
        assert!(traceparent.ends_with("-00"), "{traceparent}");
    }
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived.len(), 3, "two attempts had one span");
    next.abort();

    // What comes to the collector later was told later.
    let mut later = self::test_driver().await;
    let sampled = picture::start(&later, true).await;
    later.called("freeze forward").await.done();
    later.called("charge forward").await.done();
    Picture::of(&sampled).await;
    let told = stage::collector().spans();
    let of_it = |span: &&collector::Span| {
        span.trace_id == unsampled.trace_id || span.attribute("saga.id") == unsampled.saga_id
    };
    assert_eq!(told.iter().find(of_it), None);
}
