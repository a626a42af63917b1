//! `sagamesh dev` as a process: started, signalled and ended by its own process id, and by nothing else.

use std::{
    fs::OpenOptions,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clock::{Clock, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::shop::Shop;

/// How long a start or a drain may take. Longer is a finding.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Where the mesh lives from start to start: the same program, files and ports.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    program: PathBuf,
    folder: PathBuf,
    port_base: u16,
}

impl Installation {
    /// Finds five free ports in a row, below those that the system hands out by itself.
    pub(crate) fn choose(program: PathBuf, folder: &Path, seed: u64) -> Result<Self> {
        ensure!(program.exists(), "there is no {}: build it first", program.display());
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..100 {
            let port_base = rng.random_range(20_000..30_000);
            let all =
                (0..5).map(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, port_base + offset)));
            if all.collect::<Result<Vec<_>, _>>().is_ok() {
                return Ok(Self { program, folder: folder.to_owned(), port_base });
            }
        }
        bail!("there are no five free ports in a row between 20000 and 30000")
    }

    pub(crate) fn port_base(&self) -> u16 {
        self.port_base
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// One life of the mesh; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    clock: Clock,
    port: u16,
    /// When it was started.
    pub(crate) started_at: Timestamp,
}

/// What a process is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Terminate,
    Freeze,
    Continue,
}

impl Process {
    pub(crate) fn start(installation: &Installation, clock: &Clock) -> Result<Self> {
        let log =
            OpenOptions::new().create(true).append(true).open(installation.folder.join("log"))?;
        let started_at = clock.now();
        let child = Command::new(&installation.program)
            .args([
                "dev",
                "--log-calls",
                "notable",
                "--port-base",
                &installation.port_base.to_string(),
            ])
            .arg("--data")
            .arg(installation.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", installation.program.display()))?;
        Ok(Self { child, clock: clock.clone(), port: installation.port_base, started_at })
    }

    /// Waits until it answers.
    pub(crate) async fn wait_until_ready(&mut self, shop: &Shop) -> Result<()> {
        let until = self.clock.now().after(WAIT_TIMEOUT);
        while !shop.answers().await {
            self.check_running()?;
            ensure!(
                self.clock.now() < until,
                "it does not answer {WAIT_TIMEOUT:?} after its start"
            );
            self.clock.sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until it has taken its port; it listens for signals before that.
    pub(crate) async fn wait_until_listening(&mut self) -> Result<()> {
        let until = self.clock.now().after(WAIT_TIMEOUT);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            self.check_running()?;
            ensure!(
                self.clock.now() < until,
                "it does not listen {WAIT_TIMEOUT:?} after its start"
            );
            self.clock.sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Fails when it has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended by itself: {status}"),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Freeze => "-STOP",
            Signal::Continue => "-CONT",
        };
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "the signal {signal:?} did not reach the mesh");
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.check_running()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGKILL for one that may just have ended.
    pub(crate) fn kill_if_running(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the good end.
    pub(crate) async fn terminate(mut self) -> Result<()> {
        self.signal(Signal::Terminate)?;
        let status = self.wait_for_exit().await?;
        ensure!(status.success(), "SIGTERM did not end it well: {status}");
        Ok(())
    }

    async fn wait_for_exit(&mut self) -> Result<ExitStatus> {
        let until = self.clock.now().after(WAIT_TIMEOUT);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(self.clock.now() < until, "it still runs {WAIT_TIMEOUT:?} after SIGTERM");
            self.clock.sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
