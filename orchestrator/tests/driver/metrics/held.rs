//! What a node holds, and what it refuses because of a limit.

use std::num::NonZero;

use orchestrator::{
    config::{Limits, Sagas},
    outbound::CallLimits,
};
use proto::saga::v1::{SagaState, WatchSagaRequest};

use super::{ended, holds, scrape};
use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

#[tokio::test]
async fn what_is_refused_is_counted_by_the_name_of_its_limit_and_a_repeat_is_not_refused() {
    let sagas = Sagas { max_watchers: 1, ..Sagas::default() };
    let limits = Limits { max_running: 2, sagas, ..Limits::default() };
    let work = definition("deadline: 1h", &FREEZE_AND_CHARGE);
    let mut test_driver = TestDriver::within(limits, &[&work]).await;
    let saga_id = test_driver.start("1").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.try_start("work", "2").await.unwrap_err();
    test_driver.try_start("work", "3").await.unwrap_err();
    assert_eq!(test_driver.start("1").await, saga_id);
    let watch = || WatchSagaRequest { saga_id: saga_id.clone(), after_seq: 0 };
    let _watching = test_driver.sagas().watch_saga(watch()).await.unwrap();
    test_driver.sagas().watch_saga(watch()).await.unwrap_err();
    let refused = |limit| [("limit", limit)];
    holds(
        &scrape(&test_driver.measured).await,
        &[
            ("sagamesh_limit_refusals_total", &refused("limits.sagas.share_per_definition"), 2.0),
            ("sagamesh_limit_refusals_total", &refused("limits.sagas.max_watchers"), 1.0),
            ("sagamesh_limit_refusals_total", &refused("limits.max_running"), 0.0),
            ("sagamesh_limit_refusals_total", &[], 3.0),
            ("sagamesh_saga_watchers", &[], 1.0),
            ("sagamesh_sagas_active", &[("definition", "work")], 1.0),
            ("saga_slots", &[("room", "begun")], 2.0),
            ("sagamesh_saga_tasks", &[], 1.0),
            ("sagamesh_definitions", &[("state", "registered")], 1.0),
            ("sagamesh_definitions", &[("state", "refused")], 0.0),
            ("sagamesh_definition_drift", &[("definition", "work")], 0.0),
        ],
    );
}

#[tokio::test]
async fn a_participants_line_is_shown_as_it_is_and_what_waits_in_it_has_a_wait() {
    let limits = CallLimits { in_flight: NonZero::<usize>::MIN, rate: None };
    let work = definition("deadline: 1h", &FREEZE_AND_CHARGE);
    let mut test_driver = TestDriver::calling(limits, &[&work]).await;
    let of = [("participant", "work.v1.Work")];
    test_driver.start("1").await;
    let first = test_driver.called("freeze forward").await;
    let second = test_driver.start("2").await;
    while test_driver.driver().participants().lines()[0].1.waiting == 0 {
        tokio::task::yield_now().await;
    }
    holds(
        &scrape(&test_driver.measured).await,
        &[
            ("sagamesh_participant_in_flight", &of, 1.0),
            ("sagamesh_participant_in_line", &of, 1.0),
            ("sagamesh_participant_limit", &of, 1.0),
            ("sagamesh_participant_limit_max", &of, 1.0),
            ("sagamesh_participant_left_alone_seconds", &of, 0.0),
            ("saga_participant_up", &of, 1.0),
            ("saga_step_wait_seconds_count", &[("step", "freeze")], 1.0),
        ],
    );
    test_driver.pass(3_000);
    first.done();
    for _ in 0..3 {
        test_driver.next().await.done();
    }
    ended(&test_driver, &second, SagaState::Succeeded).await;
    holds(
        &scrape(&test_driver.measured).await,
        &[
            ("saga_step_wait_seconds_sum", &[("step", "freeze")], 3.0),
            ("saga_step_duration_seconds_sum", &[("step", "freeze")], 3.0),
            ("sagamesh_participant_in_line", &of, 0.0),
            ("sagamesh_participant_attempts_total", &[of[0], ("result", "ok")], 4.0),
        ],
    );
}

#[tokio::test]
async fn a_participant_that_is_not_there_is_down_and_its_attempts_were_not_sent() {
    let work = definition("deadline: 1h", &FREEZE_AND_CHARGE);
    let nobody = |_| {
        // Nobody has ever listened at port 1.
        orchestrator::config::Participant::at("127.0.0.1:1".parse().unwrap())
    };
    let test_driver = TestDriver::over_the_network(&work, &nobody).await;
    let saga_id = test_driver.start("k").await;
    while test_driver.get(&saga_id).await.steps[0].attempts < 2 {
        tokio::task::yield_now().await;
    }
    let of = ("participant", "work.v1.Work");
    holds(
        &scrape(&test_driver.measured).await,
        &[
            ("saga_participant_up", &[of], 0.0),
            ("sagamesh_participant_attempts_total", &[of, ("result", "not_sent")], 1.0),
            ("saga_step_duration_seconds_count", &[("step", "freeze")], 0.0),
        ],
    );
}

#[tokio::test]
async fn a_node_that_is_gone_shows_nothing_of_itself() {
    let test_driver = TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await;
    let measured = test_driver.measured.clone();
    let scraped = scrape(&measured).await;
    holds(&scraped, &[("saga_inflight", &[], 0.0), ("saga_in_state", &[], 0.0)]);
    // It is its own participant.
    test_driver.driver().participants().clear();
    drop(test_driver);
    let scraped = scrape(&measured).await;
    for gone in ["saga_inflight", "sagamesh_participant_in_flight", "saga_in_state"] {
        assert_eq!(scraped.value(gone, &[]), None, "{gone}");
    }
}
