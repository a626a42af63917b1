//! The orders that somebody else places while the attack goes on: what the attack is measured by.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use clock::{Clock, Timestamp};
use live::Clients;
use proto::{
    checkout::v1::{CancelOrderRequest, Line, PlaceOrderRequest},
    facade::v1::ResultInfo,
};
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

/// Orders come from another address than attacks, as another client would.
const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const INTERVAL: Duration = Duration::from_millis(100);
/// An order without an answer by then counts with this latency.
pub(crate) const ORDER_TIMEOUT: Duration = Duration::from_secs(20);
/// So many orders come before one that is cancelled.
const ORDERS_PER_CANCEL: u64 = 10;

pub(crate) const USER: &str = "beside";
pub(crate) const SKU: &str = "tea";

/// What became of an order.
#[derive(Clone, Debug)]
enum OrderResult {
    Served,
    /// It was told to come again later.
    Refused,
    Failed(String),
}

#[derive(Clone, Debug)]
struct Order {
    due: Timestamp,
    took: Duration,
    result: OrderResult,
}

/// Orders that are placed until they are stopped.
pub(crate) struct Orders {
    stop: CancellationToken,
    placed: oneshot::Receiver<Result<OrderStats>>,
}

impl Orders {
    /// Places one every 100 ms, whatever becomes of those before: every second over a new connection, every tenth is
    /// cancelled too. On a thread of their own, so that the attack's work here does not keep them waiting.
    pub(crate) fn start(port_base: u16, clock: &Clock) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (tell, placed) = oneshot::channel();
        let (stop, clock) = (CancellationToken::new(), clock.clone());
        let stopped = stop.clone();
        std::thread::Builder::new().name("orders".to_owned()).spawn(move || {
            // Nobody listens any more when the attack was given up.
            let _ = tell.send(runtime.block_on(place_all(port_base, clock, stopped)));
        })?;
        Ok(Self { stop, placed })
    }

    /// Places no more, and waits for what is under way.
    pub(crate) async fn stop(self) -> Result<OrderStats> {
        self.stop.cancel();
        self.placed.await?
    }
}

async fn place_all(port_base: u16, clock: Clock, stop: CancellationToken) -> Result<OrderStats> {
    let kept = Clients::from(CLIENT_ADDRESS, port_base)?;
    let started = clock.now();
    let (mut under_way, mut due, mut number) = (JoinSet::new(), started, 0);
    while !stop.is_cancelled() {
        let clients = match number % 2 {
            0 => Ok(kept.clone()),
            _ => Clients::from(CLIENT_ADDRESS, port_base),
        };
        under_way.spawn(place(clients, number, due, clock.clone()));
        (due, number) = (due.after(INTERVAL), number + 1);
        clock.sleep_until(due).await;
    }
    Ok(OrderStats { started, orders: under_way.join_all().await })
}

async fn place(clients: Result<Clients>, number: u64, due: Timestamp, clock: Clock) -> Order {
    let ordering = async {
        let clients = clients.map_err(|error| Status::internal(error.to_string()))?;
        order(&clients, number).await
    };
    let result = match clock.timeout(ORDER_TIMEOUT, ordering).await {
        Ok(Ok(())) => OrderResult::Served,
        Ok(Err(status)) if is_push_back(&status) => OrderResult::Refused,
        Ok(Err(status)) => {
            OrderResult::Failed(format!("{:?}: {}", status.code(), status.message()))
        }
        Err(clock::Elapsed) => OrderResult::Failed(format!("no answer within {ORDER_TIMEOUT:?}")),
    };
    Order { due, took: clock.now().since(due), result }
}

/// Whether the caller was told to come again later, in good order.
fn is_push_back(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted
}

