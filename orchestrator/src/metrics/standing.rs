//! Where the sagas stand that have not ended: read from the store, so it is exact, the same on every node, and survives a
//! restart.
//!
//! It is asked before a scrape answers, by one scrape at a time, and not again for a moment: what is shown is that old at
//! most. Where the store does not answer in time, what it said before is shown, with its age.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clock::{Clock, Timestamp};
use metrics::{Readings, Registry as Measured};
use saga::Status;

use super::{OTHER_REASON, SagaMetrics, reason_label};
use crate::{
    driver::Context,
    journal::{UnfinishedCounts, unfinished::Group},
    registry::Registry,
};

/// How old what is shown may be without the store being asked again.
const MAX_AGE: Duration = Duration::from_secs(2);
/// How long a scrape waits for the store.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The states of a saga that has not ended.
const UNFINISHED: [Status; 4] =
    [Status::Running, Status::Compensating, Status::Paused, Status::Attention];

/// The gauges, as they were read last.
#[derive(Debug)]
pub(crate) struct StandingGauges {
    clock: Clock,
    snapshot: Mutex<Option<Snapshot>>,
    names: Mutex<Names>,
    /// Held by whoever asks the store.
    asking: tokio::sync::Mutex<()>,
}

/// What the store said, and when.
#[derive(Debug)]
struct Snapshot {
    at: Timestamp,
    in_state: BTreeMap<(String, &'static str), InState>,
    backlog: BTreeMap<(String, &'static str), u64>,
    runnable: u64,
}

/// The sagas of one definition in one state.
#[derive(Debug, Default)]
struct InState {
    sagas: u64,
    /// For how long the one has been so that has longest.
    oldest: Duration,
}

/// The names of definitions that are shown.
#[derive(Debug, Default)]
struct Names {
    shown: BTreeSet<String>,
    /// Those of them that are shown for the last time, so that what their sagas came to was scraped.
    last_time: BTreeSet<String>,
}

impl StandingGauges {
    pub(crate) fn new(clock: Clock) -> Self {
        let asking = tokio::sync::Mutex::default();
        Self { clock, snapshot: Mutex::default(), names: Mutex::default(), asking }
    }

    /// Has them scraped from now on.
    pub(crate) fn register(self: &Arc<Self>, measured: &Measured) {
        let read = |read: fn(&Snapshot, &mut Readings<2>)| {
            let gauges = Arc::clone(self);
            move |readings: &mut Readings<2>| {
                if let Some(snapshot) = gauges.snapshot().as_ref() {
                    read(snapshot, readings);
                }
            }
        };
        let by_state = ["definition", "state"];
        let help = "Sagas that have not ended, by their state";
        measured.read_gauges("saga_in_state", help, by_state).read(read(Snapshot::read_in_state));
        let help =
            "For how long the saga has been in its state that has longest; 0 where there is none";
        let ages = measured.read_gauges("saga_oldest_age_seconds", help, by_state);
        ages.read(read(Snapshot::read_oldest));
        let help = "Sagas that need a person, by the reason";
        let backlog =
            measured.read_gauges("saga_attention_backlog", help, ["definition", "reason"]);
        backlog.read(read(Snapshot::read_backlog));

        let help = "Sagas that are due and that no task of this node has taken up";
        let gauges = Arc::clone(self);
        measured.read_gauges("saga_runnable", help, []).read(move |readings| {
            if let Some(snapshot) = gauges.snapshot().as_ref() {
                readings.add([], number(snapshot.runnable));
            }
        });
        let help = "How old the numbers are that the store has told of the sagas in each state";
        let gauges = Arc::clone(self);
        measured.read_gauges("sagamesh_saga_gauges_age_seconds", help, []).read(move |readings| {
            if let Some(snapshot) = gauges.snapshot().as_ref() {
                readings.add([], gauges.clock.now().since(snapshot.at).as_secs_f64());
            }
        });
    }

    /// Asks the store, unless it was asked a moment ago.
    pub(crate) async fn refresh(self: Arc<Self>, context: Arc<Context>, registry: Arc<Registry>) {
        let _one_at_a_time = self.asking.lock().await;
        let now = self.clock.now();
        if self.snapshot().as_ref().is_some_and(|snapshot| now.since(snapshot.at) < MAX_AGE) {
            return;
        }
        let before = context.live.count();
        let counting = context.journal.count_unfinished(now);
        let counts = match self.clock.timeout(MAX_WAIT, counting).await {
            Ok(Ok(counts)) => counts,
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                return tracing::warn!(error, "the sagas in each state could not be counted");
            }
            Err(_) => return tracing::warn!("the sagas in each state were not counted in time"),
        };
        let tasks = u64::try_from(before.max(context.live.count())).unwrap_or(u64::MAX);
        // Beside the event loop: ten thousand definitions take milliseconds.
        let gauges = Arc::clone(&self);
        let telling = move || {
            let mut names = gauges.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.update(&registry, &counts, &context.metrics);
            *gauges.snapshot() = Some(Snapshot::new(&counts, &names.shown, tasks, now));
        };
        if tokio::task::spawn_blocking(telling).await.is_err() {
            tracing::error!("the gauges of the sagas in each state panicked");
        }
    }

    /// Shows nothing any more.
    pub(crate) fn forget(&self) {
        *self.snapshot() = None;
    }

    fn snapshot(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// Shows the names by which sagas begin or run, and no others.
    fn update(&mut self, registry: &Registry, counts: &UnfinishedCounts, sagas: &SagaMetrics) {
        let mut names = registry.open_names();
        let running = counts.groups.iter().map(|group| &group.definition);
        names.extend(running.filter(|name| registry.knows(name)).cloned());
        for name in &names {
            if !self.shown.contains(name) {
                sagas.show(name);
            }
        }
        let gone: BTreeSet<String> = self.shown.difference(&names).cloned().collect();
        for name in gone.intersection(&self.last_time) {
            sagas.forget(name);
            self.shown.remove(name);
        }
        self.shown.extend(names);
        self.last_time = gone.intersection(&self.shown).cloned().collect();
    }
}

impl Snapshot {
    fn new(counts: &UnfinishedCounts, shown: &BTreeSet<String>, tasks: u64, at: Timestamp) -> Self {
        let runnable = counts.due + counts.awake.saturating_sub(tasks);
        let mut snapshot =
            Self { at, in_state: BTreeMap::new(), backlog: BTreeMap::new(), runnable };
        for name in shown {
            for status in UNFINISHED {
                snapshot.in_state.entry((name.clone(), status.as_str())).or_default();
            }
            snapshot.backlog.insert((name.clone(), OTHER_REASON), 0);
        }
        for Group { definition, status, reason, sagas, since } in &counts.groups {
            // A name that was never registered stands in a damaged row alone.
            let known = shown.contains(definition);
            let name = if known { definition.clone() } else { OTHER_REASON.to_owned() };
            let in_state = snapshot.in_state.entry((name.clone(), status.as_str())).or_default();
            in_state.sagas += sagas;
            in_state.oldest = in_state.oldest.max(at.since(*since));
            if *status == Status::Attention {
                let reason = reason_label(reason.as_deref().unwrap_or_default());
                *snapshot.backlog.entry((name, reason)).or_default() += sagas;
            }
        }
        snapshot
    }

    fn read_in_state(&self, readings: &mut Readings<2>) {
        for ((definition, state), in_state) in &self.in_state {
            readings.add([definition, state], number(in_state.sagas));
        }
    }

    fn read_oldest(&self, readings: &mut Readings<2>) {
        for ((definition, state), in_state) in &self.in_state {
            readings.add([definition, state], in_state.oldest.as_secs_f64());
        }
    }

    fn read_backlog(&self, readings: &mut Readings<2>) {
        for ((definition, reason), sagas) in &self.backlog {
            readings.add([definition, reason], number(*sagas));
        }
    }
}

/// As a gauge has it.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 sagas")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}
