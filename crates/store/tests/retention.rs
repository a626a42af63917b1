//! When what is too old is removed, and how much of the writer's time is left to the rest.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::VecDeque, io, time::Duration};

use clock::{Clock, ManualTime, Timestamp};
use store::retention::{self, Batch, Expiring, Keep};
use tokio::sync::mpsc;

const START: Timestamp = Timestamp(1_000_000_000);

/// Batches that take so long, in milliseconds, with whether others are left, or fail.
struct Script {
    time: ManualTime,
    clock: Clock,
    batches: VecDeque<Result<(u64, bool), ()>>,
    /// When each was asked for, and what was too old then.
    asked: mpsc::UnboundedSender<(Timestamp, Timestamp)>,
}

impl Expiring for Script {
    type Error = io::Error;

    const WHAT: &'static str = "pages of the script";
    const LABEL: &'static str = "pages";

    async fn remove(&mut self, before: Timestamp) -> Result<Batch, io::Error> {
        self.asked.send((self.clock.now(), before)).unwrap();
        match self.batches.pop_front() {
            Some(Ok((took, more))) => {
                self.time.advance(Duration::from_millis(took));
                Ok(Batch { removed: 1, more })
            }
            Some(Err(())) => Err(io::ErrorKind::Other.into()),
            None => std::future::pending().await,
        }
    }
}

/// When each batch is asked for, in milliseconds since the beginning, and what is too old then.
async fn asked(keep: &str, batches: &[Result<(u64, bool), ()>]) -> Vec<(u64, u64)> {
    asked_from(Timestamp(0), keep, batches).await
}

/// The same where nothing is to be removed before `from`.
async fn asked_from(
    from: Timestamp,
    keep: &str,
    batches: &[Result<(u64, bool), ()>],
) -> Vec<(u64, u64)> {
    let (clock, time) = Clock::manual(START);
    let (asked, mut seen) = mpsc::unbounded_channel();
    let (count, batches) = (batches.len(), batches.iter().copied().collect());
    let script = Script { time: time.clone(), clock: clock.clone(), batches, asked };
    let keep: Keep = keep.parse().unwrap();
    let removing = tokio::spawn(retention::run(clock, keep, from.into(), script));
    if from > START {
        time.advance_to_next().await;
    }
    let mut times = Vec::new();
    loop {
        let (at, before) = seen.recv().await.unwrap();
        times.push((at.0 - START.0, at.0 - before.0));
        if times.len() > count {
            removing.abort();
            return times;
        }
        time.advance_to_next().await;
    }
}

#[tokio::test]
async fn what_is_too_old_is_looked_for_every_thirty_seconds_and_again_after_a_failure() {
    let times = asked("1h", &[Ok((0, false)), Err(()), Ok((250, false))]).await;
    let hour = 3_600_000;
    assert_eq!(times, [(0, hour), (30_000, hour), (60_000, hour), (90_250, hour)]);
}

#[tokio::test]
async fn between_two_batches_the_writer_is_left_to_the_rest_four_times_as_long_as_one_took() {
    let times = asked("1d", &[Ok((100, true)), Ok((0, true)), Ok((1, true)), Ok((7, false))]).await;
    let at: Vec<u64> = times.into_iter().map(|(at, _)| at).collect();
    // The pauses are five milliseconds at least, and the next sweep comes when all is removed.
    assert_eq!(at, [0, 500, 505, 511, 30_518]);
}

#[tokio::test]
async fn nothing_is_asked_for_before_the_instant_from_which_the_old_may_be_removed() {
    let day = 86_400_000;
    let from = START.after(Duration::from_millis(day));
    let times = asked_from(from, "1h", &[Ok((0, false))]).await;
    assert_eq!(times, [(day, 3_600_000), (day + 30_000, 3_600_000)]);
}
