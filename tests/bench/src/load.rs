//! The load generator: it starts sagas, waits for them, and keeps each one's latency in a histogram.

#![expect(clippy::disallowed_methods, reason = "a bench reads the machine's time")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use futures::future::{BoxFuture, join_all};
use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

/// What a saga came to for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// It ended as the workload wants it to.
    Ended,
    /// It was refused because there was too much to do.
    Refused,
}

/// Runs the saga of this number, to its end.
pub(crate) type Operation =
    Arc<dyn Fn(u64) -> BoxFuture<'static, Result<Completion>> + Send + Sync>;

/// What was seen in the measured time.
#[derive(Debug)]
pub(crate) struct Measurements {
    pub(crate) sagas: u64,
    pub(crate) refused: u64,
    pub(crate) elapsed: Duration,
    /// Microseconds.
    pub(crate) latency: Histogram<u64>,
}

/// Latencies are kept in microseconds, up to a minute, to three digits.
fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| anyhow!("{error}"))
}

fn record(latency: &mut Histogram<u64>, took: Duration) {
    latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// The numbers of sagas, so that no run starts one twice.
#[derive(Debug, Default)]
pub(crate) struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// How many were given out.
    pub(crate) fn given(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps so many sagas under way for so long: each is followed by the next.
pub(crate) async fn closed(
    operation: &Operation,
    numbers: &Arc<Numbers>,
    in_flight: usize,
    time: Duration,
) -> Result<Measurements> {
    let over = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let clients = (0..in_flight).map(|_| {
        let (operation, numbers, over) =
            (Arc::clone(operation), Arc::clone(numbers), Arc::clone(&over));
        tokio::spawn(async move {
            let mut latency = histogram()?;
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                if operation(numbers.next()).await? == Completion::Refused {
                    bail!("a saga was refused: there is too much load for a closed loop");
                }
                record(&mut latency, begun.elapsed());
            }
            Ok::<_, anyhow::Error>(latency)
        })
    });
    let clients: Vec<_> = clients.collect();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let mut latency = histogram()?;
    for client in join_all(clients).await {
        latency.add(client??).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(Measurements { sagas: latency.len(), refused: 0, elapsed: started.elapsed(), latency })
}

/// Offers so many sagas a second, evenly, whatever becomes of them. Each one's latency counts from the instant at which
/// it was due: a system that stalls is not spared the ones that would have come meanwhile. At most `in_flight` are under
/// way; what is due beyond them waits, and its waiting counts.
pub(crate) async fn open(
    operation: &Operation,
    numbers: &Arc<Numbers>,
    rate: u64,
    in_flight: usize,
    time: Duration,
) -> Result<Measurements> {
    let places = Arc::new(Semaphore::new(in_flight));
    let gap = Duration::from_secs(1) / u32::try_from(rate.max(1))?;
    let started = Instant::now();
    let mut operations = Vec::new();
    let mut due = started;
    while due.duration_since(started) < time {
        tokio::time::sleep_until(due.into()).await;
        let (operation, numbers) = (Arc::clone(operation), Arc::clone(numbers));
        let places = Arc::clone(&places);
        let this = due;
        operations.push(tokio::spawn(async move {
            let _place = places.acquire().await?;
            let completion = operation(numbers.next()).await?;
            Ok::<_, anyhow::Error>((completion, this.elapsed()))
        }));
        due += gap;
    }
    let (mut latency, mut refused) = (histogram()?, 0);
    for completion in join_all(operations).await {
        match completion?? {
            (Completion::Ended, took) => record(&mut latency, took),
            (Completion::Refused, _) => refused += 1,
        }
    }
    Ok(Measurements { sagas: latency.len(), refused, elapsed: started.elapsed(), latency })
}
