//! The verdict: every answer that was given, held against what the system says at the end.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use proto::{
    checkout::v1::{CancelOrderResponse, PlaceOrderRequest, PlaceOrderResponse},
    order::v1::{Order, OrderState},
};

use crate::{
    record::{Answer, Request, RequestRecord},
    shop::{self, GOODS, Shop},
};

const CONCURRENT_CALLS: usize = 16;

/// Asks everything once more: a token that was answered gets that answer again, any other its first.
pub(crate) async fn repeat_all(shop: &Shop, records: &mut [RequestRecord]) -> Result<Vec<String>> {
    let requests: Vec<Request> = records.iter().map(|record| record.request.clone()).collect();
    let answers: Vec<Answer> = futures::stream::iter(requests)
        .map(|request| async move {
            shop.send(&request)
                .await
                .map_err(|status| anyhow::anyhow!("{request:?} gets no answer at rest: {status}"))
        })
        .buffered(CONCURRENT_CALLS)
        .try_collect()
        .await?;
    Ok(records.iter_mut().zip(answers).filter_map(|(record, answer)| record.take(answer)).collect())
}

/// Holds answers against orders, and orders against stock, points and money.
pub(crate) async fn compare(shop: &Shop, records: &[RequestRecord]) -> Result<Vec<String>> {
    let orders = shop.all_orders().await?;
    let mut wrong = answers(records, &orders);
    for goods in &GOODS {
        let sold: i64 = paid_orders(&orders)
            .flat_map(|order| &order.lines)
            .filter(|line| line.sku == goods.sku)
            .map(|line| line.quantity)
            .sum();
        let stock = shop.units(goods.sku).await?;
        let (has, due) =
            ((stock.available, stock.frozen, stock.sold), (goods.units - sold, 0, sold));
        if has != due {
            wrong
                .push(format!("{}: {has:?} units available, frozen, sold; due {due:?}", goods.sku));
        }
    }
    for (user, cents) in shop::members() {
        let own = || paid_orders(&orders).filter(|order| order.user_id == user);
        let points = shop::POINTS - own().map(|order| order.points).sum::<i64>();
        let paid: i64 =
            own().filter_map(|order| order.paid.as_ref()).map(|it| it.minor_units).sum();
        let (has, due) = (shop.balances(&user).await?, (points, cents - paid));
        if has != due {
            wrong.push(format!("{user}: {has:?} points and cents; due {due:?}"));
        }
    }
    Ok(wrong)
}

/// The orders that were paid for and not given back.
fn paid_orders(orders: &[Order]) -> impl Iterator<Item = &Order> {
    orders.iter().filter(|order| order.state() == OrderState::Paid)
}

fn answers(records: &[RequestRecord], orders: &[Order]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_saga = HashMap::new();
    for order in orders {
        if let Some(other) = by_saga.insert(order.saga_id.as_str(), order) {
            wrong.push(format!("one saga placed two orders: {other:?} and {order:?}"));
        }
    }
    let by_number: HashMap<&str, &Order> =
        orders.iter().map(|order| (order.order_no.as_str(), order)).collect();

    let (mut placed, mut refunded, mut sagas) = (HashSet::new(), HashSet::new(), HashSet::new());
    for record in records {
        match (&record.request, &record.answer) {
            (Request::Place(request), Some(Answer::Place(response))) => {
                if !sagas.insert(response.saga_id.as_str()) {
                    wrong.push(format!("two tokens got one saga: {response:?}"));
                }
                if record.answer.as_ref().is_some_and(Answer::is_ok) {
                    placed.insert(response.order_no.as_str());
                    wrong.extend(check_placed(
                        request,
                        response,
                        by_number.get(response.order_no.as_str()),
                    ));
                } else {
                    wrong.extend(left_nothing(response, by_saga.get(response.saga_id.as_str())));
                }
            }
            (Request::Cancel(_), Some(Answer::Cancel(response))) => {
                if record.answer.as_ref().is_some_and(Answer::is_ok) {
                    let order = by_number.get(response.order_no.as_str());
                    wrong.extend(is_cancelled(response, order));
                    let first = refunded.insert(response.order_no.as_str());
                    if !first && response.state == OrderState::Refunded.as_str_name() {
                        wrong.push(format!("an order was refunded twice: {response:?}"));
                    }
                }
            }
            (request, answer) => wrong.push(format!("{request:?} has the answer {answer:?}")),
        }
    }
    for order in orders {
        let (number, state) = (order.order_no.as_str(), order.state());
        let due = match state {
            OrderState::Paid => placed.contains(number) && !refunded.contains(number),
            OrderState::Refunded => placed.contains(number) && refunded.contains(number),
            OrderState::Cancelled => !placed.contains(number),
            _ => false,
        };
        if !due {
            wrong.push(format!("nobody was told of the state of {order:?}"));
        }
    }
    wrong
}

/// An order that was acknowledged is there, as it was acknowledged.
fn check_placed(
    request: &PlaceOrderRequest,
    response: &PlaceOrderResponse,
    order: Option<&&Order>,
) -> Option<String> {
    let Some(order) = order else { return Some(format!("an order is lost: {response:?}")) };
    let lines = |order: &Order| {
        order.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect::<Vec<_>>()
    };
    let wanted: Vec<_> =
        request.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();
    let agrees = order.saga_id == response.saga_id
        && order.user_id == request.user_id
        && order.points == request.points
        && order.total == response.total
        && order.paid == response.paid
        && response.state == OrderState::Paid.as_str_name()
        && lines(order) == wanted;
    (!agrees).then(|| format!("{request:?} was answered {response:?}, and is {order:?}"))
}

