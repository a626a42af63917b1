//! What is measured of sagas is what their journals say.

mod held;
mod recount;
mod standing;

use std::time::Duration;

use metrics::{Registry, exposition::Exposition};
use orchestrator::driver::{Driver, Requester, Start};
use proto::saga::v1::{
    CancelSagaRequest, PauseSagaRequest, ResolveSagaRequest, ResumeSagaRequest, RetrySagaRequest,
    SagaState, SkipStepRequest,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use saga::{Event, Status, StepId};

use crate::test_driver::{Arrived, FREEZE_AND_CHARGE, TestDriver, definition};

/// What a scrape gets now.
pub(crate) async fn scrape(registry: &Registry) -> Exposition {
    registry.prepare().await;
    Exposition::parse(&registry.encode()).unwrap()
}

fn refused() -> Result<bytes::Bytes, tonic::Status> {
    Err(tonic::Status::failed_precondition("as the test says"))
}

async fn test_driver() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await
}

/// Waits until the saga stands so and its task has ended: what it has put on disk is counted then.
async fn ended(test_driver: &TestDriver, saga_id: &str, state: SagaState) {
    test_driver.stands(saga_id, state).await;
    test_driver.asleep(saga_id).await;
}

/// A metric's name, labels that its series have among theirs, and the sum of these.
type Expected<'e> = (&'e str, &'e [(&'e str, &'e str)], f64);

#[track_caller]
fn holds(scraped: &Exposition, expected: &[Expected<'_>]) {
    for (name, labels, value) in expected {
        assert_eq!(scraped.value(name, labels), Some(*value), "{name} {labels:?}");
    }
}

#[tokio::test]
async fn a_saga_that_succeeds_is_counted_once_with_its_steps_and_its_time() {
    let mut test_driver = test_driver().await;
    let before = scrape(&test_driver.measured).await;
    holds(
        &before,
        &[
            ("saga_started_total", &[("definition", "work")], 0.0),
            ("saga_finished_total", &[("definition", "work"), ("outcome", "succeeded")], 0.0),
        ],
    );
    let saga_id = test_driver.start("k").await;
    let freeze = test_driver.called("freeze forward").await;
    test_driver.pass(250);
    freeze.done();
    test_driver.called("charge forward").await.done();
    ended(&test_driver, &saga_id, SagaState::Succeeded).await;
    let scraped = scrape(&test_driver.measured).await;
    let step = |step, direction, result| {
        [("definition", "work"), ("step", step), ("direction", direction), ("result", result)]
    };
    holds(
        &scraped,
        &[
            ("saga_started_total", &[("definition", "work")], 1.0),
            ("saga_finished_total", &[("definition", "work"), ("outcome", "succeeded")], 1.0),
            ("saga_duration_seconds_sum", &[("outcome", "succeeded")], 0.25),
            ("saga_duration_seconds_bucket", &[("outcome", "succeeded"), ("le", "0.25")], 1.0),
            ("saga_duration_seconds_bucket", &[("outcome", "succeeded"), ("le", "0.1")], 0.0),
            ("saga_step_attempts_total", &step("freeze", "forward", "ok"), 1.0),
            ("saga_step_attempts_total", &step("freeze", "undo", "ok"), 0.0),
            ("saga_step_attempts_total", &[("step", "charge")], 1.0),
            ("saga_step_duration_seconds_sum", &[("step", "freeze")], 0.25),
            ("saga_step_duration_seconds_count", &[("step", "charge")], 1.0),
            ("saga_step_wait_seconds_count", &[("step", "freeze"), ("direction", "forward")], 1.0),
            ("saga_compensations_total", &[], 0.0),
            ("saga_recovered_total", &[], 0.0),
        ],
    );
    // The last step has no undo, and nobody looks anything up.
    assert_eq!(scraped.value("saga_step_attempts_total", &[("direction", "lookup")],), None);
}

#[tokio::test]
async fn a_decline_turns_back_and_its_compensation_is_counted_with_its_time() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(refused());
    let undo = test_driver.called("freeze undo").await;
    test_driver.pass(1_000);
    undo.unavailable();
    while test_driver.time.waiting() == 0
        || test_driver.get(&saga_id).await.steps[0].undo_attempts < 2
    {
        tokio::task::yield_now().await;
    }
    test_driver.time.advance_to_next().await;
    let waited = test_driver.took();
    test_driver.called("freeze undo").await.done();
    ended(&test_driver, &saga_id, SagaState::Compensated).await;
    holds(
        &scrape(&test_driver.measured).await,
        &[
            ("saga_finished_total", &[("outcome", "compensated")], 1.0),
            ("saga_compensations_total", &[("outcome", "succeeded")], 1.0),
            ("saga_compensations_total", &[("outcome", "attention")], 0.0),
            (
                "saga_compensation_duration_seconds_sum",
                &[("outcome", "succeeded")],
                waited.as_secs_f64(),
            ),
            ("saga_step_attempts_total", &[("step", "charge"), ("result", "declined")], 1.0),
            ("saga_step_attempts_total", &[("direction", "undo"), ("result", "retry")], 1.0),
            ("saga_step_attempts_total", &[("direction", "undo"), ("result", "ok")], 1.0),
            // A status of a participant's own has no reason of the registry.
            ("saga_failures_total", &[("step", "charge")], 1.0),
            ("saga_dispatch_lag_seconds_count", &[], 1.0),
            ("sagamesh_participant_attempts_total", &[("result", "declined")], 1.0),
            ("sagamesh_participant_attempts_total", &[("result", "unknown")], 1.0),
            ("saga_participant_up", &[("participant", "work.v1.Work")], 1.0),
        ],
    );
}

