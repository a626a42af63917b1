//! A whole transaction in one hand-over to the connection's thread.
//!
//! A hand-over and its way back cost more than most statements do. Work that need not see one statement's result to make
//! the next goes there as one text.

use futures::TryStreamExt;
use sqlx::{
    Arguments, AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type,
    error::BoxDynError,
    sqlite::{SqliteArguments, SqliteRow},
};
use tokio::sync::oneshot;

use crate::store::Error;

/// Statements that are run one after the other, as one transaction.
///
/// Their text is prepared once and kept, so there should be few different ones.
#[derive(Debug, Default)]
pub struct Script {
    text: String,
    statements: usize,
    arguments: SqliteArguments,
    /// Why a value could not be bound.
    unbound: Option<BoxDynError>,
}

impl Script {
    /// Adds one statement, without its semicolon; each `?` in it takes the next of the bound values.
    pub fn statement(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(';');
        self.statements += 1;
    }

    /// Binds the next value.
    pub fn bind<'q, T: Encode<'q, Sqlite> + Type<Sqlite>>(&mut self, value: T) {
        if let Err(cause) = self.arguments.add(value) {
            self.unbound.get_or_insert(cause);
        }
    }

    /// The rows that all statements returned, in order. After an error the transaction may be open still.
    pub(super) async fn run(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, Error> {
        if let Some(cause) = self.unbound {
            return Err(Error::statement(sqlx::Error::Encode(cause)));
        }
        let text = format!("begin immediate;{}commit", self.text);
        let mut results =
            connection.fetch_many(sqlx::query_with(AssertSqlSafe(text), self.arguments));
        let (mut rows, mut done) = (Vec::new(), 0);
        loop {
            match results.try_next().await {
                Ok(Some(Either::Left(_))) => done += 1,
                Ok(Some(Either::Right(row))) => rows.push(row),
                Ok(None) => return Ok(rows),
                // Behind the beginning and all statements there is only the commit.
                Err(cause) if done > self.statements => return Err(Error::commit(cause)),
                Err(cause) => return Err(Error::statement(cause)),
            }
        }
    }
}

/// A script, and where its caller waits.
pub(super) struct Pending {
    pub(super) script: Script,
    pub(super) caller: oneshot::Sender<Result<Vec<SqliteRow>, Error>>,
}
