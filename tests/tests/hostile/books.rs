//! The books where steps were called by no saga, and a way into the databases.

use std::path::Path;

use kit::books;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// How the rules begin that ask for the saga behind an order or a reservation. A test that calls steps itself, or skips
/// them by hand, has none.
const RULES_ABOUT_SAGAS: [&str; 2] = ["an order", "a reservation"];

/// Fails where units, points or money of the mesh in `data` do not add up. Every other rule of the books is read when
/// the mesh is dropped.
pub(crate) async fn assert_sound(data: &Path) {
    let mut books = books::read(data).await.unwrap();
    books
        .wrong
        .retain(|sentence| !RULES_ABOUT_SAGAS.iter().any(|start| sentence.starts_with(start)));
    books.assert_right();
}

/// A database of the mesh, beside its own connections.
pub(crate) async fn open(data: &Path, name: &str) -> SqliteConnection {
    let file = data.join(format!("{name}.db"));
    let options =
        SqliteConnectOptions::new().filename(file).busy_timeout(std::time::Duration::from_secs(10));
    SqliteConnection::connect_with(&options).await.unwrap()
}
