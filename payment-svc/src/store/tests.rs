use clock::{Clock, Timestamp};
use money::Money;
use stage::{Operation, database, refusals_write_nothing, refuses};

use super::*;
use crate::{
    SCHEMA,
    error::Error,
    gateway::{Connection, Gateway},
    pay,
    payment::{Payment, State},
    wallet::Wallets,
};

const MOST: i64 = 1_000_000_000_000_000;

fn euros(minor_units: i64) -> Money {
    Money::new("EUR".parse().unwrap(), minor_units)
}

fn payment(order_no: &str, amount: i64) -> Payment {
    Payment {
        payment_no: format!("P-{order_no}"),
        order_no: order_no.to_owned(),
        user_id: "ann".to_owned(),
        state: State::Processing,
        amount: euros(amount),
        refunded: euros(0),
        failure: None,
        created_at: Timestamp(1),
    }
}

/// A wallet with 50, of which 20 are paid.
fn ann(connection: &Connection) {
    let currency = euros(0).currency;
    open_wallet(connection, "ann", currency).unwrap();
    top_up(connection, "t".to_owned(), "ann", euros(50), Timestamp(1)).unwrap();
    pay::charge(&Wallets, connection, payment("O-1", 20), Timestamp(2)).unwrap();
}

/// What no rule allows, and the constraint that refuses it.
const BROKEN: &[(&str, &str)] = &[
    ("update account set balance = -1 where id = 'wallet/ann'", "account_only_the_bank_owes"),
    ("update account set balance = -1 where id = 'shop/EUR'", "account_only_the_bank_owes"),
    (
        "update account set balance = balance - 9223372036854775807 where id = 'bank/EUR'",
        "account_within_64_bits",
    ),
    (
        "update account set balance = balance + 9223372036854775807 where id = 'wallet/ann'",
        "account_within_64_bits",
    ),
    ("update account set currency = 'EURO'", "account_currency_is_a_code"),
    ("insert into wallet values ('bob', 'wallet/ann')", "UNIQUE"),
    ("insert into wallet values ('bob', 'wallet/bob')", "FOREIGN KEY"),
    ("insert into movement values ('t', 'wallet/ann', 1, 1)", "UNIQUE"),
    ("insert into movement values ('u', 'wallet/ann', 0, 1)", "movement_moves_something"),
    ("insert into movement values ('u', 'wallet/bob', 1, 1)", "FOREIGN KEY"),
    ("update movement set amount = 1", "the ledger is append-only"),
    ("delete from movement", "the ledger is append-only"),
    ("update payment set state = 'LOST'", "payment_state_is_known"),
    ("update payment set amount = 0", "payment_amount_positive"),
    ("update payment set refunded = 21, state = 'REFUNDED'", "payment_refund_within_amount"),
    ("update payment set refunded = 20", "payment_refund_fits_its_state"),
    ("update payment set state = 'FAILED'", "payment_failure_fits_its_state"),
    (
        "insert into payment values ('P', 'O-1', 'ann', 'PROCESSING', 'EUR', 1, 0, null, 1)",
        "UNIQUE",
    ),
];

#[tokio::test]
async fn the_database_itself_refuses_what_no_rule_allows() {
    let (_folder, database) = database(SCHEMA).await;
    refuses(&database, ann, BROKEN).await;
}

fn dollars(minor_units: i64) -> Money {
    Money::new("USD".parse().unwrap(), minor_units)
}

fn topped_up(
    connection: &Connection,
    user_id: &str,
    amount: Money,
) -> Result<(), participant::WorkError> {
    Ok(top_up(connection, "t-2".to_owned(), user_id, amount, Timestamp(3)).map(drop)?)
}

/// What the gateway does with a payment, without the record that the payment has.
fn moved(connection: &Connection, payment: Payment) -> Result<(), participant::WorkError> {
    Ok(Wallets.charge(connection, &payment, Timestamp(3))?)
}

fn of(user_id: &str, amount: Money) -> Payment {
    Payment { user_id: user_id.to_owned(), amount, ..payment("O-9", 1) }
}

