//! An order with its lines and its past.

use ::store::{Database, Row};
use money::{Currency, Money};

use crate::{
    error::Error,
    order::{Line, Order, State, Transition},
    store::{Connection, find, unreadable},
};

const LINES: &str = "
    select sku, quantity, unit_price
    from order_line
    where order_no = ?1
    order by number";

const TRANSITIONS: &str = "
    select from_state, to_state, reason, at
    from transition
    where order_no = ?1
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
    let order_no = order_no.to_owned();
    let read = database.read(move |connection| detailed(connection, find(connection, &order_no)?));
    read.await
}

/// Adds its lines and its past to an order.
pub(crate) fn detailed(connection: &Connection, order: Order) -> Result<Detail, Error> {
    let (order_no, currency) = (&order.order_no, order.total.currency);
    let lines = connection.all(LINES, [order_no], |row| line(row, currency))?;
    let transitions = connection.all(TRANSITIONS, [order_no], |row| transition(row, order_no))?;
    Ok(Detail { order, lines, transitions })
}

fn line(row: &Row<'_>, currency: Currency) -> Result<Line, Error> {
    let unit_price = Money::new(currency, row.get(2)?);
    Ok(Line { sku: row.get(0)?, quantity: row.get(1)?, unit_price })
}

fn transition(row: &Row<'_>, order_no: &str) -> Result<Transition, Error> {
    let broken = || unreadable("transition", order_no);
    let (from, to): (Option<String>, String) = (row.get(0)?, row.get(1)?);
    let from = from.map(|from| word(&from).ok_or_else(broken)).transpose()?;
    let at = row.instant(3)?.ok_or_else(broken)?;
    Ok(Transition { from, to: word(&to).ok_or_else(broken)?, at, reason: row.get(2)? })
}

/// The state of a word in the log, which says nothing of where the goods are: for [`State::Cancelling`] the transition
/// before it does.
fn word(word: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.as_str() == word)
}
