//! What a saga came to, and what its steps sent and got: as JSON that fits into a response.
//!
//! Both are worked out when somebody asks, from the journal and the descriptors that the definition was registered with.

use std::sync::Arc;

use bytes::Bytes;
use definition::{Compiled, decode_to_show};
use facade::{Call, Failure, budget, page::PAGE_BYTES};
use prost::Message;
use prost_reflect::MessageDescriptor;
use proto::{saga::v1::Saga, shown::Writer};
use saga::{Direction, SagaState, Status, StepId};

use super::read::{self, SagaHistory, SagaSnapshot};
use crate::driver::{Driver, facts};

const UNREADABLE: &str = "no payloads are shown: the saga's journal or definition cannot be read";
/// Beyond every record: only the saga itself is read.
const NO_RECORD: u64 = u64::MAX;

/// Fills in the output of a saga that has succeeded, and, where they are asked for, the payloads.
pub(super) async fn fill(
    driver: &Driver,
    call: &Call,
    found: &Arc<SagaSnapshot>,
    mut saga: Saga,
    with_payloads: bool,
) -> Result<Saga, Failure> {
    let Some(history) = &found.history else {
        if with_payloads {
            saga.input_problem = UNREADABLE.to_owned();
        }
        return Ok(saga);
    };
    let has_output = found.status() == Status::Succeeded;
    if !has_output && !with_payloads {
        return Ok(saga);
    }
    let is_computed = history.definition.has_output();
    let request = match is_computed || with_payloads {
        true => request(driver, &saga.saga_id).await?,
        false => Bytes::new(),
    };
    // Expressions and whole journals take longer than the event loop can do without others.
    let is_heavy = is_computed || with_payloads || budget::is_heavy(size_of_last(history));
    let found = Arc::clone(found);
    let work = move || {
        if let Some(history) = &found.history {
            if has_output {
                fill_output(&mut saga, &found, history, &request);
            }
            if with_payloads {
                fill_payloads(&mut saga, history, &request);
            }
        }
        saga
    };
    if is_heavy { call.off_the_loop(work).await } else { Ok(work()) }
}

/// What a saga was started with, which those who look at it share no copy of.
async fn request(driver: &Driver, saga_id: &str) -> Result<Bytes, Failure> {
    let loaded = driver.journal().look(saga_id, NO_RECORD).await.map_err(Failure::unavailable)?;
    Ok(loaded.ok_or_else(|| read::unknown_saga(saga_id))?.index_row.header.request)
}

/// The bytes of the largest message that an output without an expression is made of.
fn size_of_last(history: &SagaHistory) -> usize {
    let state = &history.replayer.state;
    let responses = steps(&history.definition).filter_map(|step| state.response(step));
    responses.chain(state.reply()).map(Bytes::len).max().unwrap_or_default()
}

fn fill_output(saga: &mut Saga, found: &SagaSnapshot, history: &SagaHistory, request: &[u8]) {
    let SagaHistory { definition, replayer } = history;
    let state = &replayer.state;
    let facts = facts(definition, &found.index_row.header, request, state);
    let reply = state.reply().cloned().unwrap_or_default();
    let room = PAGE_BYTES.saturating_sub(saga.encoded_len());
    match definition.output(&facts, &reply, room) {
        Ok(output) => saga.output_json = output.unwrap_or_default(),
        Err(error) => saga.output_problem = error.to_string(),
    }
}

/// What of a saga a payload is; with the step's place in the list.
#[derive(Clone, Copy)]
enum Part {
    Input,
    Request(usize),
    Response(usize),
    UndoRequest(usize),
    UndoResponse(usize),
}

impl Part {
    fn field(self) -> &'static str {
        match self {
            Part::Input => "input_json",
            Part::Request(_) => "request_json",
            Part::Response(_) => "response_json",
            Part::UndoRequest(_) => "undo_request_json",
            Part::UndoResponse(_) => "undo_response_json",
        }
    }

    /// Where its JSON goes, and what is to be said about it.
    fn fields_in(self, saga: &mut Saga) -> Option<(&mut String, &mut String)> {
        let step = match self {
            Part::Input => return Some((&mut saga.input_json, &mut saga.input_problem)),
            Part::Request(step)
            | Part::Response(step)
            | Part::UndoRequest(step)
            | Part::UndoResponse(step) => step,
        };
        let step = saga.steps.get_mut(step)?;
        let json = match self {
            Part::Response(_) => &mut step.response_json,
            Part::UndoRequest(_) => &mut step.undo_request_json,
            Part::UndoResponse(_) => &mut step.undo_response_json,
            Part::Input | Part::Request(_) => &mut step.request_json,
        };
        Some((json, &mut step.payload_problem))
    }
}

struct Payload<'p> {
    part: Part,
    kind: MessageDescriptor,
    bytes: &'p [u8],
}

fn fill_payloads(saga: &mut Saga, history: &SagaHistory, request: &[u8]) {
    let mut payloads = payloads(&history.definition, &history.replayer.state, request);
    // The small ones first, so that what they leave of their share is there for the large ones.
    payloads.sort_by_key(|payload| payload.bytes.len());
    let mut room = PAGE_BYTES.saturating_sub(saga.encoded_len());
    for (payload, left) in payloads.iter().zip((1..=payloads.len()).rev()) {
        let (json, problem) = show(&history.definition, payload, room / left);
        room = room.saturating_sub(json.len() + problem.len());
        let Some((shown, problems)) = payload.part.fields_in(saga) else { continue };
        *shown = json;
        if !problems.is_empty() && !problem.is_empty() {
            problems.push_str("; ");
        }
        problems.push_str(&problem);
    }
}

fn payloads<'p>(
    definition: &Compiled,
    state: &'p SagaState,
    request: &'p [u8],
) -> Vec<Payload<'p>> {
    let kind = definition.request_kind().clone();
    let mut payloads = vec![Payload { part: Part::Input, kind, bytes: request }];
    for (index, id) in steps(definition).enumerate() {
        let step = definition.step(id);
        let mut add = |part, kind, bytes: Option<&'p Bytes>| {
            payloads.extend(bytes.map(|bytes| Payload { part, kind, bytes }));
        };
        let (call, sent) = (&step.call.descriptor, |direction| state.request(id, direction));
        add(Part::Request(index), call.input(), sent(Direction::Forward));
        add(Part::Response(index), call.output(), state.response(id));
        if let Some(undo) = &step.undo {
            let undo = &undo.descriptor;
            add(Part::UndoRequest(index), undo.input(), sent(Direction::Undo));
            add(Part::UndoResponse(index), undo.output(), state.undo_response(id));
        }
    }
    payloads
}

/// The JSON, which may be cut, and what is to be said about it.
fn show(definition: &Compiled, payload: &Payload<'_>, room: usize) -> (String, String) {
    let (field, size) = (payload.part.field(), payload.bytes.len());
    let message = match payload.part {
        Part::Input => definition.input_to_show(payload.bytes),
        _ => decode_to_show(&payload.kind, payload.bytes),
    };
    let message = match message {
        Ok(message) => message,
        Err(error) => return (String::new(), format!("{field} is not shown: {error}")),
    };
    let mut writer = Writer::new(room);
    writer.message(&message);
    let problem = match writer.is_cut() {
        true => format!("{field} is cut: there is no room for all of a message of {size} bytes"),
        false => String::new(),
    };
    (writer.into_text(), problem)
}

fn steps(definition: &Compiled) -> impl Iterator<Item = StepId> + use<> {
    let count = definition.engine().steps().len();
    (0..count).filter_map(|index| u16::try_from(index).ok().map(StepId))
}
