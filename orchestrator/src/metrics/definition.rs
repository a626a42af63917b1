//! The handles of one definition, found once: what its sagas do is then counted without looking for anything.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clock::{Clock, Timer};
use definition::{Compiled, Method};
use metrics::{Counter, Counters, Histogram};
use proto::facade::v1::Reason;
use saga::StepId;

use super::{
    OTHER_REASON,
    families::Families,
    marks::{AttemptResult, CompensationOutcome, Mark, Marks, SagaOutcome},
};

/// What is counted of the sagas of one version of a definition. Versions of one name count together.
#[derive(Debug)]
pub(crate) struct DefinitionMetrics {
    name: String,
    started: Counter,
    finished: [Ended; SagaOutcome::ALL.len()],
    compensations: [Ended; CompensationOutcome::ALL.len()],
    steps: Vec<StepMetrics>,
    failures: Failures,
    recovered: Counter,
    woken_late: Counter,
}

/// What came to an end, and how long it took.
#[derive(Debug)]
struct Ended {
    count: Counter,
    duration: Histogram,
}

impl Ended {
    fn count(&self, took: Duration, trace_id: Option<String>) {
        self.count.inc();
        self.duration.record_in(took, trace_id);
    }
}

#[derive(Debug)]
struct StepMetrics {
    name: String,
    /// Of its call, its undo and its lookup, where it has them.
    methods: [Option<MethodMetrics>; METHODS.len()],
}

#[derive(Debug)]
struct MethodMetrics {
    attempts: [Counter; AttemptResult::ALL.len()],
    times: AttemptTimes,
}

/// The methods of a step, each with its label.
const METHODS: [(Method, &str); 3] =
    [(Method::Call, "forward"), (Method::Undo, "undo"), (Method::Lookup, "lookup")];

/// How long the attempts of a step take.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttemptTimes {
    wait: Histogram,
    duration: Histogram,
}

/// An attempt that waits until it may be sent. Its wait is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'t> {
    times: &'t AttemptTimes,
    timer: Timer,
}

impl AttemptTimes {
    /// An attempt waits from now on.
    pub(crate) fn wait(&self, clock: &Clock) -> Waiting<'_> {
        Waiting { times: self, timer: clock.timer() }
    }

    /// An attempt was answered, so long after it was sent.
    pub(crate) fn answered(&self, took: Duration) {
        self.duration.record(took);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.times.wait.record(self.timer.elapsed());
    }
}

