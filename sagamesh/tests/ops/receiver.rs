//! What Prometheus tells of its alerts, taken in Alertmanager's place: the program of Debian's package does not run from where
//! it was unpacked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::Value;

/// Takes alerts. Its thread ends with the test's process.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&alerts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                taken.lock().unwrap().extend(take(&stream).into_iter().flatten());
            }
        });
        Self { address, alerts }
    }

    /// The alert of this name, once it was told.
    pub(crate) fn told(&self, alert: &str) -> Option<Value> {
        let alerts = self.alerts.lock().unwrap();
        alerts.iter().find(|one| one["labels"]["alertname"] == alert).cloned()
    }
}

/// The alerts of one request, which is answered well.
fn take(mut stream: &TcpStream) -> Option<Vec<Value>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut length = 0;
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}
