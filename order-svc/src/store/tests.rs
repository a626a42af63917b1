use clock::Timestamp;
use stage::{Operation, database, refusals_write_nothing, refuses};

use super::*;
use crate::{
    SCHEMA,
    error::Error,
    facts::{
        OrderFacts,
        tests::{acceptable, euros},
    },
    moves::{self, CancelRequest},
    order::{Order, OrderAction, Refusal},
};

fn paid(connection: &Connection) -> Order {
    let (order_no, saga_id) = ("O-1".to_owned(), "s1".to_owned());
    let facts = OrderFacts { submit_token: Some("t-0".to_owned()), ..acceptable() };
    moves::place(connection, &facts, order_no, saga_id, Timestamp(1)).unwrap();
    moves::mark_paid(connection, "O-1", euros(1_100), Timestamp(2)).unwrap()
}

/// What no rule allows, and the constraint that refuses it.
const BROKEN: &[(&str, &str)] = &[
    ("update orders set state = 'LOST'", "orders_state_is_known"),
    ("update orders set shipped = true", "orders_shipped_fits_state"),
    ("update orders set paid = null", "orders_paid_fits_state"),
    ("update orders set paid = paid + 1", "orders_paid_is_what_was_due"),
    ("update orders set points = -1, paid = total + 1", "orders_points_within_total"),
    ("update orders set points = total + 1, paid = -1", "orders_points_within_total"),
    (
        "update orders set total = 1000000000001, paid = 1000000000001 - points",
        "orders_total_within_limit",
    ),
    ("update orders set state = 'CANCELLING'", "orders_cancelled_by_fits_state"),
    (
        "insert into orders select 9, 'O-9', user_id, state, shipped, currency, total, points, paid, 's9',
         submit_token, null, 1 from orders",
        "orders.user_id, orders.submit_token",
    ),
    ("update orders set cancelled_by = 'k'", "orders_cancelled_by_fits_state"),
    ("insert into order_line values ('O-1', 3, 'pot', 0, 1)", "order_line_quantity_positive"),
    ("insert into order_line values ('O-1', 3, 'pot', 1, -1)", "order_line_price_not_negative"),
    ("insert into order_line values ('O-1', 3, 'tea', 1, 1)", "UNIQUE"),
    ("insert into order_line values ('O-1', 2, 'pot', 1, 1)", "UNIQUE"),
    ("insert into order_line values ('O-2', 1, 'tea', 1, 1)", "FOREIGN KEY"),
    ("update order_line set quantity = 1", "the lines of an order never change"),
    ("delete from order_line", "the lines of an order never change"),
    ("delete from orders", "FOREIGN KEY"),
    ("insert into transition values (9, 'O-2', null, 'CREATED', '', 1)", "FOREIGN KEY"),
    ("update transition set to_state = 'PAID'", "the transitions of an order are append-only"),
    ("delete from transition", "the transitions of an order are append-only"),
];

#[tokio::test]
async fn the_database_itself_refuses_what_no_rule_allows() {
    let (_folder, database) = database(SCHEMA).await;
    refuses(&database, |connection| drop(paid(connection)), BROKEN).await;
}

fn placed(
    connection: &Connection,
    facts: &OrderFacts,
    order_no: &str,
) -> Result<(), participant::WorkError> {
    let (order_no, saga_id) = (order_no.to_owned(), format!("s-{order_no}"));
    moves::place(connection, facts, order_no, saga_id, Timestamp(3)).map(drop)
}

fn under_token() -> OrderFacts {
    OrderFacts { submit_token: Some("t-1".to_owned()), ..acceptable() }
}

fn moved(
    connection: &Connection,
    order_no: &str,
    step: OrderAction,
) -> Result<(), participant::WorkError> {
    Ok(moves::apply_action(connection, order_no, step, "", Timestamp(3)).map(drop)?)
}

fn cancelled(
    connection: &Connection,
    order_no: &str,
    user_id: &str,
) -> Result<(), participant::WorkError> {
    let (order_no, user_id) = (order_no.to_owned(), user_id.to_owned());
    let wish = CancelRequest {
        order_no,
        user_id,
        reason: String::new(),
        was_placing: false,
        key: "k".to_owned(),
    };
    Ok(moves::begin_cancel(connection, wish, Timestamp(3)).map(drop)?)
}

fn created_unseen(connection: &Connection) -> Result<(), participant::WorkError> {
    let first = find(connection, "O-2")?;
    let order_no = "O-9".to_owned();
    Ok(create(connection, &Order { order_no, ..first }, &[])?)
}

