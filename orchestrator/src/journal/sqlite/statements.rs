//! The journal's writes: those of sagas that run as one script, many rows a statement, and the rare ones.

use std::collections::HashSet;

use clock::Timestamp;
use participant::sqlite::Script;
use saga::{Reason, Status};
use sha2::{Digest, Sha256};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::rows;
use crate::journal::{Definition, Entry, Error, Header, Readmit, Started, group_commit::Write};

/// Inserts the sagas whose definition and key are new, and gives the ids of those.
const SAGAS: Many = Many {
    head: "insert into saga (id, definition_hash, definition, version, key, request, request_hash, trace, deadline, \
           created_at, updated_at, state) select * from (",
    columns: 12,
    tail: ") where column1 is not null on conflict (definition, key) do nothing returning id",
};

/// Fails where a record stands at one of the positions already. The first records of a saga (with 1 in the last column)
/// are left out where its insert was.
const EVENTS: Many = Many {
    head: "insert into event (saga_id, seq, at, record, link) select column1, column2, column3, column4, column5 from (",
    columns: 6,
    tail: ") where column1 is not null and (column6 = 0 or exists (select 1 from saga where id = column1))",
};

const STATUSES: Many = Many {
    head: "update saga set state = changed.column2, updated_at = changed.column3 from (",
    columns: 3,
    tail: ") as changed where saga.id = changed.column1",
};

/// The writes as one transaction, which fails or is kept as a whole. Its rows say which sagas are [`new`].
pub(crate) fn script(writes: &[Write]) -> Script {
    let mut script = Script::default();
    let headers: Vec<&Header> = writes.iter().filter_map(|write| write.header.as_ref()).collect();
    SAGAS.add(&mut script, &headers, |script, header| {
        script.bind(&header.saga_id);
        script.bind(&header.definition_hash);
        script.bind(&header.definition);
        script.bind(i64::from(header.version));
        script.bind(&header.key);
        script.bind(header.request.as_ref());
        script.bind(request_hash(header));
        script.bind(&header.trace);
        script.bind(rows::millis(header.deadline));
        script.bind(rows::millis(header.created_at));
        script.bind(rows::millis(header.created_at));
        script.bind(Status::Running.as_str());
    });
    let events: Vec<(&Write, &Entry)> = writes
        .iter()
        .flat_map(|write| write.entries.iter().map(move |entry| (write, entry)))
        .collect();
    EVENTS.add(&mut script, &events, |script, (write, entry)| {
        script.bind(&write.saga_id);
        script.bind(rows::position(entry.seq));
        script.bind(rows::millis(entry.at));
        script.bind(entry.record.as_ref());
        script.bind(entry.link.0.as_slice());
        script.bind(write.header.is_some());
    });
    let statuses: Vec<(&Write, Status)> =
        writes.iter().filter_map(|write| Some((write, write.status?))).collect();
    STATUSES.add(&mut script, &statuses, |script, (write, status)| {
        script.bind(&write.saga_id);
        script.bind(status.as_str());
        script.bind(write.entries.last().map_or(0, |entry| rows::millis(entry.at)));
    });
    script
}

/// The ids of the sagas that a script has started.
pub(crate) fn new(rows: &[SqliteRow]) -> Result<HashSet<String>, Error> {
    let ids: Result<_, sqlx::Error> = rows.iter().map(|row| row.try_get("id")).collect();
    // It is committed: nobody must take this for a transaction of which nothing was kept.
    ids.map_err(|_| Error::Store(participant::store::Error::Unanswered))
}

/// A statement over many rows of values.
struct Many {
    head: &'static str,
    columns: usize,
    tail: &'static str,
}

/// How many rows a statement has. Few sizes make few statements, each of which is prepared once; rows of nulls fill
/// the one that is not full, and no statement here takes those for rows.
const SIZES: [usize; 4] = [1, 4, 16, LARGEST];
const LARGEST: usize = 64;

