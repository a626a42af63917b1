//! Gauges of where sagas stand: exact, and the same after a restart.

use std::time::Duration;

use metrics::exposition::Exposition;
use proto::saga::v1::{ArchiveDefinitionRequest, ListSagasRequest, SagaState};
use saga::Reason;

use super::{ended, holds, refused, scrape};
use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

const STATES: [SagaState; 4] =
    [SagaState::Running, SagaState::Compensating, SagaState::Paused, SagaState::Attention];

async fn test_driver() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await
}

/// Each number is as long as its list.
async fn agrees_with_the_lists(test_driver: &TestDriver, scraped: &Exposition) {
    for state in STATES {
        let request =
            ListSagasRequest { states: vec![state.into()], ..ListSagasRequest::default() };
        let listed = test_driver.sagas().list_sagas(request).await.unwrap().into_inner().sagas;
        let name = state.as_str_name().trim_start_matches("SAGA_STATE_");
        let shown = scraped.value("saga_in_state", &[("definition", "work"), ("state", name)]);
        assert_eq!(shown, Some(listed.len() as f64), "{name}");
    }
    let attention = scraped.value("saga_in_state", &[("state", "ATTENTION")]);
    assert_eq!(scraped.value("saga_attention_backlog", &[]), attention);
}

#[tokio::test]
async fn a_definition_without_sagas_shows_zeros_and_one_that_is_archived_vanishes_with_its_last_saga()
 {
    let mut test_driver = test_driver().await;
    let scraped = scrape(&test_driver.measured).await;
    agrees_with_the_lists(&test_driver, &scraped).await;
    for state in STATES {
        let name = state.as_str_name().trim_start_matches("SAGA_STATE_");
        let labels = [("definition", "work"), ("state", name)];
        holds(&scraped, &[("saga_oldest_age_seconds", &labels, 0.0)]);
    }
    let saga_id = test_driver.start("k").await;
    let freeze = test_driver.called("freeze forward").await;
    let archive = ArchiveDefinitionRequest { name: "work".to_owned(), ..Default::default() };
    test_driver.sagas().archive_definition(archive).await.unwrap();
    test_driver.pass(2_000);
    let scraped = scrape(&test_driver.measured).await;
    holds(&scraped, &[("saga_in_state", &[("state", "RUNNING")], 1.0)]);
    freeze.done();
    test_driver.called("charge forward").await.done();
    ended(&test_driver, &saga_id, SagaState::Succeeded).await;
    test_driver.pass(2_000);
    // What its last saga came to is shown once at least.
    let scraped = scrape(&test_driver.measured).await;
    holds(&scraped, &[("saga_finished_total", &[("outcome", "succeeded")], 1.0)]);
    test_driver.pass(2_000);
    let scraped = scrape(&test_driver.measured).await;
    let left: Vec<_> = scraped
        .samples()
        .filter(|sample| sample.labels.get("definition").is_some_and(|name| name == "work"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn three_undos_that_are_stuck_are_three_in_the_backlog_and_as_old_as_the_first() {
    let mut test_driver = test_driver().await;
    for number in 0..3 {
        let saga_id = test_driver.start(&number.to_string()).await;
        test_driver.called("freeze forward").await.done();
        test_driver.called("charge forward").await.say(refused());
        test_driver.called("freeze undo").await.say(refused());
        ended(&test_driver, &saga_id, SagaState::Attention).await;
        test_driver.pass(10_000);
    }
    let scraped = scrape(&test_driver.measured).await;
    agrees_with_the_lists(&test_driver, &scraped).await;
    let expected = [
        ("saga_attention_backlog", [("definition", "work")], 3.0),
        ("saga_oldest_age_seconds", [("state", "ATTENTION")], 30.0),
        ("saga_oldest_age_seconds", [("state", "COMPENSATING")], 0.0),
    ];
    for (name, labels, value) in &expected {
        holds(&scraped, &[(name, labels, *value)]);
    }

    // The next process says the same before it has done anything.
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    let again = scrape(&test_driver.next_measured).await;
    for (name, labels, value) in &expected {
        holds(&again, &[(name, labels, *value)]);
    }
    holds(&again, &[("saga_runnable", &[], 0.0)]);
    next.abort();
}

#[tokio::test]
async fn a_saga_that_stands_aside_needs_a_person_by_its_reason_and_is_counted_when_it_is_closed() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let under_way = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    test_driver.asleep(&saga_id).await;
    drop(under_way);
    let cut = "update event set link = zeroblob(32)";
    test_driver.journal.database().write(|connection| connection.execute(cut, ())).await.unwrap();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 0);
    let scraped = scrape(&test_driver.next_measured).await;
    agrees_with_the_lists(&test_driver, &scraped).await;
    let reason = [("reason", "JOURNAL_UNREADABLE")];
    holds(
        &scraped,
        &[
            ("saga_attention_backlog", &reason, 1.0),
            ("sagamesh_sagas_set_aside_total", &reason, 1.0),
        ],
    );
    test_driver.pass(5_000);
    assert!(next.close_aside(&saga_id, "settled by hand").await.unwrap());
    let scraped = scrape(&test_driver.next_measured).await;
    holds(
        &scraped,
        &[
            ("saga_attention_backlog", &[], 0.0),
            ("saga_finished_total", &[("outcome", "resolved")], 1.0),
            ("saga_duration_seconds_sum", &[("outcome", "resolved")], 5.0),
        ],
    );
    next.abort();
}

#[tokio::test]
async fn a_reason_that_nobody_registered_is_other() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.journal.set_aside(&saga_id, Reason::new("OF_A_STRANGER", "x")).await.unwrap();
    let scraped = scrape(&test_driver.measured).await;
    holds(&scraped, &[("saga_attention_backlog", &[("reason", "OTHER")], 1.0)]);
}

