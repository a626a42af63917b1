//! The same numbers, counted from the journals by whoever knows nothing of how they are counted as they happen.

use std::collections::BTreeMap;

use metrics::exposition::Exposition;
use orchestrator::{driver::replay, journal::Filter};
use saga::{Answer, Direction, Event, Outcome, Record, SagaState, StepId};

use crate::test_driver::TestDriver;

/// What is counted, but for what is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) started: u64,
    pub(super) recovered: u64,
    pub(super) finished: BTreeMap<String, u64>,
    /// By step, direction and result. Whether one of which nobody knows is made again is the engine's to say.
    pub(super) attempts: BTreeMap<(String, String, String), u64>,
    pub(super) compensations: BTreeMap<String, u64>,
    pub(super) failures: BTreeMap<(String, String), u64>,
    /// How long all took together, in milliseconds.
    pub(super) duration: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds what was scraped.
    pub(super) fn add(&mut self, scraped: &Exposition) {
        for sample in scraped.samples() {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "counts")]
            let (value, ms) = (sample.value as u64, (sample.value * 1_000.0).round() as u64);
            if value == 0 && ms == 0 {
                continue;
            }
            let result = match label("result").as_str() {
                "retry" | "giveup" => "unknown".to_owned(),
                other => other.to_owned(),
            };
            match sample.name.as_str() {
                "saga_started_total" => self.started += value,
                "saga_recovered_total" => self.recovered += value,
                "saga_finished_total" => {
                    *self.finished.entry(label("outcome")).or_default() += value
                }
                "saga_step_attempts_total" => {
                    let key = (label("step"), label("direction"), result);
                    *self.attempts.entry(key).or_default() += value;
                }
                "saga_compensations_total" => {
                    *self.compensations.entry(label("outcome")).or_default() += value;
                }
                "saga_failures_total" => {
                    let key = (label("step"), label("reason"));
                    *self.failures.entry(key).or_default() += value;
                }
                "saga_duration_seconds_sum" => {
                    *self.duration.entry(label("outcome")).or_default() += ms;
                }
                _ => {}
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        other.finished.into_iter().for_each(|(key, n)| *self.finished.entry(key).or_default() += n);
        other.attempts.into_iter().for_each(|(key, n)| *self.attempts.entry(key).or_default() += n);
        let compensations = other.compensations.into_iter();
        compensations.for_each(|(key, n)| *self.compensations.entry(key).or_default() += n);
    }

    fn attempt(&mut self, name: &str, direction: &str, result: &str, more: u64) {
        if more > 0 {
            let key = (name.to_owned(), direction.to_owned(), result.to_owned());
            *self.attempts.entry(key).or_default() += more;
        }
    }
}

/// Counts the journals of all sagas.
pub(super) async fn recount(test_driver: &TestDriver) -> Counts {
    let (journal, mut counts) = (&test_driver.journal, Counts::default());
    let registered = test_driver.driver().registry().find("work", 0).unwrap().compiled;
    for row in journal.list(&Filter::default(), "", 1_000).await.unwrap() {
        let loaded = journal.load(&row.header.saga_id).await.unwrap().unwrap();
        let header = loaded.index_row.header;
        let entries = loaded.entries.unwrap();
        let replayed = replay(&header, &registered, &entries, None).unwrap();
        recount_one(&mut counts, registered.engine(), &replayed.records, &replayed.replayer.state);
    }
    counts
}

fn recount_one(
    counts: &mut Counts,
    definition: &saga::Definition,
    records: &[Record],
    end: &SagaState,
) {
    let (mut has_turned_back, mut needed_person) = (false, false);
    let mut answered: BTreeMap<(StepId, Direction), u64> = BTreeMap::new();
    let name = |step: StepId| definition.step(step).name.as_str();
    for record in records {
        match &record.event {
            Event::Started { .. } => counts.started += 1,
            Event::Recovered { .. } => counts.recovered += 1,
            Event::CallAnswered { step, answer, .. } => {
                *answered.entry((*step, Direction::Forward)).or_default() += 1;
                counts.attempt(name(*step), "forward", result(answer), 1);
            }
            Event::UndoAnswered { step, answer, .. } => {
                *answered.entry((*step, Direction::Undo)).or_default() += 1;
                counts.attempt(name(*step), "undo", result(answer), 1);
            }
            Event::TurnedBack { cause } => {
                has_turned_back = true;
                fail(counts, cause.step.map(name), &cause.reason.code);
            }
            Event::Cancelled { .. } => has_turned_back = true,
            Event::Parked { step, reason } => {
                needed_person |= has_turned_back;
                fail(counts, step.map(name), &reason.code);
            }
            Event::SkippedByHand { .. } | Event::Resolved { .. } => {
                needed_person |= has_turned_back;
            }
            _ => {}
        }
    }
    for (number, step) in (0..).zip(definition.steps()) {
        for direction in [Direction::Forward, Direction::Undo] {
            let key = (StepId(number), direction);
            let lost = u64::from(end.attempts(key.0, direction)) - answered.get(&key).unwrap_or(&0);
            counts.attempt(&step.name, direction.as_str(), "lost", lost);
        }
    }
    let last = records.last().unwrap();
    let outcome = match &last.event {
        Event::Finished { outcome: Outcome::Succeeded, .. } => "succeeded",
        Event::Finished { outcome: Outcome::Compensated, .. } => "compensated",
        Event::Resolved { .. } => "resolved",
        other => panic!("it has not ended: {other:?}"),
    };
    *counts.finished.entry(outcome.to_owned()).or_default() += 1;
    let took = last.at.0 - records[0].at.0;
    if took > 0 {
        *counts.duration.entry(outcome.to_owned()).or_default() += took;
    }
    if has_turned_back {
        let outcome = if needed_person { "attention" } else { "succeeded" };
        *counts.compensations.entry(outcome.to_owned()).or_default() += 1;
    }
}

fn fail(counts: &mut Counts, step: Option<&str>, code: &str) {
    let reason = proto::facade::v1::Reason::from_code(code).map_or("OTHER", |_| code);
    let key = (step.unwrap_or_default().to_owned(), reason.to_owned());
    *counts.failures.entry(key).or_default() += 1;
}

fn result(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { .. } | Answer::NothingToUndo => "ok",
        Answer::Declined(_) => "declined",
        Answer::Unknown(_) | Answer::Unusable(_) => "unknown",
        Answer::PushedBack { .. } => "pushed_back",
        Answer::NotSent(_) => "not_sent",
    }
}
