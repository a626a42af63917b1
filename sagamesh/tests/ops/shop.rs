//! A shop whose roles run in processes of their own, and orders whose undo is stuck.

use std::{
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use clock::Clock;
use live::Clients;
use proto::{
    checkout::v1::{Line, PlaceOrderRequest, PlaceOrderResponse},
    saga::v1::{DefinitionState, ListDefinitionsRequest},
};

use crate::{
    prometheus::{Running, free_address},
    tools::{read, root},
};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// In the order of their ports, from the second on.
const SERVICES: [(&str, &str); 4] = [
    ("order", "sagamesh.order.v1.OrderService"),
    ("stock", "sagamesh.stock.v1.StockService"),
    ("points", "sagamesh.points.v1.PointsService"),
    ("payment", "sagamesh.payment.v1.PaymentService"),
];
const UNDO_OF_STOCK: &str = "\
    undo: sagamesh.stock.v1.StockService/Unfreeze
    undo_with: { order_no: create_order.order_no, reason: saga.reason }
";
/// Refused for good, so a person has to look.
const STUCK_UNDO: &str = "\
    undo: sagamesh.order.v1.OrderService/GetOrder
    undo_with: { order_no: \"'O-none'\" }
";

/// The five processes.
pub(crate) struct Shop {
    pub(crate) clients: Clients,
    /// Where each is scraped.
    pub(crate) admins: Vec<SocketAddr>,
    _roles: Vec<Running>,
}

impl Shop {
    /// Starts them, with an order whose stock is never given back, and puts tea on sale.
    pub(crate) async fn open(folder: &Path, port_base: u16) -> Self {
        let (mut roles, mut admins) = (Vec::new(), Vec::new());
        let mut start = |name: &str, port: u16, rest: &str| {
            let admin = free_address();
            roles.push(start(name, folder, (port, admin), rest));
            admins.push(admin);
        };
        let mut of_orchestrator = "participants:\n".to_owned();
        for ((name, service), port) in SERVICES.iter().zip(port_base + 1..) {
            start(name, port, "");
            writeln!(of_orchestrator, "  {service}: {{address: '127.0.0.1:{port}'}}").unwrap();
        }
        let sagas = write_stuck_order(folder);
        writeln!(of_orchestrator, "definitions: {{bundles: [shop], folder: {}}}", sagas.display())
            .unwrap();
        start("orchestrator", port_base, &of_orchestrator);
        let clients = Clients::at(port_base).unwrap();
        let shop = Self { clients, admins, _roles: roles };
        shop.fill().await;
        shop
    }

    async fn fill(&self) {
        let clock = Clock::system();
        let until = clock.now().after(START_TIMEOUT);
        while !self.has_stuck_order().await {
            assert!(clock.now() < until, "the stuck order is not registered");
            clock.sleep(Duration::from_millis(50)).await;
        }
        self.clients.add_goods("tea", 100, 1_000_000).await.unwrap();
        self.clients.add_member("ada", 1_000, 100_000_000).await.unwrap();
        self.clients.add_member("poor", 1, 1).await.unwrap();
    }

    async fn has_stuck_order(&self) -> bool {
        let mut sagas = self.clients.sagas.clone();
        let listed = sagas.list_definitions(ListDefinitionsRequest::default()).await;
        let listed = listed.map(tonic::Response::into_inner).unwrap_or_default();
        listed
            .definitions
            .iter()
            .any(|one| one.version == 2 && one.state() == DefinitionState::Registered)
    }

    /// Places an order; the answer, where there is one.
    pub(crate) async fn place(&self, user: &str, token: &str) -> Option<PlaceOrderResponse> {
        let request = PlaceOrderRequest {
            submit_token: token.to_owned(),
            user_id: user.to_owned(),
            lines: vec![Line { sku: "tea".to_owned(), quantity: 1 }],
            points: 0,
        };
        let answer = self.clients.checkout.clone().place_order(request).await;
        answer.ok().map(tonic::Response::into_inner)
    }
}

/// The shop's own definition in a later version, whose undo of the stock is refused.
fn write_stuck_order(folder: &Path) -> PathBuf {
    let sagas = folder.join("sagas");
    std::fs::create_dir(&sagas).unwrap();
    let shipped = read(&root().join("sagamesh/definitions/place-order.yaml"));
    let stuck = shipped.replace("version: 1", "version: 2").replace(UNDO_OF_STOCK, STUCK_UNDO);
    assert!(stuck.contains(STUCK_UNDO) && stuck.contains("version: 2"));
    std::fs::write(sagas.join("place-order.yaml"), stuck).unwrap();
    sagas
}

fn start(name: &str, folder: &Path, (port, admin): (u16, SocketAddr), rest: &str) -> Running {
    let (config, data) = (folder.join(format!("{name}.yaml")), folder.join(name));
    // Nobody takes the spans: exemplars name what a process sends, whoever listens.
    let text = format!(
        "listen: {{grpc: 127.0.0.1:{port}, admin: {admin}}}\ndatabase: {{folder: {}}}\n\
         telemetry: {{otlp: 127.0.0.1:9, sample: 1}}\n{rest}",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_sagamesh"))
        .args([name, "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Running(process)
}
