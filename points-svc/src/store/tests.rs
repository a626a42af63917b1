use clock::{Clock, Timestamp};
use facade::Failure;
use stage::{Operation, database, refusals_write_nothing, refuses};

use super::*;
use crate::{SCHEMA, points::POINTS_MAX};

fn ann(connection: &Connection) {
    open(connection, "ann").unwrap();
    earn(connection, "ann", 5, Timestamp(1)).unwrap();
    spend(connection, "ann", "O-1", 2, Timestamp(2)).unwrap();
}

/// What no rule allows, and the constraint that refuses it.
const BROKEN: &[(&str, &str)] = &[
    ("update member set balance = -1", "member_balance_not_negative"),
    ("update member set balance = balance + 9223372036854775807", "member_balance_within_64_bits"),
    ("update entry set change = 1", "the ledger is append-only"),
    ("delete from entry", "the ledger is append-only"),
    ("insert into entry values (9, 'ann', 'GIFT', 1, 1, 'O-2', 3)", "entry_kind_is_known"),
    ("insert into entry values (9, 'ann', 'SPEND', 1, 1, 'O-2', 3)", "entry_sign_fits_its_kind"),
    ("insert into entry values (9, 'ann', 'REFUND', -1, 1, 'O-2', 3)", "entry_sign_fits_its_kind"),
    ("insert into entry values (9, 'ann', 'EARN', 0, 1, null, 3)", "entry_sign_fits_its_kind"),
    ("insert into entry values (9, 'ann', 'EARN', 1, 1, 'O-2', 3)", "entry_names_its_order"),
    ("insert into entry values (9, 'ann', 'SPEND', -1, 1, null, 3)", "entry_names_its_order"),
    (
        "insert into entry values (9, 'ann', 'SPEND', -1, -1, 'O-2', 3)",
        "entry_balance_not_negative",
    ),
    ("insert into entry values (9, 'ann', 'SPEND', -1, 1, 'O-1', 3)", "entry.order_no, entry.kind"),
    ("insert into entry values (9, 'bob', 'EARN', 1, 1, null, 3)", "FOREIGN KEY"),
];

#[tokio::test]
async fn the_database_itself_refuses_what_no_rule_allows() {
    let (_folder, database) = database(SCHEMA).await;
    refuses(&database, ann, BROKEN).await;
}

fn earned(
    connection: &Connection,
    user_id: &str,
    points: i64,
) -> Result<(), participant::WorkError> {
    Ok(earn(connection, user_id, points, Timestamp(3)).map(drop)?)
}

fn spent(
    connection: &Connection,
    user_id: &str,
    order_no: &str,
    points: i64,
) -> Result<(), participant::WorkError> {
    Ok(spend(connection, user_id, order_no, points, Timestamp(3)).map(drop)?)
}

fn refunded(connection: &Connection, order_no: &str) -> Result<(), participant::WorkError> {
    Ok(refund(connection, order_no, Timestamp(3)).map(drop)?)
}

/// Every way in which a write is declined.
const REFUSALS: &[(&str, Operation)] = &[
    ("USER_UNKNOWN", |connection| Ok(set_standing(connection, "bob", true).map(drop)?)),
    ("USER_UNKNOWN", |connection| earned(connection, "bob", 1)),
    ("AMOUNT_OUT_OF_RANGE", |connection| earned(connection, "ann", POINTS_MAX)),
    ("USER_UNKNOWN", |connection| spent(connection, "bob", "O-3", 1)),
    ("INSUFFICIENT_POINTS", |connection| spent(connection, "ann", "O-3", 4)),
    ("ORDER_STATE", |connection| spent(connection, "ann", "O-1", 1)),
    ("ORDER_STATE", |connection| spent(connection, "ann", "O-2", 1)),
    ("ORDER_STATE", |connection| refunded(connection, "O-2")),
    ("ORDER_UNKNOWN", |connection| refunded(connection, "O-3")),
];

#[tokio::test]
async fn what_is_refused_has_written_nothing() {
    let (_folder, database) = database(SCHEMA).await;
    let club = |connection: &Connection| {
        ann(connection);
        spent(connection, "ann", "O-2", 1).unwrap();
        refunded(connection, "O-2").unwrap();
    };
    refusals_write_nothing(&database, club, REFUSALS).await;
}