#[tokio::test]
async fn what_a_scrape_shows_is_two_seconds_old_at_most_and_what_cannot_be_asked_is_shown_with_its_age()
 {
    let mut test_driver = test_driver().await;
    scrape(&test_driver.measured).await;
    test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.pass(1_999);
    let scraped = scrape(&test_driver.measured).await;
    holds(
        &scraped,
        &[("saga_in_state", &[], 0.0), ("sagamesh_saga_gauges_age_seconds", &[], 1.999)],
    );
    test_driver.pass(1);
    let scraped = scrape(&test_driver.measured).await;
    holds(&scraped, &[("saga_in_state", &[], 1.0), ("sagamesh_saga_gauges_age_seconds", &[], 0.0)]);
    test_driver.journal.database().close().await;
    test_driver.time.advance(Duration::from_mins(1));
    let scraped = scrape(&test_driver.measured).await;
    holds(
        &scraped,
        &[("saga_in_state", &[], 1.0), ("sagamesh_saga_gauges_age_seconds", &[], 60.0)],
    );
}

#[tokio::test]
async fn a_saga_that_no_task_has_is_runnable_until_one_has() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let under_way = test_driver.called("freeze forward").await;
    let scraped = scrape(&test_driver.measured).await;
    holds(&scraped, &[("saga_runnable", &[], 0.0), ("saga_inflight", &[("room", "begun")], 1.0)]);
    test_driver.driver().abort();
    test_driver.asleep(&saga_id).await;
    drop(under_way);
    let next = test_driver.next_driver().await;
    let scraped = scrape(&test_driver.next_measured).await;
    holds(&scraped, &[("saga_runnable", &[], 1.0), ("saga_inflight", &[], 0.0)]);
    next.recover_once().await.unwrap();
    let _again = test_driver.called("freeze forward").await;
    test_driver.pass(2_000);
    let scraped = scrape(&test_driver.next_measured).await;
    holds(&scraped, &[("saga_runnable", &[], 0.0), ("saga_inflight", &[("room", "woken")], 1.0)]);
    next.abort();
}
