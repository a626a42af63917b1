//! The messages of stock, from and to the domain.

use facade::{Failure, wire::instant};
use money::Money;
use proto::stock::v1 as wire;

use crate::{
    stock::{Change, Line, Product, Units},
    store::Flow,
};

pub(super) fn lines(lines: &[wire::Line]) -> Vec<Line> {
    lines.iter().map(|line| Line { sku: line.sku.clone(), quantity: line.quantity }).collect()
}

pub(super) fn to_wire(lines: Vec<Line>) -> Vec<wire::Line> {
    lines.into_iter().map(|Line { sku, quantity }| wire::Line { sku, quantity }).collect()
}

pub(super) fn quoted(sku: String, found: Option<(Product, i64)>) -> wire::QuotedLine {
    match found {
        None => wire::QuotedLine { sku, ..wire::QuotedLine::default() },
        Some((Product { price, on_sale, .. }, available)) => {
            wire::QuotedLine { sku, found: true, on_sale, price: Some(price.into()), available }
        }
    }
}

/// # Errors
/// INVALID_ARGUMENT where the price is missing or has no currency.
pub(super) fn product(request: &wire::UpsertProductRequest) -> Result<Product, Failure> {
    let price = request.price.as_ref().ok_or_else(|| Failure::invalid("price", "must be set"))?;
    let price = Money::try_from(price)
        .map_err(|error| Failure::invalid("price.currency", error.to_string()))?;
    let (sku, title) = (request.sku.clone(), request.title.clone());
    Ok(Product { sku, title, price, on_sale: request.on_sale })
}

pub(super) fn stock(sku: String, units: Units) -> wire::Stock {
    let Units { available, frozen, sold } = units;
    wire::Stock { sku, available, frozen, sold }
}

impl From<Product> for wire::Product {
    fn from(product: Product) -> Self {
        let Product { sku, title, price, on_sale } = product;
        Self { sku, title, price: Some(price.into()), on_sale }
    }
}

impl From<Flow> for wire::Flow {
    fn from(flow: Flow) -> Self {
        Self {
            seq: flow.seq,
            sku: flow.line.sku,
            kind: kind(flow.change).into(),
            quantity: flow.line.quantity,
            order_no: flow.order_no.unwrap_or_default(),
            at: Some(instant(flow.at)),
        }
    }
}

fn kind(change: Change) -> wire::FlowKind {
    match change {
        Change::Add => wire::FlowKind::Add,
        Change::Freeze => wire::FlowKind::Freeze,
        Change::Confirm => wire::FlowKind::Confirm,
        Change::Unfreeze => wire::FlowKind::Unfreeze,
        Change::Restock => wire::FlowKind::Restock,
    }
}
