//! A client that places, repeats and cancels orders, whatever happens to the mesh.

use std::time::Duration;

use futures::future::join;
use proto::checkout::v1::{CancelOrderRequest, Line, PlaceOrderRequest};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{
    record::{Answer, Request, RequestRecord},
    shop::{self, Shop},
};

/// How long a client waits between two requests, in milliseconds.
const THINK_TIME_MS: std::ops::Range<u64> = 2..30;
/// How long a client waits before it calls a mesh again that is down.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct Client {
    number: u64,
    rng: StdRng,
    shop: Shop,
    records: Vec<RequestRecord>,
    wrong: Vec<String>,
}

impl Client {
    pub(crate) fn new(number: u64, seed: u64, shop: Shop) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number));
        Self { number, rng, shop, records: Vec::new(), wrong: Vec::new() }
    }

    /// What it asked, and what it saw go wrong.
    pub(crate) fn into_parts(self) -> (Vec<RequestRecord>, Vec<String>) {
        (self.records, self.wrong)
    }

    /// Runs until it is told to stop, and ends its last request.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            let think_time = Duration::from_millis(self.rng.random_range(THINK_TIME_MS));
            self.shop.clock().sleep(think_time).await;
            match self.rng.random_range(0..20) {
                0..11 => {
                    let request = Request::Place(self.order());
                    self.send_new(request).await;
                }
                11..16 => self.repeat().await,
                16..19 => self.cancel_own().await,
                _ => self.cancel_one_being_placed().await,
            }
        }
        self
    }

    fn token(&self) -> String {
        format!("c{}-{}", self.number, self.records.len())
    }

    fn order(&mut self) -> PlaceOrderRequest {
        let user_id = match self.rng.random_range(0..10) {
            0 => shop::USER_WITHOUT_MONEY.to_owned(),
            _ => shop::user(self.rng.random_range(0..shop::USERS)),
        };
        let first = self.rng.random_range(0..shop::GOODS.len());
        let mut lines = vec![self.line(first)];
        if self.rng.random_bool(0.5) {
            lines.push(self.line((first + 1) % shop::GOODS.len()));
        }
        let points = if self.rng.random_bool(0.5) { self.rng.random_range(1..250) } else { 0 };
        PlaceOrderRequest { submit_token: self.token(), user_id, lines, points }
    }

    fn line(&mut self, goods: usize) -> Line {
        Line { sku: shop::GOODS[goods].sku.to_owned(), quantity: self.rng.random_range(1..4) }
    }

    fn cancel(&self, user_id: String, order_no: String) -> Request {
        let (submit_token, reason) = (self.token(), "changed my mind".to_owned());
        Request::Cancel(CancelOrderRequest { submit_token, user_id, order_no, reason })
    }

    async fn send_new(&mut self, request: Request) {
        self.records.push(RequestRecord::new(request));
        self.send(self.records.len() - 1).await;
    }

    /// Any of its requests again, the late ones more often: those are the ones that may have no answer.
    async fn repeat(&mut self) {
        let Some(last) = self.records.len().checked_sub(1) else { return };
        let from = if self.rng.random_bool(0.7) { last.saturating_sub(8) } else { 0 };
        let number = self.rng.random_range(from..=last);
        self.send(number).await;
    }

    /// An order of its own that was placed; now and then one that it has cancelled before.
    async fn cancel_own(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let number = self.rng.random_range(0..self.records.len());
        let RequestRecord {
            request: Request::Place(request),
            answer: Some(Answer::Place(placed)),
            ..
        } = &self.records[number]
        else {
            return;
        };
        if !placed.order_no.is_empty() {
            let request = self.cancel(request.user_id.clone(), placed.order_no.clone());
            self.send_new(request).await;
        }
    }

    /// Somebody's order that is still being placed, when there is one.
    async fn cancel_one_being_placed(&mut self) {
        let user = shop::user(self.rng.random_range(0..shop::USERS));
        if let Ok(Some(order)) = self.shop.order_being_placed(&user).await {
            let request = self.cancel(user, order.order_no);
            self.send_new(request).await;
        }
    }

    /// Sends it, sometimes twice at once, and keeps the answer.
    async fn send(&mut self, number: usize) {
        let request = self.records[number].request.clone();
        let answers = if self.rng.random_bool(0.1) {
            let (one, other) = join(self.shop.send(&request), self.shop.send(&request)).await;
            vec![one, other]
        } else {
            vec![self.shop.send(&request).await]
        };
        for answer in answers {
            match answer {
                Ok(answer) => {
                    self.records[number].during_kills = true;
                    self.wrong.extend(self.records[number].take(answer));
                }
                Err(status) if may_be_asked_again(&status) => {
                    self.shop.clock().sleep(RETRY_PAUSE).await;
                }
                Err(status) => self.wrong.push(format!("{request:?} was answered {status}")),
            }
        }
    }
}

/// Whether it says that nobody knows. INTERNAL is what a connection that breaks gives here, and then it has no details.
fn may_be_asked_again(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted => true,
        Code::Unknown | Code::Internal => status.details().is_empty(),
        _ => false,
    }
}