/// Every way in which a write is declined. A charge that the gateway declines is kept on record; the gateway itself must
/// have written nothing.
const REFUSALS: &[(&str, Operation)] = &[
    ("CURRENCY_MISMATCH", |connection| {
        Ok(open_wallet(connection, "ann", dollars(0).currency).map(drop)?)
    }),
    ("WALLET_UNKNOWN", |connection| topped_up(connection, "eve", euros(1))),
    ("CURRENCY_MISMATCH", |connection| topped_up(connection, "ann", dollars(1))),
    ("AMOUNT_OUT_OF_RANGE", |connection| topped_up(connection, "ann", euros(MOST))),
    // Nothing was ever topped up in dollars, so the bank has no account in them.
    ("AMOUNT_OUT_OF_RANGE", |connection| topped_up(connection, "bob", dollars(MOST + 1))),
    ("WALLET_UNKNOWN", |connection| moved(connection, of("eve", euros(1)))),
    ("CURRENCY_MISMATCH", |connection| moved(connection, of("ann", dollars(1)))),
    ("INSUFFICIENT_FUNDS", |connection| moved(connection, of("ann", euros(31)))),
    // Nor was anything sold for dollars, so the shop has none either.
    ("INSUFFICIENT_FUNDS", |connection| moved(connection, of("bob", dollars(1)))),
    ("ORDER_STATE", |connection| {
        pay::charge(&Wallets, connection, payment("O-1", 1), Timestamp(3)).map(drop)
    }),
    ("ORDER_STATE", |connection| pay::refund(&Wallets, connection, "O-2", Timestamp(3)).map(drop)),
    ("ORDER_STATE", |connection| pay::undo(&Wallets, connection, "P-O-2", Timestamp(3)).map(drop)),
    ("ORDER_STATE", |connection| pay::undo(&Wallets, connection, "P-O-3", Timestamp(3)).map(drop)),
    ("PAYMENT_UNKNOWN", |connection| {
        pay::refund(&Wallets, connection, "O-3", Timestamp(3)).map(drop)
    }),
    ("PAYMENT_UNKNOWN", |connection| {
        pay::undo(&Wallets, connection, "P-O-4", Timestamp(3)).map(drop)
    }),
];

#[tokio::test]
async fn what_is_refused_has_written_nothing() {
    let (_folder, database) = database(SCHEMA).await;
    let wallets = |connection: &Connection| {
        ann(connection);
        open_wallet(connection, "bob", dollars(0).currency).unwrap();
        pay::charge(&Wallets, connection, payment("O-2", 5), Timestamp(2)).unwrap();
        pay::refund(&Wallets, connection, "O-2", Timestamp(2)).unwrap();
        pay::charge(&Wallets, connection, payment("O-3", 31), Timestamp(2)).unwrap_err();
    };
    refusals_write_nothing(&database, wallets, REFUSALS).await;
}

#[tokio::test]
async fn accounts_are_locked_in_one_order_whichever_way_the_money_goes() {
    let (_folder, database) = database(SCHEMA).await;
    let locked = database.write(|connection| {
        ann(connection);
        connection.execute("create temp table locked (id text)", ())?;
        connection.execute(
            "create temp trigger note before update on main.account
                 begin insert into locked values (old.id); end",
            (),
        )?;
        pay::charge(&Wallets, connection, payment("O-2", 10), Timestamp(3)).unwrap();
        pay::refund(&Wallets, connection, "O-2", Timestamp(3)).unwrap();
        top_up(connection, "t-2".to_owned(), "ann", euros(1), Timestamp(3)).unwrap();
        connection.all("select id from locked order by rowid", (), |row| row.get::<String>(0))
    });
    let locked: Vec<String> = locked.await.map_err(|error: ::store::Error| error).unwrap();
    let [shop, wallet, bank] = ["shop/EUR", "wallet/ann", "bank/EUR"];
    assert_eq!(locked, [shop, wallet, shop, wallet, bank, wallet]);
}

#[tokio::test]
async fn a_charge_that_no_account_can_hold_changes_none() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        ann(connection);
        // This is more than the bank can ever have given, so only a changed database gets here.
        let full = "update account set balance = 9223372036854775807 where id = 'shop/EUR'";
        connection.execute(full, ())?;
        let paid = payment("O-2", 10);
        let refused = Wallets.charge(connection, &paid, Timestamp(3)).unwrap_err();
        let balance = wallet_for(connection, "ann", euros(0).currency).unwrap().balance;
        let moved: i64 = connection.one("select count(*) from movement", (), |row| row.get(0))?;
        Ok::<_, ::store::Error>((refused, balance, moved))
    });
    let (refused, balance, moved) = refused.await.unwrap();
    assert!(matches!(refused, Error::OverLimit { .. }), "{refused}");
    assert_eq!((balance, moved), (euros(30), 4));
}

#[tokio::test]
async fn a_top_up_beyond_what_the_books_hold_is_over_the_limit_whatever_its_size() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        ann(connection);
        let mut refused = Vec::new();
        for (number, amount) in [MOST - 29, MOST, i64::MAX].into_iter().enumerate() {
            let number = format!("over-{number}");
            let top_up = top_up(connection, number, "ann", euros(amount), Timestamp(3));
            refused.push(top_up.unwrap_err());
        }
        let most = "most".to_owned();
        top_up(connection, most, "ann", euros(MOST - 30), Timestamp(3)).unwrap();
        Ok::<_, ::store::Error>(refused)
    });
    for error in refused.await.unwrap() {
        assert!(matches!(error, Error::OverLimit { .. }), "{error}");
        assert!(matches!(participant::WorkError::from(error), participant::WorkError::Declined(_)));
    }
    let left = wallet(&database, "ann").await.unwrap().balance;
    assert_eq!(left, euros(MOST));
}

