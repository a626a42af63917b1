//! Whether the books add up, read from the services' databases alone.

use std::path::Path;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Sums that must be nothing, whatever has happened: what each is of, its database, its query.
const NOTHING: [(&str, &str, &str); 8] = [
    (
        "units of a SKU beside those that were ever added",
        "stock",
        "select count(*) from stock where available + frozen + sold <> \
         (select coalesce(sum(quantity), 0) from flow where flow.sku = stock.sku and kind = 'ADD')",
    ),
    (
        "frozen units without a reservation",
        "stock",
        "select count(*) from stock where frozen <> (select coalesce(sum(quantity), 0) from reservation_line l \
         join reservation r on r.order_no = l.order_no where l.sku = stock.sku and r.state = 'FROZEN')",
    ),
    (
        "sold units without a reservation",
        "stock",
        "select count(*) from stock where sold <> (select coalesce(sum(quantity), 0) from reservation_line l \
         join reservation r on r.order_no = l.order_no where l.sku = stock.sku and r.state = 'SOLD')",
    ),
    (
        "points beside the ledger's",
        "points",
        "select count(*) from member where balance <> \
         (select coalesce(sum(change), 0) from entry where entry.user_id = member.user_id)",
    ),
    ("money from nowhere", "payment", "select coalesce(sum(amount), 0) from movement"),
    (
        "transactions that do not balance",
        "payment",
        "select count(*) from (select 1 from movement group by transaction_no having sum(amount) <> 0)",
    ),
    (
        "balances beside the ledger's",
        "payment",
        "select count(*) from account where balance <> \
         (select coalesce(sum(amount), 0) from movement where movement.account = account.id)",
    ),
    ("keys left claimed", "order", "select count(*) from inbox where kind = 'claimed'"),
];

/// Fails where the books of the mesh in `data` do not add up.
pub(crate) async fn assert_sound(data: &Path) {
    for (what, file, query) in NOTHING {
        let mut connection = open(data, file).await;
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        assert_eq!(count, 0, "{what}");
        connection.close().await.unwrap();
    }
}

/// A database of the mesh, beside its own connections.
pub(crate) async fn open(data: &Path, name: &str) -> SqliteConnection {
    let file = data.join(format!("{name}.db"));
    let options =
        SqliteConnectOptions::new().filename(file).busy_timeout(std::time::Duration::from_secs(10));
    SqliteConnection::connect_with(&options).await.unwrap()
}
