//! Spans of the real binary: the last ones at its end, collectors that are not there, and settings that are none.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use clock::Clock;
use collector::{Behaviour, Collector};
use proto::{
    checkout::v1::{Line, PlaceOrderRequest, checkout_service_client::CheckoutServiceClient},
    saga::v1::{CancelSagaRequest, saga_service_client::SagaServiceClient},
};
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    bounded::Started,
    metrics::{get, scrape},
    sagamesh,
};

const PLACE_ORDER: &str = "sagamesh.checkout.v1.CheckoutService/PlaceOrder";

/// A mesh that exports every trace to this address, and logs to a file in its folder.
async fn dev(folder: &Path, otlp: &str, variables: &[(&str, &str)]) -> Started {
    let mut command = sagamesh(&[]);
    command
        .env("SAGAMESH__TELEMETRY__OTLP", otlp)
        .env("SAGAMESH__TELEMETRY__SAMPLE", "1")
        .envs(variables.iter().copied());
    let log = std::fs::File::create(folder.join("log")).unwrap();
    Started::by(command, &folder.join("data"), Stdio::null(), log.into()).await
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spans_of_the_last_order_are_sent_when_the_process_is_told_to_stop() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let variables = [("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")];
    let started = dev(folder.path(), &collector.address().to_string(), &variables).await;
    started.shop.open().await;
    started.shop.place("the-last").await.expect("it is placed");
    assert!(started.stop().await.success());
    let spans = collector.spans();
    let placed = spans.iter().find(|span| span.name == PLACE_ORDER).expect("it was sent");
    assert_eq!(placed.parent, None);
    assert_eq!(placed.attribute("rpc.response.status_code"), "OK");
    assert_eq!(placed.attribute("server.address"), "127.0.0.1");
    assert_eq!(placed.resource["service.name"], "sagamesh-dev");
    assert_eq!(placed.resource["deployment.environment.name"], "test");
    let freeze = "sagamesh.stock.v1.StockService/Freeze";
    let freeze = spans.iter().find(|span| span.name == freeze).expect("its step was sent");
    assert_eq!(freeze.trace_id, placed.trace_id);
    assert_eq!(freeze.attribute("saga.direction"), "forward");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemplar_names_a_trace_that_the_collector_gets() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let variables = [("SAGAMESH__LISTEN__ADMIN", admin.as_str())];
    let started = dev(folder.path(), &collector.address().to_string(), &variables).await;
    started.shop.open().await;
    started.shop.place("t-1").await.expect("it is placed");
    let scraped = scrape(&admin).await;
    let of_order = scraped
        .samples()
        .filter(|sample| sample.name == "rpc_server_call_duration_seconds_bucket")
        .filter(|sample| sample.labels["method"] == PLACE_ORDER);
    let exemplars: Vec<_> = of_order.filter_map(|sample| sample.exemplar.as_ref()).collect();
    let [exemplar] = exemplars[..] else { panic!("one order has one bucket: {exemplars:?}") };
    assert_eq!(scraped.value("sagamesh_spans_dropped_total", &[]), Some(0.0));
    assert!(started.stop().await.success());
    let spans = collector.spans();
    let placed = spans.iter().find(|span| span.name == PLACE_ORDER).expect("it was sent");
    assert_eq!(exemplar["trace_id"], placed.trace_id);
}