/// A wallet that was topped up to the limit after it had paid for two orders, by which the shop and the bank are above it.
fn full(connection: &Connection) {
    let limit = |connection: &Connection, number: &str| {
        top_up(connection, number.to_owned(), "ann", euros(MOST), Timestamp(1)).unwrap();
    };
    open_wallet(connection, "ann", euros(0).currency).unwrap();
    limit(connection, "t-0");
    for order_no in ["O-8", "O-9"] {
        pay::charge(&Wallets, connection, payment(order_no, MOST), Timestamp(2)).unwrap();
        limit(connection, order_no);
    }
}

#[tokio::test]
async fn money_that_is_given_back_is_never_refused_and_can_be_spent_again() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        full(connection);
        for order_no in ["O-8", "O-9"] {
            pay::refund(&Wallets, connection, order_no, Timestamp(3)).unwrap();
        }
        let over = top_up(connection, "over".to_owned(), "ann", euros(1), Timestamp(3));
        pay::charge(&Wallets, connection, payment("O-10", MOST), Timestamp(4)).unwrap();
        Ok::<_, ::store::Error>(over.unwrap_err())
    });
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Error::OverLimit { .. }), "{refused}");
    assert_eq!(wallet(&database, "ann").await.unwrap().balance, euros(2 * MOST));
}

#[tokio::test]
async fn what_one_user_has_taken_from_the_bank_is_no_limit_for_another() {
    let (_folder, database) = database(SCHEMA).await;
    let filled = database.write(|connection| {
        full(connection);
        open_wallet(connection, "bob", euros(0).currency).unwrap();
        top_up(connection, "t-bob".to_owned(), "bob", euros(MOST), Timestamp(3)).unwrap();
        let bob = Payment { user_id: "bob".to_owned(), ..payment("O-10", MOST) };
        pay::charge(&Wallets, connection, bob, Timestamp(3)).unwrap();
        Ok::<_, ::store::Error>(())
    });
    filled.await.unwrap();
    assert_eq!(wallet(&database, "bob").await.unwrap().balance, euros(0));
}

#[tokio::test]
async fn a_bank_that_can_owe_no_more_refuses_a_top_up_before_anything_is_written() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        ann(connection);
        let owes = "update account set balance = -9223372036854775807 where id = 'bank/EUR'";
        connection.execute(owes, ())?;
        let top_up = top_up(connection, "over".to_owned(), "ann", euros(1), Timestamp(3));
        Ok::<_, ::store::Error>(top_up.unwrap_err())
    });
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Error::OverLimit { .. }), "{refused}");
    assert_eq!(wallet(&database, "ann").await.unwrap().balance, euros(30));
}

#[tokio::test]
async fn a_database_of_before_takes_money_that_is_given_back_once_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payment.db");
    let (clock, _) = Clock::manual(Timestamp(1));
    let before = participant::sqlite::open(path.clone(), &SCHEMA[..1], &clock).await.unwrap();
    let filled = before.write(|connection| {
        open_wallet(connection, "ann", euros(0).currency).unwrap();
        top_up(connection, "t-1".to_owned(), "ann", euros(MOST), Timestamp(1)).unwrap();
        pay::charge(&Wallets, connection, payment("O-8", MOST), Timestamp(2)).unwrap();
        Ok::<_, ::store::Error>(())
    });
    filled.await.unwrap();
    before.close().await;

    let database = participant::sqlite::open(path, SCHEMA, &clock).await.unwrap();
    let refunded = database.write(|connection| {
        top_up(connection, "t-2".to_owned(), "ann", euros(MOST), Timestamp(3)).unwrap();
        pay::refund(&Wallets, connection, "O-8", Timestamp(3)).unwrap();
        Ok::<_, ::store::Error>(())
    });
    refunded.await.unwrap();
    assert_eq!(wallet(&database, "ann").await.unwrap().balance, euros(2 * MOST));
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_a_failure_and_never_a_decline() {
    let (_folder, database) = database(SCHEMA).await;
    let written = database.write(|connection| {
        ann(connection);
        // No currency has a digit, but the table checks only the length.
        connection.execute("update account set currency = 'E1R'", ())?;
        Ok::<_, ::store::Error>(())
    });
    written.await.unwrap();
    let error = wallet(&database, "ann").await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { table: "account", .. }), "{error}");
    assert!(matches!(facade::Failure::from(error), facade::Failure::Internal(_)));
}
