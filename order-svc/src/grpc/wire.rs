//! The messages of orders, from and to the domain.

use std::collections::HashMap;

use facade::{Failure, wire::instant};
use money::Money;
use proto::order::v1 as wire;

use crate::{
    facts::{Buyer, OrderFacts, OrderItem, Quote},
    order::{Bill, Line, Order, State, Transition},
    store::Detail,
};

/// The facts as the saga has read them. An item without a quote is one that the catalogue does not have.
///
/// # Errors
/// INVALID_ARGUMENT where the buyer is missing, or the price of a product that was found.
pub(super) fn facts(request: &wire::CreateOrderRequest) -> Result<OrderFacts, Failure> {
    let buyer = request.buyer.ok_or_else(|| Failure::invalid("buyer", "must be set"))?;
    let mut quotes = HashMap::new();
    for (index, quoted) in request.quotes.iter().enumerate() {
        if quoted.found {
            quotes.insert(quoted.sku.as_str(), quote(index, quoted)?);
        }
    }
    let items = request.items.iter().map(|item| OrderItem {
        sku: item.sku.clone(),
        quantity: item.quantity,
        quote: quotes.get(item.sku.as_str()).copied(),
    });
    let wire::Buyer { found, suspended, points_balance } = buyer;
    let buyer = Buyer { user_id: request.user_id.clone(), found, suspended, points_balance };
    let token = request.submit_token.as_str();
    let submit_token = (!token.is_empty()).then(|| token.to_owned());
    Ok(OrderFacts { buyer, items: items.collect(), points: request.points, submit_token })
}

fn quote(index: usize, quoted: &wire::QuotedItem) -> Result<Quote, Failure> {
    let price = money(&format!("quotes[{index}].price"), quoted.price.as_ref())?;
    Ok(Quote { on_sale: quoted.on_sale, price, available: quoted.available })
}

/// # Errors
/// INVALID_ARGUMENT where there is none, or it has no currency.
pub(super) fn money(
    path: &str,
    money: Option<&proto::facade::v1::Money>,
) -> Result<Money, Failure> {
    let money = money.ok_or_else(|| Failure::invalid(path, "must be set"))?;
    Money::try_from(money)
        .map_err(|error| Failure::invalid(format!("{path}.currency"), error.to_string()))
}

pub(super) fn created(order: Order, bill: Bill) -> wire::CreateOrderResponse {
    wire::CreateOrderResponse {
        result: None,
        order_no: order.order_no,
        state: state(order.state).into(),
        total: Some(bill.total.into()),
        payable: Some(bill.payable().into()),
        lines: bill.lines.into_iter().map(Into::into).collect(),
    }
}

pub(super) fn state(state: State) -> wire::OrderState {
    match state {
        State::Created => wire::OrderState::Created,
        State::Paid => wire::OrderState::Paid,
        State::Shipped => wire::OrderState::Shipped,
        State::Completed => wire::OrderState::Completed,
        State::Cancelled => wire::OrderState::Cancelled,
        State::Cancelling { .. } => wire::OrderState::Cancelling,
        State::Refunded => wire::OrderState::Refunded,
        State::Returned => wire::OrderState::Returned,
    }
}

/// The word of the state that a list is to show; empty for every state.
///
/// # Errors
/// INVALID_ARGUMENT where there is no such state.
pub(super) fn wanted_state(number: i32) -> Result<&'static str, Failure> {
    if number == i32::from(wire::OrderState::Unspecified) {
        return Ok("");
    }
    let found = State::ALL.into_iter().find(|one| i32::from(state(*one)) == number);
    found
        .map(State::as_str)
        .ok_or_else(|| Failure::invalid("state", "must be a state of orders, or unspecified"))
}

impl From<Detail> for wire::Order {
    fn from(detail: Detail) -> Self {
        let Detail { order, lines, transitions } = detail;
        Self {
            order_no: order.order_no,
            user_id: order.user_id,
            state: state(order.state).into(),
            lines: lines.into_iter().map(Into::into).collect(),
            total: Some(order.total.into()),
            points: order.points,
            paid: order.paid.map(Into::into),
            saga_id: order.saga_id,
            transitions: transitions.into_iter().map(Into::into).collect(),
            created_at: Some(instant(order.created_at)),
            submit_token: order.submit_token.unwrap_or_default(),
        }
    }
}

impl From<Line> for wire::Line {
    fn from(line: Line) -> Self {
        let Line { sku, quantity, unit_price } = line;
        Self { sku, quantity, unit_price: Some(unit_price.into()) }
    }
}

impl From<Transition> for wire::Transition {
    fn from(transition: Transition) -> Self {
        let Transition { from, to, at, reason } = transition;
        let from = from.map_or(wire::OrderState::Unspecified, state);
        Self { from: from.into(), to: state(to).into(), at: Some(instant(at)), reason }
    }
}
