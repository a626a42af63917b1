//! What the journal promises, asked of its SQLite store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod compensations;
mod keys;
mod lists;
mod unfinished;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use futures::future::join_all;
use orchestrator::{
    journal::{
        Asleep, Change, Definition, Entry, Error, FOR_A_PERSON, Filter, Header, Journal, Link,
        Number, Readmit, Standing, Started, Unfinished, Wanted, record, tables::Tables,
    },
    retention::Keep,
};
use saga::{Event, Reason, Record, Status};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

async fn open(folder: &Path) -> Arc<Tables> {
    let journal = Tables::open(&folder.join("journal.db"), &Clock::system()).await.unwrap();
    journal.register(definition("one")).await.unwrap();
    Arc::new(journal)
}

fn definition(hash: &str) -> Definition {
    Definition {
        hash: hash.to_owned(),
        name: "d".to_owned(),
        version: 1,
        source: "saga: d".to_owned(),
        file: "d.yaml".to_owned(),
        descriptors: Bytes::from_static(b"described"),
        registered_at: Timestamp(5),
        archived: None,
        change: 1,
    }
}

fn header(saga_id: &str, key: &str, request: &'static [u8]) -> Header {
    Header {
        saga_id: saga_id.to_owned(),
        definition_hash: "one".to_owned(),
        definition: "d".to_owned(),
        version: 1,
        key: key.to_owned(),
        request: Bytes::from_static(request),
        trace: "t".to_owned(),
        deadline: Timestamp(90),
        created_at: Timestamp(10),
    }
}

/// Records at these positions, linked from the root.
fn entries(saga_id: &str, seqs: std::ops::Range<u64>) -> Vec<Entry> {
    let records: Vec<Record> = seqs
        .map(|seq| Record {
            seq,
            at: saga::Timestamp(10 + seq),
            event: Event::Recovered { node: format!("{saga_id}-{seq}") },
        })
        .collect();
    record::encode_all(&records, Link::root(&header(saga_id, saga_id, b""))).0
}

/// In this state from now on.
fn change(status: Status) -> Option<Change> {
    Some(Change { standing: Standing { status, why: None }, compensation: None })
}

/// The ids of all that is unfinished.
async fn unfinished(journal: &Tables) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), Unfinished::default());
    loop {
        let page = journal.unfinished(&after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.clone();
        found.extend(page.into_iter().map(|unfinished| unfinished.saga_id));
    }
    found.sort();
    found
}

async fn start(journal: &Tables, saga_id: &str, key: &str, request: &'static [u8]) -> Started {
    let (_caller, wanted) = Wanted::by_caller();
    let header = header(saga_id, key, request);
    journal.start(header, entries(saga_id, 0..1), None, wanted).await.unwrap()
}

/// Changes the closed journal by hand.
async fn run(folder: &Path, statement: &'static str) {
    let file = SqliteConnectOptions::new().filename(folder.join("journal.db"));
    let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Starts a saga that is new.
async fn start_new(journal: &Tables, saga_id: &str, key: &str) -> Number {
    match start(journal, saga_id, key, b"r").await {
        Started::New(number) => number,
        other => panic!("{saga_id}: {other:?}"),
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let a = start_new(&journal, "a", "k").await;
    journal.append(a, entries("a", 1..4), change(Status::Compensating)).await.unwrap();
    journal.database().close().await;

    let journal = open(folder.path()).await;
    let listed = journal.find("a").await.unwrap().unwrap();
    assert_eq!(listed.header, header("a", "k", b"r"));
    assert_eq!(listed.standing.status, Status::Compensating);
    assert_eq!(listed.updated_at, Timestamp(13));
    let kept = journal.read("a", 0, 100).await.unwrap();
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[1..], entries("a", 1..4));
    assert_eq!(journal.read("a", 3, 100).await.unwrap(), kept[3..]);
    assert!(journal.find("b").await.unwrap().is_none());
}

#[tokio::test]
async fn of_many_starts_under_one_key_one_is_new_and_the_others_are_told_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let starts = (0..200).map(|number| {
        let journal = Arc::clone(&journal);
        async move { start(&journal, &format!("s{number:03}"), "k", b"r").await }
    });
    let outcomes = join_all(starts).await;
    let new: Vec<usize> =
        (0..200).filter(|number| matches!(outcomes[*number], Started::New(_))).collect();
    assert_eq!(new.len(), 1, "{outcomes:?}");
    let saga_id = format!("s{:03}", new[0]);
    let told = outcomes
        .iter()
        .filter(|outcome| **outcome == Started::Already { saga_id: saga_id.clone() });
    assert_eq!(told.count(), 199);
    assert_eq!(start(&journal, "other", "k", b"another request").await, Started::KeyReused);
    assert!(journal.find("other").await.unwrap().is_none());
}

