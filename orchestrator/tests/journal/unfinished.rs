//! How many sagas have not ended: the same as their lists say, and told from indexes alone.

use std::collections::BTreeMap;

use clock::Timestamp;
use orchestrator::journal::{
    Filter, Journal, NamedCause, Standing, UnfinishedCounts, unfinished::Group,
};
use saga::{Reason, Status};

use crate::{
    entries,
    lists::{filled, plans},
    open, start_new,
};

fn by_group(counts: &UnfinishedCounts) -> BTreeMap<(String, &str, Option<String>), (u64, u64)> {
    let groups = counts.groups.iter().map(|group| {
        let Group { definition, status, reason, sagas, since } = group.clone();
        ((definition, status.as_str(), reason), (sagas, since.0))
    });
    groups.collect()
}

#[tokio::test]
async fn as_many_are_counted_as_are_listed_and_the_oldest_is_the_oldest_of_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    filled(&journal).await;
    let mut expected: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for saga in journal.list(&Filter::default(), "", 1_000).await.unwrap() {
        let status = saga.status();
        if status.is_ended() {
            continue;
        }
        let reason = saga.aside.map(|aside| aside.code);
        let group = expected.entry(("d".to_owned(), status.as_str(), reason)).or_default();
        let oldest = if group.0 == 0 { u64::MAX } else { group.1 };
        *group = (group.0 + 1, oldest.min(saga.updated_at.0));
    }
    let counts = journal.count_unfinished(Timestamp(0)).await.unwrap();
    assert_eq!(by_group(&counts), expected);
    assert_eq!(expected.len(), 5, "four states, and those that stand aside: {expected:?}");
}

#[tokio::test]
async fn those_that_need_a_person_are_told_by_their_reasons_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for (number, (status, code)) in [
        (Status::Attention, "NO_UNDO"),
        (Status::Attention, "NO_UNDO"),
        (Status::Attention, "RESPONSE_UNKNOWN"),
        (Status::Compensating, "OUT_OF_STOCK"),
        (Status::Compensating, "DEADLINE_PASSED"),
    ]
    .into_iter()
    .enumerate()
    {
        let saga_id = format!("s{number}");
        let saga = start_new(&journal, &saga_id, &saga_id).await;
        let why = NamedCause { reason: Reason::new(code, "why"), step: String::new() };
        let standing = Standing { status, why: Some(why) };
        journal.append(saga, entries(&saga_id, 1..2), Some(standing)).await.unwrap();
    }
    let counts = journal.count_unfinished(Timestamp(0)).await.unwrap();
    let group = |status, reason: Option<&str>| ("d".to_owned(), status, reason.map(str::to_owned));
    let expected = BTreeMap::from([
        (group("ATTENTION", Some("NO_UNDO")), (2, 11)),
        (group("ATTENTION", Some("RESPONSE_UNKNOWN")), (1, 11)),
        (group("COMPENSATING", None), (2, 11)),
    ]);
    assert_eq!(by_group(&counts), expected);
}

#[tokio::test]
async fn those_that_sleep_are_due_from_their_instant_on_and_the_others_are_awake() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for (number, until) in [Some(1_000), Some(2_000), None, None, None].into_iter().enumerate() {
        let saga_id = format!("s{number}");
        let saga = start_new(&journal, &saga_id, &saga_id).await;
        if let Some(until) = until {
            journal.sleep(saga, Timestamp(until)).await.unwrap();
        }
    }
    journal.set_aside("s4", Reason::new("ENGINE_FAILED", "why")).await.unwrap();
    for (now, due) in [(999, 0), (1_000, 1), (2_000, 2)] {
        let counts = journal.count_unfinished(Timestamp(now)).await.unwrap();
        assert_eq!((counts.due, counts.awake), (due, 2), "at {now}");
    }
}

#[tokio::test]
async fn a_saga_in_a_state_that_nobody_knows_needs_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    start_new(&journal, "s", "k").await;
    journal.database().close().await;
    crate::run(folder.path(), "update saga set state = 'ELSEWHERE'").await;
    let journal = open(folder.path()).await;
    let counts = journal.count_unfinished(Timestamp(0)).await.unwrap();
    let group = ("d".to_owned(), "ATTENTION", Some("JOURNAL_UNREADABLE".to_owned()));
    assert_eq!(by_group(&counts), BTreeMap::from([(group, (1, 10))]));
}

#[tokio::test]
async fn no_row_is_read_and_nothing_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.database().close().await;
    let unfinished = "state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED'";
    let standing = format!(
        "select definition, state, case state when 'ATTENTION' then reason_code end as reason, count(*), min(updated_at),
                coalesce(sum(asleep_until <= 7), 0), coalesce(sum(asleep_until is null), 0)
         from saga indexed by saga_unfinished where {unfinished} and aside_code is null group by definition, state, reason"
    );
    let aside = format!(
        "select definition, aside_code, count(*), min(updated_at) from saga indexed by saga_aside
         where aside_code is not null and {unfinished} group by definition, aside_code"
    );
    for (statement, index) in [(standing, "saga_unfinished"), (aside, "saga_aside")] {
        let plan = plans(folder.path(), &[&statement]).await;
        let looks =
            plan.iter().filter(|step| step.starts_with("SCAN") || step.starts_with("SEARCH"));
        for look in looks {
            assert!(look.contains(&format!("COVERING INDEX {index}")), "{plan:?}");
        }
    }
}
