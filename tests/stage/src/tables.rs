//! A service's tables by themselves: what no rule allows, the database refuses too.

use clock::Clock;
use participant::WorkError;
use store::{Connection, Database};
use tempfile::TempDir;

/// A new database with this schema. It lives as long as its folder.
pub async fn database(schema: &'static [(&'static str, &'static str)]) -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.db");
    let database = participant::sqlite::open(path, schema, &Clock::system()).await.unwrap();
    (folder, database)
}

/// Checks that the database refuses each statement, once `prepare` has filled it, and names the constraint beside it.
pub async fn refuses(
    database: &Database,
    prepare: impl Fn(&Connection) + Send + 'static,
    broken: &'static [(&str, &str)],
) {
    let refusals = database.write(move |connection| {
        prepare(connection);
        let refusals = broken.iter().map(|(statement, constraint)| {
            (statement, constraint, connection.execute(statement, ()))
        });
        let refusals: Vec<_> = refusals.collect();
        Ok::<_, store::Error>(refusals)
    });
    for (statement, constraint, refused) in refusals.await.unwrap() {
        let refusal = refused.expect_err(statement);
        let refusal = std::error::Error::source(&refusal).map(ToString::to_string);
        let refusal = refusal.unwrap_or_default();
        assert!(refusal.contains(*constraint), "{statement}: {refusal}");
    }
}

/// What a service does in its tables for one request.
pub type Operation = fn(&Connection) -> Result<(), WorkError>;

/// Checks that each deed is declined, once `prepare` has filled the database, for the reason beside it, and before it has
/// written anything: a decline after a write has the other work of its transaction run again.
pub async fn refusals_write_nothing(
    database: &Database,
    prepare: impl Fn(&Connection) + Send + 'static,
    refusals: &[(&str, Operation)],
) {
    let prepared = database.write(move |connection| {
        prepare(connection);
        Ok::<_, store::Error>(())
    });
    prepared.await.unwrap();
    for (number, (reason, operation)) in refusals.iter().enumerate() {
        let operation = *operation;
        let answered = database.write(move |connection| {
            let answered = (operation(connection), connection.has_changed());
            Ok::<_, store::Error>(answered)
        });
        let (answer, changed) = answered.await.unwrap();
        let Err(WorkError::Declined(decline)) = answer else {
            panic!("number {number} is not declined with {reason}: {answer:?}")
        };
        assert_eq!(decline.reason, *reason, "number {number}: {}", decline.message);
        assert!(!changed, "number {number} is declined after a write: {reason}");
    }
}
