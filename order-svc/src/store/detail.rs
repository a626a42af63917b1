//! An order with its lines and its past.

use money::{Currency, Money};
use participant::Database;

use crate::{
    error::Error,
    order::{Line, Order, State, Transition},
    store::{Connection, find, instant, unreadable},
};

const LINES: &str = "
    select sku, quantity, unit_price
    from order_line
    where order_no = $1
    order by number";

const TRANSITIONS: &str = "
    select from_state, to_state, reason, at
    from transition
    where order_no = $1
    order by seq";

/// Everything there is to say of an order.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) order: Order,
    pub(crate) lines: Vec<Line>,
    /// Oldest first; never empty.
    pub(crate) transitions: Vec<Transition>,
}

/// The order, with its lines and its past.
pub(crate) async fn detail(database: &Database, order_no: &str) -> Result<Detail, Error> {
    let mut snapshot = database.read().begin().await?;
    let order = find(&mut snapshot, order_no).await?;
    detailed(&mut snapshot, order).await
}

/// Adds its lines and its past to an order.
pub(crate) async fn detailed(connection: &mut Connection, order: Order) -> Result<Detail, Error> {
    let lines = lines(connection, &order.order_no, order.total.currency).await?;
    let transitions = transitions(connection, &order.order_no).await?;
    Ok(Detail { order, lines, transitions })
}

async fn lines(
    connection: &mut Connection,
    order_no: &str,
    currency: Currency,
) -> Result<Vec<Line>, Error> {
    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as(LINES).bind(order_no).fetch_all(connection).await?;
    let line = |(sku, quantity, unit_price)| Line {
        sku,
        quantity,
        unit_price: Money::new(currency, unit_price),
    };
    Ok(rows.into_iter().map(line).collect())
}

async fn transitions(
    connection: &mut Connection,
    order_no: &str,
) -> Result<Vec<Transition>, Error> {
    let rows: Vec<Row> = sqlx::query_as(TRANSITIONS).bind(order_no).fetch_all(connection).await?;
    let read = rows.into_iter().map(Row::transition).collect::<Option<_>>();
    read.ok_or_else(|| unreadable("transition", order_no))
}

#[derive(sqlx::FromRow)]
struct Row {
    from_state: Option<String>,
    to_state: String,
    reason: String,
    at: i64,
}

impl Row {
    fn transition(self) -> Option<Transition> {
        let from = match &self.from_state {
            Some(from) => Some(word(from)?),
            None => None,
        };
        let (to, at) = (word(&self.to_state)?, instant(self.at)?);
        Some(Transition { from, to, at, reason: self.reason })
    }
}

/// The state of a word in the log, which says nothing of where the goods are: for [`State::Cancelling`] the transition
/// before it does.
fn word(word: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.as_str() == word)
}