#[tokio::test]
async fn a_stuck_undo_is_counted_as_attention_once_whatever_a_person_makes_of_it() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(refused());
    let undo = test_driver.called("freeze undo").await;
    test_driver.pass(500);
    undo.say(refused());
    ended(&test_driver, &saga_id, SagaState::Attention).await;
    let reason = || "as the test says".to_owned();
    let retry = RetrySagaRequest { saga_id: saga_id.clone(), reason: reason() };
    test_driver.sagas().retry_saga(retry.clone()).await.unwrap();
    test_driver.called("freeze undo").await.say(refused());
    ended(&test_driver, &saga_id, SagaState::Attention).await;
    test_driver.sagas().retry_saga(retry.clone()).await.unwrap();
    test_driver.called("freeze undo").await.done();
    ended(&test_driver, &saga_id, SagaState::Compensated).await;
    assert!(test_driver.sagas().retry_saga(retry).await.is_err(), "it has ended");
    holds(
        &scrape(&test_driver.measured).await,
        &[
            ("saga_compensations_total", &[("outcome", "attention")], 1.0),
            ("saga_compensations_total", &[("outcome", "succeeded")], 0.0),
            ("saga_compensation_duration_seconds_sum", &[("outcome", "attention")], 0.5),
            ("saga_finished_total", &[("outcome", "compensated")], 1.0),
            ("saga_step_attempts_total", &[("direction", "undo"), ("result", "declined")], 2.0),
            ("saga_failures_total", &[("step", "freeze")], 2.0),
            ("saga_manual_actions_total", &[("action", "retry"), ("result", "ok")], 2.0),
            ("saga_manual_actions_total", &[("action", "retry"), ("result", "refused")], 1.0),
            ("saga_manual_actions_total", &[("action", "retry"), ("result", "failed")], 0.0),
        ],
    );
}

#[tokio::test]
async fn each_order_of_an_operator_is_counted_by_what_it_came_to() {
    let mut test_driver = test_driver().await;
    let reason = || "as the test says".to_owned();
    let (one, other) = (test_driver.start("1").await, test_driver.start("2").await);
    let calls = [test_driver.next().await, test_driver.next().await];
    let mut sagas = test_driver.sagas();
    let pause = |saga_id: &str| PauseSagaRequest { saga_id: saga_id.to_owned(), reason: reason() };
    sagas.pause_saga(pause(&one)).await.unwrap();
    sagas.pause_saga(pause(&one)).await.unwrap_err();
    let resume = ResumeSagaRequest { saga_id: one.clone(), reason: reason() };
    sagas.resume_saga(resume).await.unwrap();
    let cancel =
        |saga_id: &str| CancelSagaRequest { saga_id: saga_id.to_owned(), reason: reason() };
    sagas.cancel_saga(cancel(&one)).await.unwrap();
    sagas.cancel_saga(cancel("nobody")).await.unwrap_err();
    let skip = |step: &str| SkipStepRequest {
        saga_id: other.clone(),
        step: step.to_owned(),
        reason: reason(),
    };
    sagas.skip_step(skip("charge")).await.unwrap();
    sagas.skip_step(skip("nothing")).await.unwrap_err();
    sagas.pause_saga(pause(&other)).await.unwrap();
    let resolve = ResolveSagaRequest { saga_id: other.clone(), reason: reason() };
    sagas.resolve_saga(resolve).await.unwrap();
    test_driver.asleep(&other).await;
    test_driver.journal.database().close().await;
    sagas.pause_saga(pause(&one)).await.unwrap_err();
    drop(calls);
    let scraped = scrape(&test_driver.measured).await;
    for (action, expected) in [
        ("pause", [2.0, 1.0, 1.0]),
        ("resume", [1.0, 0.0, 0.0]),
        ("cancel", [1.0, 1.0, 0.0]),
        ("skip", [1.0, 1.0, 0.0]),
        ("resolve", [1.0, 0.0, 0.0]),
        ("retry", [0.0; 3]),
    ] {
        for (result, value) in ["ok", "refused", "failed"].into_iter().zip(expected) {
            let labels = [("action", action), ("result", result)];
            holds(&scraped, &[("saga_manual_actions_total", &labels, value)]);
        }
    }
    holds(&scraped, &[("saga_finished_total", &[("outcome", "resolved")], 1.0)]);
}

