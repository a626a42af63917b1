use facade::Failure;
use participant::Store;
use stage::{database, refuses};

use super::*;
use crate::SCHEMA;

fn ann(connection: &Connection) {
    open(connection, "ann").unwrap();
    earn(connection, "ann", 5, Timestamp(1)).unwrap();
    spend(connection, "ann", "O-1", 2, Timestamp(2)).unwrap();
}

/// What no rule allows, and the constraint that refuses it.
const BROKEN: &[(&str, &str)] = &[
    ("update member set balance = -1", "member_balance_not_negative"),
    ("update member set balance = 1000000000000001", "member_balance_within_limit"),
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
    refuses(&database, |connection| ann(connection), BROKEN).await;
}

#[tokio::test]
async fn an_account_never_holds_more_points_than_the_limit() {
    let (_folder, database) = database(SCHEMA).await;
    let refused = database.write(|connection| {
        Box::pin(async move {
            ann(connection);
            earn(connection, "ann", POINTS_MAX - 4, Timestamp(3)).unwrap();
            let mut refused = Vec::new();
            for points in [2, POINTS_MAX, i64::MAX] {
                refused.push(earn(connection, "ann", points, Timestamp(3)).unwrap_err());
            }
            Ok::<_, participant::store::Error>(refused)
        })
    });
    for error in refused.await.unwrap() {
        assert!(matches!(error, Error::OverLimit { .. }), "{error}");
        assert!(matches!(participant::Failure::from(error), participant::Failure::Declined(_)));
    }
    assert_eq!(member(&database, "ann").await.unwrap().balance, POINTS_MAX - 1);
}

#[tokio::test]
async fn an_entry_that_makes_no_sense_is_a_failure_and_never_a_decline() {
    let (_folder, database) = database(SCHEMA).await;
    let written = database.write(|connection| {
        Box::pin(async move {
            ann(connection);
            // No clock that this service knows goes back before the epoch; the table does not look.
            connection.execute(RECORD, ("ann", "EARN", 1, 4, None::<String>, -1))?;
            Ok::<_, participant::store::Error>(())
        })
    });
    written.await.unwrap();
    let error = entries(&database, "ann", 0, 9).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { seq: 3 }), "{error}");
    assert!(matches!(Failure::from(error), Failure::Internal(_)));
}
