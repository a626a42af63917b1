//! What a whole mesh measures: one registry for five roles, scraped from its first moment to its last.

use std::{collections::BTreeSet, path::Path, process::Stdio};

use clock::Clock;
use facade::config::Telemetry;
use metrics::{Registry, exposition::Exposition, reference};
use proto::stock::v1::{AddStockRequest, stock_service_client::StockServiceClient};
use sagamesh::mesh::{self, Config, Database, Listen, Mesh};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use crate::{port_base, refused, sagamesh, shop::Shop};

async fn open(folder: &Path, telemetry: Telemetry) -> (Mesh, Shop) {
    let base = port_base();
    let config = Config {
        listen: Listen { port_base: base, ..Listen::default() },
        database: Database { folder: folder.to_owned() },
        telemetry,
        ..Config::default()
    };
    (mesh::start(config, Clock::system()).await.unwrap(), Shop { base })
}

struct Running {
    admin: String,
    metrics: Registry,
    shop: Shop,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), String>>,
}

async fn start(folder: &Path) -> Running {
    let (mesh, shop) = open(folder, Telemetry::default()).await;
    let admin = mesh.addresses().admin.to_string();
    let process = mesh.into_process();
    let metrics = process.metrics().clone();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(process.run(async {
        let _ = stopped.await;
    }));
    Running { admin, metrics, shop, stop, ended }
}

/// Status line and body.
pub(crate) async fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

