//! Every query of the points service, one function per verb.
//!
//! Writers run inside the inbox's transaction; an error leaves nothing of them behind. Readers see what is committed.

use ::store::{Database, Row, millis};
use clock::Timestamp;

use crate::{
    error::Error,
    points::{Member, Movement},
};

pub(crate) use ::store::Connection;

const MEMBER: &str = "select user_id, suspended, balance from member where user_id = ?1";

const OPEN: &str = "
    insert into member (user_id, suspended, balance)
    values (?1, false, 0)
    on conflict (user_id) do nothing";

const SET_STANDING: &str = "update member set suspended = ?2 where user_id = ?1";

// Relative and guarded, in one statement: two orders cannot both spend the last points. Without `returning`: SQLite builds
// a table for what it returns, which costs more than a query. A sum that leaves 64 bits is a floating-point number here,
// and larger than the largest integer.
const CHANGE: &str = "
    update member
    set balance = balance + ?2
    where user_id = ?1 and balance + ?2 >= 0 and balance + ?2 <= ?3";

const RECORD: &str = "
    insert into entry (user_id, kind, change, balance_after, order_no, at)
    values (?1, ?2, ?3, ?4, ?5, ?6)";

const OF_ORDER: &str = "
    select seq, user_id, kind, change, balance_after, order_no, at
    from entry
    where order_no = ?1";

const PAGE: &str = "
    select seq, user_id, kind, change, balance_after, order_no, at
    from entry
    where user_id = ?1 and seq > ?2
    order by seq
    limit ?3";

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
pub(crate) fn open(connection: &Connection, user_id: &str) -> Result<Member, Error> {
    connection.execute(OPEN, [user_id])?;
    of(connection, user_id)
}

/// Suspends a member or reinstates them.
pub(crate) fn set_standing(
    connection: &Connection,
    user_id: &str,
    suspended: bool,
) -> Result<Member, Error> {
    connection.execute(SET_STANDING, (user_id, suspended))?;
    of(connection, user_id)
}

/// Adds points.
pub(crate) fn earn(
    connection: &Connection,
    user_id: &str,
    points: i64,
    at: Timestamp,
) -> Result<Member, Error> {
    change(connection, user_id, &Movement::Earn, points, at)
}

/// Takes an order's points.
pub(crate) fn spend(
    connection: &Connection,
    user_id: &str,
    order_no: &str,
    points: i64,
    at: Timestamp,
) -> Result<Member, Error> {
    if !of_order(connection, order_no)?.is_empty() {
        return Err(Error::SpentAlready { order_no: order_no.to_owned() });
    }
    let movement = Movement::Spend { order_no: order_no.to_owned() };
    change(connection, user_id, &movement, points, at)
}

/// Gives an order's points back; the member after it, and how many points.
pub(crate) fn refund(
    connection: &Connection,
    order_no: &str,
    at: Timestamp,
) -> Result<(Member, i64), Error> {
    let entries = of_order(connection, order_no)?;
    let order_no = order_no.to_owned();
    match entries.as_slice() {
        [] => Err(Error::NothingSpent { order_no }),
        [spent] => {
            let points = spent.change.saturating_neg();
            let movement = Movement::Refund { order_no };
            let member = change(connection, &spent.user_id, &movement, points, at)?;
            Ok((member, points))
        }
        _ => Err(Error::RefundedAlready { order_no }),
    }
}

/// Changes a balance and records it.
fn change(
    connection: &Connection,
    user_id: &str,
    movement: &Movement,
    points: i64,
    at: Timestamp,
) -> Result<Member, Error> {
    let by = movement.change(points);
    let changed = connection.execute(CHANGE, (user_id, by, movement.limit()))?;
    let member = of(connection, user_id)?;
    let balance = member.balance;
    if changed == 0 {
        return Err(match movement {
            Movement::Spend { .. } => Error::InsufficientPoints { asked: points, balance },
            Movement::Earn => Error::OverLimit { asked: points },
            // Thousands of refunds of the most that can be earned: no caller can mend that.
            Movement::Refund { .. } => Error::Full { user_id: user_id.to_owned() },
        });
    }
    let (kind, order_no) = (movement.kind(), movement.order_no());
    connection.execute(RECORD, (user_id, kind, by, balance, order_no, millis(at)))?;
    Ok(member)
}

fn of_order(connection: &Connection, order_no: &str) -> Result<Vec<Entry>, Error> {
    connection.all(OF_ORDER, [order_no], entry)
}

/// The member.
pub(crate) async fn member(database: &Database, user_id: &str) -> Result<Member, Error> {
    let user_id = user_id.to_owned();
    database.read(move |connection| of(connection, &user_id)).await
}

fn of(connection: &Connection, user_id: &str) -> Result<Member, Error> {
    let member = connection.optional(MEMBER, [user_id], read)?;
    member.ok_or_else(|| Error::UserUnknown { user_id: user_id.to_owned() })
}

/// At most `limit` entries of the account behind the entry `after`, oldest first.
pub(crate) async fn entries(
    database: &Database,
    user_id: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let of_user = (user_id.to_owned(), after, limit);
    database.read(move |connection| connection.all(PAGE, of_user, entry)).await
}

fn read(row: &Row<'_>) -> Result<Member, Error> {
    Ok(Member { user_id: row.get(0)?, suspended: row.get(1)?, balance: row.get(2)? })
}

fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    let (seq, kind): (i64, String) = (row.get(0)?, row.get(2)?);
    let movement = Movement::read(&kind, row.get(5)?);
    let (Some(movement), Some(at)) = (movement, row.instant(6)?) else {
        return Err(Error::Unreadable { seq });
    };
    Ok(Entry {
        seq,
        user_id: row.get(1)?,
        movement,
        change: row.get(3)?,
        balance_after: row.get(4)?,
        at,
    })
}

#[cfg(test)]
mod tests;