#[tokio::test]
async fn a_position_is_taken_once_and_a_bad_write_does_not_fail_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let a = start_new(&journal, "a", "a").await;
    let b = start_new(&journal, "b", "b").await;
    let c = start_new(&journal, "c", "c").await;
    journal.append(b, entries("b", 1..2), None).await.unwrap();
    // Handed over together, so that they stand in one batch.
    let (first, second, third) = tokio::join!(
        journal.append(a, entries("a", 1..3), None),
        journal.append(b, entries("b", 1..3), change(Status::Succeeded)),
        journal.append(c, entries("c", 1..2), change(Status::Succeeded)),
    );
    first.unwrap();
    third.unwrap();
    assert!(matches!(second, Err(Error::Taken { seq: 1 })), "{second:?}");
    assert_eq!(journal.read("a", 0, 100).await.unwrap().len(), 3);
    assert_eq!(
        journal.read("b", 0, 100).await.unwrap().len(),
        2,
        "a part of the refused append was kept"
    );
    assert_eq!(journal.find("b").await.unwrap().unwrap().standing.status, Status::Running);
    assert_eq!(journal.find("c").await.unwrap().unwrap().standing.status, Status::Succeeded);
}

#[tokio::test]
async fn a_saga_that_is_full_takes_no_more_and_its_neighbour_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let a = start_new(&journal, "a", "a").await;
    let b = start_new(&journal, "b", "b").await;
    let last = (1 << 20) - 1;
    journal.append(a, entries("a", last..last + 1), None).await.unwrap();
    for seq in [1 << 20, (1 << 20) + 1, 1 << 40] {
        let full = journal.append(a, entries("a", seq..seq + 1), None).await;
        assert!(matches!(full, Err(Error::Full { seq: told }) if told == seq), "{full:?}");
    }
    assert_eq!(journal.read("a", 1, 100).await.unwrap()[0].seq, last);
    assert_eq!(journal.read("a", 1 << 20, 100).await.unwrap(), []);
    journal.append(b, entries("b", 1..2), None).await.unwrap();
    assert_eq!(journal.read("b", 0, 100).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_unfinished_is_found_page_by_page_without_what_has_ended_or_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let statuses = [Status::Succeeded, Status::Compensated, Status::Resolved, Status::Attention];
    for number in 0..9 {
        let saga_id = format!("s{number}");
        let saga = start_new(&journal, &saga_id, &saga_id).await;
        if let Some(status) = statuses.get(usize::wrapping_sub(number, 1)) {
            journal.append(saga, entries(&saga_id, 1..2), change(*status)).await.unwrap();
        }
    }
    journal.set_aside("s5", Reason::new("JOURNAL_UNREADABLE", "burnt")).await.unwrap();

    assert_eq!(unfinished(&journal).await, ["s0", "s4", "s6", "s7", "s8"]);

    let attention = Filter { statuses: vec![Status::Attention], ..Filter::default() };
    let listed = journal.list(&attention, "", 10).await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|listed| listed.header.saga_id.as_str()).collect();
    assert_eq!(ids, ["s5", "s4"], "a saga that cannot be read needs a person");
    for (statuses, expected) in [
        (vec![Status::Running], vec!["s8", "s7", "s6", "s0"]),
        (vec![Status::Running, Status::Attention], vec!["s8", "s7", "s6", "s5", "s4", "s0"]),
        (vec![Status::Running, Status::Succeeded], vec!["s8", "s7", "s6", "s1", "s0"]),
    ] {
        let filter = Filter { statuses, ..Filter::default() };
        let listed = journal.list(&filter, "", 10).await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|listed| listed.header.saga_id.as_str()).collect();
        assert_eq!(ids, expected);
    }
    journal.readmit(Readmit::Saga("s5".to_owned())).await.unwrap();
    assert_eq!(unfinished(&journal).await, ["s0", "s4", "s5", "s6", "s7", "s8"]);
}

#[tokio::test]
async fn only_a_saga_that_stands_aside_is_closed_past_its_journal_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for saga_id in ["burnt", "sound"] {
        start(&journal, saga_id, saga_id, b"r").await;
    }
    journal.set_aside("burnt", Reason::new("JOURNAL_UNREADABLE", "ashes")).await.unwrap();
    let closed = || Reason::new("RESOLVED_BY_OPERATOR", "paid back by hand");
    let close =
        async |saga_id| journal.close_aside(saga_id, closed(), Timestamp(70)).await.unwrap();
    assert!(!close("sound").await);
    assert!(close("burnt").await);
    assert!(!close("burnt").await, "it has ended");

    let burnt = journal.find("burnt").await.unwrap().unwrap();
    assert_eq!((burnt.status(), burnt.updated_at), (Status::Resolved, Timestamp(70)));
    let why = burnt.aside.unwrap();
    assert_eq!(why.code, "RESOLVED_BY_OPERATOR");
    assert!(why.message.contains("paid back by hand") && why.message.contains("ashes"), "{why}");
    let resolved = Filter { statuses: vec![Status::Resolved], ..Filter::default() };
    assert_eq!(journal.list(&resolved, "", 10).await.unwrap().len(), 1);
    journal.readmit(Readmit::Saga("burnt".to_owned())).await.unwrap();
    assert_eq!(journal.find("burnt").await.unwrap().unwrap().status(), Status::Resolved);
    assert_eq!(unfinished(&journal).await, ["sound"]);
}

