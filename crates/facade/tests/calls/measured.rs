//! What is measured of calls that come in and go out: by what they came to, and never by what a stranger says.

use std::{num::NonZeroUsize, sync::Arc};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use facade::{
    Decline, Facade, Trace,
    caller::{Client, Outgoing, Transport},
    log::Calls,
    server::Server,
};
use futures::poll;
use http::{HeaderMap, uri::PathAndQuery};
use metrics::{Registry, exposition::Exposition};
use prost::Message;
use proto::checkout::v1::{Line, PlaceOrderRequest};
use tokio::sync::Semaphore;
use tonic::{Code, service::Routes};

use crate::server::{Sent, Shop, framed};

const METHOD: &str = "sagamesh.checkout.v1.CheckoutService/PlaceOrder";
const PATH: &str = "/sagamesh.checkout.v1.CheckoutService/PlaceOrder";

fn order() -> Sent {
    let order = PlaceOrderRequest {
        user_id: "u-1".to_owned(),
        submit_token: "t".to_owned(),
        lines: vec![Line { sku: "tea".to_owned(), quantity: 1 }],
        ..PlaceOrderRequest::default()
    };
    Sent::new(PATH, framed(&order.encode_to_vec()))
}

fn scraped(metrics: &Registry) -> Exposition {
    Exposition::parse(&metrics.encode()).unwrap()
}

/// How many calls of the method came to this status.
fn calls(metrics: &Registry, method: &str, code: &str) -> Option<f64> {
    let labels = [("method", method), ("status_code", code)];
    scraped(metrics).value("rpc_server_call_duration_seconds_count", &labels)
}

fn facade(metrics: &Registry) -> Facade {
    Facade::new(Clock::system(), Calls::Notable).measured_by(metrics.clone())
}

fn open_gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
}

#[tokio::test]
async fn a_call_is_counted_by_its_method_and_status_and_a_method_is_there_before_its_first() {
    let metrics = Registry::new();
    let shop = Shop::behind(facade(&metrics), open_gate());
    assert_eq!(calls(&metrics, METHOD, "OK"), Some(0.0));
    for _ in 0..3 {
        assert_eq!(shop.call(order()).await.code(), Code::Ok);
    }
    let broken = Sent::new(PATH, framed(b"\xff"));
    assert_eq!(shop.call(broken).await.code(), Code::InvalidArgument);
    assert_eq!(calls(&metrics, METHOD, "OK"), Some(3.0));
    assert_eq!(calls(&metrics, METHOD, "INVALID_ARGUMENT"), Some(1.0));
    assert_eq!(calls(&metrics, METHOD, "UNAVAILABLE"), None);
    let taken = scraped(&metrics).value("rpc_server_call_duration_seconds_sum", &[]).unwrap();
    assert!(taken > 0.0 && taken < 5.0, "four calls took {taken} seconds");
}

#[tokio::test]
async fn a_flood_of_unknown_methods_is_one_series() {
    const PATHS: [&str; 4] =
        ["/a.v1.B/C", "/a.v1.B/D", "/", "/sagamesh.checkout.v1.CheckoutService/X"];
    let metrics = Registry::new();
    let shop = Shop::behind(facade(&metrics), open_gate());
    for path in PATHS {
        assert_eq!(shop.call(Sent::new(path, framed(b""))).await.code(), Code::Unimplemented);
    }
    assert_eq!(calls(&metrics, "_OTHER", "UNIMPLEMENTED"), Some(4.0));
    let scraped = scraped(&metrics);
    let methods: std::collections::BTreeSet<_> =
        scraped.samples().filter_map(|sample| sample.labels.get("method")).collect();
    assert_eq!(methods.into_iter().collect::<Vec<_>>(), ["_OTHER", METHOD]);
}

