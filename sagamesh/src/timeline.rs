//! A saga's journal as a newcomer reads it: what happened, in which order, and how long it took.

use std::collections::HashMap;

use anstyle::AnsiColor;
use facade::wire::read_instant;
use proto::saga::v1::{AnswerKind, Event, EventKind};

use crate::output::paint;

/// Turns events into lines, one by one.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    started: Option<i64>,
    /// When each step's attempt began, in milliseconds.
    begun: HashMap<(String, bool), i64>,
}

impl Timeline {
    /// The event's line; `None` for one that only begins what a later one tells.
    pub(crate) fn line(&mut self, event: &Event) -> Option<String> {
        let at = millis(event);
        let start = *self.started.get_or_insert(at);
        let said = self.say(event, at)?;
        Some(format!("{:>6} ms  {said}", at - start))
    }

    fn say(&mut self, event: &Event, at: i64) -> Option<String> {
        let step = event.step.as_str();
        match event.kind() {
            EventKind::Unspecified => None,
            EventKind::Started => Some("the saga is on disk and begins".to_owned()),
            kind @ (EventKind::CallIntended
            | EventKind::UndoIntended
            | EventKind::LookupIntended) => {
                self.begun.insert((step.to_owned(), kind != EventKind::CallIntended), at);
                None
            }
            EventKind::LookupAnswered if event.answer() == AnswerKind::Done => {
                Some(format!("{} {step} was found: it took effect", gray("?")))
            }
            EventKind::LookupAnswered => Some(self.answered(event, at, true)),
            EventKind::StepSkipped => {
                Some(format!("{} {step} skipped: not needed here", gray("–")))
            }
            EventKind::CallAnswered => Some(self.answered(event, at, false)),
            EventKind::UndoAnswered => Some(self.answered(event, at, true)),
            EventKind::TurnedBack => {
                Some(format!("{} turning back: {}", yellow("↩"), reason(event)))
            }
            EventKind::Parked => {
                Some(format!("{} {step} needs a person: {}", red("!"), reason(event)))
            }
            EventKind::Recovered => Some(format!("{} {}", gray("⟳"), event.message)),
            EventKind::Paused => Some(by_hand("paused", event)),
            EventKind::Resumed => Some(by_hand("resumed", event)),
            EventKind::Retried => Some(by_hand("retried", event)),
            EventKind::Cancelled => Some(by_hand("cancelled", event)),
            EventKind::SkippedByHand => {
                Some(by_hand(&format!("{step} counted as handled by hand"), event))
            }
            EventKind::Resolved => Some(by_hand("resolved", event)),
            EventKind::Succeeded => Some(format!("{} every step is done", green("■"))),
            EventKind::Compensated => {
                Some(format!("{} everything that had started is undone", yellow("■")))
            }
        }
    }

    fn answered(&mut self, event: &Event, at: i64, undo: bool) -> String {
        let step = &event.step;
        let begun = self.begun.insert((step.clone(), undo), at);
        let took = begun.map(|begun| gray(&format!(" ({} ms)", at - begun))).unwrap_or_default();
        match (event.answer(), undo) {
            (AnswerKind::Done, false) => format!("{} {step}{took}", green("✓")),
            (AnswerKind::Done, true) => format!("{} {step} undone{took}", yellow("↩")),
            (AnswerKind::NothingToUndo, _) => {
                format!("{} {step}: nothing to undo{took}", yellow("↩"))
            }
            (AnswerKind::Declined, false) => {
                format!("{} {step} declined: {}{took}", red("✗"), reason(event))
            }
            (AnswerKind::Declined, true) => {
                format!("{} {step} could not be undone: {}", red("✗"), reason(event))
            }
            (AnswerKind::PushedBack, _) => {
                format!("{} {step} was asked to wait: {}", gray("…"), reason(event))
            }
            (AnswerKind::NotSent, _) => {
                format!("{} {step} was not sent: {}; sent again", gray("…"), reason(event))
            }
            (AnswerKind::Unusable, _) => {
                format!("{} {step} cannot be called: {}", red("✗"), reason(event))
            }
            (AnswerKind::Unknown | AnswerKind::Unspecified, _) => {
                format!("{} {step} gave no answer: {}; asked again", gray("?"), reason(event))
            }
        }
    }
}

fn reason(event: &Event) -> String {
    match event.message.as_str() {
        "" => event.reason.clone(),
        message => format!("{}, {message}", event.reason),
    }
}

fn by_hand(what: &str, event: &Event) -> String {
    format!("{} {what} by an operator: {}", yellow("☞"), event.message)
}

fn green(text: &str) -> String {
    paint(text, AnsiColor::Green)
}

fn yellow(text: &str) -> String {
    paint(text, AnsiColor::Yellow)
}

fn red(text: &str) -> String {
    paint(text, AnsiColor::Red)
}

fn gray(text: &str) -> String {
    paint(text, AnsiColor::BrightBlack)
}

fn millis(event: &Event) -> i64 {
    let at = event.at.as_ref().and_then(|at| read_instant(at).ok()).unwrap_or_default();
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ms: i32, kind: EventKind, step: &str, answer: AnswerKind, reason: &str) -> Event {
        let at = Some(prost_types::Timestamp { seconds: 5, nanos: ms * 1_000_000 });
        let mut event =
            Event { at, step: step.to_owned(), reason: reason.to_owned(), ..Event::default() };
        event.set_kind(kind);
        event.set_answer(answer);
        event
    }

    #[test]
    fn a_saga_that_turns_back_reads_from_top_to_bottom() {
        let none = AnswerKind::Unspecified;
        let events = [
            event(10, EventKind::Started, "", none, ""),
            event(10, EventKind::CallIntended, "freeze", none, ""),
            event(14, EventKind::CallAnswered, "freeze", AnswerKind::Done, ""),
            event(14, EventKind::CallIntended, "charge", none, ""),
            event(
                21,
                EventKind::CallAnswered,
                "charge",
                AnswerKind::Declined,
                "INSUFFICIENT_FUNDS",
            ),
            event(21, EventKind::TurnedBack, "charge", none, "INSUFFICIENT_FUNDS"),
            event(21, EventKind::UndoIntended, "freeze", none, ""),
            event(24, EventKind::UndoAnswered, "freeze", AnswerKind::Done, ""),
            event(24, EventKind::Compensated, "", none, ""),
        ];
        let mut timeline = Timeline::default();
        let lines: Vec<String> = events.iter().filter_map(|event| timeline.line(event)).collect();
        let text = anstream::adapter::strip_str(&lines.join("\n")).to_string();
        assert_eq!(
            text,
            "     0 ms  the saga is on disk and begins\n     4 ms  ✓ freeze (4 ms)\n    \
             11 ms  ✗ charge declined: INSUFFICIENT_FUNDS (7 ms)\n    \
             11 ms  ↩ turning back: INSUFFICIENT_FUNDS\n    \
             14 ms  ↩ freeze undone (3 ms)\n    14 ms  ■ everything that had started is undone"
        );
    }
}
