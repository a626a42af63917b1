//! The databases of the mesh note how far the others are, also where nothing is written to them.

use std::time::Duration;

use clock::Clock;
use store::Database;

/// How long a database may not have noted how far the others are, where it has nothing else to write.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// Lets each note how far the others are, now and again.
pub(super) async fn note_each_other(databases: Vec<Database>, clock: Clock) {
    loop {
        clock.sleep(NOTE_INTERVAL).await;
        for database in &databases {
            // One that cannot be written to says so itself, and notes it with what is written next.
            let _ = database.note().await;
        }
    }
}
