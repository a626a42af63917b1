//! A Prometheus that runs with the files that are shipped, only faster.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clock::Clock;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{
    rules::rule_folder,
    tools::{files, read},
};

/// How long anything may take that is waited for, on a machine that is busy with other tests.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A process that is killed when the test ends, however it ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Prometheus that scrapes every two seconds.
pub(crate) struct Prometheus {
    _process: Running,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts it with the shipped configuration on these targets, and waits until it is ready.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        targets: &[SocketAddr],
        alertmanager: SocketAddr,
    ) -> Self {
        for file in files(&rule_folder(), "yaml") {
            std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
        }
        let targets = targets.iter().map(|target| format!("\"{target}\"")).collect::<Vec<_>>();
        let shipped = read(&rule_folder().join("prometheus.yml"));
        let config = shipped
            .replace("_interval: 15s", "_interval: 2s")
            .replace("127.0.0.1:9093", &alertmanager.to_string())
            .replace("\"127.0.0.1:7075\"", &targets.join(", "));
        let replaced = ["_interval: 2s", &alertmanager.to_string(), &targets[0]];
        assert!(replaced.iter().all(|value| config.contains(value)), "{config}");
        let config_file = folder.join("prometheus.yml");
        std::fs::write(&config_file, config).unwrap();
        let address = free_address();
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self { _process: Running(process), address };
        wait_until("Prometheus is ready", || get(address, "/-/ready").ok()).await;
        prometheus
    }

    /// What the query gives now.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let encoded = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let data = self.ask(&format!("/api/v1/query?query={encoded}"))?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// The one number that the query gives now.
    pub(crate) fn number(&self, expression: &str) -> Option<f64> {
        let result = self.query(expression).ok()?;
        result.first()?["value"][1].as_str()?.parse().ok()
    }

    /// What a path of the API gives.
    pub(crate) fn ask(&self, path: &str) -> Result<Value, String> {
        let answer = get(self.address, path)?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|why| why.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].to_string()),
        }
    }
}

/// Asks again and again until there is something.
pub(crate) async fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let until = clock.now().after(WAIT_TIMEOUT);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(clock.now() < until, "for {WAIT_TIMEOUT:?} it has not come so far that {what}");
        clock.sleep(POLL_INTERVAL).await;
    }
}

/// Looked for, since the program takes no port 0. It is taken again at once.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The body of what is answered with 200.
fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    // Over HTTP/1.0 the body comes in one piece.
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|why| why.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of its head")?;
    let is_ok = head.split(' ').nth(1) == Some("200");
    if is_ok || body.starts_with('{') { Ok(body.to_owned()) } else { Err(answer) }
}