#[tokio::test]
async fn an_account_never_holds_more_points_than_the_limit() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        ann(connection);
        earn(connection, "ann", POINTS_MAX - 4, Timestamp(3)).unwrap();
        let mut refused = Vec::new();
        for points in [2, POINTS_MAX, i64::MAX] {
            refused.push(earn(connection, "ann", points, Timestamp(3)).unwrap_err());
        }
        Ok::<_, ::store::Error>(refused)
    });
    for error in refused.await.unwrap() {
        assert!(matches!(error, Error::OverLimit { .. }), "{error}");
        assert!(matches!(participant::WorkError::from(error), participant::WorkError::Declined(_)));
    }
    assert_eq!(member(&database, "ann").await.unwrap().balance, POINTS_MAX - 1);
}

/// A member with two orders, who has earned up to the limit after each.
fn full(connection: &Connection) {
    open(connection, "full").unwrap();
    earned(connection, "full", POINTS_MAX).unwrap();
    for order_no in ["O-8", "O-9"] {
        spent(connection, "full", order_no, POINTS_MAX).unwrap();
        earned(connection, "full", POINTS_MAX).unwrap();
    }
}

#[tokio::test]
async fn points_that_are_given_back_are_never_refused_and_can_be_spent_again() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        full(connection);
        for order_no in ["O-8", "O-9"] {
            refunded(connection, order_no).unwrap();
        }
        let refused = earn(connection, "full", 1, Timestamp(3)).unwrap_err();
        spent(connection, "full", "O-10", 1).unwrap();
        Ok::<_, ::store::Error>(refused)
    });
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Error::OverLimit { .. }), "{refused}");
    assert_eq!(member(&database, "full").await.unwrap().balance, 3 * POINTS_MAX - 1);
}

#[tokio::test]
async fn points_that_cannot_be_counted_are_a_failure_and_never_a_decline() {
    let (_folder, database) = database(SCHEMA).await;
    let failed = database.write(|connection| {
        full(connection);
        // More than anybody can earn in a lifetime, so only a changed database gets here.
        connection.execute("update member set balance = 9223372036854775807", ())?;
        Ok::<_, ::store::Error>(refund(connection, "O-8", Timestamp(3)).unwrap_err())
    });
    let failed = failed.await.unwrap();
    assert!(matches!(failed, Error::Full { .. }), "{failed}");
    assert!(matches!(Failure::from(failed), Failure::Internal(_)));
    assert_eq!(member(&database, "full").await.unwrap().balance, i64::MAX);
}

#[tokio::test]
async fn a_database_of_before_takes_points_that_are_given_back_once_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("points.db");
    let (clock, _) = Clock::manual(Timestamp(1));
    let before = participant::sqlite::open(path.clone(), &SCHEMA[..1], &clock).await.unwrap();
    let filled = before.write(|connection| {
        full(connection);
        Ok::<_, ::store::Error>(())
    });
    filled.await.unwrap();
    before.close().await;

    let database = participant::sqlite::open(path, SCHEMA, &clock).await.unwrap();
    let refunded = database.write(|connection| {
        refunded(connection, "O-8").unwrap();
        Ok::<_, ::store::Error>(())
    });
    refunded.await.unwrap();
    assert_eq!(member(&database, "full").await.unwrap().balance, 2 * POINTS_MAX);
}

#[tokio::test]
async fn an_entry_that_makes_no_sense_is_a_failure_and_never_a_decline() {
    let (_folder, database) = database(SCHEMA).await;
    let written = database.write(|connection| {
        ann(connection);
        // No clock of this service goes back before the epoch, but the table does not check it.
        connection.execute(RECORD, ("ann", "EARN", 1_i64, 4_i64, None::<String>, -1_i64))?;
        Ok::<_, ::store::Error>(())
    });
    written.await.unwrap();
    let error = entries(&database, "ann", 0, 9).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { seq: 3 }), "{error}");
    assert!(matches!(Failure::from(error), Failure::Internal(_)));
}