impl Many {
    fn add<T>(&self, script: &mut Script, rows: &[T], bind: impl Fn(&mut Script, &T)) {
        for some in rows.chunks(LARGEST) {
            let size = SIZES.into_iter().find(|size| some.len() <= *size).unwrap_or(LARGEST);
            script.statement(&self.text(size));
            some.iter().for_each(|row| bind(script, row));
            for _ in some.len() * self.columns..size * self.columns {
                script.bind(None::<i64>);
            }
        }
    }

    fn text(&self, size: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{}values {}{}", self.head, vec![row.as_str(); size].join(","), self.tail)
    }
}

/// What an earlier start under the header's key means for this one.
pub(crate) async fn earlier(pool: &SqlitePool, header: &Header) -> Result<Started, Error> {
    let row = sqlx::query("select id, request_hash from saga where definition = $1 and key = $2")
        .bind(&header.definition)
        .bind(&header.key)
        .fetch_one(pool)
        .await?;
    let hash: Vec<u8> = row.try_get("request_hash")?;
    Ok(match hash == request_hash(header) {
        true => Started::Already { saga_id: row.try_get("id")? },
        false => Started::KeyReused,
    })
}

fn request_hash(header: &Header) -> Vec<u8> {
    Sha256::digest(&header.request).to_vec()
}

pub(super) async fn set_aside(
    connection: &mut SqliteConnection,
    saga_id: &str,
    why: &Reason,
) -> Result<(), Error> {
    sqlx::query("update saga set aside_code = $1, aside_message = $2 where id = $3")
        .bind(&why.code)
        .bind(&why.message)
        .bind(saga_id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn readmit(
    connection: &mut SqliteConnection,
    which: &Readmit,
) -> Result<(), Error> {
    let mut update = QueryBuilder::<Sqlite>::new(
        "update saga set aside_code = null, aside_message = null \
         where state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') and ",
    );
    match which {
        Readmit::Saga(saga_id) => update.push("id = ").push_bind(saga_id),
        Readmit::Reason(code) => update.push("aside_code = ").push_bind(code),
    };
    update.build().execute(connection).await?;
    Ok(())
}

pub(super) async fn close_aside(
    connection: &mut SqliteConnection,
    saga_id: &str,
    why: &Reason,
    at: Timestamp,
) -> Result<bool, Error> {
    // What it stood aside for stays readable behind the person's words.
    let update = "update saga set state = 'RESOLVED', updated_at = $1, aside_code = $2, \
                  aside_message = $3 || ' (it stood aside: ' || aside_message || ')' \
                  where id = $4 and aside_code is not null \
                  and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";
    let updated = sqlx::query(update)
        .bind(rows::millis(at))
        .bind(&why.code)
        .bind(&why.message)
        .bind(saga_id)
        .execute(connection)
        .await?;
    Ok(updated.rows_affected() > 0)
}

/// Returns a row for each saga that is removed.
pub(super) fn remove_ended(before: Timestamp, limit: u32) -> Script {
    // The condition of the partial index, word for word.
    const OLDEST: &str = "(select id from saga where state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') \
                          and updated_at < ? order by updated_at limit ?)";
    let mut script = Script::default();
    let statements = [
        format!("delete from event where saga_id in {OLDEST}"),
        format!("delete from saga where id in {OLDEST} returning id"),
    ];
    for statement in statements {
        script.statement(&statement);
        script.bind(rows::millis(before));
        script.bind(i64::from(limit));
    }
    script
}

pub(super) async fn register(
    connection: &mut SqliteConnection,
    definition: Definition,
) -> Result<Definition, Error> {
    sqlx::query(
        "insert into definition (hash, name, version, source, file, descriptors, registered_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(&definition.hash)
    .bind(&definition.name)
    .bind(i64::from(definition.version))
    .bind(&definition.source)
    .bind(&definition.file)
    .bind(definition.descriptors.as_ref())
    .bind(rows::millis(definition.registered_at))
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query(
        "select hash, name, version, source, file, descriptors, registered_at from definition \
         where name = $1 and version = $2",
    )
    .bind(&definition.name)
    .bind(i64::from(definition.version))
    .fetch_one(connection)
    .await?;
    rows::definition(&row)
}
