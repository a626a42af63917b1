//! What is said to a person about where a saga stands.

use clock::Timestamp;
use saga::{Reason, SagaState, Status, StepId, StepStatus};

use super::{in_line::InLine, read::SagaHistory};

/// Why the saga turned back, is held, or was closed.
pub(super) fn why(state: &SagaState) -> Option<&Reason> {
    state.why().map(|cause| &cause.reason)
}

/// What happens next and when, or who must decide what.
pub(super) fn next(history: &SagaHistory, in_line: &InLine<'_>, now: Timestamp) -> String {
    let state = &history.replayer.state;
    match state.status() {
        Status::Succeeded => "nothing: every step is done".to_owned(),
        Status::Compensated => "nothing: every step that had started is undone".to_owned(),
        Status::Resolved => "nothing: a person has settled it".to_owned(),
        Status::Paused => "an operator must resume it, cancel it or resolve it".to_owned(),
        Status::Attention => {
            let cure = "a person must look: mend the cause and retry it, skip the step that was handled by hand, or \
                        resolve the saga";
            match standing(history, in_line, now).filter(|_| state.cause().is_some()) {
                Some(standing) => format!("{cure}. {standing}"),
                None => cure.to_owned(),
            }
        }
        Status::Running | Status::Compensating => match standing(history, in_line, now) {
            Some(standing) => standing,
            None => "the next step is about to begin".to_owned(),
        },
    }
}

/// What happens next to a saga that stands aside.
pub(super) fn next_aside(why: Option<&Reason>, status: Status) -> String {
    let by_person = why.is_some_and(|why| why.code == Reason::RESOLVED_BY_OPERATOR);
    match status.is_ended() {
        true if by_person => return "nothing: a person has settled it".to_owned(),
        true => {
            return "nothing runs: the saga had ended. Its journal is damaged: restore the database from a backup to see \
                    what happened"
                .to_owned();
        }
        false => {}
    }
    let cure = why.and_then(|why| proto::facade::v1::Reason::from_code(&why.code));
    let cure = cure.map_or("Mend what stopped it, then retry it.", |reason| reason.cure());
    format!("a person must decide. {cure} Or resolve it, once it is settled by hand")
}

/// Where the saga stands and why, step by step: `freeze_stock: UNAVAILABLE: connection refused, attempt 7, next in
/// 1.2 s`. `None` where nothing is under way.
pub(super) fn standing(
    history: &SagaHistory,
    in_line: &InLine<'_>,
    now: Timestamp,
) -> Option<String> {
    let steps = history.definition.engine().steps();
    let open: Vec<String> = (0..)
        .zip(steps)
        .filter_map(|(index, rules)| step(history, in_line, &rules.name, StepId(index), now))
        .collect();
    (!open.is_empty()).then(|| open.join("; "))
}

fn step(
    history: &SagaHistory,
    in_line: &InLine<'_>,
    name: &str,
    id: StepId,
    now: Timestamp,
) -> Option<String> {
    let view = history.replayer.state.step(id);
    let (what, attempts) = match view.status {
        StepStatus::Running => ("waits for its answer", view.attempts),
        StepStatus::Undoing => ("is being undone", view.undo_attempts),
        StepStatus::NotSent if history.replayer.state.cause().is_none() => {
            ("is sent again", view.attempts)
        }
        StepStatus::Unknown if history.replayer.state.cause().is_none() => {
            ("is asked again", view.attempts)
        }
        StepStatus::Stuck => ("needs a person", view.attempts.max(view.undo_attempts)),
        _ => return None,
    };
    let undoing = if view.status == StepStatus::Undoing { " (undo)" } else { "" };
    if let Some(waiting) = in_line.at(id) {
        return Some(format!("{name}{undoing} {}", waiting.sentence(now)));
    }
    let mut sentence = match view.reason {
        Some(reason) => {
            format!("{name}{undoing}: {}: {}, attempt {attempts}", reason.code, reason.message)
        }
        None => format!("{name} {what}, attempt {attempts}"),
    };
    if let Some(due) = view.due.map(|due| Timestamp(due.0)).filter(|due| *due > now) {
        sentence.push_str(&format!(", next in {:.1} s", due.since(now).as_secs_f64()));
    }
    Some(sentence)
}
