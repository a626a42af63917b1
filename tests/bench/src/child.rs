//! Other processes of this program: started, measured, and stopped by their process id.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use live::measure::{self, Cpu};

/// A process that tells its addresses when it is ready, and its figures when it is stopped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where it listens.
    pub(crate) addresses: Vec<String>,
}

impl Process {
    /// Starts this program with these arguments and waits until it tells its addresses.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("the child has an input")?;
        let output = child.stdout.take().context("the child has an output")?;
        let mut process =
            Self { child, input, output: BufReader::new(output), addresses: Vec::new() };
        process.addresses = process.line()?.split(' ').map(str::to_owned).collect();
        Ok(process)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "a part of the bench ended by itself");
        Ok(line.trim().to_owned())
    }

    pub(crate) fn cpu(&self) -> Result<Cpu> {
        measure::cpu(self.child.id())
    }

    pub(crate) fn peak_rss_mb(&self) -> Result<f64> {
        measure::peak_rss_mb(self.child.id())
    }

    /// Stops it in good order; gives what it tells at its end.
    pub(crate) fn stop(mut self) -> Result<String> {
        writeln!(self.input, "stop")?;
        let told = self.line()?;
        self.child.wait()?;
        Ok(told)
    }

    /// Stops it as a power cut would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Completes when the parent says so, or is gone.
pub(crate) async fn wait_for_stop() {
    let waiting = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
    });
    let _ = waiting.await;
}
