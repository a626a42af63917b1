//! Answers as tests read them.

use prost::{Message, Name};
use proto::{Response, facade::v1::ResultInfo};
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

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
pub fn code_or_status<R: Response>(answer: Result<tonic::Response<R>, Status>) -> String {
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

/// The result that a status which is not OK carries beside its reason.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn result_of(status: &Status) -> ResultInfo {
    let details = pb::Status::decode(status.details()).unwrap().details;
    let name = ResultInfo::full_name();
    let result = details.iter().find(|detail| detail.type_url.ends_with(&name));
    ResultInfo::decode(result.expect("a result").value.as_slice()).unwrap()
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