/// What callers send: in a body, in a header, in words, and as a path.
const MARKERS: [&str; 5] = ["MARK-TOKEN", "MARK-USER", "MARK-SECRET", "MARK-REASON", "MARK.Path"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_callers_send_is_in_a_span_or_a_metric_and_no_header_in_the_log() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let variables = [("SAGAMESH__LISTEN__ADMIN", admin.as_str())];
    let started = dev(folder.path(), &collector.address().to_string(), &variables).await;
    started.shop.open().await;
    let [token, user, secret, reason, path] = MARKERS;
    let mut order = Request::new(PlaceOrderRequest {
        submit_token: token.to_owned(),
        user_id: user.to_owned(),
        lines: vec![Line { sku: "tea".to_owned(), quantity: 1 }],
        points: 0,
    });
    order.metadata_mut().insert("authorization", secret.parse().unwrap());
    let mut checkout = CheckoutServiceClient::new(started.shop.channel(0));
    let declined = checkout.place_order(order).await.unwrap().into_inner();
    assert!(!declined.result.unwrap().success, "the user has no wallet");
    let cancel = CancelSagaRequest { saga_id: declined.saga_id, reason: reason.to_owned() };
    let mut sagas = SagaServiceClient::new(started.shop.channel(0));
    let refused = sagas.cancel_saga(cancel).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut astray = Grpc::new(started.shop.channel(0));
    astray.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let unknown = astray.unary(Request::new(()), format!("/{path}/Do").parse().unwrap(), codec);
    assert_eq!(unknown.await.unwrap_err().code(), Code::Unimplemented);

    let (_, metrics) = get(&admin, "/metrics").await;
    assert!(started.stop().await.success());
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "saga.summary"), "{spans:?}");
    let spans = format!("{spans:?}");
    for marker in MARKERS {
        assert!(!spans.contains(marker), "{marker} is in {spans}");
        assert!(!metrics.contains(marker), "{marker} is in {metrics}");
    }
    let log = log(folder.path());
    assert!(!log.contains(secret), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_holds_up_neither_an_order_nor_the_end() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    collector.behave(Behaviour::Hang);
    let variables = [
        ("OTEL_SERVICE_NAME", "shop"),
        ("SAGAMESH__LIMITS__STOP_TIMEOUT", "4s"),
        ("SAGAMESH__LIMITS__CONNECTIONS__DRAIN_TIMEOUT", "1s"),
    ];
    let started = dev(folder.path(), &collector.address().to_string(), &variables).await;
    started.shop.open().await;
    started.shop.place("while-it-hangs").await.expect("it is placed");
    // An end that is cut off has another exit code.
    let status = started.stop().await;
    assert!(status.success(), "{status}: {}", log(folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_is_told_once_and_so_is_that_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = dev(folder.path(), &format!("http://{address}"), &[]).await;
    started.shop.open().await;
    let clock = Clock::system();
    let told = async |what: &str| {
        let waiting = async {
            while !log(folder.path()).contains(what) {
                clock.sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = clock.timeout(Duration::from_secs(30), waiting).await;
        assert!(in_time.is_ok(), "{what:?} is not told: {}", log(folder.path()));
    };
    told("the collector takes no spans").await;
    started.shop.place("while-it-is-away").await.expect("it is placed");
    let collector = Collector::start_at(address);
    let mut number = 0;
    while collector.spans().is_empty() {
        number += 1;
        started.shop.place(&format!("again-{number}")).await.expect("it is placed");
        clock.sleep(Duration::from_millis(100)).await;
    }
    told("the collector takes spans again").await;
    assert!(started.stop().await.success());
    let log = log(folder.path());
    assert_eq!(log.matches("the collector takes no spans").count(), 1, "{log}");
    assert_eq!(log.matches("the collector takes spans again").count(), 1, "{log}");
    assert!(log.contains(&address.to_string()), "{log}");
}

#[test]
fn settings_that_are_none_are_refused_with_their_name_and_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value, setting, cure) in [
        ("--otlp", "https://collector:4317", "telemetry.otlp (--otlp)", "there is no TLS yet"),
        ("--otlp", "collector", "telemetry.otlp (--otlp)", "HOST:PORT"),
        ("--otlp", "http://collector:4317/v1", "telemetry.otlp (--otlp)", "HOST:PORT"),
        ("--otlp", "", "telemetry.otlp (--otlp)", "HOST:PORT"),
        ("--sample", "1.5", "telemetry.sample (--sample)", "from 0 to 1"),
        ("--sample", "-0.1", "telemetry.sample (--sample)", "from 0 to 1"),
        ("--sample", "NaN", "telemetry.sample (--sample)", "from 0 to 1"),
        ("--sample", "half", "--sample", "invalid"),
    ] {
        let output = sagamesh(&["dev", "--port-base", "0", flag, value, "--data"])
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {told}");
        assert!(told.contains(setting) && told.contains(cure), "{flag} {value}: {told}");
    }
    for (line, setting, cure) in [
        ("otlp: https://collector:4317", "telemetry.otlp", "there is no TLS yet"),
        ("otlp: 4317", "telemetry.otlp", "string"),
        ("sample: 2", "telemetry.sample", "from 0 to 1"),
        ("sample: .nan", "config.yaml", "non-finite float `.nan`"),
        ("sample: most", "telemetry.sample", "from 0 to 1"),
        ("metrics: perhaps", "telemetry.metrics", "boolean"),
        ("jaeger: there", "telemetry.jaeger", "unknown field"),
    ] {
        for role in ["orchestrator", "stock"] {
            let file = folder.path().join("config.yaml");
            std::fs::write(&file, format!("telemetry: {{ {line} }}\n")).unwrap();
            let output = sagamesh(&[role, "--config"]).arg(&file).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{role} {line}: {told}");
            assert!(told.contains(setting) && told.contains(cure), "{role} {line}: {told}");
        }
    }
}