/// The counters of failures, each made when it is first needed: most steps fail for few reasons.
#[derive(Debug)]
struct Failures {
    family: Counters<3>,
    made: Mutex<BTreeMap<(Option<StepId>, &'static str), Counter>>,
}

impl Failures {
    fn made(&self) -> MutexGuard<'_, BTreeMap<(Option<StepId>, &'static str), Counter>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DefinitionMetrics {
    pub(super) fn new(families: &Families, definition: &Compiled) -> Self {
        let name = definition.name();
        let ids = (0..).map(StepId).zip(definition.engine().steps());
        let steps = ids.map(|(id, step)| StepMetrics {
            name: step.name.clone(),
            methods: METHODS.map(|(method, direction)| {
                let target = definition.step(id).target(method);
                target.map(|_| MethodMetrics::new(families, [name, &step.name, direction]))
            }),
        });
        Self {
            started: families.started.with([name]),
            finished: SagaOutcome::ALL.map(|outcome| Ended {
                count: families.finished.with([name, outcome.as_str()]),
                duration: families.duration.with([name, outcome.as_str()]),
            }),
            compensations: CompensationOutcome::ALL.map(|outcome| Ended {
                count: families.compensations.with([name, outcome.as_str()]),
                duration: families.compensation_duration.with([name, outcome.as_str()]),
            }),
            steps: steps.collect(),
            failures: Failures { family: families.failures.clone(), made: Mutex::default() },
            recovered: families.recovered.clone(),
            woken_late: families.woken_late.clone(),
            name: name.to_owned(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Counts what is on disk now. `trace_id` gives the trace that shows it, where it is exported.
    pub(crate) fn count(&self, marks: &mut Marks, trace_id: impl Fn() -> Option<String>) {
        for mark in marks.drain() {
            match mark {
                Mark::Started => self.started.inc(),
                Mark::Attempt { step, method, result } => {
                    if let Some(method) = self.method(step, method) {
                        method.attempts[result as usize].inc();
                    }
                }
                Mark::Failed { step, reason } => self.failed(step, reason),
                Mark::Compensated { outcome, took } => {
                    self.compensations[outcome as usize].count(took, trace_id());
                }
                Mark::Finished { outcome, took } => self.finished(outcome, took, trace_id()),
                Mark::Recovered => self.recovered.inc(),
                Mark::WokenLate => self.woken_late.inc(),
            }
        }
    }

    /// Counts a saga that has ended.
    pub(super) fn finished(&self, outcome: SagaOutcome, took: Duration, trace_id: Option<String>) {
        self.finished[outcome as usize].count(took, trace_id);
    }

    /// Counts what a saga turned back or came to need a person for.
    pub(super) fn failed(&self, step: Option<StepId>, reason: Option<Reason>) {
        let reason = reason.map_or(OTHER_REASON, Reason::code);
        let counter = || {
            let step = step.and_then(|step| self.step(step));
            let step = step.map_or("", |step| step.name.as_str());
            self.failures.family.with([&self.name, step, reason])
        };
        self.failures.made().entry((step, reason)).or_insert_with(counter).inc();
    }

    /// Where the times of a step's attempts are kept; nowhere where the step has no such method.
    pub(crate) fn times(&self, step: StepId, method: Method) -> AttemptTimes {
        self.method(step, method).map(|method| method.times.clone()).unwrap_or_default()
    }

    fn step(&self, StepId(index): StepId) -> Option<&StepMetrics> {
        self.steps.get(usize::from(index))
    }

    fn method(&self, step: StepId, method: Method) -> Option<&MethodMetrics> {
        self.step(step)?.methods.get(method as usize)?.as_ref()
    }

    /// Its series are scraped no longer.
    pub(super) fn remove(&self, families: &Families) {
        let name = self.name.as_str();
        for outcome in CompensationOutcome::ALL.map(CompensationOutcome::as_str) {
            families.compensation_duration.remove([name, outcome]);
        }
        for step in &self.steps {
            for (_, direction) in METHODS {
                families.attempt_duration.remove([name, &step.name, direction]);
                families.attempt_wait.remove([name, &step.name, direction]);
                for result in AttemptResult::ALL {
                    families.attempts.remove([name, &step.name, direction, result.as_str()]);
                }
            }
        }
        for (step, reason) in self.failures.made().keys() {
            let step = step.and_then(|step| self.step(step));
            families.failures.remove([name, step.map_or("", |step| step.name.as_str()), reason]);
        }
    }
}

impl MethodMetrics {
    fn new(families: &Families, labels: [&str; 3]) -> Self {
        let [definition, step, direction] = labels;
        Self {
            attempts: AttemptResult::ALL.map(|result| {
                families.attempts.with([definition, step, direction, result.as_str()])
            }),
            times: AttemptTimes {
                wait: families.attempt_wait.with(labels),
                duration: families.attempt_duration.with(labels),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use definition::{Descriptors, Draft};
    use metrics::{Registry, exposition::Exposition};

    use super::*;
    use crate::metrics::SagaMetrics;

    const HOLD: &str = "
saga: hold
version: 1
steps:
  - step: freeze
    call: sagamesh.stock.v1.StockService/Freeze
    with: { order_no: saga.key, lines: \"[{'sku': 'tea', 'quantity': 1}]\" }
    undo: sagamesh.stock.v1.StockService/Unfreeze
    undo_with: { order_no: saga.key, reason: saga.reason }
";

    fn hold() -> Compiled {
        let mut descriptors = Descriptors::new();
        descriptors.add_pool(proto::descriptors().clone());
        Draft::parse("hold.yaml", HOLD).unwrap().compile(&descriptors).unwrap()
    }

    fn marks(marks: impl IntoIterator<Item = Mark>) -> Marks {
        Marks::from_iter(marks)
    }

    #[test]
    fn what_has_ended_names_its_trace_where_that_is_exported() {
        for (trace_id, expected) in [(Some("4bf9".to_owned()), 1), (None, 0)] {
            let registry = Registry::new();
            let metrics = SagaMetrics::new(&registry).of(&hold());
            let took = Duration::from_millis(2_500);
            let ended = Mark::Finished { outcome: SagaOutcome::Succeeded, took };
            metrics.count(&mut marks([Mark::Started, ended]), || trace_id.clone());
            let scraped = Exposition::parse(&registry.encode()).unwrap();
            let exemplars = scraped.samples().filter(|sample| sample.exemplar.is_some());
            let le: Vec<_> = exemplars.map(|sample| sample.labels["le"].as_str()).collect();
            assert_eq!(le, ["2.5"; 1][..expected]);
        }
    }

    #[test]
    fn what_a_step_does_not_have_is_counted_nowhere() {
        let registry = Registry::new();
        let metrics = SagaMetrics::new(&registry).of(&hold());
        let attempt = |step, method| Mark::Attempt { step, method, result: AttemptResult::Ok };
        let counted = [
            attempt(StepId(0), Method::Call),
            attempt(StepId(0), Method::Lookup),
            attempt(StepId(7), Method::Call),
        ];
        metrics.count(&mut marks(counted), || None);
        metrics.times(StepId(0), Method::Lookup).answered(Duration::from_secs(1));
        let scraped = Exposition::parse(&registry.encode()).unwrap();
        assert_eq!(scraped.value("saga_step_attempts_total", &[]), Some(1.0));
        assert_eq!(scraped.value("saga_step_duration_seconds_count", &[]), Some(0.0));
    }

    #[test]
    fn a_process_that_measures_nothing_counts_nothing() {
        let registry = Registry::off();
        let metrics = SagaMetrics::new(&registry).of(&hold());
        metrics.count(&mut marks([Mark::Started, Mark::Recovered]), || None);
        assert_eq!(registry.encode(), "");
    }
}
