//! Sagas and their events on the screen.

use proto::saga::v1::{Saga, SagaState, WatchSagaRequest};
use tonic::Request;

use super::Client;
use crate::{
    arguments::{Format, Global},
    error::{CommandError, CommandResult},
    output,
    timeline::Timeline,
};

/// A saga as a row of a list.
pub(super) fn row(saga: &Saga) -> Vec<String> {
    vec![
        saga.saga_id.clone(),
        format!("{} {}", saga.definition, saga.version),
        saga.key.clone(),
        output::saga_state(saga.state()),
        output::instant(saga.created_at.as_ref()),
        saga.reason.clone(),
    ]
}

/// A saga with its steps, and what else it came with.
pub(super) fn saga(global: &Global, saga: &Saga) -> CommandResult {
    if global.output == Format::Json {
        return output::json(saga);
    }
    facts(saga);
    anstream::println!();
    steps(saga);
    let payloads = payloads(saga);
    if !payloads.is_empty() {
        anstream::println!();
        output::table(&["STEP", "PAYLOAD", "JSON"], &payloads);
    }
    Ok(())
}

fn facts(saga: &Saga) {
    let why = match saga.reason.as_str() {
        "" => String::new(),
        reason => format!("{reason}: {}", saga.message),
    };
    let facts = [
        ("saga", saga.saga_id.clone()),
        ("definition", format!("{} version {}", saga.definition, saga.version)),
        ("key", saga.key.clone()),
        ("state", output::saga_state(saga.state())),
        ("started", output::instant(saga.created_at.as_ref())),
        ("why", why),
        ("next", saga.next.clone()),
        ("output", saga.output_json.clone()),
        ("no output", saga.output_problem.clone()),
    ];
    let facts = facts.into_iter().filter(|(_, fact)| !fact.is_empty());
    let rows: Vec<Vec<String>> = facts.map(|(name, fact)| vec![name.to_owned(), fact]).collect();
    output::table(&["", ""], &rows);
}

fn steps(saga: &Saga) {
    let steps: Vec<Vec<String>> = saga
        .steps
        .iter()
        .map(|step| {
            let why = match step.reason.as_str() {
                "" => String::new(),
                reason => format!("{reason}: {}", step.message),
            };
            let state = output::step_state(step.state());
            vec![
                step.step.clone(),
                state,
                step.attempts.to_string(),
                step.undo_attempts.to_string(),
                why,
            ]
        })
        .collect();
    output::table(&["STEP", "STATE", "CALLS", "UNDOS", "WHY"], &steps);
}

/// What the saga was started with, and what its steps sent and got; a row each.
fn payloads(saga: &Saga) -> Vec<Vec<String>> {
    let of_saga = [("", "input", &saga.input_json), ("", "problem", &saga.input_problem)];
    let of_steps = saga.steps.iter().flat_map(|step| {
        [
            (step.step.as_str(), "sent", &step.request_json),
            (step.step.as_str(), "got", &step.response_json),
            (step.step.as_str(), "undo sent", &step.undo_request_json),
            (step.step.as_str(), "undo got", &step.undo_response_json),
            (step.step.as_str(), "problem", &step.payload_problem),
        ]
    });
    let shown = of_saga.into_iter().chain(of_steps).filter(|(_, _, shown)| !shown.is_empty());
    shown
        .map(|(step, payload, shown)| vec![step.to_owned(), payload.to_owned(), shown.clone()])
        .collect()
}

/// Follows a saga until it ends.
pub(super) async fn watch(global: &Global, client: &mut Client, saga_id: String) -> CommandResult {
    let failed = |status: &tonic::Status| {
        CommandError::of_status("the saga cannot be watched", &global.server, status)
    };
    // The call has no time limit, because a watcher waits as long as the saga takes.
    let request = Request::new(WatchSagaRequest { saga_id, after_seq: 0 });
    let mut events =
        client.watch_saga(request).await.map_err(|status| failed(&status))?.into_inner();
    let mut timeline = Timeline::default();
    while let Some(response) = events.message().await.map_err(|status| failed(&status))? {
        let Some(event) = response.event else { continue };
        if global.output == Format::Json {
            output::json(&event)?;
        } else if let Some(line) = timeline.line(&output::showable(&event)?) {
            anstream::println!("{line}");
        }
    }
    Ok(())
}

/// The exit code of a saga that was waited for.
pub(super) fn ending(saga: &Saga) -> CommandResult {
    let failure = |code, what: &str| {
        Err(CommandError::new(code, format!("the saga {what}"))
            .with_reason(format!("{}: {}", saga.reason, saga.message))
            .with_next_step(format!("look at it with `sagamesh saga get {}`", saga.saga_id)))
    };
    match saga.state() {
        SagaState::Succeeded => Ok(()),
        SagaState::Compensated | SagaState::Resolved => {
            failure(crate::error::COMPENSATED, "did not succeed")
        }
        SagaState::Attention => failure(crate::error::ATTENTION, "needs a person"),
        SagaState::Paused => failure(crate::error::ATTENTION, "is paused by an operator"),
        _ => failure(7, "has not ended within the time limit"),
    }
}