#[tokio::test]
async fn a_decline_is_counted_by_its_reason_and_made_up_reasons_are_one_series() {
    let metrics = Registry::new();
    let code = |made_up: &str| {
        let labels = [
            ("service", "sagamesh.checkout.v1.CheckoutService"),
            ("method", "PlaceOrder"),
            ("code", made_up),
        ];
        scraped(&metrics).value("saga_business_declines_total", &labels)
    };
    for (reason, times) in [("INSUFFICIENT_STOCK", 2), ("MADE_UP_1", 1), ("MADE_UP_2", 1)] {
        let decline = Decline { code: reason.to_owned(), message: "no".to_owned() };
        let shop = Shop::declining(facade(&metrics), decline);
        for _ in 0..times {
            assert_eq!(shop.call(order()).await.code(), Code::Ok, "a decline is an answer");
        }
    }
    assert_eq!((code("INSUFFICIENT_STOCK"), code("OTHER")), (Some(2.0), Some(2.0)));
    assert_eq!((code("MADE_UP_1"), code("OK")), (None, None));
    assert_eq!(calls(&metrics, METHOD, "OK"), Some(4.0));
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_is_cancelled_and_one_beyond_the_limit_is_refused() {
    let (metrics, gate) = (Registry::new(), Arc::new(Semaphore::new(0)));
    let facade = facade(&metrics).shedding(NonZeroUsize::new(1));
    let shop = Shop::behind(facade, Arc::clone(&gate));
    let mut gone = Box::pin(shop.call(order()));
    assert!(poll!(&mut gone).is_pending());
    assert_eq!(shop.call(order()).await.code(), Code::ResourceExhausted);
    drop(gone);
    assert_eq!(calls(&metrics, METHOD, "CANCELLED"), Some(1.0));
    assert_eq!(calls(&metrics, METHOD, "RESOURCE_EXHAUSTED"), Some(1.0));
    assert_eq!(calls(&metrics, METHOD, "OK"), Some(0.0));
}

#[tokio::test]
async fn what_is_measured_of_a_call_is_the_time_of_its_clock_in_seconds() {
    let (metrics, gate) = (Registry::new(), Arc::new(Semaphore::new(0)));
    let (clock, time) = Clock::manual(Timestamp(0));
    let facade = Facade::new(clock, Calls::Notable).measured_by(metrics.clone());
    let shop = Shop::behind(facade, Arc::clone(&gate));
    let mut call = Box::pin(shop.call(order()));
    assert!(poll!(&mut call).is_pending());
    time.advance(std::time::Duration::from_millis(3));
    gate.add_permits(1);
    assert_eq!(call.await.code(), Code::Ok);
    let scraped = scraped(&metrics);
    assert_eq!(scraped.value("rpc_server_call_duration_seconds_sum", &[]), Some(0.003));
    let below = |bound| {
        let labels = [("le", bound), ("status_code", "OK")];
        scraped.value("rpc_server_call_duration_seconds_bucket", &labels)
    };
    assert_eq!((below("0.0025"), below("0.005")), (Some(0.0), Some(1.0)));
}

#[tokio::test]
async fn health_has_a_name_of_its_own() {
    let metrics = Registry::new();
    let shop = Shop::on(Server::new(facade(&metrics)));
    let health = "/grpc.health.v1.Health/Check";
    assert_eq!(shop.call(Sent::new(health, framed(b""))).await.code(), Code::Ok);
    assert_eq!(calls(&metrics, &health[1..], "OK"), Some(1.0));
}

#[tokio::test]
async fn a_call_that_goes_out_is_counted_by_what_it_came_to() {
    let metrics = Registry::new();
    let client = Client::new(Clock::system(), Transport::InProcess(Routes::default()));
    let client = client.measured_by(&metrics);
    let descriptor = proto::descriptors()
        .get_service_by_name("sagamesh.checkout.v1.CheckoutService")
        .and_then(|service| service.methods().next())
        .unwrap();
    for _ in 0..2 {
        let call = Outgoing {
            path: PathAndQuery::from_static(PATH),
            request: Bytes::new(),
            headers: HeaderMap::new(),
            trace: &Trace::start(),
            limit: std::time::Duration::from_secs(5),
            descriptor: &descriptor,
        };
        let stream = client.stream(&call, std::time::Duration::ZERO).await.unwrap();
        client.unary(stream, call).await.unwrap_err();
    }
    let labels = [("method", METHOD), ("status_code", "UNIMPLEMENTED")];
    let count = scraped(&metrics).value("rpc_client_call_duration_seconds_count", &labels);
    assert_eq!(count, Some(2.0));
}

#[tokio::test]
async fn where_nothing_is_measured_nothing_is_counted() {
    let metrics = Registry::off();
    let shop = Shop::behind(facade(&metrics), open_gate());
    assert_eq!(shop.call(order()).await.code(), Code::Ok);
    assert_eq!((metrics.encode().as_str(), metrics.catalogue().len()), ("", 0));
}
