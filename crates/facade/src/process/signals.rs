//! What tells a process to stop, and sees to it that it does.
//!
//! Signals are listened for on a thread of their own: a process must end in time whatever it is doing, also where its event
//! loop does not come to look, because a task computes for ever or waits for a disk.

use std::{process::exit, thread, time::Duration};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator,
};
use tokio_util::sync::CancellationToken;

use crate::log;

/// The exit code of a process that was told a second time.
const INTERRUPTED: i32 = 130;
/// The exit code of a process that did not end in its time.
const CUT_OFF: i32 = 124;

/// SIGTERM and SIGINT, from the moment on that they are listened for: none that comes while a process starts is lost. The
/// first tells the process to stop, and ends it if it has not done so in its time; the second ends it at once.
#[derive(Debug)]
pub struct Signals {
    first: CancellationToken,
    stop_timeout: Duration,
}

impl Signals {
    /// Listens. From the first signal on the process has `stop_timeout` to end by itself.
    ///
    /// # Errors
    /// A sentence where the signals cannot be listened for.
    pub fn listen(stop_timeout: Duration) -> Result<Self, String> {
        let failed = |error| format!("cannot listen for signals: {error}");
        let mut signals = iterator::Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
        let first = CancellationToken::new();
        let came = first.clone();
        let listening = move || {
            for _ in signals.forever() {
                if came.is_cancelled() {
                    log::flush();
                    exit(INTERRUPTED);
                }
                came.cancel();
                let timer = thread::Builder::new().spawn(move || cut_off_after(stop_timeout));
                if timer.is_err() {
                    exit(CUT_OFF);
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listening).map_err(failed)?;
        Ok(Self { first, stop_timeout })
    }

    /// Completes with the first of them.
    pub async fn first(&self) {
        self.first.cancelled().await;
    }

    /// How long the process has from then on.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        self.stop_timeout
    }
}

/// Whoever is here when the time is up has not ended: a process that has takes this thread with it.
fn cut_off_after(stop_timeout: Duration) {
    thread::sleep(stop_timeout);
    tracing::error!(
        after_ms = clock::millis(stop_timeout),
        "the process has not stopped within limits.stop_timeout and is ended; what was acknowledged is on disk"
    );
    log::flush();
    exit(CUT_OFF);
}
