use participant::Store;
use stage::{database, refuses};

use super::*;
use crate::{
    SCHEMA,
    error::Error,
    facts::tests::{euros, good},
    moves,
    order::{Move, Order, Refusal},
};

fn paid(connection: &Connection) -> Order {
    let (order_no, saga_id) = ("O-1".to_owned(), "s1".to_owned());
    moves::place(connection, &good(), order_no, saga_id, Timestamp(1)).unwrap();
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
    ("update orders set cancelled_by = 'k'", "orders_cancelled_by_fits_state"),
    ("update order_line set quantity = 0", "order_line_quantity_positive"),
    ("update order_line set unit_price = -1", "order_line_price_not_negative"),
    ("update order_line set sku = 'tea'", "UNIQUE"),
    ("update order_line set order_no = 'O-2'", "FOREIGN KEY"),
];

#[tokio::test]
async fn the_database_itself_refuses_what_no_rule_allows() {
    let (_folder, database) = database(SCHEMA).await;
    refuses(&database, |connection| drop(paid(connection)), BROKEN).await;
}

#[tokio::test]
async fn a_move_that_was_judged_by_a_state_which_is_gone_changes_nothing() {
    let (_folder, database) = database(SCHEMA).await;
    let overtaken = database.write(|connection| {
        Box::pin(async move {
            let stale = paid(connection);
            moves::step(connection, "O-1", Move::Ship, "", Timestamp(3)).unwrap();
            let after = stale.after(Move::Ship).unwrap();
            let overtaken = save(connection, &stale, &after, "", Timestamp(4));
            Ok::<_, participant::store::Error>(overtaken.unwrap_err())
        })
    });
    let error = overtaken.await.unwrap();
    assert!(matches!(error, Error::Overtaken { .. }), "{error}");
    // It is asked again, and judged by the state as it is then.
    assert!(matches!(participant::Failure::from(error), participant::Failure::Technical(_)));
    assert_eq!(detail(&database, "O-1").await.unwrap().transitions.len(), 3);
}

#[tokio::test]
async fn a_refusal_is_a_decline_and_a_row_that_makes_no_sense_is_not() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        Box::pin(async move {
            paid(connection);
            let refused = moves::step(connection, "O-1", Move::Complete, "", Timestamp(3));
            connection.execute("update orders set currency = 'E1R'", [])?;
            Ok::<_, participant::store::Error>(refused.unwrap_err())
        })
    });
    let error = refused.await.unwrap();
    assert!(matches!(error, Error::Refused(Refusal::State { .. })), "{error}");
    assert!(matches!(participant::Failure::from(error), participant::Failure::Declined(_)));
    let error = detail(&database, "O-1").await.unwrap_err();
    assert!(matches!(facade::Failure::from(error), facade::Failure::Internal(_)));
}
