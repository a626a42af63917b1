//! A service's tables by themselves: what no rule allows, the database refuses too.

use futures::future::BoxFuture;
use participant::{Database, Store, sqlite, store};
use sqlx::SqliteConnection;
use tempfile::TempDir;

/// A new database with this schema. It lives as long as its folder.
pub async fn database(schema: &[(&'static str, &'static str)]) -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.db");
    let database = Database::open(path, &sqlite::migrations(schema)).await.unwrap();
    (folder, database)
}

/// Checks that the database refuses each statement, once `prepare` has filled it, and names the constraint beside it.
pub async fn refuses<P>(database: &Database, prepare: P, broken: &'static [(&str, &str)])
where
    P: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, ()> + Send + 'static,
{
    let refusals = database.write(move |connection| {
        Box::pin(async move {
            prepare(connection).await;
            let mut refusals = Vec::new();
            for (statement, constraint) in broken {
                let refused = sqlx::query(*statement).execute(&mut *connection).await;
                refusals.push((statement, constraint, refused.map(|_| ())));
            }
            Ok::<_, store::Error>(refusals)
        })
    });
    for (statement, constraint, refused) in refusals.await.unwrap() {
        let refusal = refused.expect_err(statement).to_string();
        assert!(refusal.contains(*constraint), "{statement}: {refusal}");
    }
}