pub(crate) async fn scrape(admin: &str) -> Exposition {
    let (status, body) = get(admin, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    Exposition::parse(&body).unwrap()
}

/// A call that the stock's inbox knows again.
async fn add_stock(shop: Shop) {
    let (request_id, sku) = ("r".to_owned(), "tea".to_owned());
    let add = AddStockRequest { request_id, sku, quantity: 100_000 };
    StockServiceClient::new(shop.channel(2)).add_stock(add).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_roles_have_each_family_once_and_every_label_is_in_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    running.shop.open().await;
    running.shop.place("t-1").await.unwrap();
    let scraped = scrape(&running.admin).await;
    let catalogue = running.metrics.catalogue();
    for (name, family) in &scraped.families {
        let known = catalogue.iter().find(|known| known.name.trim_end_matches("_total") == name);
        let known = known.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(
            (&known.kind.to_string(), format!("{}.", known.help)),
            (&family.kind, family.help.clone())
        );
        for sample in &family.samples {
            let labels = sample.labels.keys().map(String::as_str).filter(|label| *label != "le");
            assert_eq!(
                labels.collect::<BTreeSet<_>>(),
                known.labels.iter().copied().collect(),
                "the labels of {name}"
            );
        }
    }
    let databases: BTreeSet<_> = scraped.families["saga_store_op_duration_seconds"]
        .samples
        .iter()
        .map(|sample| sample.labels["database"].as_str())
        .collect();
    assert_eq!(databases, ["orchestrator", "order", "payment", "points", "stock"].into());
    let ready = &scraped.families["sagamesh_ready"].samples;
    assert_eq!(ready.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_move_by_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    running.shop.open().await;
    add_stock(running.shop).await;
    for _ in 0..2 {
        running.shop.place("t-1").await.unwrap();
    }
    let scraped = scrape(&running.admin).await;
    let value = |name: &str, labels: &[(&str, &str)]| {
        scraped.value(name, labels).unwrap_or_else(|| panic!("{name}{labels:?} is not there"))
    };
    let of_stock = [("service", "sagamesh.stock.v1.StockService"), ("method", "AddStock")];
    assert_eq!(value("saga_idempotent_replays_total", &of_stock), 1.0);
    let place =
        [("method", "sagamesh.checkout.v1.CheckoutService/PlaceOrder"), ("status_code", "OK")];
    assert_eq!(value("rpc_server_call_duration_seconds_count", &place), 2.0);
    let freeze = [("method", "sagamesh.stock.v1.StockService/Freeze"), ("status_code", "OK")];
    assert_eq!(value("rpc_server_call_duration_seconds_count", &freeze), 1.0);
    assert_eq!(value("rpc_client_call_duration_seconds_count", &freeze), 1.0);
    let of_deliveries = [("database", "stock"), ("decision", "done")];
    assert!(value("sagamesh_inbox_deliveries_total", &of_deliveries) >= 3.0);
    for op in ["commit", "write"] {
        let labels = [("op", op), ("backend", "sqlite"), ("database", "orchestrator")];
        assert!(value("saga_store_op_duration_seconds_count", &labels) >= 2.0, "{op}");
        assert!(value("saga_store_op_duration_seconds_sum", &labels) > 0.0, "{op}");
    }
    let of_database = [("database", "orchestrator")];
    assert!(value("sagamesh_store_writes_per_commit_sum", &of_database) >= 2.0);
    assert!(value("saga_schema_version", &of_database) >= 1.0);
    assert_eq!(value("sagamesh_retention_held_seconds", &of_database), 0.0);
    assert_eq!(value("saga_store_pool_size", &of_database), 6.0);
    assert!(value("tokio_alive_tasks", &[]) > 5.0);
    assert!(value("sagamesh_connections_open", &[("listener", "admin")]) >= 1.0);
    assert_eq!(value("sagamesh_calls_in_flight", &[]), 0.0);
    assert_eq!(value("sagamesh_budget_held_bytes", &[("purpose", "requests")]), 0.0);
    assert_eq!(value("sagamesh_log_lines_dropped_total", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_that_measures_nothing_has_no_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let off = Telemetry { metrics: false, ..Telemetry::default() };
    let (mesh, shop) = open(folder.path(), off).await;
    let admin = mesh.addresses().admin.to_string();
    let process = mesh.into_process();
    let metrics = process.metrics().clone();
    tokio::spawn(process.run(std::future::pending()));
    shop.open().await;
    shop.place("t-1").await.unwrap();
    assert_eq!(get(&admin, "/metrics").await.0, "HTTP/1.1 404 Not Found");
    assert!(metrics.catalogue().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_while_the_mesh_stops_is_whole_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    running.shop.open().await;
    let admin = running.admin.clone();
    let scraping = tokio::spawn(async move {
        let mut scrapes = 0;
        // Until nobody listens any more.
        while let Ok(mut stream) = TcpStream::connect(&admin).await {
            let request =
                format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
            let mut answer = String::new();
            let sent = stream.write_all(request.as_bytes()).await;
            if sent.is_err()
                || stream.read_to_string(&mut answer).await.is_err()
                || answer.is_empty()
            {
                continue;
            }
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            Exposition::parse(body).unwrap();
            scrapes += 1;
        }
        scrapes
    });
    while scrape(&running.admin).await.value("sagamesh_ready", &[]) != Some(5.0) {}
    running.stop.send(()).unwrap();
    running.ended.await.unwrap().unwrap();
    assert!(scraping.await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_in_the_documents_are_those_that_the_mesh_registers() {
    let folder = tempfile::tempdir().unwrap();
    let (mesh, _) = open(folder.path(), Telemetry::default()).await;
    let page = reference::page(&mesh.into_process().metrics().catalogue());
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let written = concat!(env!("CARGO_TARGET_TMPDIR"), "/metrics.md");
    std::fs::write(written, &page).unwrap();
    let is_the_same = std::fs::read_to_string(kept).is_ok_and(|kept| kept == page);
    assert!(is_the_same, "take what was written anew: cp {written} docs/metrics.md");
}

#[test]
fn an_admin_port_that_is_taken_is_told_by_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = taken.local_addr().unwrap();
    let file = folder.path().join("config.yaml");
    let listen = format!("listen: {{grpc: '127.0.0.1:0', admin: '{admin}'}}\n");
    let database = format!("database: {{folder: '{}'}}\n", folder.path().join("data").display());
    std::fs::write(&file, listen + &database).unwrap();
    for role in ["stock", "orchestrator"] {
        let mut start = sagamesh(&[role, "--config"]);
        let output = start.arg(&file).stdout(Stdio::null()).output().unwrap();
        let text = refused(&output);
        let port = admin.port().to_string();
        assert!(text.contains("listen.admin") && text.contains(&port), "{role}: {text}");
    }
}
