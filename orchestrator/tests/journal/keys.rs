//! Keys outlive their sagas, with how they ended.

use std::sync::Arc;

use bytes::Bytes;
use clock::Timestamp;
use futures::future::join_all;
use orchestrator::{
    journal::{
        Change, Ending, Journal, Link, NamedCause, Number, RemovedSaga, Standing, Started, record,
        tables::Tables,
    },
    retention::Keep,
};
use saga::{Event, Outcome, Reason, Record, Status};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{header, open, start, start_new};

const ENDED: u64 = 50;

/// Ends a saga as its task would; its first record is on disk.
async fn end(journal: &Tables, saga: Number, outcome: Outcome, why: Option<NamedCause>) {
    let event = Event::Finished { outcome, reply: Bytes::from_static(b"the reply") };
    let status = match outcome {
        Outcome::Succeeded => Status::Succeeded,
        Outcome::Compensated => Status::Compensated,
    };
    let record = Record { seq: 1, at: saga::Timestamp(ENDED), event };
    let (entries, _) = record::encode_all(&[record], Link([0; 16]));
    journal
        .append(
            saga,
            entries,
            Some(Change { standing: Standing { status, why }, compensation: None }),
        )
        .await
        .unwrap();
}

fn why() -> NamedCause {
    NamedCause {
        reason: Reason::new("INSUFFICIENT_STOCK", "none is left"),
        step: "freeze".to_owned(),
    }
}

fn removed_saga(
    saga_id: &str,
    status: Status,
    reply: &'static [u8],
    why: Option<NamedCause>,
) -> Started {
    let ending = Ending { status, reply: Bytes::from_static(reply), why, trace_id: "t".to_owned() };
    Started::Removed(RemovedSaga { saga_id: saga_id.to_owned(), ending })
}

fn hour() -> Keep {
    "1h".parse().unwrap()
}

#[tokio::test]
async fn a_repeat_is_told_how_the_saga_ended_that_has_been_removed_and_another_request_is_refused()
{
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let well = start_new(&journal, "well", "well").await;
    end(&journal, well, Outcome::Succeeded, None).await;
    let undone = start_new(&journal, "undone", "undone").await;
    end(&journal, undone, Outcome::Compensated, Some(why())).await;
    assert_eq!(journal.remove_ended(Timestamp(ENDED + 1), hour(), 10).await.unwrap(), 2);
    journal.database().close().await;

    let journal = open(folder.path()).await;
    assert!(journal.find("well").await.unwrap().is_none());
    for _ in 0..2 {
        let again = start(&journal, "new", "well", b"r").await;
        assert_eq!(again, removed_saga("well", Status::Succeeded, b"the reply", None));
        let again = start(&journal, "new", "undone", b"r").await;
        assert_eq!(again, removed_saga("undone", Status::Compensated, b"", Some(why())));
    }
    assert_eq!(start(&journal, "new", "well", b"another").await, Started::KeyReused);
    assert!(journal.find("new").await.unwrap().is_none(), "a repeat has started a saga");
}

#[tokio::test]
async fn a_key_is_kept_for_its_time_from_the_end_of_its_saga_and_that_of_a_living_saga_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let ended = start_new(&journal, "ended", "ended").await;
    end(&journal, ended, Outcome::Succeeded, None).await;
    start_new(&journal, "living", "living").await;
    journal.remove_ended(Timestamp(u64::MAX), hour(), 10).await.unwrap();

    let until = ENDED + 3_600_000;
    assert_eq!(journal.remove_keys(Timestamp(until), 10).await.unwrap(), 0);
    assert!(matches!(start(&journal, "new", "ended", b"r").await, Started::Removed(_)));
    assert_eq!(journal.remove_keys(Timestamp(until + 1), 10).await.unwrap(), 1);
    assert!(matches!(start(&journal, "new", "ended", b"r").await, Started::New(_)));
    assert_eq!(journal.remove_keys(Timestamp(u64::MAX), 10).await.unwrap(), 0);
    let living = Started::Already { saga_id: "living".to_owned() };
    assert_eq!(start(&journal, "new", "living", b"r").await, living);
}

#[tokio::test]
async fn a_saga_that_is_removed_while_many_repeat_its_start_never_leaves_its_key_free() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let saga = start_new(&journal, "first", "k").await;
    end(&journal, saga, Outcome::Succeeded, None).await;
    let starts = (0..100).map(|number| {
        let journal = Arc::clone(&journal);
        async move {
            if number == 50 {
                journal.remove_ended(Timestamp(u64::MAX), hour(), 10).await.unwrap();
            }
            start(&journal, &format!("s{number}"), "k", b"r").await
        }
    });
    for started in join_all(starts).await {
        let first = match started {
            Started::Already { saga_id } => saga_id,
            Started::Removed(kept) => kept.saga_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(first, "first");
    }
}

#[tokio::test]
async fn the_damaged_end_of_a_saga_is_never_kept_as_an_empty_reply_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    for saga_id in ["cut", "garbled", "sound"] {
        let saga = start_new(&journal, saga_id, saga_id).await;
        end(&journal, saga, Outcome::Succeeded, None).await;
    }
    let file = SqliteConnectOptions::new().filename(folder.path().join("journal.db"));
    let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
    let damage = "
        delete from event where place = (select place from journal where saga_id = 'cut' and seq = 1);
        update event set record = x'ff' where place = (select place from journal where saga_id = 'garbled' and seq = 1)";
    sqlx::raw_sql(damage).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    assert_eq!(journal.remove_ended(Timestamp(u64::MAX), hour(), 10).await.unwrap(), 3);
    for saga_id in ["cut", "garbled"] {
        let Started::Removed(kept) = start(&journal, "new", saga_id, b"r").await else {
            panic!("the key of {saga_id} is free");
        };
        assert_eq!(kept.ending.why.unwrap().reason.code, "JOURNAL_UNREADABLE");
    }
    let sound = start(&journal, "new", "sound", b"r").await;
    assert_eq!(sound, removed_saga("sound", Status::Succeeded, b"the reply", None));
}

#[tokio::test]
async fn the_index_tells_the_record_that_brought_the_state_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let saga = start_new(&journal, "s", "s").await;
    let listed = journal.find("s").await.unwrap().unwrap();
    assert_eq!((listed.state_record, listed.standing.why), (None, None));
    end(&journal, saga, Outcome::Compensated, Some(why())).await;
    let loaded = journal.load("s").await.unwrap().unwrap();
    let last = loaded.entries.unwrap().pop().unwrap();
    let state_record = loaded.index_row.state_record.unwrap();
    assert_eq!((state_record.seq, state_record.link), (last.seq, last.link));
    let expected = Standing { status: Status::Compensated, why: Some(why()) };
    assert_eq!(loaded.index_row.standing, expected);
    assert_eq!(loaded.index_row.header, header("s", "s", b"r"));
    assert!(journal.load("nobody").await.unwrap().is_none());
}
