//! The one place where failures become gRPC statuses.

use http::HeaderName;
use prost::Message;
use prost_types::Any;
use proto::facade::v1::{Reason, ResultInfo};
use tonic::{Code, Status};
use tonic_types::pb::{self, bad_request::FieldViolation};

use crate::Failure;

/// The header or trailer that tells how a call went.
pub(crate) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `ErrorInfo.domain` of every reason in the registry.
pub(crate) const DOMAIN: &str = "sagamesh";

/// Violations in one answer: trailers have a limit of some kilobytes with most clients.
const VIOLATIONS_TOLD: usize = 32;
/// Of these, the ones in the sentence.
const VIOLATIONS_SAID: usize = 12;

/// How a failure is told: its status, reason and sentence.
pub(crate) struct Told {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    details: Vec<Any>,
    facts: Vec<(String, String)>,
}

impl Told {
    pub(crate) fn of(failure: &Failure) -> Self {
        let told = |code, reason: Reason, message: String| Self {
            code,
            reason: reason.code().to_owned(),
            message,
            details: Vec::new(),
            facts: Vec::new(),
        };
        match failure {
            Failure::Declined(decline) => Self {
                reason: decline.code.clone(),
                ..told(Code::FailedPrecondition, Reason::Unspecified, decline.message.clone())
            },
            Failure::Invalid(violations) => {
                let field_violations = violations
                    .iter()
                    .take(VIOLATIONS_TOLD)
                    .map(|violation| FieldViolation {
                        field: violation.path.clone(),
                        description: violation.message.clone(),
                        ..FieldViolation::default()
                    })
                    .collect();
                let said = violations.iter().take(VIOLATIONS_SAID);
                let mut sentence: Vec<String> = said
                    .map(|violation| format!("{} {}", violation.path, violation.message))
                    .collect();
                if let Some(more) =
                    violations.len().checked_sub(VIOLATIONS_SAID).filter(|more| *more > 0)
                {
                    sentence.push(format!("and {more} more"));
                }
                Self {
                    details: vec![any(
                        "google.rpc.BadRequest",
                        &pb::BadRequest { field_violations },
                    )],
                    ..told(Code::InvalidArgument, Reason::InvalidRequest, sentence.join("; "))
                }
            }
            Failure::Refused { code, reason, message, facts } => {
                Self { facts: facts.clone(), ..told(*code, *reason, message.clone()) }
            }
            Failure::Overloaded { message, retry_after } => {
                let retry_delay = prost_types::Duration::try_from(*retry_after).ok();
                Self {
                    details: vec![any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay })],
                    ..told(Code::ResourceExhausted, Reason::Overloaded, message.clone())
                }
            }
            Failure::Unavailable(_) => told(
                Code::Unavailable,
                Reason::Unavailable,
                Reason::Unavailable.sentence().to_owned(),
            ),
            Failure::Internal(_) => {
                told(Code::Internal, Reason::Internal, Reason::Internal.sentence().to_owned())
            }
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

    pub(crate) fn status(mut self, trace_id: &str) -> Status {
        let result = self.result(trace_id);
        let info = pb::ErrorInfo {
            reason: self.reason.clone(),
            domain: DOMAIN.to_owned(),
            metadata: std::mem::take(&mut self.facts).into_iter().collect(),
        };
        let mut details = vec![any("google.rpc.ErrorInfo", &info)];
        details.append(&mut self.details);
        details.push(any("sagamesh.facade.v1.ResultInfo", &result));
        let status = pb::Status { code: self.code.into(), message: self.message.clone(), details };
        Status::with_details(self.code, self.message, status.encode_to_vec().into())
    }
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}
