//! Products, and what is said of them to who wants to order.

use std::collections::HashMap;

use ::store::{Database, Row};
use money::Money;

use crate::{error::Error, stock::Product, store::Connection};

const UPSERT: &str = "
    insert into product (sku, title, currency, minor_units, on_sale)
    values (?1, ?2, ?3, ?4, ?5)
    on conflict (sku) do update
    set title = excluded.title, currency = excluded.currency,
        minor_units = excluded.minor_units, on_sale = excluded.on_sale";

// A product always has its row of units, so that adding to it is an update like any other change.
const BEGIN_UNITS: &str = "
    insert into stock (sku, available, frozen, sold)
    values (?1, 0, 0, 0)
    on conflict (sku) do nothing";

const QUOTE: &str = "
    select product.sku, product.title, product.currency, product.minor_units, product.on_sale, stock.available
    from product
    join stock on stock.sku = product.sku
    where product.sku = ?1";

const PAGE: &str = "
    select product.sku, product.title, product.currency, product.minor_units, product.on_sale, stock.available
    from product
    join stock on stock.sku = product.sku
    where product.sku > ?1
    order by product.sku
    limit ?2";

/// Creates the product, or changes it to this; its units stay as they are.
pub(crate) fn upsert(connection: &Connection, product: &Product) -> Result<(), Error> {
    let Product { sku, title, price, on_sale } = product;
    let price = (price.currency.as_str(), price.minor_units);
    connection.execute(UPSERT, (sku, title, price.0, price.1, on_sale))?;
    connection.execute(BEGIN_UNITS, [sku])?;
    Ok(())
}

/// The products that there are of these SKUs, each with the units that are available of it.
pub(crate) async fn quotes(
    database: &Database,
    skus: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, (Product, i64)>, Error> {
    let skus: Vec<String> = skus.into_iter().map(str::to_owned).collect();
    let read = database.read(move |connection| {
        let mut quotes = HashMap::with_capacity(skus.len());
        for sku in skus {
            let quote = connection.optional(QUOTE, [&sku], quote)?;
            quotes.extend(quote.map(|quote| (sku, quote)));
        }
        Ok(quotes)
    });
    read.await
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
    let page = (after.to_owned(), limit);
    database.read(move |connection| connection.all(PAGE, page, read)).await
}

fn quote(row: &Row<'_>) -> Result<(Product, i64), Error> {
    Ok((read(row)?, row.get(5)?))
}

fn read(row: &Row<'_>) -> Result<Product, Error> {
    let (sku, currency): (String, String) = (row.get(0)?, row.get(2)?);
    let Ok(currency) = currency.parse() else {
        return Err(Error::Unreadable { table: "product", key: sku });
    };
    let price = Money::new(currency, row.get(3)?);
    Ok(Product { sku, title: row.get(1)?, price, on_sale: row.get(4)? })
}
