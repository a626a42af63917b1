//! The table of definitions. Rows are only added, archived and unarchived: what a saga is pinned to stays.
//!
//! Whoever changes a row gives it the next number of all changes, under a lock that is held to the commit: so a node that
//! has seen a number has seen all that are smaller.

use clock::Timestamp;
use store::{Connection, Row};

use super::rows;
use crate::journal::{Archived, Definition, Error};

const LOCK: &str = "definition";

const NEXT_CHANGE: &str = "select coalesce(max(change), 0) + 1 from definition";

const INSERT: &str = "
    insert into definition (hash, name, version, source, file, descriptors, registered_at, change)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    on conflict do nothing";

const FIND: &str = "
    select hash, name, version, source, file, descriptors, registered_at, archived_at, change,
           archive_reason
    from definition
    where name = ?1 and version = ?2";

const CHANGED: &str = "
    select hash, name, version, source, file, descriptors, registered_at, archived_at, change,
           archive_reason
    from definition
    where change >= ?1
    order by change, name, version";

const ARCHIVE: &str = "
    update definition set archived_at = ?3, change = ?4, archive_reason = ?5
    where name = ?1 and (version = ?2 or ?2 = 0) and (archived_at is null) <> (?3 is null)";

/// The definition that has this one's name and version from now on.
pub(super) fn register(
    connection: &Connection,
    definition: &Definition,
) -> Result<Definition, Error> {
    let change = next_change(connection)?;
    let Definition { hash, name, version, source, file, descriptors, registered_at, .. } =
        definition;
    let registered_at = rows::millis(*registered_at);
    let values = (hash, name, version, source, file, descriptors.as_ref(), registered_at, change);
    connection.execute(INSERT, values)?;
    connection.one(FIND, (name, version), read)
}

/// Archives a definition, or unarchives it: one version, or with 0 all.
pub(super) fn archive(
    connection: &Connection,
    name: &str,
    version: u32,
    archived: Option<&Archived>,
) -> Result<(), Error> {
    let change = next_change(connection)?;
    let archived_at = archived.map(|archived| rows::millis(archived.at));
    let reason = archived.map_or("", |archived| archived.reason.as_str());
    connection.execute(ARCHIVE, (name, version, archived_at, change, reason))?;
    Ok(())
}

/// The definitions whose last change has this number or a greater one, the first change first.
pub(super) fn changed(connection: &Connection, from: u64) -> Result<Vec<Definition>, Error> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    connection.all(CHANGED, [from], read)
}

fn next_change(connection: &Connection) -> Result<i64, Error> {
    connection.lock(LOCK)?;
    connection.one(NEXT_CHANGE, (), |row| Ok(row.get(0)?))
}

fn read(row: &Row<'_>) -> Result<Definition, Error> {
    let (archived_at, change): (Option<i64>, i64) = (row.get(7)?, row.get(8)?);
    let archived = |millis| -> Result<_, Error> {
        let at = Timestamp(u64::try_from(millis).unwrap_or_default());
        Ok(Archived { at, reason: row.get(9)? })
    };
    Ok(Definition {
        hash: row.get(0)?,
        name: row.get(1)?,
        version: rows::version(row, 2)?,
        source: row.get(3)?,
        file: row.get(4)?,
        descriptors: rows::blob(row, 5)?,
        registered_at: rows::timestamp(row, 6)?,
        archived: archived_at.map(archived).transpose()?,
        change: u64::try_from(change).unwrap_or_default(),
    })
}
