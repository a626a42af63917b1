//! Three stories: an order that succeeds, one that is declined and undone, and a cancel.

use proto::{
    checkout::v1::{CancelOrderRequest, Line, PlaceOrderRequest, PlaceOrderResponse},
    saga::v1::WatchSagaRequest,
};

use super::shop::{Balances, Shop, done};
use crate::{
    command::order::new_token,
    error::{CommandError, CommandResult},
    timeline::Timeline,
};

pub(super) async fn run(shop: &Shop) -> CommandResult {
    heading("1. Ada orders two teas and a cup, and spends 300 points");
    let before = shop.balances("ada", "tea").await?;
    let placed = place(shop, "ada", &[("tea", 2), ("cup", 1)], 300).await?;
    timeline(shop, &placed.saga_id).await?;
    books("Ada", "tea", &before, &shop.balances("ada", "tea").await?);
    if placed.order_no.is_empty() {
        return explain_declined_demo(&placed);
    }
    let order_no = placed.order_no;

    heading("2. Eve orders a pot, and her wallet does not reach");
    let before = shop.balances("eve", "pot").await?;
    let declined = place(shop, "eve", &[("pot", 1)], 100).await?;
    timeline(shop, &declined.saga_id).await?;
    if let Some(result) = &declined.result {
        anstream::println!("\n  Eve is told: {}, {}", result.code, result.message);
    }
    books("Eve", "pot", &before, &shop.balances("eve", "pot").await?);

    heading(&format!("3. Ada cancels {order_no}"));
    let before = shop.balances("ada", "tea").await?;
    let cancel = CancelOrderRequest {
        submit_token: new_token(),
        user_id: "ada".to_owned(),
        order_no,
        reason: "changed my mind".to_owned(),
    };
    let cancelled = done(shop.checkout.clone().cancel_order(cancel).await)?;
    timeline(shop, &cancelled.saga_id).await?;
    books("Ada", "tea", &before, &shop.balances("ada", "tea").await?);
    Ok(())
}

/// After many demos on one folder Ada has no money left, or the shop no goods. The demo says so and ends; the mesh serves all
/// the same.
fn explain_declined_demo(placed: &PlaceOrderResponse) -> CommandResult {
    let why = placed.result.as_ref().map(|result| result.message.clone()).unwrap_or_default();
    anstream::println!(
        "\n  The order was declined: {why}\n  Start with a new --data folder to see the whole demo.\n"
    );
    Ok(())
}

async fn place(
    shop: &Shop,
    user: &str,
    lines: &[(&str, i64)],
    points: i64,
) -> CommandResult<PlaceOrderResponse> {
    let request = PlaceOrderRequest {
        submit_token: new_token(),
        user_id: user.to_owned(),
        lines: lines
            .iter()
            .map(|(sku, quantity)| Line { sku: (*sku).to_owned(), quantity: *quantity })
            .collect(),
        points,
    };
    let answer = shop.checkout.clone().place_order(request).await;
    // A decline is an expected answer here.
    answer.map(tonic::Response::into_inner).map_err(|status| {
        CommandError::of_status("the demo cannot go on", "the demo's mesh", &status)
    })
}

fn heading(text: &str) {
    let bold = anstyle::Style::new().bold();
    anstream::println!("{bold}{text}{bold:#}\n");
}

async fn timeline(shop: &Shop, saga_id: &str) -> CommandResult {
    let watch = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
    let failed = |status: &tonic::Status| {
        CommandError::of_status("the demo cannot go on", "the demo's mesh", status)
    };
    let mut events =
        shop.sagas.clone().watch_saga(watch).await.map_err(|status| failed(&status))?.into_inner();
    let mut timeline = Timeline::default();
    while let Some(response) = events.message().await.map_err(|status| failed(&status))? {
        if let Some(line) = response.event.as_ref().and_then(|event| timeline.line(event)) {
            anstream::println!("  {line}");
        }
    }
    Ok(())
}

/// What the member has and what is left, before and after.
fn books(user: &str, sku: &str, before: &Balances, after: &Balances) {
    let line = |when: &str, balances: &Balances| {
        let Balances { wallet, points, available, frozen, sold } = balances;
        anstream::println!(
            "  {when:<6} {user}: {wallet}, {points} points; {sku}: {available} available, {frozen} frozen, {sold} sold"
        );
    };
    anstream::println!();
    line("before", before);
    line("after", after);
    anstream::println!();
}
