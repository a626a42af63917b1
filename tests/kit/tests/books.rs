//! The books find each kind of discrepancy, and nothing else: on databases made from the services' migrations alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

#[path = "books/plants.rs"]
mod plants;
#[path = "books/world.rs"]
mod world;

use std::{collections::BTreeSet, path::Path};

use kit::books::{self, Books, RULES};
use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use tempfile::TempDir;

use plants::PLANTS;
use world::{MIGRATIONS, ORCHESTRATOR, STOCK, WORLD};

async fn open(folder: &Path, file: &str) -> SqliteConnection {
    // The constraints would refuse most of what is planted: they are a defence of their own.
    let options = SqliteConnectOptions::new()
        .filename(folder.join(file))
        .create_if_missing(true)
        .foreign_keys(false)
        .synchronous(SqliteSynchronous::Off)
        .pragma("ignore_check_constraints", "on");
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn change(folder: &Path, file: &str, statements: &'static str) {
    let mut connection = open(folder, file).await;
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn world() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, statements) in MIGRATIONS.into_iter().chain(WORLD) {
        change(folder.path(), file, statements).await;
    }
    folder
}

async fn read(folder: &TempDir) -> Books {
    books::read(folder.path()).await.unwrap()
}

#[tokio::test]
async fn books_that_add_up_are_found_right() {
    let folder = world().await;
    assert_eq!(read(&folder).await, Books { ended: 4, ..Books::default() });
}

#[tokio::test]
async fn every_rule_finds_what_breaks_it_and_names_the_row() {
    let mut found = BTreeSet::new();
    for (sentence, file, statements) in PLANTS {
        let folder = world().await;
        change(folder.path(), file, statements).await;
        let wrong = read(&folder).await.wrong;
        assert!(wrong.iter().any(|told| told == sentence), "{sentence}\nwas not found: {wrong:#?}");
        let rule = RULES.iter().find(|rule| sentence.starts_with(&format!("{}: ", rule.sentence)));
        found.insert(rule.expect("a rule tells it").sentence);
    }
    let unproved: Vec<_> =
        RULES.iter().map(|rule| rule.sentence).filter(|rule| !found.contains(rule)).collect();
    assert!(unproved.is_empty(), "nothing is planted for {unproved:#?}");
}

#[tokio::test]
async fn what_lies_between_two_steps_of_a_living_saga_is_in_order() {
    let folder = world().await;
    let unfinished = "update saga set state = 'RUNNING', state_seq = null where id = 's-paid';
        delete from event where place = (select place from journal where saga_id = 's-paid' and seq = 2)";
    change(folder.path(), ORCHESTRATOR, unfinished).await;
    let frozen = "update stock set frozen = 3, sold = 0;
        drop trigger flow_is_never_removed; delete from flow where seq = 3;
        update reservation set state = 'FROZEN' where order_no = 'paid'";
    change(folder.path(), STOCK, frozen).await;
    assert_eq!(read(&folder).await, Books { ended: 3, unfinished: 1, ..Books::default() });
}

#[tokio::test]
async fn a_saga_that_waits_for_a_person_and_says_why_is_in_order() {
    let folder = world().await;
    let parked = "update saga set state = 'ATTENTION' where id = 's-cancel';
        update event set record = x'0808' where place = (select place from journal where saga_id = 's-cancel' and seq = 1)";
    change(folder.path(), ORCHESTRATOR, parked).await;
    assert_eq!(read(&folder).await, Books { ended: 3, in_attention: 1, ..Books::default() });
}

#[tokio::test]
async fn books_of_which_one_is_missing_are_not_read() {
    let folder = world().await;
    std::fs::remove_file(folder.path().join(STOCK)).unwrap();
    assert!(books::read(folder.path()).await.is_err());
}
