//! Nobody can make it stop: outputs that nobody reads, connections that say nothing, and few files.

use std::{
    io::{PipeReader, PipeWriter, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use clock::Clock;
use futures::{StreamExt, stream};
use proto::stock::v1::{GetStockRequest, stock_service_client::StockServiceClient};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tonic::Code;

use crate::{port_base, sagamesh, shop::Shop};

/// How soon a process ends that is told to, whatever it is doing.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A process whose output the test decides on; killed when the test ends, however it ends.
pub(crate) struct Started {
    child: Child,
    pub(crate) shop: Shop,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Started {
    /// Starts `dev` and waits until its ports are taken.
    pub(crate) async fn by(
        mut command: Command,
        data: &Path,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Self {
        let base = port_base();
        let child = command
            .args(["dev", "--port-base", &base.to_string(), "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let started = Self { child, shop: Shop { base } };
        let clock = Clock::system();
        let listens = async {
            while started.connect().is_err() {
                clock.sleep(Duration::from_millis(20)).await;
            }
        };
        clock.timeout(Duration::from_secs(30), listens).await.unwrap();
        started
    }

    fn connect(&self) -> Result<TcpStream, std::io::Error> {
        TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.shop.base)))
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let clock = Clock::system();
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                clock.sleep(Duration::from_millis(20)).await;
            }
        };
        clock.timeout(STOP_LIMIT, ended).await.expect("it ends in time")
    }
}

/// A pipe that takes not a byte more until it is read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    const CAPACITY: usize = 64 << 10;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&vec![b'.'; CAPACITY]).unwrap();
    (reader, writer)
}

/// Calls that are refused, each with a line in the log.
async fn are_refused(shop: Shop, calls: usize) {
    let client = StockServiceClient::new(shop.channel(2));
    let refused = stream::iter(0..calls).map(|_| {
        let mut client = client.clone();
        async move {
            let answer = client.get_stock(GetStockRequest { sku: String::new() }).await;
            assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
        }
    });
    refused.buffer_unordered(100).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_nobody_reads_hold_up_neither_an_order_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let ((_unread, stdout), (_unread_too, stderr)) = (full_pipe(), full_pipe());
    let started = Started::by(sagamesh(&[]), folder.path(), stdout.into(), stderr.into()).await;
    started.shop.open().await;
    are_refused(started.shop, 3_000).await;
    started.shop.place("while-nobody-reads").await.expect("the order is placed");
    let status = started.stop().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_of_refused_calls_are_sampled_and_none_is_lost_where_somebody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, stderr) = std::io::pipe().unwrap();
    let started = Started::by(sagamesh(&[]), folder.path(), Stdio::null(), stderr.into()).await;
    are_refused(started.shop, 3_000).await;
    assert!(started.stop().await.success());
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    let lines = said.matches("call refused").count();
    assert!((10..1_000).contains(&lines), "{lines} lines");
    assert!(!said.contains("lines were dropped"), "{said}");
}

/// As many files as the test needs.
fn raise_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_files_any_number_of_silent_connections_shuts_nobody_out() {
    raise_files();
    let folder = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_sagamesh")]);
    let (mut log, stderr) = std::io::pipe().unwrap();
    let started = Started::by(limited, folder.path(), Stdio::null(), stderr.into()).await;
    started.shop.open().await;
    let silent: Vec<_> = (0..1_100).map(|_| started.connect().unwrap()).collect();
    for number in 0..20 {
        let token = format!("t-{number}");
        let placed = started.shop.place(&token);
        let placed = Clock::system().timeout(Duration::from_secs(5), placed).await;
        placed.expect("a new client is served").expect("the order is placed");
    }
    assert!(started.stop().await.success());
    drop(silent);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(said.contains("limits.connections.max is") && said.contains("1024 files"), "{said}");
    assert!(!said.contains("no connection can be accepted"), "{said}");
}

#[test]
fn a_listener_that_others_reach_is_told_by_its_setting_and_one_on_loopback_is_not() {
    for (listens, told) in [("0.0.0.0:0", true), ("'[::]:0'", true), ("127.0.0.1:0", false)] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("stock.yaml");
        let data = folder.path().join("data");
        let text =
            format!("listen: {{grpc: {listens}}}\ndatabase: {{folder: {}}}\n", data.display());
        std::fs::write(&config, text).unwrap();
        let mut child =
            sagamesh(&["stock", "--config"]).arg(&config).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains("serving") {
            let mut bytes = [0; 1024];
            let read = stderr.read(&mut bytes).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&bytes[..read]);
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(child.wait().unwrap().success());
        stderr.read_to_end(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(said.matches("listen.grpc").count(), usize::from(told), "{listens}: {said}");
        assert_eq!(said.contains("plaintext"), told, "{listens}: {said}");
    }
}

#[test]
fn a_drain_that_is_longer_than_the_end_may_take_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = sagamesh(&["dev", "--port-base", "0", "--data"])
        .arg(folder.path())
        .env("SAGAMESH__LIMITS__CONNECTIONS__DRAIN_TIMEOUT", "1m")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["limits.connections.drain_timeout", "limits.stop_timeout", "8s"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}
