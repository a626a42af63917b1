//! What is measured of a process: who was let in, who was not and why, and whether it can take work.

use std::{num::NonZero, time::Duration};

use clock::{Clock, ManualTime, Timestamp};
use facade::{
    Facade,
    config::Connections,
    log::Calls,
    process::Process,
    readiness::{Part, Readiness},
    server::Server,
};
use metrics::{Registry, exposition::Exposition};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

struct Running {
    address: String,
    metrics: Registry,
    time: ManualTime,
    database: Part,
}

async fn serve(limits: Connections) -> Running {
    let (clock, time) = Clock::manual(Timestamp(0));
    let metrics = Registry::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut process = Process::new(clock.clone(), limits).measured_by(metrics.clone());
    let facade = Facade::new(clock, Calls::Notable).shedding(NonZero::new(7));
    let readiness = Readiness::default();
    let database = readiness.part("database");
    let server = Server::new(facade.measured_by(metrics.clone())).build();
    process.serve("stock", &readiness, server, listener).await;
    tokio::spawn(process.run(std::future::pending()));
    Running { address, metrics, time, database }
}

impl Running {
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let scraped = Exposition::parse(&self.metrics.encode()).unwrap();
        scraped.value(name, labels).unwrap_or_else(|| panic!("{name}{labels:?} is not there"))
    }

    /// Waits until the value is this: the server does what it does a moment later.
    async fn wait_for(&self, name: &str, labels: &[(&str, &str)], wanted: f64) {
        while self.value(name, labels) != wanted {
            tokio::task::yield_now().await;
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// A connection that has said what it speaks, and was answered.
    async fn greeted(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(PREFACE).await.unwrap();
        stream.read_u8().await.unwrap();
        stream
    }
}

const OF_STOCK: (&str, &str) = ("listener", "stock");

#[tokio::test]
async fn a_connection_that_is_refused_is_counted_by_the_limit_that_refused_it() {
    let one = NonZero::new(1).unwrap();
    let of_all = Connections { max: one, ..Connections::default() };
    let of_address = Connections { max_per_address: one, ..Connections::default() };
    for (limits, cause) in [(of_all, "max"), (of_address, "max_per_address")] {
        let running = serve(limits).await;
        let _held = running.greeted().await;
        let refused = [OF_STOCK, ("cause", cause)];
        assert_eq!(running.value("sagamesh_connections_open", &[OF_STOCK]), 1.0);
        assert_eq!(running.value("sagamesh_connections_refused_total", &refused), 0.0);
        for times in [1.0, 2.0] {
            let mut rest = Vec::new();
            running.connect().await.read_to_end(&mut rest).await.unwrap();
            running.wait_for("sagamesh_connections_refused_total", &refused, times).await;
        }
        let all = running.value("sagamesh_connections_refused_total", &[OF_STOCK]);
        assert_eq!(all, 2.0, "no other cause");
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_counted_by_how() {
    let running = serve(Connections::default()).await;
    let closed = |cause| [OF_STOCK, ("cause", cause)];
    let mut silent = running.connect().await;
    let (_, ()) = tokio::join!(silent.read_u8(), running.time.advance_to_next());
    running.wait_for("sagamesh_connections_closed_total", &closed("silence"), 1.0).await;

    let mut broken = running.greeted().await;
    // A frame of a stream that is not open.
    broken.write_all(b"\0\0\0\0\0\0\0\0\x09").await.unwrap();
    running.wait_for("sagamesh_connections_closed_total", &closed("error"), 1.0).await;
    running.wait_for("sagamesh_connections_open", &[OF_STOCK], 0.0).await;

    drop(running.greeted().await);
    running.wait_for("sagamesh_connections_open", &[OF_STOCK], 0.0).await;
    assert_eq!(running.value("sagamesh_connections_closed_total", &[OF_STOCK]), 3.0);
    assert_eq!(running.value("sagamesh_connections_closed_total", &closed("silence")), 1.0);
    running.time.advance(Duration::from_secs(1));
}

#[tokio::test]
async fn a_role_is_ready_in_what_is_measured_when_it_is() {
    let running = serve(Connections::default()).await;
    let (role, of_database) = (("role", "stock"), ("part", "database"));
    assert_eq!(running.value("sagamesh_ready", &[role]), 0.0);
    assert_eq!(running.value("sagamesh_part_ready", &[role, of_database]), 0.0);
    assert_eq!(running.value("sagamesh_part_ready", &[role, ("part", "listener")]), 1.0);
    running.database.ready();
    assert_eq!(running.value("sagamesh_ready", &[role]), 1.0);
    assert_eq!(running.value("sagamesh_part_ready", &[role, of_database]), 1.0);
}

#[tokio::test]
async fn a_limit_of_calls_in_flight_is_told_beside_them() {
    let running = serve(Connections::default()).await;
    let role = [("role", "stock")];
    assert_eq!(running.value("sagamesh_calls_in_flight_limit", &role), 7.0);
    assert_eq!(running.value("sagamesh_calls_in_flight", &role), 0.0);
    assert_eq!(running.value("sagamesh_calls_shed_total", &role), 0.0);
}
