//! Lists: every filter against what a reader of all rows would find, and by an index each.

use std::path::Path;

use clock::Timestamp;
use orchestrator::journal::{Filter, Header, IndexRow, Journal, Standing, Wanted, tables::Tables};
use saga::{Reason, Status};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{entries, header, open};

pub(crate) const STATUSES: [Status; 7] = [
    Status::Running,
    Status::Compensating,
    Status::Succeeded,
    Status::Compensated,
    Status::Attention,
    Status::Paused,
    Status::Resolved,
];

/// The id of the saga that is started at this millisecond.
fn id(ms: u64) -> String {
    uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid().to_string()
}

/// Sagas in every state, of one definition; every tenth stands aside.
pub(crate) async fn filled(journal: &Tables) -> Vec<IndexRow> {
    for number in 0..70_u64 {
        let saga_id = id(1_000 + number / 2 * 2 + number % 2);
        let created_at = Timestamp(1_000 + number);
        let key = format!("k{}", number % 5 + number / 5 * 5);
        let header = Header { created_at, ..header(&saga_id, &key, b"r") };
        let (_caller, wanted) = Wanted::by_caller();
        let started = journal.start(header, entries(&saga_id, 0..1), None, wanted).await.unwrap();
        let orchestrator::journal::Started::New(saga) = started else { panic!("{started:?}") };
        let status = STATUSES[usize::try_from(number % 7).unwrap()];
        if status != Status::Running {
            let standing = Standing { status, why: None };
            journal.append(saga, entries(&saga_id, 1..2), Some(standing)).await.unwrap();
        }
        if number % 10 == 0 {
            journal.set_aside(&saga_id, Reason::new("JOURNAL_UNREADABLE", "x")).await.unwrap();
        }
    }
    journal.list(&Filter::default(), "", 1_000).await.unwrap()
}

fn ids(listed: &[IndexRow]) -> Vec<&str> {
    listed.iter().map(|listed| listed.header.saga_id.as_str()).collect()
}

#[tokio::test]
async fn every_filter_finds_what_a_look_at_each_saga_would_and_page_by_page_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let all = filled(&journal).await;
    assert_eq!(all.len(), 70);
    assert!(all.is_sorted_by(|one, other| one.header.saga_id > other.header.saga_id));
    let pairs = STATUSES.iter().flat_map(|one| STATUSES.map(|other| vec![*one, other]));
    let statuses = STATUSES
        .map(|status| vec![status])
        .into_iter()
        .chain(pairs)
        .chain([vec![], STATUSES.to_vec()]);
    let mut looked = 0;
    for statuses in statuses {
        for (key, definition) in [("", ""), ("k7", ""), ("k7", "d"), ("", "d"), ("", "other")] {
            for (after, before) in [(None, None), (Some(1_020), None), (Some(1_010), Some(1_031))] {
                let filter = Filter {
                    statuses: statuses.clone(),
                    key: key.to_owned(),
                    definition: definition.to_owned(),
                    started_after: after.map(Timestamp),
                    started_before: before.map(Timestamp),
                };
                let wanted = |listed: &&IndexRow| {
                    let header = &listed.header;
                    (statuses.is_empty() || statuses.contains(&listed.status()))
                        && (key.is_empty() || header.key == key)
                        && (definition.is_empty() || header.definition == definition)
                        && after.is_none_or(|after| header.created_at.0 >= after)
                        && before.is_none_or(|before| header.created_at.0 < before)
                };
                let expected: Vec<&str> = all
                    .iter()
                    .filter(wanted)
                    .map(|listed| listed.header.saga_id.as_str())
                    .collect();
                let found = journal.list(&filter, "", 1_000).await.unwrap();
                assert_eq!(ids(&found), expected, "{filter:?}");
                assert!(found.iter().all(|listed| listed.header.request.is_empty()));
                let (mut paged, mut last) = (Vec::new(), String::new());
                loop {
                    let page = journal.list(&filter, &last, 7).await.unwrap();
                    let Some(end) = page.last() else { break };
                    last.clone_from(&end.header.saga_id);
                    paged.extend(page);
                }
                assert_eq!(ids(&paged), expected, "page by page: {filter:?}");
                looked += 1;
            }
        }
    }
    assert!(looked > 800, "{looked}");
}

/// How SQLite goes about the statements that run, as it says itself.
pub(crate) async fn plans(folder: &Path, statements: &[&str]) -> Vec<String> {
    let file = SqliteConnectOptions::new().filename(folder.join("journal.db"));
    let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
    let mut plans = Vec::new();
    for statement in statements {
        let explain = format!("explain query plan {statement}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(explain)).fetch_all(&mut connection).await;
        plans.extend(rows.unwrap().iter().map(|row| row.get::<String, _>("detail")));
    }
    plans
}

#[tokio::test]
async fn what_is_done_at_each_start_goes_through_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    journal.database().close().await;
    let unfinished = "state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED'";
    let statements = [
        format!(
            "update saga set aside_code = null where aside_code = 'X' and aside_code is not null and {unfinished}"
        ),
        format!(
            "select state, id from saga where {unfinished} and aside_code is null and (state, id) > ('', '') order by state, id limit 9"
        ),
        "select key from saga_key where until is not null and until < 7 order by until limit 9"
            .to_owned(),
    ];
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    for plan in plans(folder.path(), &statements).await {
        assert!(plan.contains("INDEX") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
