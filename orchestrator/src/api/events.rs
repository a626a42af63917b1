//! Journal records as the API streams them, without payloads.

use proto::saga::v1::{AnswerKind, Event as Shown, EventKind};
use saga::{Answer, Event, Outcome, Reason, Record, StepId};

use super::view::timestamp;
use definition::Compiled;

pub(super) fn show(definition: &Compiled, record: &Record) -> Shown {
    let mut shown =
        Shown { seq: record.seq + 1, at: Some(timestamp(record.at.0)), ..Shown::default() };
    let name = |step: StepId| definition.engine().step(step).name.clone();
    match &record.event {
        Event::Started { .. } => shown.set_kind(EventKind::Started),
        Event::Skipped { step } => {
            shown.set_kind(EventKind::StepSkipped);
            shown.step = name(*step);
        }
        Event::CallIntended { step, .. } => {
            shown.set_kind(EventKind::CallIntended);
            shown.step = name(*step);
        }
        Event::CallAnswered { step, answer, .. } => {
            shown.set_kind(EventKind::CallAnswered);
            shown.step = name(*step);
            show_answer(&mut shown, answer);
        }
        Event::TurnedBack { cause } => {
            shown.set_kind(EventKind::TurnedBack);
            shown.step = cause.step.map(name).unwrap_or_default();
            show_reason(&mut shown, &cause.reason);
        }
        Event::UndoIntended { step, .. } => {
            shown.set_kind(EventKind::UndoIntended);
            shown.step = name(*step);
        }
        Event::UndoAnswered { step, answer, .. } => {
            shown.set_kind(EventKind::UndoAnswered);
            shown.step = name(*step);
            show_answer(&mut shown, answer);
        }
        Event::LookupIntended { step, .. } => {
            shown.set_kind(EventKind::LookupIntended);
            shown.step = name(*step);
        }
        Event::LookupAnswered { step, answer, .. } => {
            shown.set_kind(EventKind::LookupAnswered);
            shown.step = name(*step);
            show_answer(&mut shown, answer);
        }
        Event::Parked { step, reason } => {
            shown.set_kind(EventKind::Parked);
            shown.step = step.map(name).unwrap_or_default();
            show_reason(&mut shown, reason);
        }
        Event::Recovered { node } => {
            shown.set_kind(EventKind::Recovered);
            shown.message = format!("taken up by node {node}");
        }
        Event::Paused { reason } => by_hand(&mut shown, EventKind::Paused, reason),
        Event::Resumed { reason } => by_hand(&mut shown, EventKind::Resumed, reason),
        Event::Retried { reason } => by_hand(&mut shown, EventKind::Retried, reason),
        Event::Cancelled { reason } => by_hand(&mut shown, EventKind::Cancelled, reason),
        Event::SkippedByHand { step, reason } => {
            by_hand(&mut shown, EventKind::SkippedByHand, reason);
            shown.step = name(*step);
        }
        Event::Resolved { reason } => by_hand(&mut shown, EventKind::Resolved, reason),
        Event::Finished { outcome: Outcome::Succeeded, .. } => shown.set_kind(EventKind::Succeeded),
        Event::Finished { outcome: Outcome::Compensated, .. } => {
            shown.set_kind(EventKind::Compensated)
        }
    }
    shown
}

fn by_hand(shown: &mut Shown, kind: EventKind, reason: &str) {
    shown.set_kind(kind);
    reason.clone_into(&mut shown.message);
}

fn show_answer(shown: &mut Shown, answer: &Answer) {
    shown.set_answer(match answer {
        Answer::Done { .. } => AnswerKind::Done,
        Answer::Declined(_) => AnswerKind::Declined,
        Answer::NothingToUndo => AnswerKind::NothingToUndo,
        Answer::Unknown(_) => AnswerKind::Unknown,
        Answer::PushedBack { .. } => AnswerKind::PushedBack,
        Answer::Unusable(_) => AnswerKind::Unusable,
        Answer::NotSent(_) => AnswerKind::NotSent,
    });
    if let Some(reason) = answer.reason() {
        show_reason(shown, reason);
    }
}

fn show_reason(shown: &mut Shown, reason: &Reason) {
    shown.reason.clone_from(&reason.code);
    shown.message.clone_from(&reason.message);
}
