use clock::Timestamp;
use stage::{Operation, database, refusals_write_nothing, refuses};

use super::*;
use crate::{
    SCHEMA,
    error::Error,
    stock::{Line, Product, Settlement, UNITS_MAX},
};

fn tea(connection: &Connection) {
    let price = money::Money::new("EUR".parse().unwrap(), 350);
    let product = Product { sku: "tea".to_owned(), title: String::new(), price, on_sale: true };
    upsert(connection, &product).unwrap();
    let line = Line { sku: "tea".to_owned(), quantity: 5 };
    add(connection, &line, Timestamp(1)).unwrap();
    freeze(connection, "O-1", &[Line { quantity: 2, ..line }], Timestamp(2)).unwrap();
}

/// What no rule allows, and the constraint that refuses it.
const BROKEN: &[(&str, &str)] = &[
    ("update stock set available = -1", "stock_available_not_negative"),
    ("update stock set frozen = -1", "stock_frozen_not_negative"),
    ("update stock set sold = -1", "stock_sold_not_negative"),
    ("update stock set sold = 1000000000000000", "stock_within_limit"),
    ("update reservation set state = 'LOST'", "reservation_state_is_known"),
    ("delete from reservation", "FOREIGN KEY"),
    ("insert into reservation_line values ('O-1', 'cup', 0)", "reservation_line_quantity_positive"),
    ("insert into reservation_line values ('O-1', 'cup', 1)", "FOREIGN KEY"),
    ("insert into reservation_line values ('O-1', 'tea', 1)", "UNIQUE"),
    ("update reservation_line set quantity = 1", "the lines of a reservation never change"),
    ("delete from reservation_line", "the lines of a reservation never change"),
    ("insert into flow values (9, 'tea', 'ADD', 1, 'O-1', 1)", "flow_names_its_order"),
    ("insert into flow values (9, 'tea', 'FREEZE', 1, null, 1)", "flow_names_its_order"),
    ("insert into flow values (9, 'tea', 'SHRINK', 1, 'O-1', 1)", "flow_kind_is_known"),
    ("insert into flow values (9, 'tea', 'ADD', 0, null, 1)", "flow_quantity_positive"),
    ("insert into flow values (9, 'cup', 'ADD', 1, null, 1)", "FOREIGN KEY"),
    ("update flow set quantity = 1", "the flows of stock are append-only"),
    ("delete from flow", "the flows of stock are append-only"),
    ("update product set minor_units = -1", "product_price_not_negative"),
    ("insert into stock values ('cup', 0, 0, 0)", "FOREIGN KEY"),
];

#[tokio::test]
async fn the_database_itself_refuses_what_no_rule_allows() {
    let (_folder, database) = database(SCHEMA).await;
    refuses(&database, tea, BROKEN).await;
}

fn frozen(
    connection: &Connection,
    order_no: &str,
    lines: &[(&str, i64)],
) -> Result<(), participant::WorkError> {
    let line = |(sku, quantity): &(&str, i64)| Line { sku: (*sku).to_owned(), quantity: *quantity };
    let lines: Vec<Line> = lines.iter().map(line).collect();
    Ok(freeze(connection, order_no, &lines, Timestamp(3))?)
}

fn settled(
    connection: &Connection,
    order_no: &str,
    settlement: Settlement,
) -> Result<(), participant::WorkError> {
    Ok(settle(connection, order_no, settlement, Timestamp(3)).map(drop)?)
}

fn added(connection: &Connection, sku: &str, quantity: i64) -> Result<(), participant::WorkError> {
    let line = Line { sku: sku.to_owned(), quantity };
    Ok(add(connection, &line, Timestamp(3)).map(drop)?)
}

