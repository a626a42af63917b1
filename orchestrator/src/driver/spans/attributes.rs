//! What is told of a saga's spans. Names are the definition's own, and reasons those that are registered: nothing that a
//! caller or a participant wrote gets here.

use definition::{Compiled, Method};
use facade::{trace::KeyValue, wire::code_name};
use proto::facade::v1::Reason as Registered;
use saga::{Answer, Cause, Direction, Status, UnderWay};
use tonic::Code;

use super::End;
use crate::journal::Header;

/// What ended the spans of a node that stopped.
pub(super) const ERROR_OF_A_LOST_SPAN: &str = "worker_lost";
/// What ended a call that nobody waits for any more.
pub(super) const CANCELLED: &str = "CANCELLED";
/// A reason that is not registered.
const OTHER: &str = "OTHER";

/// What the spans of a saga have in common.
pub(super) struct Named<'a> {
    pub(super) header: &'a Header,
    pub(super) definition: &'a Compiled,
}

impl Named<'_> {
    pub(super) fn saga(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("saga.id", self.header.saga_id.clone()),
            KeyValue::new("saga.name", self.header.definition.clone()),
            KeyValue::new("saga.version", i64::from(self.header.version)),
        ]
    }

    pub(super) fn attempt(
        &self,
        attempt: &UnderWay,
        method: Method,
        target: &str,
    ) -> Vec<KeyValue> {
        let mut attributes = self.saga();
        let step = &self.definition.engine().step(attempt.step).name;
        let direction = match (attempt.direction, method) {
            (Direction::Forward, _) => "forward",
            (Direction::Undo, Method::Lookup) => "lookup",
            (Direction::Undo, _) => "undo",
        };
        attributes.extend([
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", target.to_owned()),
            KeyValue::new("saga.step", step.clone()),
            KeyValue::new("saga.direction", direction),
            KeyValue::new("saga.attempt", i64::from(attempt.number)),
        ]);
        attributes
    }
}

/// How this process saw the attempt end.
pub(super) fn end(end: &End) -> impl Iterator<Item = KeyValue> {
    let status =
        end.status.map(|status| KeyValue::new("rpc.response.status_code", code_name(status)));
    let server = end.server.as_deref();
    let host_and_port = server.and_then(|server| {
        let (host, port) = server.rsplit_once(':')?;
        Some((host, port.parse::<u16>().ok()?))
    });
    let address = host_and_port.map(|(host, _)| host).or(server);
    let address = address.map(|address| KeyValue::new("server.address", address.to_owned()));
    let port = host_and_port.map(|(_, port)| KeyValue::new("server.port", i64::from(port)));
    [status, address, port].into_iter().flatten()
}

/// What the attempt came to for its saga.
pub(super) fn answer(answer: &Answer) -> impl Iterator<Item = KeyValue> + use<> {
    let name = match answer {
        Answer::Done { .. } => "done",
        Answer::Declined(_) => "declined",
        Answer::NothingToUndo => "nothing_to_undo",
        Answer::Unknown(_) => "unknown",
        Answer::PushedBack { .. } => "pushed_back",
        Answer::NotSent(_) => "not_sent",
        Answer::Unusable(_) => "unusable",
    };
    let reason = answer.reason().map(|reason| KeyValue::new("saga.reason", code(&reason.code)));
    [Some(KeyValue::new("saga.answer", name)), reason].into_iter().flatten()
}

/// Whether an attempt failed, and of what. The business says no in an answer that is OK.
pub(super) fn error_of(answer: &Answer, status: Option<Code>) -> Option<&'static str> {
    match (status, answer) {
        (Some(status), _) if status != Code::Ok => Some(code_name(status)),
        (_, Answer::Done { .. } | Answer::NothingToUndo | Answer::Declined(_)) => None,
        (_, answer) => answer.reason().map(|reason| code(&reason.code)),
    }
}

pub(super) fn state(status: Status) -> KeyValue {
    KeyValue::new("saga.state", status.as_str())
}

pub(super) fn outcome(
    outcome: &'static str,
    why: Option<&Cause>,
) -> impl Iterator<Item = KeyValue> {
    let why = why.map(|why| KeyValue::new("saga.reason", code(&why.reason.code)));
    [Some(KeyValue::new("saga.outcome", outcome)), why].into_iter().flatten()
}

/// The code of a reason where it is registered, or a status of gRPC's.
pub(super) fn code(code: &str) -> &'static str {
    let status = || {
        let statuses = (0..=16).map(|status| code_name(Code::from(status)));
        statuses.into_iter().find(|name| *name == code)
    };
    Registered::from_code(code).map(Registered::code).or_else(status).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use saga::Reason;

    use super::*;

    #[test]
    fn a_reason_is_told_where_it_is_registered_and_never_as_a_stranger_wrote_it() {
        for known in ["INSUFFICIENT_STOCK", "NOT_SENT", "UNAVAILABLE", "OK"] {
            assert_eq!(code(known), known);
        }
        for known in Reason::CODES {
            assert_eq!(code(known), known);
        }
        for strange in ["", "LOOK_AT_4111111111111111", "insufficient_stock"] {
            assert_eq!(code(strange), OTHER);
        }
    }

    #[test]
    fn every_status_but_ok_is_an_error_and_a_decline_is_none() {
        let reason = || Reason::new("INSUFFICIENT_STOCK", "2 are left");
        let declined = Answer::Declined(reason());
        assert_eq!(error_of(&declined, Some(Code::Ok)), None);
        assert_eq!(error_of(&declined, None), None);
        assert_eq!(error_of(&declined, Some(Code::NotFound)), Some("NOT_FOUND"));
        let unknown = Answer::Unknown(Reason::new("UNAVAILABLE", "away"));
        assert_eq!(error_of(&unknown, Some(Code::Unavailable)), Some("UNAVAILABLE"));
        assert_eq!(error_of(&unknown, None), Some("UNAVAILABLE"));
        let garbled = Answer::Unknown(Reason::new("GARBLED_ANSWER", "no message"));
        assert_eq!(error_of(&garbled, Some(Code::Ok)), Some("GARBLED_ANSWER"));
        let not_sent = Answer::NotSent(Reason::new("NOT_SENT", "nobody is there"));
        assert_eq!(error_of(&not_sent, None), Some("NOT_SENT"));
        assert_eq!(error_of(&Answer::NothingToUndo, Some(Code::Ok)), None);
    }
}
