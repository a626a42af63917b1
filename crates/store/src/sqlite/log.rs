//! SQLite's log: how large it is, and what is done when it grows.
//!
//! SQLite writes the log back into the database's file by itself, and begins it anew. It cannot while somebody reads: a
//! shell that was left open in a transaction keeps all that is written from then on in the log.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clock::{Clock, Timestamp};

use crate::{Connection, Error, sqlite::session};

/// A larger log is written back and cut. SQLite begins anew at some 4 MB where nobody is in its way.
const MAX_LOG_BYTES: u64 = 64 << 20;

/// Transactions between two looks at the log's size.
const TRANSACTIONS_PER_LOOK: u64 = 16;

/// How long it is left alone after it could not be cut: the writer waits meanwhile.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The writer waits no longer for readers when it cuts the log, in milliseconds.
const BRIEFLY: &str = "pragma busy_timeout = 50";

/// How long until it is said again that somebody is in the way.
const WARNING_INTERVAL: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    clock: Clock,
    bytes: AtomicU64,
    transactions: AtomicU64,
    blocked: Mutex<Option<Blocked>>,
}

/// Somebody reads, and the log cannot be cut.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Timestamp,
    tried: Timestamp,
    told: Timestamp,
}

impl Log {
    /// Of the database in the file `path`.
    pub(super) fn of(path: &Path, clock: Clock) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        Self {
            path: name.into(),
            clock,
            bytes: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            blocked: Mutex::new(None),
        }
    }

    /// How large it was when it was looked at last.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Looks now and again whether the log is too large, and cuts it then. For the writer's thread, between transactions.
    pub(super) fn keep_short(&self, connection: &Connection) {
        let transactions = self.transactions.fetch_add(1, Ordering::Relaxed);
        if !transactions.is_multiple_of(TRANSACTIONS_PER_LOOK) {
            return;
        }
        let bytes = self.look();
        if bytes <= MAX_LOG_BYTES {
            return;
        }
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if blocked.is_some_and(|blocked| now.since(blocked.tried) < RETRY_INTERVAL) {
            return;
        }
        *blocked = match cut(connection) {
            Ok(true) => {
                self.look();
                if let Some(Blocked { since, .. }) = *blocked {
                    let seconds = now.since(since).as_secs();
                    tracing::info!(log = %self.path.display(), seconds, "nobody is in the way of the log any more; it was cut");
                }
                None
            }
            Ok(false) => Some(Blocked::at(now, *blocked, |seconds| {
                tracing::warn!(
                    log = %self.path.display(),
                    bytes,
                    seconds,
                    "somebody reads the database in one transaction, so its log grows; end that, for example a shell that was left open"
                );
            })),
            Err(error) => Some(Blocked::at(now, *blocked, |seconds| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    log = %self.path.display(),
                    bytes,
                    seconds,
                    "the log of the database is large and could not be cut"
                );
            })),
        };
    }

    fn look(&self) -> u64 {
        let bytes = fs::metadata(&self.path).map_or(0, |file| file.len());
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }
}

impl Blocked {
    /// The log cannot be cut at `now`. It is told by `warn`, with the seconds since it began, unless that was done of late.
    fn at(now: Timestamp, earlier: Option<Self>, warn: impl FnOnce(u64)) -> Self {
        let since = earlier.map_or(now, |earlier| earlier.since);
        let told = earlier.map(|earlier| earlier.told);
        let told = told.filter(|told| now.since(*told) < WARNING_INTERVAL).unwrap_or_else(|| {
            warn(now.since(since).as_secs());
            now
        });
        Self { since, tried: now, told }
    }
}

/// Writes the log back and cuts it; false where a reader is in the way.
fn cut(connection: &Connection) -> Result<bool, Error> {
    connection.optional(BRIEFLY, (), |_| Ok::<_, Error>(()))?;
    let busy = connection.one("pragma wal_checkpoint(truncate)", (), |row| row.get::<i64>(0));
    let usual = format!("pragma busy_timeout = {}", session::BUSY_TIMEOUT.as_millis());
    connection.optional(&usual, (), |_| Ok::<_, Error>(()))?;
    Ok(busy? == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_stays_blocked_is_told_at_once_and_then_every_five_minutes() {
        let mut told = Vec::new();
        let mut blocked = None;
        for minute in 0..12 {
            let now = Timestamp(1_790_000_000_000).after(Duration::from_mins(minute));
            blocked = Some(Blocked::at(now, blocked, |seconds| told.push((minute, seconds))));
        }
        assert_eq!(told, [(0, 0), (5, 300), (10, 600)]);
    }
}