/// Every way in which a write is declined; of the checks the first and the last, since all are made before any write.
const REFUSALS: &[(&str, Operation)] = &[
    ("ORDER_EXISTS", |connection| placed(connection, &under_token(), "O-9")),
    // This happens where another transaction has taken the token after it was looked for.
    ("ORDER_EXISTS", created_unseen),
    ("USER_SUSPENDED", |connection| {
        let mut facts = acceptable();
        facts.buyer.suspended = true;
        placed(connection, &facts, "O-9")
    }),
    ("INSUFFICIENT_STOCK", |connection| {
        let mut facts = acceptable();
        facts.items[0].quantity = 1_001;
        placed(connection, &facts, "O-9")
    }),
    ("ORDER_UNKNOWN", |connection| moved(connection, "O-9", OrderAction::Ship)),
    ("ORDER_STATE", |connection| moved(connection, "O-1", OrderAction::UndoPlacing)),
    ("ORDER_STATE", |connection| moved(connection, "O-1", OrderAction::Complete)),
    ("ORDER_STATE", |connection| moved(connection, "O-1", OrderAction::FinishCancel)),
    ("ORDER_STATE", |connection| moved(connection, "O-2", OrderAction::Ship)),
    ("ORDER_UNKNOWN", |connection| {
        Ok(moves::mark_paid(connection, "O-9", euros(1_100), Timestamp(3)).map(drop)?)
    }),
    ("ORDER_STATE", |connection| {
        Ok(moves::mark_paid(connection, "O-1", euros(1_100), Timestamp(3)).map(drop)?)
    }),
    ("ORDER_STATE", |connection| {
        Ok(moves::mark_paid(connection, "O-2", euros(1), Timestamp(3)).map(drop)?)
    }),
    ("ORDER_UNKNOWN", |connection| cancelled(connection, "O-9", "ada")),
    ("ORDER_UNKNOWN", |connection| cancelled(connection, "O-1", "grace")),
    ("ORDER_STATE", |connection| cancelled(connection, "O-3", "ada")),
    ("ORDER_STATE", |connection| {
        Ok(moves::abandon_cancel(connection, "done", "", Timestamp(3)).map(drop)?)
    }),
];

#[tokio::test]
async fn what_is_refused_has_written_nothing() {
    let (_folder, database) = database(SCHEMA).await;
    let desk = |connection: &Connection| {
        paid(connection);
        placed(connection, &under_token(), "O-2").unwrap();
        placed(connection, &acceptable(), "O-3").unwrap();
        moves::mark_paid(connection, "O-3", euros(1_100), Timestamp(2)).unwrap();
        let wish = CancelRequest {
            order_no: "O-3".to_owned(),
            user_id: "ada".to_owned(),
            reason: String::new(),
            was_placing: false,
            key: "done".to_owned(),
        };
        moves::begin_cancel(connection, wish, Timestamp(2)).unwrap();
        moved(connection, "O-3", OrderAction::FinishCancel).unwrap();
    };
    refusals_write_nothing(&database, desk, REFUSALS).await;
}

#[tokio::test]
async fn a_move_that_was_judged_by_a_state_which_is_gone_changes_nothing() {
    let (_folder, database) = database(SCHEMA).await;
    let overtaken = database.write(|connection| {
        let stale = paid(connection);
        moves::apply_action(connection, "O-1", OrderAction::Ship, "", Timestamp(3)).unwrap();
        let after = stale.after(OrderAction::Ship).unwrap();
        let overtaken = save(connection, &stale, &after, "", Timestamp(4));
        Ok::<_, ::store::Error>(overtaken.unwrap_err())
    });
    let error = overtaken.await.unwrap();
    assert!(matches!(error, Error::Overtaken { .. }), "{error}");
    // The call is made again, and judged by the state as it is then.
    assert!(matches!(participant::WorkError::from(error), participant::WorkError::Technical(_)));
    assert_eq!(detail(&database, "O-1").await.unwrap().transitions.len(), 3);
}

#[tokio::test]
async fn a_refusal_is_a_decline_and_a_row_that_makes_no_sense_is_not() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        paid(connection);
        let refused =
            moves::apply_action(connection, "O-1", OrderAction::Complete, "", Timestamp(3));
        connection.execute("update orders set currency = 'E1R'", ())?;
        Ok::<_, ::store::Error>(refused.unwrap_err())
    });
    let error = refused.await.unwrap();
    assert!(matches!(error, Error::Refused(Refusal::State { .. })), "{error}");
    assert!(matches!(participant::WorkError::from(error), participant::WorkError::Declined(_)));
    let error = detail(&database, "O-1").await.unwrap_err();
    assert!(matches!(facade::Failure::from(error), facade::Failure::Internal(_)));
}
