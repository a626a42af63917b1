//! `sagamesh order`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clock::Clock;
use proto::{
    checkout::v1::{
        CancelOrderRequest, Line, PlaceOrderRequest, checkout_service_client::CheckoutServiceClient,
    },
    facade::v1 as shared,
    order::v1::{GetOrderRequest, Order as Shown, order_service_client::OrderServiceClient},
};
use uuid::Uuid;

use crate::{
    arguments::{AcceptLoss, ConfigFile, Format, Global},
    connect::{self, request, success},
    error::{CommandError, CommandResult},
    output, role,
};

/// Orders; with --config, the order service itself.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true, after_long_help = role::SERVICE)]
pub(crate) struct Order {
    /// Run the order service alone, by this YAML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    accept: AcceptLoss,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Place an order
    #[command(after_help = "Examples:\n  sagamesh order place --user ada --line tea=2\n  \
                            sagamesh order place --user ada --line tea=2 --line cup=1 --points 100 --token my-first")]
    Place(Place),
    /// Cancel an order, whatever its state
    #[command(after_help = "Examples:\n  sagamesh order cancel O-123 --user ada\n  \
                            sagamesh order cancel O-123 --user ada --reason 'changed my mind'")]
    Cancel(Cancel),
    /// Show an order and how it came to its state
    #[command(
        after_help = "Examples:\n  sagamesh order get O-123\n  sagamesh order get O-123 -o json"
    )]
    Get(Get),
}

#[derive(Debug, Args)]
struct Place {
    /// Who orders
    #[arg(long)]
    user: String,
    /// What, and how many: SKU=QUANTITY; may be repeated
    #[arg(long = "line", required = true, value_name = "SKU=QUANTITY", value_parser = line)]
    lines: Vec<Line>,
    /// Points to spend; one is worth one minor unit
    #[arg(long, default_value_t = 0)]
    points: i64,
    /// The idempotency key: a repeat under it gets the same order. Made and shown when it is left out
    #[arg(long)]
    token: Option<String>,
}

#[derive(Debug, Args)]
struct Cancel {
    /// The order's number
    order_no: String,
    /// Whose order it is
    #[arg(long)]
    user: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// The idempotency key: a repeat under it gets the same answer. Made and shown when it is left out
    #[arg(long)]
    token: Option<String>,
}

#[derive(Debug, Args)]
struct Get {
    /// The order's number
    order_no: String,
    /// The order service's address; the port above the orchestrator's when it is left out
    #[arg(long, value_name = "ADDRESS")]
    order_server: Option<String>,
}

fn line(text: &str) -> Result<Line, String> {
    let told = || "must be SKU=QUANTITY, for example tea=2".to_owned();
    let (sku, quantity) = text.split_once('=').ok_or_else(told)?;
    match (sku, quantity.parse()) {
        ("", _) | (_, Err(_)) => Err(told()),
        (sku, Ok(quantity)) => Ok(Line { sku: sku.to_owned(), quantity }),
    }
}

pub(crate) async fn run(global: &Global, order: Order) -> CommandResult {
    match (order.verb, order.config) {
        (Some(Verb::Place(order)), _) => place(global, order).await,
        (Some(Verb::Cancel(order)), _) => cancel(global, order).await,
        (Some(Verb::Get(order)), _) => get(global, order).await,
        (None, Some(config)) => role::run_order(ConfigFile { config, accept: order.accept }).await,
        // clap shows the help where no argument is given, but counts an address in the environment as one.
        (None, None) => Err(CommandError::new(2, "what should be done with an order is not said")
            .with_next_step("say place, cancel or get; see `sagamesh order --help`")),
    }
}

/// A token that nobody else has.
pub(crate) fn new_token() -> String {
    let now = Clock::system().now();
    let nanos = u32::try_from(now.0 % 1_000 * 1_000_000).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now.0 / 1_000, nanos)).to_string()
}

/// The token that was given, or a new one, which is shown so that the command can be repeated.
fn token(given: Option<String>) -> String {
    given.unwrap_or_else(|| {
        let token = new_token();
        anstream::eprintln!("token {token}");
        token
    })
}

