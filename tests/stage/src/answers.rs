//! Answers as tests read them.

use proto::Response;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The response of a call that was carried out.
pub fn body<R>(answer: Result<tonic::Response<R>, Status>) -> R {
    answer.unwrap().into_inner()
}

/// The result's code.
pub fn code<R: Response>(response: &R) -> &str {
    &response.result().unwrap().code
}

/// The result's sentence.
pub fn message<R: Response>(response: &R) -> &str {
    &response.result().unwrap().message
}

/// The result's code, or the status where it is not OK.
pub fn told<R: Response>(answer: Result<tonic::Response<R>, Status>) -> String {
    match answer {
        Ok(response) => code(response.get_ref()).to_owned(),
        Err(status) => format!("{:?} {}", status.code(), reason(&status)),
    }
}

/// The registered reason of a status that is not OK.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// The paths of the fields that break a rule.
#[must_use]
pub fn paths(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}

/// Checks that a call was refused with this status and this registered reason, and gives its status.
pub fn refused<R>(answer: Result<R, Status>, code: Code, why: &str) -> Status {
    let status = answer.err().expect("the call is refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{status:?}");
    status
}
