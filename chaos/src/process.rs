//! The program that is killed, by its process id.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tonic::transport::{Channel, Endpoint};

/// A `sagamesh dev` that serves; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    base: u16,
}

/// What a process is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Stop,
    Continue,
    Terminate,
}

impl Process {
    /// Starts it on the files in `data`, and waits until it serves.
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self> {
        let base = free_base()?;
        let mut child = Command::new(binary)
            .args(["dev", "--log", "off", "--port-base", &base.to_string(), "--data"])
            .arg(data.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be run: build it first", binary.display()))?;
        let mut output = BufReader::new(child.stdout.take().context("the child has an output")?);
        let process = Self { child, base };
        let mut said = String::new();
        while !said.to_lowercase().contains("try next") {
            ensure!(output.read_line(&mut said)? > 0, "it ended before it served: {said}");
        }
        Ok(process)
    }

    /// The orchestrator's address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.base))
    }

    /// The orchestrator at 0, then order, stock, points and payment.
    pub(crate) fn channel(&self, offset: u16) -> Result<Channel> {
        channel(SocketAddr::from(([127, 0, 0, 1], self.base + offset)))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let name = match signal {
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
            Signal::Terminate => "-TERM",
        };
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "kill {name} failed");
        Ok(())
    }

    /// SIGKILL: nothing is finished.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM: it drains, and ends well.
    pub(crate) fn terminate(mut self) -> Result<()> {
        self.signal(Signal::Terminate)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "after SIGTERM it ended with {status}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn channel(address: SocketAddr) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect_lazy())
}

/// The first of five free ports in a row: the program takes a base.
fn free_base() -> Result<u16> {
    let found = (0..200).find_map(|_| {
        let first = TcpListener::bind("127.0.0.1:0").ok()?;
        let base = first.local_addr().ok()?.port();
        let others: Option<Vec<TcpListener>> = (1..5)
            .map(|offset| TcpListener::bind(("127.0.0.1", base.checked_add(offset)?)).ok())
            .collect();
        others.map(|_| base)
    });
    found.context("no five free ports in a row")
}