#[tokio::test]
async fn a_call_that_was_under_way_when_its_node_died_is_counted_as_lost_by_the_next() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let lost = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    test_driver.asleep(&saga_id).await;
    drop(lost);
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    ended(&test_driver, &saga_id, SagaState::Succeeded).await;
    let first = scrape(&test_driver.measured).await;
    holds(&first, &[("saga_started_total", &[], 1.0), ("saga_finished_total", &[], 0.0)]);
    holds(
        &scrape(&test_driver.next_measured).await,
        &[
            ("saga_recovered_total", &[], 1.0),
            ("saga_step_attempts_total", &[("step", "freeze"), ("result", "lost")], 1.0),
            ("saga_step_attempts_total", &[("step", "freeze"), ("result", "ok")], 1.0),
            ("saga_step_attempts_total", &[("result", "lost")], 1.0),
            ("saga_started_total", &[], 0.0),
            ("saga_finished_total", &[("outcome", "succeeded")], 1.0),
        ],
    );
    next.abort();
}

/// Plays a saga to its end: what the participant answers, what a person orders and when the node dies is by chance.
async fn play(
    test_driver: &mut TestDriver,
    mut driver: Driver,
    chance: &mut StdRng,
    key: &str,
) -> Driver {
    let definition = driver.registry().find("work", 0).unwrap().compiled;
    let (trace, requester) = (facade::Trace::start(), Requester::default());
    let start = driver.start(definition, key.to_owned(), bytes::Bytes::new(), &trace, &requester);
    let Start::New { saga_id, .. } = start.await.unwrap() else { panic!("it is new") };
    let mut turns = 0;
    loop {
        let row = test_driver.journal.find(&saga_id).await.unwrap().unwrap();
        let reason = || "as the test says".to_owned();
        turns += 1;
        match row.status() {
            status if status.is_ended() => return driver,
            Status::Attention | Status::Paused => {
                let step = StepId(chance.random_range(0..2));
                let event = match chance.random_range(0..8) {
                    0 => Event::Resolved { reason: reason() },
                    1 => Event::Cancelled { reason: reason() },
                    2 | 3 => Event::SkippedByHand { step, reason: reason() },
                    4 => Event::Resumed { reason: reason() },
                    _ if turns > 400 => Event::Resolved { reason: reason() },
                    _ => Event::Retried { reason: reason() },
                };
                // What its state does not allow is refused.
                let _ = driver.order(&saga_id, event).await;
            }
            _ => match test_driver.arrivals.try_recv() {
                Ok(arrived) => match chance.random_range(0..24) {
                    0 => driver = die(test_driver, driver, arrived).await,
                    1 => drop(driver.order(&saga_id, Event::Paused { reason: reason() }).await),
                    2 => drop(driver.order(&saga_id, Event::Cancelled { reason: reason() }).await),
                    _ => answer(arrived, chance),
                },
                Err(_) if chance.random_range(0..40) == 0 && test_driver.time.waiting() > 0 => {
                    test_driver.time.advance(Duration::from_secs(chance.random_range(1..90)));
                }
                Err(_) => {
                    driver.recover_once().await.unwrap();
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}

fn answer(arrived: Arrived, chance: &mut StdRng) {
    use tonic::Status;
    arrived.say(match chance.random_range(0..10) {
        0 => Err(Status::failed_precondition("no")),
        1 | 2 => Err(Status::unavailable("away")),
        3 => Err(Status::resource_exhausted("too many")),
        4 => Err(Status::unimplemented("never")),
        _ => Ok(bytes::Bytes::new()),
    });
}

/// The node dies while nothing is being written: all that it has put on disk was counted.
async fn die(test_driver: &TestDriver, driver: Driver, under_way: Arrived) -> Driver {
    driver.abort();
    while driver.running() > 0 {
        tokio::task::yield_now().await;
    }
    drop(under_way);
    let next = test_driver.next_driver().await;
    next.recover_once().await.unwrap();
    next
}

#[tokio::test]
async fn whatever_is_answered_and_ordered_and_whenever_the_node_dies_what_was_counted_is_in_the_journals()
 {
    let mut met = recount::Counts::default();
    for seed in 0..12 {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut test_driver = test_driver().await;
        let mut driver = test_driver.driver().clone();
        for key in 0..6 {
            driver = play(&mut test_driver, driver, &mut chance, &key.to_string()).await;
        }
        while driver.running() > 0 {
            tokio::task::yield_now().await;
        }
        let journals = recount::recount(&test_driver).await;
        let mut counted = recount::Counts::default();
        for registry in [&test_driver.measured, &test_driver.next_measured] {
            counted.add(&scrape(registry).await);
        }
        assert_eq!(counted, journals, "seed {seed}");
        met.merge(journals);
        driver.abort();
    }
    println!("{met:#?}");
    for claimed in ["ok", "declined", "unknown", "pushed_back", "lost"] {
        assert!(met.attempts.keys().any(|(_, _, result)| result == claimed), "{claimed}: {met:?}");
    }
    assert_eq!(met.finished.len(), 3, "{met:?}");
    assert_eq!(met.compensations.len(), 2, "{met:?}");
}
