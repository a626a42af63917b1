//! A service's tables by themselves: what no rule allows, the database refuses too.

use participant::{
    Database, Store,
    sqlite::{self, Connection},
    store,
};
use tempfile::TempDir;

/// A new database with this schema. It lives as long as its folder.
pub async fn database(schema: &[(&'static str, &'static str)]) -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.db");
    let database = Database::open(path, &sqlite::migrations(schema)).await.unwrap();
    (folder, database)
}

/// Checks that the database refuses each statement, once `prepare` has filled it, and names the constraint beside it.
pub async fn refuses(
    database: &Database,
    prepare: impl Fn(&mut Connection) + Send + 'static,
    broken: &'static [(&str, &str)],
) {
    let refusals = database.write(move |connection| {
        prepare(connection);
        let refusals = broken.iter().map(|(statement, constraint)| {
            (statement, constraint, connection.execute(statement, []))
        });
        let refusals: Vec<_> = refusals.collect();
        Box::pin(async move { Ok::<_, store::Error>(refusals) })
    });
    for (statement, constraint, refused) in refusals.await.unwrap() {
        let refusal = refused.expect_err(statement);
        let refusal = std::error::Error::source(&refusal).map(ToString::to_string);
        let refusal = refusal.unwrap_or_default();
        assert!(refusal.contains(*constraint), "{statement}: {refusal}");
    }
}
