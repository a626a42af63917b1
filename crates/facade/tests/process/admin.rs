//! Health on the admin listener, over HTTP/1.1 and over gRPC.

use clock::Clock;
use facade::{
    Facade,
    config::Connections,
    log::Calls,
    process::Process,
    readiness::{Part, Readiness},
    server::{DynamicMethods, Server},
};
use metrics::{Registry, exposition::Exposition};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

struct Running {
    readiness: Readiness,
    methods: DynamicMethods,
    admin: String,
    grpc: String,
    database: Part,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), String>>,
}

async fn start() -> Running {
    start_measured_by(Registry::new()).await
}

async fn start_measured_by(metrics: Registry) -> Running {
    let process = Process::new(Clock::system(), Connections::default());
    let mut process = process.measured_by(metrics.clone());
    let (admin, grpc) = (listener().await, listener().await);
    let addresses = [&admin, &grpc].map(|listener| listener.local_addr().unwrap().to_string());
    process.serve_admin_on(admin);
    let readiness = Readiness::default();
    let database = readiness.part("database");
    let server = Server::new(Facade::new(Clock::system(), Calls::Notable).measured_by(metrics));
    let methods = server.dynamic();
    process.stage();
    process.serve("stock", &readiness, server.build(), grpc).await;
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(process.run(async {
        let _ = stopped.await;
    }));
    let [admin, grpc] = addresses;
    Running { readiness, methods, admin, grpc, database, stop, ended }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Status line and body.
async fn get(address: &str, path: &str) -> (String, String) {
    let (head, body) = request("GET", address, path).await;
    (head.lines().next().unwrap().to_owned(), body)
}

/// Head and body.
async fn request(method: &str, address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn health(address: &str) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    HealthClient::new(endpoint.connect_lazy())
}

/// Waits until health says this of the key, as it is told of changes.
async fn wait_for(address: &str, key: &str, wanted: ServingStatus) {
    let request = HealthCheckRequest { service: key.to_owned() };
    let mut said = health(address).watch(request).await.unwrap().into_inner();
    while said.message().await.unwrap().unwrap().status() != wanted {}
}

#[tokio::test]
async fn a_role_is_alive_from_the_first_moment_and_ready_when_its_parts_are() {
    let running = start().await;
    let (status, body) = get(&running.admin, "/livez").await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "alive\n"));
    let (status, body) = get(&running.admin, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "stock: database: it is starting\n");
    running.database.ready();
    let (status, body) = get(&running.admin, "/readyz").await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ready\n"));
    running.database.not_ready("the disk is full");
    let (status, body) = get(&running.admin, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "stock: database: the disk is full\n");
    let (status, _) = get(&running.admin, "/livez").await;
    assert_eq!(status, "HTTP/1.1 200 OK", "life depends on nothing");
}

#[tokio::test]
async fn grpc_health_follows_on_both_listeners() {
    let running = start().await;
    for address in [&running.admin, &running.grpc] {
        wait_for(address, "liveness", ServingStatus::Serving).await;
        wait_for(address, "readiness", ServingStatus::NotServing).await;
        wait_for(address, "", ServingStatus::NotServing).await;
    }
    running.database.ready();
    for address in [&running.admin, &running.grpc] {
        wait_for(address, "readiness", ServingStatus::Serving).await;
    }
    running.database.not_ready("the disk is full");
    for address in [&running.admin, &running.grpc] {
        wait_for(address, "readiness", ServingStatus::NotServing).await;
        wait_for(address, "liveness", ServingStatus::Serving).await;
    }
}

#[tokio::test]
async fn a_service_that_comes_while_the_process_runs_has_health_on_both_listeners() {
    let running = start().await;
    running.database.ready();
    let pool = prost_reflect::DescriptorPool::new();
    running.methods.show("late.v1.Late", &pool);
    for address in [&running.admin, &running.grpc] {
        wait_for(address, "late.v1.Late", ServingStatus::Serving).await;
    }
    running.database.not_ready("the disk is full");
    for address in [&running.admin, &running.grpc] {
        wait_for(address, "late.v1.Late", ServingStatus::NotServing).await;
    }
}

#[tokio::test]
async fn what_a_role_lacks_while_it_takes_work_is_told_and_keeps_nobody_away() {
    let running = start().await;
    running.database.ready();
    running.readiness.set_lacks(vec!["the definition in a.yaml is pending: why".to_owned()]);
    let (status, body) = get(&running.admin, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(body, "ready\nstock: the definition in a.yaml is pending: why\n");
    running.readiness.set_lacks(Vec::new());
    assert_eq!(get(&running.admin, "/readyz").await.1, "ready\n");
}

#[tokio::test]
async fn the_index_names_the_paths_and_no_other_is_found() {
    let running = start().await;
    let (status, body) = get(&running.admin, "/").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("/livez") && body.contains("/readyz"), "{body}");
    let (status, _) = get(&running.admin, "/no-such-page").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn a_role_that_stops_is_not_ready_while_what_runs_still_drains() {
    let (admin, grpc) = (listener().await, listener().await);
    let [admin_address, grpc_address] =
        [&admin, &grpc].map(|listener| listener.local_addr().unwrap().to_string());
    let mut process = Process::new(Clock::system(), Connections::default());
    process.serve_admin_on(admin);
    let server = Server::new(Facade::new(Clock::system(), Calls::Notable)).build();
    process.stage();
    process.serve("stock", &Readiness::default(), server, grpc).await;
    process.stage();
    let (finish, finished) = oneshot::channel::<()>();
    process.spawn("the sagas", async move |stop: CancellationToken| {
        stop.cancelled().await;
        finished.await.unwrap();
        Ok(())
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(process.run(async { stopped.await.unwrap() }));
    wait_for(&grpc_address, "readiness", ServingStatus::Serving).await;
    stop.send(()).unwrap();
    for address in [&admin_address, &grpc_address] {
        wait_for(address, "readiness", ServingStatus::NotServing).await;
        wait_for(address, "liveness", ServingStatus::Serving).await;
    }
    let (_, body) = get(&admin_address, "/readyz").await;
    assert_eq!(body, "stock: process: it is stopping\n");
    finish.send(()).unwrap();
    assert_eq!(ended.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn the_admin_listener_ends_last_and_the_process_well() {
    let running = start().await;
    running.database.ready();
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Ok(()));
    assert!(TcpStream::connect(&running.admin).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_the_process_measures_is_scraped_in_the_form_that_its_type_names() {
    let metrics = Registry::new();
    let running = start_measured_by(metrics.clone()).await;
    metrics.counters("a_total", "A", []).with([]).add(3);
    let (head, body) = request("GET", &running.admin, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    assert_eq!(Exposition::parse(&body).unwrap().value("a_total", &[]), Some(3.0));
    let (of_head, nothing) = request("HEAD", &running.admin, "/metrics").await;
    assert!(of_head.starts_with("HTTP/1.1 200 OK") && of_head.contains(kind), "{of_head}");
    assert_eq!(nothing, "");
    let (_, index) = get(&running.admin, "/").await;
    assert!(index.contains("/metrics"), "{index}");
}

#[tokio::test]
async fn a_process_that_measures_nothing_has_nothing_to_scrape() {
    let running = start_measured_by(Registry::off()).await;
    let (status, body) = get(&running.admin, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(body.contains("telemetry.metrics"), "{body}");
}
