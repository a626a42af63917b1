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

use crate::Clients;

/// How long a start or a drain may take. Longer is a finding.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Where the mesh lives from start to start: the same program, files and ports.
#[derive(Clone, Debug)]
pub struct Installation {
    program: PathBuf,
    folder: PathBuf,
    port_base: u16,
    arguments: Vec<String>,
    max_files: Option<u32>,
}

impl Installation {
    /// Finds six free ports in a row, below those that the system hands out by itself: of the five services, and of health.
    ///
    /// # Errors
    /// Where the program is not there, or the ports are not.
    pub fn choose(program: PathBuf, folder: &Path, seed: u64) -> Result<Self> {
        ensure!(program.exists(), "there is no {}: build it first", program.display());
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..100 {
            let port_base = rng.random_range(20_000..30_000);
            let all =
                (0..6).map(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, port_base + offset)));
            if all.collect::<Result<Vec<_>, _>>().is_ok() {
                let (folder, arguments) = (folder.to_owned(), Vec::new());
                return Ok(Self { program, folder, port_base, arguments, max_files: None });
            }
        }
        bail!("there are no six free ports in a row between 20000 and 30000")
    }

    /// Starts it with further arguments of `dev`.
    #[must_use]
    pub fn with_arguments(self, arguments: Vec<String>) -> Self {
        Self { arguments, ..self }
    }

    /// Lets it have so many files open, and no more: it cannot raise the limit.
    #[must_use]
    pub fn with_max_files(self, files: u32) -> Self {
        Self { max_files: Some(files), ..self }
    }

    /// The orchestrator's port; those of order, stock, points and payment follow.
    #[must_use]
    pub fn port_base(&self) -> u16 {
        self.port_base
    }

    /// The folder of its databases.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn command(&self) -> Command {
        let mut command = match self.max_files {
            None => Command::new(&self.program),
            Some(files) => {
                let mut shell = Command::new("sh");
                // The shell becomes the program, so the process id is the program's.
                shell.args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"]);
                shell.arg(&self.program);
                shell
            }
        };
        command
            .args(["dev", "--log-calls", "notable", "--port-base", &self.port_base.to_string()])
            .arg("--data")
            .arg(self.data())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// One life of the mesh; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    clock: Clock,
    port: u16,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What a process is told.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Continue,
}

impl Process {
    /// Starts it; what it logs is added to [`Installation::log`].
    ///
    /// # Errors
    /// Where the program cannot be run.
    pub fn start(installation: &Installation, clock: &Clock) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(installation.log())?;
        Self::start_logging_to(installation, clock, log.into())
    }

    /// Starts it with `stderr` as its standard error.
    ///
    /// # Errors
    /// Where the program cannot be run.
    pub fn start_logging_to(
        installation: &Installation,
        clock: &Clock,
        stderr: Stdio,
    ) -> Result<Self> {
        let started_at = clock.now();
        let child = installation
            .command()
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("starting {}", installation.program.display()))?;
        Ok(Self { child, clock: clock.clone(), port: installation.port_base, started_at })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in a minute.
    pub async fn wait_until_ready(&mut self, clients: &Clients) -> Result<()> {
        let until = self.clock.now().after(WAIT_TIMEOUT);
        while !clients.answers().await {
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
    ///
    /// # Errors
    /// When it ends, or does not listen in a minute.
    pub async fn wait_until_listening(&mut self) -> Result<()> {
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
    ///
    /// # Errors
    /// With how it ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended by itself: {status}"),
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it does not arrive.
    pub fn signal(&self, signal: Signal) -> Result<()> {
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
    ///
    /// # Errors
    /// When it has ended by itself before.
    pub fn kill(mut self) -> Result<()> {
        self.check_running()?;
        self.kill_now()
    }

    /// SIGKILL for one that may just have ended.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub fn kill_if_running(mut self) -> Result<()> {
        self.kill_now()
    }

    fn kill_now(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the good end.
    ///
    /// # Errors
    /// When it takes more than a minute, or its exit code is not 0.
    pub async fn terminate(self) -> Result<()> {
        self.terminate_within(WAIT_TIMEOUT).await
    }

    /// SIGTERM, and waits so long for the good end.
    ///
    /// # Errors
    /// When it takes longer, or its exit code is not 0.
    pub async fn terminate_within(mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::Terminate)?;
        let status = self.wait_for_exit(limit).await?;
        ensure!(status.success(), "SIGTERM did not end it well: {status}");
        Ok(())
    }

    async fn wait_for_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let until = self.clock.now().after(limit);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(self.clock.now() < until, "it still runs {limit:?} after SIGTERM");
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
