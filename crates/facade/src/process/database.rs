//! Whether a role's database takes what is written.

use std::time::Duration;

use clock::Clock;
use store::Database;

use crate::{readiness::Part, wire::causes};

/// How often a database that fails is tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Tells whether the database takes what is written. One that does not is probed: who is not ready is sent no work, and
/// would never learn that it works again.
pub(super) async fn watch(database: &Database, part: &Part, clock: &Clock) {
    let mut failing = database.failing();
    loop {
        let why = failing.borrow_and_update().as_ref().map(|error| causes(error));
        match why {
            None => {
                part.ready();
                if failing.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Some(why) => {
                part.not_ready(why);
                clock.sleep(PROBE_INTERVAL).await;
                // `failing` tells whether the probe succeeded.
                let _ = database.probe().await;
            }
        }
    }
}