/// Every way in which a write is declined.
const REFUSALS: &[(&str, Operation)] = &[
    ("INSUFFICIENT_STOCK", |connection| frozen(connection, "O-2", &[("tea", 4)])),
    ("INSUFFICIENT_STOCK", |connection| frozen(connection, "O-2", &[("cup", 1), ("tea", 4)])),
    ("INSUFFICIENT_STOCK", |connection| frozen(connection, "O-2", &[("cup", 2), ("tea", 1)])),
    ("SKU_UNKNOWN", |connection| frozen(connection, "O-2", &[("cup", 1), ("pot", 1)])),
    ("ORDER_STATE", |connection| frozen(connection, "O-1", &[("tea", 1)])),
    ("RESERVATION_UNKNOWN", |connection| settled(connection, "O-2", Settlement::CONFIRM)),
    ("RESERVATION_UNKNOWN", |connection| settled(connection, "O-2", Settlement::UNFREEZE)),
    ("RESERVATION_UNKNOWN", |connection| settled(connection, "O-2", Settlement::RESTOCK)),
    ("RESERVATION_UNKNOWN", |connection| settled(connection, "O-1", Settlement::RESTOCK)),
    ("RESERVATION_UNKNOWN", |connection| settled(connection, "O-0", Settlement::CONFIRM)),
    ("RESERVATION_UNKNOWN", |connection| settled(connection, "O-0", Settlement::UNFREEZE)),
    ("AMOUNT_OUT_OF_RANGE", |connection| added(connection, "tea", UNITS_MAX)),
    ("SKU_UNKNOWN", |connection| added(connection, "pot", 1)),
];

#[tokio::test]
async fn what_is_refused_has_written_nothing() {
    let (_folder, database) = database(SCHEMA).await;
    let shop = |connection: &Connection| {
        tea(connection);
        let price = money::Money::new("EUR".parse().unwrap(), 900);
        let cup = Product { sku: "cup".to_owned(), title: String::new(), price, on_sale: true };
        upsert(connection, &cup).unwrap();
        added(connection, "cup", 1).unwrap();
        frozen(connection, "O-0", &[("tea", 1)]).unwrap();
        settled(connection, "O-0", Settlement::UNFREEZE).unwrap();
    };
    refusals_write_nothing(&database, shop, REFUSALS).await;
}

#[tokio::test]
async fn a_sku_never_has_more_units_in_all_than_the_limit() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        tea(connection);
        let line = |quantity| Line { sku: "tea".to_owned(), quantity };
        add(connection, &line(UNITS_MAX - 5), Timestamp(3)).unwrap();
        let refused = [
            add(connection, &line(1), Timestamp(3)).unwrap_err(),
            add(connection, &line(UNITS_MAX), Timestamp(3)).unwrap_err(),
        ];
        Ok::<_, ::store::Error>(refused)
    });
    for error in refused.await.unwrap() {
        assert!(matches!(error, Error::OverLimit { .. }), "{error}");
        assert!(matches!(participant::WorkError::from(error), participant::WorkError::Declined(_)));
    }
    let found = units(&database, "tea").await.unwrap();
    assert_eq!((found.available, found.frozen), (UNITS_MAX - 2, 2));
}

#[tokio::test]
async fn units_that_are_given_back_are_never_refused_at_the_limit() {
    let (_folder, database) = database(SCHEMA).await;
    let given_back = database.write(|connection| {
        tea(connection);
        let missing = Line { sku: "tea".to_owned(), quantity: UNITS_MAX - 5 };
        add(connection, &missing, Timestamp(3)).unwrap();
        let lines = [Line { sku: "tea".to_owned(), quantity: UNITS_MAX - 2 }];
        freeze(connection, "O-8", &lines, Timestamp(3)).unwrap();
        settled(connection, "O-8", Settlement::CONFIRM).unwrap();
        // What was sold still counts, so nothing can be added in its place.
        let place_taken = add(connection, &Line { quantity: 1, ..missing }, Timestamp(3));
        settled(connection, "O-8", Settlement::RESTOCK).unwrap();
        Ok::<_, ::store::Error>(place_taken.unwrap_err())
    });
    let refused = given_back.await.unwrap();
    assert!(matches!(refused, Error::OverLimit { .. }), "{refused}");
    assert_eq!(units(&database, "tea").await.unwrap().available, UNITS_MAX - 2);
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_a_failure_and_never_a_decline() {
    let (_folder, database) = database(SCHEMA).await;
    let written = database.write(|connection| {
        tea(connection);
        // No currency has a digit, but the table checks only the length.
        connection.execute("update product set currency = 'E1R'", ())?;
        Ok::<_, ::store::Error>(())
    });
    written.await.unwrap();
    let error = product(&database, "tea").await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { table: "product", .. }), "{error}");
    assert!(matches!(facade::Failure::from(error), facade::Failure::Internal(_)));
}
