//! The stamp in SQLite's file: read when it is opened, written with each transaction.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use clock::{Clock, Timestamp};

use crate::{
    Connection, Error, millis,
    sqlite::{migration::Schema, session, witness::Witness},
    stamp::{Found, Ledger, Stamp, read_lines},
};

/// Applied before every other: a file that has tables already was in use before there were stamps.
pub(super) const SCHEMA: Schema = Schema {
    table: "_store_migrations",
    migrations: &[("stamp", include_str!("../../migrations/sqlite/0001_stamp.sql"))],
};

const READ: &str = "select id, transactions, at, removal_from, noted from _stamp";

const HOLD_REMOVAL: &str = "update _stamp set removal_from = ?1";

const COUNT: &str = "update _stamp set transactions = ?1, at = ?2";

const COUNT_AND_NOTE: &str = "update _stamp set transactions = ?1, at = ?2, noted = ?3";

const NOTE: &str = "update _stamp set noted = ?1";

/// A clock that differs by more from when the database was last written to was set, or nobody has used the database for so
/// long: which of them, only time tells.
const CLOCK_JUMP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long nothing is removed then. So a clock that was set wrong takes nothing away before somebody had a day to see it.
const REMOVAL_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// What the file says of itself.
pub(super) struct Opened {
    pub(super) found: Found,
    pub(super) removal_from: Timestamp,
}

/// Reads the stamp, and holds the removal of what is old where the clock has jumped since the last transaction.
pub(super) fn open(path: &Path, witness: Option<Stamp>, clock: &Clock) -> Result<Opened, Error> {
    let connection = session::connect(path, "pragma synchronous = full")?;
    let (found, held) = read(&connection, path)?;
    let found = Found { witness, ..found };
    let removal_from = removal_from(found.own.at, held, clock.now());
    if removal_from != held {
        connection.execute(HOLD_REMOVAL, [millis(removal_from)])?;
    }
    Ok(Opened { found, removal_from })
}

/// What the file says of itself, and until when it holds the removal of what is old.
pub(super) fn read(connection: &Connection, path: &Path) -> Result<(Found, Timestamp), Error> {
    connection.one(READ, (), |row| {
        let unreadable = |what| Error::Unreadable { key: "of _stamp".to_owned(), what };
        let instant = |column| {
            let at = row.instant(column)?;
            at.ok_or_else(|| unreadable("an instant is before 1970"))
        };
        let transactions: i64 = row.get(1)?;
        let own = Stamp {
            name: name(path),
            id: row.get(0)?,
            transactions: u64::try_from(transactions)
                .map_err(|_| unreadable("it counts fewer than no transactions"))?,
            at: instant(2)?,
        };
        let noted = read_lines(&row.get::<String>(4)?);
        let noted = noted.ok_or_else(|| unreadable("what it has noted of others is no stamp"))?;
        Ok((Found { own, noted, witness: None }, instant(3)?))
    })
}

/// From when on the old is removed, for a database that was written to at `last` and has held removal until `held`. Kept in
/// the file: starting again makes it no shorter.
fn removal_from(last: Timestamp, held: Timestamp, now: Timestamp) -> Timestamp {
    let has_jumped = last != Timestamp(0) && now.since(last).max(last.since(now)) > CLOCK_JUMP;
    let latest = now.after(REMOVAL_HOLD);
    // One that was held by a clock that has been set back since.
    let is_beyond = held > latest;
    if is_beyond || has_jumped && held <= now { latest } else { held }
}

fn name(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Writes the stamp into the transactions of the one writer.
pub(super) struct Stamper {
    ledger: Arc<Ledger>,
    witness: Arc<Witness>,
    clock: Clock,
    /// What the file has noted of others.
    noted: String,
}

/// A stamp that is written and not committed.
pub(super) struct Written {
    count: Option<(u64, Timestamp)>,
    noted: Option<String>,
}

impl Stamper {
    pub(super) fn of(ledger: Arc<Ledger>, witness: Arc<Witness>, clock: Clock) -> Self {
        Self { ledger, witness, clock, noted: String::new() }
    }

    /// Stamps the transaction, where it has `changed` something or others are to be noted. Gives what is to be confirmed
    /// when it is committed; none where there is nothing to commit.
    pub(super) fn write(
        &self,
        connection: &Connection,
        changed: bool,
    ) -> Result<Option<Written>, Error> {
        if !self.ledger.take_due() && !changed {
            return Ok(None);
        }
        let noted = self.ledger.note().filter(|noted| *noted != self.noted);
        let count = changed.then(|| (self.ledger.next(), self.clock.now()));
        match (&count, &noted) {
            (None, None) => return Ok(None),
            (None, Some(noted)) => connection.execute(NOTE, [noted])?,
            (Some((transactions, at)), None) => {
                connection.execute(COUNT, (signed(*transactions), millis(*at)))?
            }
            (Some((transactions, at)), Some(noted)) => {
                connection.execute(COUNT_AND_NOTE, (signed(*transactions), millis(*at), noted))?
            }
        };
        Ok(Some(Written { count, noted }))
    }

    /// The transaction that was stamped so is on disk.
    pub(super) fn confirm(&mut self, written: Written) {
        if let Some((transactions, at)) = written.count {
            self.ledger.committed(transactions, at);
            self.witness.write(self.ledger.stamp());
        }
        if let Some(noted) = written.noted {
            self.noted = noted;
        }
    }

    /// Where it is written how far the database has come, for as long as the stamper is there.
    pub(super) fn witness(&self) -> Weak<Witness> {
        Arc::downgrade(&self.witness)
    }

    /// Whether others have gone on since they were noted.
    pub(super) fn is_behind(&self) -> bool {
        self.ledger.is_behind()
    }

    /// The next transaction notes the others.
    pub(super) fn set_due(&self) {
        self.ledger.set_due();
    }
}

fn signed(transactions: u64) -> i64 {
    i64::try_from(transactions).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn from(last: u64, held: u64, now: u64) -> u64 {
        removal_from(Timestamp(last * DAY), Timestamp(held * DAY), Timestamp(now * DAY)).0 / DAY
    }

    #[test]
    fn removal_is_held_for_a_day_when_the_clock_has_jumped_either_way() {
        assert_eq!(from(0, 0, 500), 0, "nothing was written yet");
        assert_eq!(from(100, 0, 101), 0, "a day is no jump");
        assert_eq!(from(100, 0, 500), 501);
        assert_eq!(from(500, 0, 100), 101);
    }

    #[test]
    fn starting_again_neither_shortens_the_hold_nor_prolongs_it() {
        assert_eq!(from(500, 501, 500), 501, "written to in the new time");
        assert_eq!(from(100, 501, 500), 501, "not written to");
        assert_eq!(from(501, 501, 502), 501, "it is over");
    }

    #[test]
    fn a_hold_of_a_clock_that_was_set_back_is_no_longer_than_a_day() {
        assert_eq!(from(500, 501, 100), 101);
        assert_eq!(from(100, 501, 100), 101);
    }
}
