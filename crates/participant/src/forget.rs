//! The removal of the inbox's old rows.
//!
//! The rows of sagas stand in the order of the sagas' starts, because the ids begin with that instant, and are found by
//! their place. Those of requests are found by when they were written.
//!
//! It takes many rows in one transaction, all of which were committed long ago: from the oldest on, those of sagas first.
//! Nobody waits for it who has another row, since a delivery locks no row that is there.

use std::time::Duration;

use clock::{Clock, Timestamp};
use store::{
    Connection, Database, Error, WeakDatabase, millis,
    retention::{self, Batch, Expiring, Keep},
};

use crate::key::Key;

/// Rows of each kind in one transaction, which the other writers wait for.
const BATCH: u32 = 100;

const STEPS: &str = "select key from inbox where key > ?1 and key < ?2 order by key limit ?3";

const REMOVE_STEP: &str = "delete from inbox where key = ?1";

// The condition of the partial index, word for word.
const REMOVE_REQUESTS: &str = "
    delete from inbox
    where key in (select key from inbox where key < 'saga/' and at < ?1 order by at limit ?2)";

/// How much longer a row is there than it is answered for: a clock that was set back by less makes no old delivery take
/// effect.
const KEEP_MARGIN: Duration = Duration::from_secs(60 * 60);

/// Removes, little by little, what an inbox in `database` that keeps its rows for `keep` does not answer by any more, an hour
/// later: the rows of sagas that began before ([`Key::began`]), and those that requests left before. The row of a saga that
/// does not tell when it began stays. It ends when the database is closed, and keeps it open for nobody.
pub fn remove_old_rows(
    database: &Database,
    clock: &Clock,
    keep: Keep,
) -> impl Future<Output = ()> + Send + 'static {
    let removal = database.removal();
    let mut database = database.downgrade();
    let rows = Rows::of(database.clone());
    let removing = retention::run(clock.clone(), keep.and(KEEP_MARGIN), removal, rows);
    async move {
        tokio::select! {
            () = removing => {}
            () = database.closed() => {}
        }
    }
}

/// The inbox's rows, as long as somebody has the database open.
#[derive(Debug)]
struct Rows {
    database: WeakDatabase,
    /// How far the rows of sagas have been looked at: what stands before is of no concern any more, since the inbox
    /// refuses to write there.
    reached: String,
}

impl Rows {
    fn of(database: WeakDatabase) -> Self {
        Self { database, reached: Key::first_of_sagas() }
    }
}

impl Expiring for Rows {
    type Error = Error;

    const WHAT: &'static str = "rows of the inbox";
    const LABEL: &'static str = "inbox";

    async fn remove(&mut self, before: Timestamp) -> Result<Batch, Error> {
        let Some(database) = self.database.upgrade() else { return Ok(Batch::default()) };
        let from = self.reached.clone();
        let removed = database.write(move |connection| remove(connection, before, &from));
        let (batch, reached) = removed.await?;
        self.reached = reached;
        Ok(batch)
    }
}

/// Removes a batch of the rows whose saga began, or whose request was answered, before `before`; gives how far it looked.
fn remove(
    connection: &Connection,
    before: Timestamp,
    from: &str,
) -> Result<(Batch, String), Error> {
    let steps: Vec<String> =
        connection.all(STEPS, (from, Key::first_of_sagas_at(before), BATCH), |row| row.get(0))?;
    let mut removed = 0;
    for key in &steps {
        // Ids that other programs made do not tell their age, so such rows stay.
        if Key::began_by_text(key).is_some_and(|began| began < before) {
            removed += connection.execute(REMOVE_STEP, [key])?;
        }
    }
    let at = millis(before);
    let requests = connection.execute(REMOVE_REQUESTS, (at, BATCH))?;
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    let more = steps.len() == full || requests == full;
    let removed = u64::try_from(removed + requests).unwrap_or(u64::MAX);
    Ok((Batch { removed, more }, steps.into_iter().next_back().unwrap_or_else(|| from.to_owned())))
}
