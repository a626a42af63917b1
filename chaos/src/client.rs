//! A client: it places orders, repeats what it asked before, and cancels what it placed; it remembers every answer.

use std::{net::SocketAddr, time::Duration};

use clock::Clock;
use proto::checkout::v1::{
    CancelOrderRequest, CancelOrderResponse, Line, PlaceOrderRequest, PlaceOrderResponse,
    checkout_service_client::CheckoutServiceClient,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, transport::Channel};

use crate::{process::channel, shop};

/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a client waits for a mesh that does not answer.
const PAUSE: Duration = Duration::from_millis(10);

/// What a client asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Place(PlaceOrderRequest),
    Cancel(CancelOrderRequest),
}

/// What it was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Placed(PlaceOrderResponse),
    Cancelled(CancelOrderResponse),
}

impl Told {
    /// The code of the result.
    pub(crate) fn code(&self) -> &str {
        let result = match self {
            Self::Placed(response) => &response.result,
            Self::Cancelled(response) => &response.result,
        };
        result.as_ref().map_or("", |result| &result.code)
    }
}

/// A question, and the answer as soon as there is one.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) told: Option<Told>,
}

/// Asks once.
pub(crate) async fn ask(channel: Channel, ask: &Ask) -> Result<Told, Status> {
    let mut checkout = CheckoutServiceClient::new(channel);
    match ask.clone() {
        Ask::Place(request) => {
            let mut request = Request::new(request);
            request.set_timeout(PATIENCE);
            checkout.place_order(request).await.map(|answer| Told::Placed(answer.into_inner()))
        }
        Ask::Cancel(request) => {
            let mut request = Request::new(request);
            request.set_timeout(PATIENCE);
            checkout.cancel_order(request).await.map(|answer| Told::Cancelled(answer.into_inner()))
        }
    }
}

pub(crate) struct Client {
    number: u64,
    random: StdRng,
    place: watch::Receiver<SocketAddr>,
    clock: Clock,
    asked: Vec<Asked>,
}

impl Client {
    pub(crate) fn new(
        number: u64,
        seed: u64,
        place: watch::Receiver<SocketAddr>,
        clock: Clock,
    ) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        Self { number, random, place, clock, asked: Vec::new() }
    }

    /// Asks until it is told to stop; gives all that it asked.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Vec<Asked> {
        while !stop.is_cancelled() {
            let which = self.choose();
            let address = *self.place.borrow();
            let Ok(channel) = channel(address) else { continue };
            match ask(channel, &self.asked[which].ask).await {
                Ok(told) => self.note(which, told),
                // Whether it happened is not known: it is asked again some time, or at the end.
                Err(_) => self.clock.sleep(PAUSE).await,
            }
        }
        self.asked
    }

    /// A new question, or one that was asked before; its place in the list.
    fn choose(&mut self) -> usize {
        let next = self.asked.len();
        let dice = self.random.random_range(0..100);
        if next > 0 && dice < 25 {
            return self.random.random_range(0..next);
        }
        let ask = match self.placed() {
            Some(order_no) if dice < 45 => self.cancel(next, order_no),
            _ => self.order(next),
        };
        self.asked.push(Asked { ask, told: None });
        next
    }

    fn order(&mut self, number: usize) -> Ask {
        let mut line = || {
            let sku = match self.random.random_range(0..20) {
                0 => "no-such-sku".to_owned(),
                _ => shop::sku(self.random.random_range(0..shop::SKUS)),
            };
            Line { sku, quantity: self.random.random_range(1..4) }
        };
        let mut lines = vec![line(), line()];
        lines.dedup_by(|one, other| one.sku == other.sku);
        let user_id = match self.random.random_range(0..6) {
            0 => shop::poor(self.number),
            _ => shop::rich(self.number),
        };
        let points = self.random.random_range(0..50);
        Ask::Place(PlaceOrderRequest {
            submit_token: format!("p-{number}"),
            user_id,
            lines,
            points,
        })
    }

    fn cancel(&self, number: usize, order_no: String) -> Ask {
        Ask::Cancel(CancelOrderRequest {
            submit_token: format!("c-{number}"),
            user_id: shop::rich(self.number),
            order_no,
            reason: "changed my mind".to_owned(),
        })
    }

    /// An order that this client placed.
    fn placed(&mut self) -> Option<String> {
        let orders: Vec<&String> = self
            .asked
            .iter()
            .filter_map(|asked| match &asked.told {
                Some(Told::Placed(placed)) if !placed.order_no.is_empty() => Some(&placed.order_no),
                _ => None,
            })
            .collect();
        let which = self.random.random_range(0..orders.len().max(1));
        orders.get(which).map(|order_no| (*order_no).clone())
    }

    fn note(&mut self, which: usize, told: Told) {
        let asked = &mut self.asked[which];
        match &asked.told {
            None => asked.told = Some(told),
            Some(first) => {
                assert_eq!(*first, told, "a repeat was answered otherwise: {:?}", asked.ask)
            }
        }
    }
}