#[tokio::test]
async fn sagas_are_readmitted_by_the_reason_that_they_stand_aside_for() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for (saga_id, code) in [("a", "JOURNAL_UNREADABLE"), ("b", "DEFINITION_UNREADABLE")] {
        start(&journal, saga_id, saga_id, b"r").await;
        journal.set_aside(saga_id, Reason::new(code, "x")).await.unwrap();
    }
    assert_eq!(unfinished(&journal).await, [""; 0]);
    journal.readmit(Readmit::Reason("DEFINITION_UNREADABLE".to_owned())).await.unwrap();
    assert_eq!(unfinished(&journal).await, ["b"]);
}

#[tokio::test]
async fn a_row_that_makes_no_sense_stands_aside_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let damages = [
        "version = -3",
        "state = 'WALTZING'",
        "deadline = 'soon'",
        "request = null",
        "created_at = 1.5",
        "definition_hash = x'00ff'",
    ];
    let journal = open(folder.path()).await;
    for number in 0..=damages.len() {
        let saga_id = format!("s{number}");
        start(&journal, &saga_id, &saga_id, b"r").await;
    }
    journal.database().close().await;
    let file = SqliteConnectOptions::new().filename(folder.path().join("journal.db"));
    let mut connection = SqliteConnection::connect_with(&file.foreign_keys(false)).await.unwrap();
    sqlx::query("pragma ignore_check_constraints = true").execute(&mut connection).await.unwrap();
    let mut applied = Vec::new();
    for (number, damage) in damages.iter().enumerate() {
        let update = format!("update saga set {damage} where id = 's{number}'");
        if sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut connection).await.is_ok() {
            applied.push(number);
        }
    }
    connection.close().await.unwrap();
    assert!(applied.len() >= 4, "the damage was not done: {applied:?}");

    let journal = open(folder.path()).await;
    let found = unfinished(&journal).await;
    assert_eq!(found.len(), damages.len() + 1);
    for (number, saga_id) in found.iter().enumerate() {
        assert_eq!(*saga_id, format!("s{number}"));
        let listed = journal.load(saga_id).await.unwrap().unwrap().index_row;
        assert_eq!(listed.aside.is_some(), applied.contains(&number), "{listed:?}");
    }
    assert_eq!(journal.list(&Filter::default(), "", 100).await.unwrap().len(), damages.len() + 1);
}

#[tokio::test]
async fn a_registered_definition_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    assert_eq!(journal.register(definition("one")).await.unwrap(), definition("one"));
    let kept = journal.register(definition("another")).await.unwrap();
    assert_eq!(kept.hash, "one", "name and version are taken: the first stays");
    assert_eq!(journal.definitions(0).await.unwrap(), [definition("one")]);
}

#[tokio::test]
async fn after_close_nothing_is_taken_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let a = start_new(&journal, "a", "a").await;
    journal.database().close().await;
    let refused = journal.append(a, entries("a", 1..2), None).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