/// Places an order. Every tenth is cancelled at once, and the two count as one.
async fn order(clients: &Clients, number: u64) -> Result<(), Status> {
    let request = PlaceOrderRequest {
        submit_token: format!("beside-{number}"),
        user_id: USER.to_owned(),
        lines: vec![Line { sku: SKU.to_owned(), quantity: 1 }],
        points: 0,
    };
    let placed = clients.checkout.clone().place_order(within(request)).await?.into_inner();
    well(placed.result)?;
    if number % ORDERS_PER_CANCEL != ORDERS_PER_CANCEL - 1 {
        return Ok(());
    }
    let cancel = CancelOrderRequest {
        submit_token: format!("cancel-{number}"),
        user_id: USER.to_owned(),
        order_no: placed.order_no,
        reason: String::new(),
    };
    well(clients.checkout.clone().cancel_order(within(cancel)).await?.into_inner().result)
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ORDER_TIMEOUT);
    request
}

fn well(result: Option<ResultInfo>) -> Result<(), Status> {
    match result {
        Some(result) if result.success => Ok(()),
        result => Err(Status::aborted(format!("declined: {result:?}"))),
    }
}

/// What became of all orders.
#[derive(Clone, Debug)]
pub(crate) struct OrderStats {
    started: Timestamp,
    orders: Vec<Order>,
}

impl OrderStats {
    pub(crate) fn placed(&self) -> usize {
        self.orders.len()
    }

    pub(crate) fn served(&self) -> usize {
        self.orders.iter().filter(|order| matches!(order.result, OrderResult::Served)).count()
    }

    pub(crate) fn refused(&self) -> usize {
        self.orders.iter().filter(|order| matches!(order.result, OrderResult::Refused)).count()
    }

    /// Those that got neither, and what the first of them got.
    pub(crate) fn failed(&self) -> (usize, Option<&str>) {
        let whys = || {
            self.orders.iter().filter_map(|order| match &order.result {
                OrderResult::Failed(why) => Some(why.as_str()),
                OrderResult::Served | OrderResult::Refused => None,
            })
        };
        (whys().count(), whys().next())
    }

    /// The time from when an order was due to its answer. `at` is between 0 and 1.
    pub(crate) fn latency(&self, at: f64) -> Duration {
        let mut took: Vec<Duration> = self.orders.iter().map(|order| order.took).collect();
        took.sort();
        let index = (took.len() as f64 * at).ceil() as usize;
        took.get(index.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The longest time in which no order was served.
    pub(crate) fn longest_stall(&self) -> Duration {
        let served = self.orders.iter().filter(|order| matches!(order.result, OrderResult::Served));
        let mut answered: Vec<Timestamp> =
            served.map(|order| order.due.after(order.took)).collect();
        answered.sort();
        let ended = self.orders.iter().map(|order| order.due.after(order.took)).max();
        let mut before = self.started;
        let mut longest = Duration::ZERO;
        for at in answered.into_iter().chain(ended) {
            longest = longest.max(at.since(before));
            before = before.max(at);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(orders: &[(u64, u64, OrderResult)]) -> OrderStats {
        let orders = orders.iter().map(|(due, took, result)| Order {
            due: Timestamp(*due),
            took: Duration::from_millis(*took),
            result: result.clone(),
        });
        OrderStats { started: Timestamp(1_000), orders: orders.collect() }
    }

    #[test]
    fn the_longest_stall_is_between_two_orders_that_were_served() {
        let stats = stats(&[
            (1_000, 10, OrderResult::Served),
            (1_100, 900, OrderResult::Served),
            (1_200, 100, OrderResult::Refused),
        ]);
        assert_eq!(stats.longest_stall(), Duration::from_millis(990));
    }

    #[test]
    fn orders_that_are_never_served_are_one_stall() {
        let stats = stats(&[
            (1_000, 20_000, OrderResult::Failed("no".to_owned())),
            (1_100, 5, OrderResult::Refused),
        ]);
        assert_eq!(stats.longest_stall(), Duration::from_secs(20));
        assert_eq!((stats.placed(), stats.served(), stats.refused()), (2, 0, 1));
        assert_eq!(stats.failed(), (1, Some("no")));
    }

    #[test]
    fn the_99th_of_a_hundred_latencies_is_the_second_longest() {
        let orders: Vec<_> = (1..=100).map(|took| (1_000, took, OrderResult::Served)).collect();
        assert_eq!(stats(&orders).latency(0.99), Duration::from_millis(99));
        assert_eq!(stats(&orders).latency(0.5), Duration::from_millis(50));
    }
}
