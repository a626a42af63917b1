//! The books: whether what the services have on disk adds up, asked of the database files alone.
//!
//! Nothing of the services' code is used, so a mistake in it cannot hide itself. Each rule is a query for what breaks it.
//! A rule about an order or a reservation holds once the saga that it belongs to stands still; while one is living,
//! anything between two of its steps is in order.

mod rules;

use std::path::Path;

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

pub use rules::{RULES, Rule};

/// Why the books could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the books in {folder} cannot be read")]
pub struct Error {
    folder: String,
    #[source]
    source: sqlx::Error,
}

/// What the books say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// What does not add up: each a sentence that names the row.
    pub wrong: Vec<String>,
    /// Sagas that have not ended and do not wait for a person.
    pub unfinished: u64,
    /// Sagas that wait for a person.
    pub in_attention: u64,
    /// Sagas that have ended.
    pub ended: u64,
}

impl Books {
    /// Fails where anything does not add up.
    ///
    /// # Panics
    /// With every sentence.
    pub fn assert_right(&self) {
        assert!(self.wrong.is_empty(), "the books do not add up:\n{}", self.wrong.join("\n"));
    }
}

/// The services' databases, by the names that the rules know them under.
pub const FILES: [(&str, &str); 4] = [
    ("order_svc", "order.db"),
    ("stock_svc", "stock.db"),
    ("points_svc", "points.db"),
    ("payment_svc", "payment.db"),
];

/// Reads the books of the mesh whose databases are in `data`. It may be running: the sagas that live then are counted,
/// and may make a rule about two services look broken for a moment.
///
/// # Errors
/// When a file is missing or cannot be read.
pub async fn read(data: &Path) -> Result<Books, Error> {
    let unreadable = |source| Error { folder: data.display().to_string(), source };
    let options =
        SqliteConnectOptions::new().filename(data.join("orchestrator.db")).create_if_missing(false);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(unreadable)?;
    let books = all(&mut connection, data).await.map_err(unreadable);
    connection.close().await.map_err(unreadable)?;
    books
}

async fn all(connection: &mut SqliteConnection, data: &Path) -> Result<Books, sqlx::Error> {
    for (name, file) in FILES {
        let attach = format!("attach database $1 as {name}");
        let file = format!("file:{}?mode=ro", data.join(file).display());
        sqlx::query(sqlx::AssertSqlSafe(attach)).bind(file).execute(&mut *connection).await?;
    }
    let mut books = Books::default();
    for Rule { sentence, query } in RULES {
        for row in sqlx::query(*query).fetch_all(&mut *connection).await? {
            let which: String = row.try_get(0)?;
            books.wrong.push(format!("{sentence}: {which}"));
        }
    }
    let counts = "select coalesce(sum(not ended and not needy), 0), coalesce(sum(needy), 0), coalesce(sum(ended), 0)
        from (select state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') as ended, aside_code is not null
        and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') or state in ('ATTENTION', 'PAUSED') as needy from saga)";
    let row = sqlx::query(counts).fetch_one(&mut *connection).await?;
    let count = |index: usize| -> Result<u64, sqlx::Error> {
        let count: i64 = row.try_get(index)?;
        Ok(u64::try_from(count).unwrap_or_default())
    };
    (books.unfinished, books.in_attention, books.ended) = (count(0)?, count(1)?, count(2)?);
    Ok(books)
}
