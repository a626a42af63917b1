//! Products, and what is said of them to who wants to order.

use std::collections::HashMap;

use money::Money;
use participant::Database;
use sqlx::{QueryBuilder, Sqlite};

use crate::{error::Error, stock::Product, store::Connection};

const UPSERT: &str = "
    insert into product (sku, title, currency, minor_units, on_sale)
    values ($1, $2, $3, $4, $5)
    on conflict (sku) do update
    set title = excluded.title, currency = excluded.currency,
        minor_units = excluded.minor_units, on_sale = excluded.on_sale";

// A product always has its row of units, so that adding to it is an update like any other change.
const BEGIN_UNITS: &str = "
    insert into stock (sku, available, frozen, sold)
    values ($1, 0, 0, 0)
    on conflict (sku) do nothing";

const QUOTES: &str = "
    select product.sku, product.title, product.currency, product.minor_units, product.on_sale, stock.available
    from product
    join stock on stock.sku = product.sku
    where product.sku in (";

const PAGE: &str = "
    select product.sku, product.title, product.currency, product.minor_units, product.on_sale, stock.available
    from product
    join stock on stock.sku = product.sku
    where product.sku > $1
    order by product.sku
    limit $2";

/// Creates the product, or changes it to this; its units stay as they are.
pub(crate) async fn upsert(connection: &mut Connection, product: &Product) -> Result<(), Error> {
    sqlx::query(UPSERT)
        .bind(&product.sku)
        .bind(&product.title)
        .bind(product.price.currency.as_str())
        .bind(product.price.minor_units)
        .bind(product.on_sale)
        .execute(&mut *connection)
        .await?;
    sqlx::query(BEGIN_UNITS).bind(&product.sku).execute(connection).await?;
    Ok(())
}

/// The products that there are of these SKUs, each with the units that are available of it.
pub(crate) async fn quotes(
    database: &Database,
    skus: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, (Product, i64)>, Error> {
    let mut query = QueryBuilder::<Sqlite>::new(QUOTES);
    let mut separated = query.separated(", ");
    for sku in skus {
        separated.push_bind(sku);
    }
    query.push(")");
    let rows: Vec<Row> = query.build_query_as().fetch_all(database.read()).await?;
    let quoted = |row: Row| {
        let available = row.available;
        Ok((row.sku.clone(), (row.product()?, available)))
    };
    rows.into_iter().map(quoted).collect()
}

/// The product.
pub(crate) async fn product(database: &Database, sku: &str) -> Result<Product, Error> {
    let found = quotes(database, [sku]).await?.remove(sku);
    found.map(|(product, _)| product).ok_or_else(|| Error::SkuUnknown { sku: sku.to_owned() })
}

/// At most `limit` products behind the SKU `after`, by SKU.
pub(crate) async fn products(
    database: &Database,
    after: &str,
    limit: i64,
) -> Result<Vec<Product>, Error> {
    let rows: Vec<Row> =
        sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(database.read()).await?;
    rows.into_iter().map(Row::product).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    sku: String,
    title: String,
    currency: String,
    minor_units: i64,
    on_sale: bool,
    available: i64,
}

impl Row {
    fn product(self) -> Result<Product, Error> {
        let Ok(currency) = self.currency.parse() else {
            return Err(Error::Unreadable { table: "product", key: self.sku });
        };
        let price = Money::new(currency, self.minor_units);
        Ok(Product { sku: self.sku, title: self.title, price, on_sale: self.on_sale })
    }
}