async fn place(global: &Global, order: Place) -> CommandResult {
    let submit_token = token(order.token);
    let message = PlaceOrderRequest {
        submit_token,
        user_id: order.user,
        lines: order.lines,
        points: order.points,
    };
    let mut client = CheckoutServiceClient::new(connect::orchestrator(global)?);
    let answer = client.place_order(request(global, message)).await;
    let placed = success("the order was not placed", global, answer)?;
    if global.output == Format::Json {
        return output::json(&placed);
    }
    let rows = [vec![
        placed.order_no,
        placed.state.trim_start_matches("ORDER_STATE_").to_owned(),
        money(placed.total.as_ref()),
        money(placed.paid.as_ref()),
        placed.saga_id,
    ]];
    output::table(&["ORDER", "STATE", "TOTAL", "PAID", "SAGA"], &rows);
    Ok(())
}

async fn cancel(global: &Global, order: Cancel) -> CommandResult {
    let message = CancelOrderRequest {
        submit_token: token(order.token),
        user_id: order.user,
        order_no: order.order_no,
        reason: order.reason,
    };
    let mut client = CheckoutServiceClient::new(connect::orchestrator(global)?);
    let answer = client.cancel_order(request(global, message)).await;
    let cancelled = success("the order was not cancelled", global, answer)?;
    if global.output == Format::Json {
        return output::json(&cancelled);
    }
    let state = cancelled.state.trim_start_matches("ORDER_STATE_").to_owned();
    output::table(
        &["ORDER", "STATE", "SAGA"],
        &[vec![cancelled.order_no, state, cancelled.saga_id]],
    );
    Ok(())
}

async fn get(global: &Global, order: Get) -> CommandResult {
    let server = match order.order_server {
        Some(server) => server,
        None => connect::beside(global, 1)?,
    };
    let global = Global { server: server.clone(), ..global.clone() };
    let mut client = OrderServiceClient::new(connect::channel(&server)?);
    let answer =
        client.get_order(request(&global, GetOrderRequest { order_no: order.order_no })).await;
    let found = success("the order was not found", &global, answer)?;
    if global.output == Format::Json {
        return output::json(&found);
    }
    let order = found.order.ok_or_else(|| CommandError::new(1, "the answer has no order"))?;
    show(&order);
    Ok(())
}

fn show(order: &Shown) {
    let state = order.state().as_str_name().trim_start_matches("ORDER_STATE_");
    let rows = [
        ["order", &order.order_no],
        ["user", &order.user_id],
        ["state", state],
        ["total", &money(order.total.as_ref())],
        ["points", &order.points.to_string()],
        ["paid", &money(order.paid.as_ref())],
        ["saga", &order.saga_id],
    ];
    output::table(&["", ""], &rows.map(|row| row.map(str::to_owned).to_vec()));
    let lines: Vec<Vec<String>> = order
        .lines
        .iter()
        .map(|line| {
            vec![line.sku.clone(), line.quantity.to_string(), money(line.unit_price.as_ref())]
        })
        .collect();
    anstream::println!();
    output::table(&["SKU", "QUANTITY", "UNIT PRICE"], &lines);
    let transitions: Vec<Vec<String>> = order
        .transitions
        .iter()
        .map(|moved| {
            let to = moved.to().as_str_name().trim_start_matches("ORDER_STATE_").to_owned();
            vec![output::instant(moved.at.as_ref()), to, moved.reason.clone()]
        })
        .collect();
    anstream::println!();
    output::table(&["WHEN", "BECAME", "WHY"], &transitions);
}

fn money(money: Option<&shared::Money>) -> String {
    money
        .and_then(|money| money::Money::try_from(money).ok())
        .map(|money| money.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sku_and_a_quantity() {
        assert_eq!(line("tea=2"), Ok(Line { sku: "tea".to_owned(), quantity: 2 }));
        for broken in ["", "tea", "=2", "tea=", "tea=two", "tea=99999999999999999999"] {
            assert!(line(broken).is_err(), "{broken}");
        }
    }
}