/// An order that was declined holds nothing.
fn left_nothing(response: &PlaceOrderResponse, order: Option<&&Order>) -> Option<String> {
    let order = order.filter(|order| order.state() != OrderState::Cancelled)?;
    Some(format!("a declined order is not cancelled: {response:?}, {order:?}"))
}

/// An order whose cancel was acknowledged is in the state that was told.
fn is_cancelled(response: &CancelOrderResponse, order: Option<&&Order>) -> Option<String> {
    let is = order.is_some_and(|order| order.state().as_str_name() == response.state);
    (!is).then(|| format!("a cancel was answered {response:?}, and the order is {order:?}"))
}

#[cfg(test)]
mod tests {
    use proto::{
        checkout::v1::CancelOrderRequest,
        facade::v1::{Money, ResultInfo},
    };

    use super::*;

    fn result(code: &str) -> Option<ResultInfo> {
        let (success, code) = (code == "OK", code.to_owned());
        Some(ResultInfo { success, code, ..ResultInfo::default() })
    }

    fn cents(minor_units: i64) -> Option<Money> {
        Some(Money { currency: "EUR".to_owned(), minor_units })
    }

    fn order(number: &str, state: OrderState) -> Order {
        Order {
            order_no: number.to_owned(),
            user_id: "ada".to_owned(),
            state: state.into(),
            total: cents(9),
            paid: cents(9),
            saga_id: format!("saga-{number}"),
            ..Order::default()
        }
    }

    fn placed(number: &str) -> RequestRecord {
        let request = PlaceOrderRequest { user_id: "ada".to_owned(), ..Default::default() };
        let answer = PlaceOrderResponse {
            result: result("OK"),
            saga_id: format!("saga-{number}"),
            order_no: number.to_owned(),
            state: OrderState::Paid.as_str_name().to_owned(),
            total: cents(9),
            paid: cents(9),
        };
        let answer = Some(Answer::Place(answer));
        RequestRecord { answer, ..RequestRecord::new(Request::Place(request)) }
    }

    fn declined(number: &str) -> RequestRecord {
        let saga_id = format!("saga-{number}");
        let answer = PlaceOrderResponse {
            result: result("INSUFFICIENT_FUNDS"),
            saga_id,
            ..Default::default()
        };
        let answer = Some(Answer::Place(answer));
        RequestRecord { answer, ..RequestRecord::new(Request::Place(PlaceOrderRequest::default())) }
    }

    fn cancelled(number: &str) -> RequestRecord {
        let answer = CancelOrderResponse {
            result: result("OK"),
            order_no: number.to_owned(),
            state: OrderState::Refunded.as_str_name().to_owned(),
            ..CancelOrderResponse::default()
        };
        let answer = Some(Answer::Cancel(answer));
        RequestRecord {
            answer,
            ..RequestRecord::new(Request::Cancel(CancelOrderRequest::default()))
        }
    }

    #[test]
    fn answers_that_are_true_pass() {
        let records = [placed("1"), placed("2"), cancelled("2"), declined("3"), declined("4")];
        let orders = [
            order("1", OrderState::Paid),
            order("2", OrderState::Refunded),
            order("3", OrderState::Cancelled),
        ];
        assert_eq!(answers(&records, &orders), [""; 0]);
    }

    #[test]
    fn every_answer_that_is_no_longer_true_is_found() {
        let paid = || order("1", OrderState::Paid);
        let dearer = Order { paid: cents(10), ..paid() };
        let twin = Order { order_no: "2".to_owned(), ..order("1", OrderState::Cancelled) };
        let unanswered = RequestRecord::new(Request::Place(PlaceOrderRequest::default()));
        let cases: [(&str, Vec<RequestRecord>, Vec<Order>); 10] = [
            ("an order is lost", vec![placed("1")], vec![]),
            ("and is", vec![placed("1")], vec![dearer]),
            ("one saga placed two orders", vec![placed("1")], vec![paid(), twin]),
            ("two tokens got one saga", vec![placed("1"), placed("1")], vec![paid()]),
            ("is not cancelled", vec![declined("1")], vec![paid()]),
            ("nobody was told", vec![], vec![paid()]),
            ("nobody was told", vec![placed("1")], vec![order("1", OrderState::Refunded)]),
            ("nobody was told", vec![declined("1")], vec![order("1", OrderState::Created)]),
            (
                "refunded twice",
                vec![placed("1"), cancelled("1"), cancelled("1")],
                vec![order("1", OrderState::Refunded)],
            ),
            ("has the answer None", vec![unanswered], vec![]),
        ];
        for (sentence, records, orders) in cases {
            let wrong = answers(&records, &orders);
            assert!(wrong.iter().any(|found| found.contains(sentence)), "{sentence}: {wrong:?}");
        }
        let not_refunded = answers(&[placed("1"), cancelled("1")], &[paid()]);
        assert!(not_refunded[0].contains("a cancel was answered"), "{not_refunded:?}");
    }

    #[test]
    fn a_repeat_that_is_answered_otherwise_is_found() {
        let mut record = placed("1");
        let first = record.answer.clone().unwrap();
        assert_eq!(record.take(first), None);
        let other = placed("2").answer.unwrap();
        assert!(record.take(other).unwrap().contains("the first time"));
    }
}
