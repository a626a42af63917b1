//! Every query of the points service, one function per verb.
//!
//! Writers run inside the inbox's transaction; an error leaves nothing of them behind. Readers see what is committed.

use clock::Timestamp;
use participant::{Database, Store};
use sqlx::SqliteExecutor;

use crate::{
    error::Error,
    points::{Member, Movement, POINTS_MAX},
};

/// A connection inside a transaction.
pub(crate) type Connection = <Database as Store>::Connection;

const MEMBER: &str = "select user_id, suspended, balance from member where user_id = $1";

const OPEN: &str = "
    insert into member (user_id, suspended, balance)
    values ($1, false, 0)
    on conflict (user_id) do nothing";

const SET_STANDING: &str = "update member set suspended = $2 where user_id = $1";

// Relative and guarded, in one statement: two orders cannot both spend the last points.
const CHANGE: &str = "
    update member
    set balance = balance + $2
    where user_id = $1 and balance + $2 >= 0 and balance + $2 <= $3
    returning user_id, suspended, balance";

const RECORD: &str = "
    insert into entry (user_id, kind, change, balance_after, order_no, at)
    values ($1, $2, $3, $4, $5, $6)";

const OF_ORDER: &str = "
    select seq, user_id, kind, change, balance_after, order_no, at
    from entry
    where order_no = $1
    order by seq";

const PAGE: &str = "
    select seq, user_id, kind, change, balance_after, order_no, at
    from entry
    where user_id = $1 and seq > $2
    order by seq
    limit $3";

/// One line of the ledger.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: i64,
    pub(crate) user_id: String,
    pub(crate) movement: Movement,
    pub(crate) change: i64,
    pub(crate) balance_after: i64,
    pub(crate) at: Timestamp,
}

/// Makes the user a member; a member stays as they are.
pub(crate) async fn open(connection: &mut Connection, user_id: &str) -> Result<Member, Error> {
    sqlx::query(OPEN).bind(user_id).execute(&mut *connection).await?;
    of(connection, user_id).await
}

/// Suspends a member or reinstates them.
pub(crate) async fn set_standing(
    connection: &mut Connection,
    user_id: &str,
    suspended: bool,
) -> Result<Member, Error> {
    sqlx::query(SET_STANDING).bind(user_id).bind(suspended).execute(&mut *connection).await?;
    of(connection, user_id).await
}

/// Adds points.
pub(crate) async fn earn(
    connection: &mut Connection,
    user_id: &str,
    points: i64,
    at: Timestamp,
) -> Result<Member, Error> {
    change(connection, user_id, &Movement::Earn, points, at).await
}

/// Takes an order's points.
pub(crate) async fn spend(
    connection: &mut Connection,
    user_id: &str,
    order_no: &str,
    points: i64,
    at: Timestamp,
) -> Result<Member, Error> {
    if !of_order(connection, order_no).await?.is_empty() {
        return Err(Error::SpentAlready { order_no: order_no.to_owned() });
    }
    let movement = Movement::Spend { order_no: order_no.to_owned() };
    change(connection, user_id, &movement, points, at).await
}

/// Gives an order's points back; the member after it, and how many points.
pub(crate) async fn refund(
    connection: &mut Connection,
    order_no: &str,
    at: Timestamp,
) -> Result<(Member, i64), Error> {
    let entries = of_order(connection, order_no).await?;
    let order_no = order_no.to_owned();
    match entries.as_slice() {
        [] => Err(Error::NothingSpent { order_no }),
        [spent] => {
            let points = spent.change.saturating_neg();
            let movement = Movement::Refund { order_no };
            let member = change(connection, &spent.user_id, &movement, points, at).await?;
            Ok((member, points))
        }
        _ => Err(Error::RefundedAlready { order_no }),
    }
}

/// Changes a balance and records it.
async fn change(
    connection: &mut Connection,
    user_id: &str,
    movement: &Movement,
    points: i64,
    at: Timestamp,
) -> Result<Member, Error> {
    let by = movement.change(points);
    let changed: Option<MemberRow> = sqlx::query_as(CHANGE)
        .bind(user_id)
        .bind(by)
        .bind(POINTS_MAX)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(changed) = changed else {
        let Member { balance, .. } = of(connection, user_id).await?;
        return Err(match by < 0 {
            true => Error::InsufficientPoints { asked: points, balance },
            false => Error::OverLimit { asked: points },
        });
    };
    sqlx::query(RECORD)
        .bind(user_id)
        .bind(movement.kind())
        .bind(by)
        .bind(changed.balance)
        .bind(movement.order_no())
        .bind(millis(at))
        .execute(connection)
        .await?;
    Ok(changed.into())
}

async fn of_order(connection: &mut Connection, order_no: &str) -> Result<Vec<Entry>, Error> {
    let rows: Vec<EntryRow> = sqlx::query_as(OF_ORDER).bind(order_no).fetch_all(connection).await?;
    rows.into_iter().map(EntryRow::entry).collect()
}

/// The member.
pub(crate) async fn member(database: &Database, user_id: &str) -> Result<Member, Error> {
    of(database.read(), user_id).await
}

async fn of(executor: impl SqliteExecutor<'_>, user_id: &str) -> Result<Member, Error> {
    let row: Option<MemberRow> =
        sqlx::query_as(MEMBER).bind(user_id).fetch_optional(executor).await?;
    row.map(Member::from).ok_or_else(|| Error::UserUnknown { user_id: user_id.to_owned() })
}

/// At most `limit` entries of the account behind the entry `after`, oldest first.
pub(crate) async fn entries(
    database: &Database,
    user_id: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows: Vec<EntryRow> = sqlx::query_as(PAGE)
        .bind(user_id)
        .bind(after)
        .bind(limit)
        .fetch_all(database.read())
        .await?;
    rows.into_iter().map(EntryRow::entry).collect()
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    user_id: String,
    suspended: bool,
    balance: i64,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self { user_id: row.user_id, suspended: row.suspended, balance: row.balance }
    }
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    seq: i64,
    user_id: String,
    kind: String,
    change: i64,
    balance_after: i64,
    order_no: Option<String>,
    at: i64,
}

impl EntryRow {
    fn entry(self) -> Result<Entry, Error> {
        let unreadable = || Error::Unreadable { seq: self.seq };
        Ok(Entry {
            seq: self.seq,
            movement: Movement::read(&self.kind, self.order_no.clone()).ok_or_else(unreadable)?,
            change: self.change,
            balance_after: self.balance_after,
            at: Timestamp(u64::try_from(self.at).map_err(|_| unreadable())?),
            user_id: self.user_id,
        })
    }
}

/// An instant as the integer columns hold it: milliseconds since the Unix epoch.
fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
