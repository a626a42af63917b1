//! `sagamesh dev --demo`: a small shop, and three stories in it, told through the same API as everybody's.

mod shop;
mod story;

use crate::{error::CommandResult, mesh::Addresses};
use shop::Shop;

/// Fills the shop and tells the stories.
pub(crate) async fn run(addresses: &Addresses) -> CommandResult {
    let shop = Shop::at(addresses)?;
    shop.fill().await?;
    story::run(&shop).await
}
