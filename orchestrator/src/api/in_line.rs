//! Calls of a saga that wait in line for their participants, as they are shown.

use clock::Timestamp;
use proto::saga::v1 as wire;
use saga::{Direction, StepId, StepStatus};

use super::{
    read::{SagaHistory, SagaSnapshot},
    view,
};
use crate::{
    driver::Driver,
    outbound::limiter::{Place, Snapshot},
};

/// The calls of one saga that wait in line, by step.
pub(super) struct InLine<'s>(Vec<(StepId, Waiting<'s>)>);

/// One of them.
#[derive(Debug)]
pub(super) struct Waiting<'s> {
    participant: &'s str,
    place: Place,
}

impl<'s> InLine<'s> {
    /// Those of the saga that wait now.
    pub(super) fn of(saga: &'s SagaSnapshot, driver: &Driver) -> Self {
        let saga_id = &saga.index_row.header.saga_id;
        let waiting = |history: &'s SagaHistory| {
            let steps = (0..).zip(history.definition.engine().steps());
            let waiting = steps.filter_map(|(step, rules)| {
                let (step, compiled) = (StepId(step), history.definition.step(StepId(step)));
                let (direction, target) = match history.replayer.state.step(step).status {
                    StepStatus::Running | StepStatus::Unknown | StepStatus::NotSent => {
                        (Direction::Forward, &compiled.call)
                    }
                    StepStatus::Undoing => (Direction::Undo, compiled.undo.as_ref()?),
                    _ => return None,
                };
                let participant = target.service.as_str();
                let places = driver.participants();
                let place = places.place(participant, saga_id, &rules.name, direction)?;
                Some((step, Waiting { participant, place }))
            });
            waiting.collect()
        };
        Self(saga.history.as_ref().map(waiting).unwrap_or_default())
    }

    /// Where the step's call or undo waits, if it does.
    pub(super) fn at(&self, step: StepId) -> Option<&Waiting<'s>> {
        self.0.iter().find(|(waiting, _)| *waiting == step).map(|(_, waiting)| waiting)
    }
}

impl Waiting<'_> {
    /// For a program.
    pub(super) fn message(&self) -> wire::InLine {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let Place { position, line } = self.place;
        wire::InLine {
            participant: self.participant.to_owned(),
            position: count(position),
            waiting: count(line.waiting),
            in_flight: count(line.in_flight),
            limit: count(line.limit),
            left_alone_until: line.left_alone_until.map(|Timestamp(ms)| view::timestamp(ms)),
        }
    }

    /// For a person: `waits in line for work.v1.Work, 12 of 436: 8 calls are under way, as many as may be …`.
    pub(super) fn sentence(&self, now: Timestamp) -> String {
        let Self { participant, place: Place { position, line } } = self;
        let Snapshot { in_flight, waiting, limit, max, left_alone_until } = line;
        let setting = format!("participants.{participant}.in_flight: {max}");
        let why = match left_alone_until {
            Some(until) => {
                let seconds = until.since(now).as_secs_f64();
                format!("it asked to be left alone for {seconds:.1} s more; ")
            }
            None => String::new(),
        };
        format!(
            "waits in line for {participant}, {position} of {waiting}: {why}{in_flight} calls are under way, {limit} may be \
             ({setting})"
        )
    }
}