#[tokio::test]
async fn only_what_ended_long_ago_is_removed_whole_and_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let all = [Status::Succeeded, Status::Compensated, Status::Resolved];
    let unfinished = [Status::Running, Status::Compensating, Status::Attention, Status::Paused];
    for (number, status) in (0..).zip(unfinished.into_iter().chain(all).chain(all)) {
        let saga_id = format!("s{number}");
        let saga = start_new(&journal, &saga_id, &saga_id).await;
        // The n-th saga has n records, so it ends n milliseconds later.
        journal.append(saga, entries(&saga_id, 1..2 + number), change(status)).await.unwrap();
    }
    journal.set_aside("s0", Reason::new("JOURNAL_UNREADABLE", "burnt")).await.unwrap();
    let left = async || -> Vec<String> {
        let mut listed = journal.list(&Filter::default(), "", 100).await.unwrap();
        listed.reverse();
        listed.into_iter().map(|listed| listed.header.saga_id).collect()
    };
    assert_eq!(
        journal.remove_ended(Timestamp(15), Keep::NOTHING, 100).await.unwrap(),
        0,
        "none ended so early"
    );
    assert_eq!(journal.remove_ended(Timestamp(19), Keep::NOTHING, 2).await.unwrap(), 2);
    assert_eq!(left().await, ["s0", "s1", "s2", "s3", "s6", "s7", "s8", "s9"]);
    assert_eq!(journal.remove_ended(Timestamp(19), Keep::NOTHING, 2).await.unwrap(), 2);
    assert_eq!(journal.remove_ended(Timestamp(19), Keep::NOTHING, 2).await.unwrap(), 0);
    assert_eq!(left().await, ["s0", "s1", "s2", "s3", "s8", "s9"]);
    assert!(journal.read("s6", 0, 100).await.unwrap().is_empty());
    assert_eq!(journal.read("s3", 0, 100).await.unwrap().len(), 5);
    // Its key is kept until it is removed too.
    assert!(matches!(start(&journal, "again", "s6", b"r").await, Started::Removed(_)));
    assert_eq!(journal.remove_keys(Timestamp(u64::MAX), 100).await.unwrap(), 4);
    start_new(&journal, "again", "s6").await;
    assert_eq!(journal.remove_ended(Timestamp(u64::MAX), Keep::NOTHING, 100).await.unwrap(), 2);
}

#[tokio::test]
async fn the_file_stops_growing_where_what_has_ended_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let mut pages = Vec::new();
    for round in 0..6 {
        for number in 0..100 {
            let saga_id = format!("s{round}-{number:03}");
            let saga = start_new(&journal, &saga_id, &saga_id).await;
            let ended = journal.append(saga, entries(&saga_id, 1..9), change(Status::Succeeded));
            ended.await.unwrap();
        }
        assert_eq!(journal.remove_ended(Timestamp(100), Keep::NOTHING, 1000).await.unwrap(), 100);
        assert_eq!(journal.remove_keys(Timestamp(100), 1000).await.unwrap(), 100);
        let options = SqliteConnectOptions::new().filename(folder.path().join("journal.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let count: i64 =
            sqlx::query_scalar("pragma page_count").fetch_one(&mut connection).await.unwrap();
        pages.push(count);
    }
    assert!(pages[0] > 20, "{pages:?}");
    // The number of pages may differ by one or two, as the rows are placed.
    assert!(pages[5] <= pages[0] + pages[0] / 10, "{pages:?}");
}

#[tokio::test]
async fn a_saga_that_is_asleep_is_found_by_when_it_is_due_and_not_among_those_that_were_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let mut numbers = Vec::new();
    for number in 0..5 {
        let saga_id = format!("s{number}");
        numbers.push(start_new(&journal, &saga_id, &saga_id).await);
    }
    for (number, until) in
        [(0, Timestamp(30)), (2, FOR_A_PERSON), (3, Timestamp(20)), (4, Timestamp(20))]
    {
        journal.sleep(numbers[number], until).await.unwrap();
    }
    assert_eq!(unfinished(&journal).await, ["s1"]);
    let asleep = async |but: &[String]| {
        let (mut found, mut after) = (Vec::new(), Asleep::default());
        while let Some(next) = journal.asleep(&after, but, 1).await.unwrap().pop() {
            found.push((next.until, next.saga_id.clone()));
            after = next;
        }
        found
    };
    let expected =
        [(20, "s3"), (20, "s4"), (30, "s0")].map(|(until, id)| (Timestamp(until), id.to_owned()));
    let expected = [&expected[..], &[(FOR_A_PERSON, "s2".to_owned())]].concat();
    assert_eq!(asleep(&[]).await, expected);
    assert_eq!(asleep(&["order".to_owned(), header("s0", "k", b"r").definition]).await, []);
    let found = journal.find("s0").await.unwrap().unwrap();
    assert_eq!(found.asleep_until, Some(Timestamp(30)));

    journal.wake(numbers[0]).await.unwrap();
    // What stands aside is not asleep, and is recovered when it is let in again.
    journal.set_aside("s2", Reason::new("JOURNAL_UNREADABLE", "burnt")).await.unwrap();
    assert_eq!(asleep(&[]).await, expected[..2]);
    journal.readmit(Readmit::Saga("s2".to_owned())).await.unwrap();
    assert_eq!(unfinished(&journal).await, ["s0", "s1", "s2"]);
}

#[tokio::test]
async fn a_start_that_nobody_wants_any_more_when_it_is_its_turn_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let (caller, wanted) = Wanted::by_caller();
    drop(caller);
    let (header, entries) = (header("s", "k", b"r"), entries("s", 0..1));
    let started = journal.start(header.clone(), entries, None, wanted).await.unwrap();
    assert_eq!(started, Started::Abandoned);
    assert_eq!(journal.earlier_start(&header).await.unwrap(), None, "its key is free");
    assert!(journal.find("s").await.unwrap().is_none());
}
