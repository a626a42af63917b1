//! What comes beyond the limit of calls in flight is refused at once, and whatever ends a call makes room.

use std::{num::NonZeroUsize, sync::Arc, task::Poll, time::Duration};

use clock::{Clock, Timestamp};
use facade::{Facade, log::Calls};
use futures::{FutureExt, poll};
use prost::Message;
use proto::{
    checkout::v1::{Line, PlaceOrderRequest},
    facade::v1::Reason,
};
use tokio::sync::Semaphore;
use tonic::Code;
use tonic_types::pb;
use tracing::Level;

use crate::{
    logged::Logged,
    server::{Answer, Sent, Shop, framed},
};

const PLACE_ORDER: &str = "/sagamesh.checkout.v1.CheckoutService/PlaceOrder";

fn order() -> Sent {
    let order = PlaceOrderRequest {
        user_id: "u-1".to_owned(),
        submit_token: "t".to_owned(),
        lines: vec![Line { sku: "tea".to_owned(), quantity: 1 }],
        ..PlaceOrderRequest::default()
    };
    Sent::new(PLACE_ORDER, framed(&order.encode_to_vec()))
}

/// Two calls may be in flight, and none is answered before the gate has a permit for it.
fn shop() -> (Shop, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let facade = Facade::new(Clock::system(), Calls::Notable).shedding(NonZeroUsize::new(2));
    (Shop::behind(facade, Arc::clone(&gate)), gate)
}

fn at_once(answer: impl Future<Output = Answer>) -> Answer {
    answer.now_or_never().expect("it is answered without waiting")
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_told_when_to_come_again_and_reaches_no_handler() {
    let (shop, gate) = shop();
    let (mut one, mut other) = (Box::pin(shop.call(order())), Box::pin(shop.call(order())));
    assert!(poll!(&mut one).is_pending() && poll!(&mut other).is_pending());
    for _ in 0..3 {
        let refused = at_once(shop.call(order()));
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let (info, result) = refused.details();
        assert_eq!((info.reason.as_str(), result.success), (Reason::Overloaded.code(), false));
        let again: pb::RetryInfo = refused.detail("google.rpc.RetryInfo");
        assert!(again.retry_delay.is_some_and(|delay| delay.nanos > 0 || delay.seconds > 0));
    }
    assert_eq!(shop.orders(), 2);
    gate.add_permits(2);
    assert_eq!((one.await.code(), other.await.code()), (Code::Ok, Code::Ok));
}

#[tokio::test]
async fn an_answer_and_a_caller_that_goes_away_each_make_room_for_one() {
    let (shop, gate) = shop();
    let (mut answered, mut gone) = (Box::pin(shop.call(order())), Box::pin(shop.call(order())));
    assert!(poll!(&mut answered).is_pending() && poll!(&mut gone).is_pending());
    let is_full = || at_once(shop.call(order())).code() == Code::ResourceExhausted;
    assert!(is_full());

    drop(gone);
    let mut next = Box::pin(shop.call(order()));
    assert!(poll!(&mut next).is_pending() && is_full());

    gate.add_permits(1);
    assert_eq!(answered.await.code(), Code::Ok);
    let mut last = Box::pin(shop.call(order()));
    assert!(poll!(&mut last).is_pending() && is_full());
    assert_eq!(shop.orders(), 4);
}

#[tokio::test]
async fn a_refused_call_is_not_waited_for_its_body_and_takes_no_room_itself() {
    let (shop, _gate) = shop();
    let mut waiting: Vec<_> =
        (0..2).map(|_| Box::pin(shop.call(Sent::without_body(PLACE_ORDER)))).collect();
    for call in &mut waiting {
        assert!(matches!(poll!(call), Poll::Pending), "it waits for its body");
    }
    let refused = at_once(shop.call(Sent::without_body(PLACE_ORDER)));
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(waiting);
    let broken = at_once(shop.call(Sent::new(PLACE_ORDER, framed(b"\xff"))));
    assert_eq!(broken.code(), Code::InvalidArgument);
    let unknown = at_once(shop.call(Sent::new("/nowhere.v1.None/Nothing", framed(b""))));
    assert_eq!(unknown.code(), Code::Unimplemented);
    let mut orders = [Box::pin(shop.call(order())), Box::pin(shop.call(order()))];
    for order in &mut orders {
        assert!(poll!(order).is_pending(), "what was refused has given its room back");
    }
}

#[tokio::test]
async fn health_and_reflection_are_answered_by_a_process_that_is_full() {
    let (shop, _gate) = shop();
    let mut orders = [Box::pin(shop.call(order())), Box::pin(shop.call(order()))];
    for order in &mut orders {
        assert!(poll!(order).is_pending());
    }
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!(shop.call(Sent::new(path, framed(b""))).await.code(), Code::Ok, "{path}");
    }
}

#[tokio::test]
async fn clones_of_a_facade_count_together_and_one_with_another_limit_by_itself() {
    let facade = Facade::new(Clock::system(), Calls::Notable).shedding(NonZeroUsize::new(1));
    let closed = || Arc::new(Semaphore::new(0));
    let one = Shop::behind(facade.keeping_inbox(None), closed());
    let other = Shop::behind(facade.clone(), closed());
    let free = Shop::behind(facade.shedding(None), closed());
    let mut first = Box::pin(one.call(order()));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(at_once(other.call(order())).code(), Code::ResourceExhausted);
    assert!(free.call(order()).now_or_never().is_none());
}

#[tokio::test]
async fn calls_that_are_refused_for_one_reason_have_ten_lines_a_second_and_the_next_counts_the_others()
 {
    let (clock, time) = Clock::manual(Timestamp(1_000));
    let facade = Facade::new(clock, Calls::Notable).shedding(NonZeroUsize::new(1));
    let shop = Shop::behind(facade, Arc::new(Semaphore::new(0)));
    let mut first = Box::pin(shop.call(order()));
    assert!(poll!(&mut first).is_pending());
    let logged = Logged::at(Level::INFO);
    for _ in 0..100 {
        at_once(shop.call(order()));
    }
    time.advance(Duration::from_secs(1));
    at_once(shop.call(order()));
    let lines = logged.lines();
    let counts: Vec<_> = lines.iter().map(|line| line["calls"].as_u64()).collect();
    assert_eq!(counts, [vec![None; 10], vec![Some(91)]].concat());
    assert_eq!(lines[0]["reason"], Reason::Overloaded.code());
    assert_eq!(lines[0]["span"]["method"], PLACE_ORDER);
}
