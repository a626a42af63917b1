//! The one place where failures become gRPC statuses.

use http::HeaderName;
use prost::Message;
use prost_types::Any;
use proto::{
    facade::v1::{Reason, ResultInfo},
    rules::Violation,
};
use tonic::{Code, Status};
use tonic_types::pb::{self, bad_request::FieldViolation};

use crate::{
    Decline, Failure,
    echo::{self, cut, cut_owned},
};

/// The header or trailer that tells how a call went.
pub(crate) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `ErrorInfo.domain` of every reason in the registry.
pub(crate) const DOMAIN: &str = "sagamesh";

/// The most violations that one answer lists, and bytes of them: most clients limit trailers to some kilobytes.
const MAX_VIOLATIONS: usize = 32;
const MAX_VIOLATION_BYTES: usize = 2048;
/// The most violations that the answer's message names.
const MAX_VIOLATIONS_IN_MESSAGE: usize = 12;
/// The most bytes of facts that one answer has.
const MAX_FACT_BYTES: usize = 768;

/// What a caller is told of a decline or failure: its status, reason and message.
pub(crate) struct StatusDetails {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    details: Vec<Any>,
    facts: Vec<(String, String)>,
}

impl StatusDetails {
    fn new(code: Code, reason: &str, message: String) -> Self {
        let message = cut_owned(message, echo::SENTENCE);
        let reason = cut(reason, echo::VALUE).into_owned();
        Self { code, reason, message, details: Vec::new(), facts: Vec::new() }
    }

    /// A decline. Its status is for a response type that has no result to say it in.
    pub(crate) fn of_decline(decline: &Decline) -> Self {
        Self::new(Code::FailedPrecondition, &decline.code, decline.message.clone())
    }

    pub(crate) fn of(failure: &Failure) -> Self {
        let registered = |reason: Reason, message: &str| {
            Self::new(reason.status(), reason.code(), message.to_owned())
        };
        match failure {
            Failure::Invalid(violations) => {
                let field_violations = within(MAX_VIOLATION_BYTES, violations.iter().map(told));
                let said = violations.iter().take(MAX_VIOLATIONS_IN_MESSAGE);
                let mut sentence: Vec<String> = said
                    .map(told)
                    .map(|(field, description)| format!("{field} {description}"))
                    .collect();
                if let Some(more) =
                    violations.len().checked_sub(MAX_VIOLATIONS_IN_MESSAGE).filter(|more| *more > 0)
                {
                    sentence.push(format!("and {more} more"));
                }
                let field_violations = field_violations
                    .take(MAX_VIOLATIONS)
                    .map(|(field, description)| FieldViolation {
                        field,
                        description,
                        ..FieldViolation::default()
                    })
                    .collect();
                Self {
                    details: vec![any(
                        "google.rpc.BadRequest",
                        &pb::BadRequest { field_violations },
                    )],
                    ..registered(Reason::InvalidRequest, &sentence.join("; "))
                }
            }
            Failure::Refused { code, reason, message, facts, .. } => {
                Self { facts: facts.clone(), ..Self::new(*code, reason, message.clone()) }
            }
            Failure::Overloaded { message, retry_after } => {
                let retry_delay = prost_types::Duration::try_from(*retry_after).ok();
                Self {
                    details: vec![any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay })],
                    ..registered(Reason::Overloaded, message)
                }
            }
            Failure::Unavailable(_) => {
                registered(Reason::Unavailable, Reason::Unavailable.sentence())
            }
            Failure::Internal(_) => registered(Reason::Internal, Reason::Internal.sentence()),
        }
    }

    pub(crate) fn with_facts(mut self, facts: Vec<(String, String)>) -> Self {
        self.facts.extend(facts);
        self
    }

    pub(crate) fn result(&self, trace_id: &str) -> ResultInfo {
        ResultInfo {
            success: false,
            code: self.reason.clone(),
            message: self.message.clone(),
            trace_id: trace_id.to_owned(),
        }
    }

    pub(crate) fn into_status(mut self, trace_id: &str) -> Status {
        let result = self.result(trace_id);
        let info = pb::ErrorInfo {
            reason: self.reason.clone(),
            domain: DOMAIN.to_owned(),
            metadata: within(MAX_FACT_BYTES, std::mem::take(&mut self.facts).into_iter().map(fact))
                .collect(),
        };
        let mut details = vec![any("google.rpc.ErrorInfo", &info)];
        details.append(&mut self.details);
        details.push(any("sagamesh.facade.v1.ResultInfo", &result));
        let status = pb::Status { code: self.code.into(), message: self.message.clone(), details };
        Status::with_details(self.code, self.message, status.encode_to_vec().into())
    }
}

fn told(violation: &Violation) -> (String, String) {
    let Violation { path, message } = violation;
    (cut(path, echo::VALUE).into_owned(), cut(message, echo::VALUE).into_owned())
}

fn fact((name, value): (String, String)) -> (String, String) {
    (cut_owned(name, echo::VALUE), cut_owned(value, echo::VALUE))
}

/// As many pairs as fit into so many bytes.
fn within(
    bytes: usize,
    pairs: impl Iterator<Item = (String, String)>,
) -> impl Iterator<Item = (String, String)> {
    let mut left = bytes;
    pairs.map_while(move |(name, value)| {
        left = left.checked_sub(name.len() + value.len())?;
        Some((name, value))
    })
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}
