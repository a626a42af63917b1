//! The rule for answers: what a gRPC status and a response body mean for a step.
//!
//! The status says whether the call was carried out; the body says how the business decided. This is the one place
//! where either is read. ARCHITECTURE.md quotes the table.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use facade::{
    caller::{CallError, Defect, NotSent},
    echo,
    wire::code_name,
};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use proto::facade::v1::Reason as Registered;
use saga::{Answer, Direction, Reason};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use definition::{Class, Overrides, is_reason};

use super::{
    judge::Judge,
    message_size::{self, TooLarge},
};

/// How many values a response may have: each can take a hundred times its bytes in memory.
const MAX_VALUES: usize = 250_000;

/// What a call returned: the encoded response, or why there is none.
pub type CallResult = Result<Bytes, CallError>;

/// Classifies what a call returned as an answer.
#[must_use]
pub fn read(
    result: CallResult,
    output: &MessageDescriptor,
    direction: Direction,
    overrides: &Overrides,
    judge: Option<Judge<'_>>,
) -> Answer {
    match result {
        Ok(response) => read_body(response, output, direction, overrides, judge),
        Err(CallError::NotSent(not_sent)) => read_not_sent(&not_sent),
        Err(CallError::Status(status)) => read_status(&status, direction, overrides),
    }
}

/// Whether a lookup was told that there is nothing of the kind.
#[must_use]
pub(super) fn is_not_found(result: &CallResult) -> bool {
    matches!(result, Err(CallError::Status(status)) if status.code() == Code::NotFound)
}

/// The answer of an attempt that has certainly not been made, whatever the definition's overrides say of statuses.
fn read_not_sent(not_sent: &NotSent) -> Answer {
    Answer::NotSent(Reason::new(Registered::NotSent.code(), kept(&not_sent.message)))
}

fn read_body(
    response: Bytes,
    output: &MessageDescriptor,
    direction: Direction,
    overrides: &Overrides,
    judge: Option<Judge<'_>>,
) -> Answer {
    let values = definition::count_values(output, &response);
    if values > MAX_VALUES {
        let why = format!("the response has {values} values, and {MAX_VALUES} are taken");
        return too_large(&why);
    }
    let message = match DynamicMessage::decode(output.clone(), response.clone()) {
        Ok(message) => message,
        // The answer cannot be read, and the call may well have taken effect.
        Err(error) => {
            let what = format!("the answer is no {}: {error}", output.full_name());
            return Answer::Unknown(Reason::new(Registered::GarbledAnswer.code(), what));
        }
    };
    let judged = match decline(&message) {
        None => judge.map_or(Ok(None), |judge| judge.decline(&response)),
        declined => Ok(declined),
    };
    let reason = match judged {
        Ok(Some(reason)) => reason,
        Ok(None) => return Answer::Done { response },
        Err(reason) => return Answer::Unusable(reason),
    };
    match overrides.class("OK", Some(&reason.code)) {
        Some(class) => overridden(class, reason, response),
        None if direction == Direction::Undo && reason.code == Registered::NothingToUndo.code() => {
            Answer::NothingToUndo
        }
        None => Answer::Declined(reason),
    }
}

/// An answer that is not taken, and would be the same if it were asked for again.
fn too_large(why: &str) -> Answer {
    Answer::Unusable(Reason::new(Registered::AnswerTooLarge.code(), kept(why)))
}

/// An answer that came and cannot be used, whatever the definition's overrides say of statuses: it has none of the callee's.
fn read_defect(defect: Defect, why: &str) -> Answer {
    let garbled = || Reason::new(Registered::GarbledAnswer.code(), kept(why));
    match defect {
        Defect::TooLarge => too_large(why),
        Defect::Encoding => Answer::Unusable(garbled()),
        Defect::Garbled => Answer::Unknown(garbled()),
    }
}

/// The decline in a response's `result`; `None` where it has none, or says success.
fn decline(message: &DynamicMessage) -> Option<Reason> {
    let result =
        message.get_field_by_name("result").filter(|_| message.has_field_by_name("result"))?;
    let result = result.as_message()?;
    let success = result.get_field_by_name("success")?.as_bool()?;
    let text = |field: &str| {
        result
            .get_field_by_name(field)
            .and_then(|text| text.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    (!success).then(|| {
        let (code, message) = (text("code"), text("message"));
        match is_reason(&code) {
            true => Reason::new(code, kept(&message)),
            false => {
                let said = format!("{}: {message}", kept(&code));
                Reason::new(Registered::StepRefused.code(), kept(said.trim_start_matches(": ")))
            }
        }
    })
}

/// As much of a participant's text as a reason may have: it is journaled, and passed on to undos.
pub(super) fn kept(words: &str) -> Cow<'_, str> {
    echo::cut(words, echo::SENTENCE)
}

fn read_status(status: &Status, direction: Direction, overrides: &Overrides) -> Answer {
    if let Some(defect) = Defect::of(status) {
        return read_defect(defect, status.message());
    }
    let info = status.get_details_error_info();
    let given_reason =
        info.as_ref().map(|info| info.reason.as_str()).filter(|reason| is_reason(reason));
    let reason =
        Reason::new(given_reason.unwrap_or(code_name(status.code())), kept(status.message()));
    if let Some(class) = overrides.class(code_name(status.code()), given_reason) {
        return overridden(class, reason, Bytes::new());
    }
    match message_size::too_large(status) {
        Some(TooLarge::Request) => {
            return Answer::Declined(Reason::new(
                Registered::MessageTooLarge.code(),
                reason.message,
            ));
        }
        Some(TooLarge::Response) => return too_large(status.message()),
        None => {}
    }
    if let Some(wait) = push_back(status) {
        return Answer::PushedBack { reason, wait };
    }
    match status.code() {
        Code::NotFound
            if direction == Direction::Undo
                && given_reason == Some(Registered::NothingToUndo.code()) =>
        {
            Answer::NothingToUndo
        }
        Code::Ok
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted => Answer::Unknown(reason),
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::PermissionDenied => Answer::Declined(reason),
        Code::Unimplemented | Code::Unauthenticated | Code::DataLoss => Answer::Unusable(reason),
    }
}

/// How long the participant asks to be left alone, where it does; no time at all where it does not say how long: the engine
/// has a back-off for it.
fn push_back(status: &Status) -> Option<Duration> {
    let retry_delay = facade::wire::retry_delay(status);
    match status.code() {
        Code::ResourceExhausted => Some(retry_delay.unwrap_or_default()),
        Code::Unavailable => retry_delay,
        _ => None,
    }
}

fn overridden(class: Class, reason: Reason, response: Bytes) -> Answer {
    match class {
        Class::Done => Answer::Done { response },
        Class::Declined => Answer::Declined(reason),
        Class::Unknown => Answer::Unknown(reason),
        Class::Attention => Answer::Unusable(reason),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::{facade::v1::ResultInfo, stock::v1::FreezeResponse};

    use super::*;

    const ALL: [Code; 16] = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    fn output() -> MessageDescriptor {
        proto::descriptors().get_message_by_name("sagamesh.stock.v1.FreezeResponse").unwrap()
    }

    fn freeze(result: Option<ResultInfo>) -> Bytes {
        FreezeResponse { result, order_no: "O-1".to_owned(), lines: Vec::new() }
            .encode_to_vec()
            .into()
    }

    fn result(success: bool, code: &str) -> Option<ResultInfo> {
        Some(ResultInfo { success, code: code.to_owned(), ..ResultInfo::default() })
    }

    fn classified(result: Result<Bytes, Status>) -> Answer {
        let result = result.map_err(CallError::Status);
        read(result, &output(), Direction::Forward, &Overrides::default(), None)
    }

    #[test]
    fn the_body_of_an_ok_says_how_the_business_decided() {
        assert!(matches!(classified(Ok(freeze(None))), Answer::Done { .. }));
        assert!(matches!(classified(Ok(freeze(result(true, "OK")))), Answer::Done { .. }));
        assert!(
            matches!(classified(Ok(freeze(result(false, "NO")))), Answer::Declined(reason) if reason.code == "NO")
        );
        assert!(matches!(classified(Ok(Bytes::from_static(b"\xff\xff"))), Answer::Unknown(_)));
        let undo = |code| {
            read(
                Ok(freeze(result(false, code))),
                &output(),
                Direction::Undo,
                &Overrides::default(),
                None,
            )
        };
        assert_eq!(undo("NOTHING_TO_UNDO"), Answer::NothingToUndo);
        assert!(matches!(undo("ORDER_STATE"), Answer::Declined(_)));
    }

    #[test]
    fn every_status_has_one_meaning() {
        for code in ALL {
            let answer = classified(Err(Status::new(code, "why")));
            let expected = match code_name(code) {
                "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "UNKNOWN" | "INTERNAL" | "CANCELLED"
                | "ABORTED" => "unknown",
                "RESOURCE_EXHAUSTED" => "pushed back",
                "UNIMPLEMENTED" | "UNAUTHENTICATED" | "DATA_LOSS" => "unusable",
                _ => "declined",
            };
            let found = match &answer {
                Answer::Done { .. } | Answer::NothingToUndo => "done",
                Answer::Declined(_) => "declined",
                Answer::Unknown(_) => "unknown",
                Answer::PushedBack { .. } => "pushed back",
                Answer::Unusable(_) => "unusable",
                Answer::NotSent(_) => "not sent",
            };
            assert_eq!(found, expected, "{code:?}");
            assert_eq!(answer.reason().unwrap().code, code_name(code));
        }
    }

    #[test]
    fn a_push_back_waits_as_long_as_it_was_told() {
        let details = tonic_types::ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
        let status = Status::with_error_details(Code::Unavailable, "busy", details);
        assert!(
            matches!(classified(Err(status)), Answer::PushedBack { wait, .. } if wait == Duration::from_secs(7))
        );
        let endless = tonic_types::pb::RetryInfo {
            retry_delay: Some(prost_types::Duration { seconds: i64::MIN, nanos: i32::MIN }),
        };
        let detail = prost_types::Any {
            type_url: tonic_types::RetryInfo::TYPE_URL.to_owned(),
            value: endless.encode_to_vec(),
        };
        let details = tonic_types::pb::Status { details: vec![detail], ..Default::default() };
        let details = details.encode_to_vec().into();
        let senseless =
            classified(Err(Status::with_details(Code::ResourceExhausted, "busy", details)));
        assert!(matches!(senseless, Answer::PushedBack { wait, .. } if wait.is_zero()));
        let untold = classified(Err(Status::resource_exhausted("busy")));
        assert!(matches!(untold, Answer::PushedBack { wait, .. } if wait.is_zero()));
    }

    #[test]
    fn a_request_that_is_too_large_is_declined_in_the_servers_words_and_not_asked_again() {
        let words = "Received message larger than max (6000005 vs. 4194304)";
        let told = classified(Err(Status::resource_exhausted(words)));
        assert_eq!(told, Answer::Declined(Reason::new("MESSAGE_TOO_LARGE", words)));
        let words = "grpc: trying to send message larger than max (6000005 vs. 4194304)";
        let told = classified(Err(Status::resource_exhausted(words)));
        assert_eq!(told, Answer::Unusable(Reason::new("ANSWER_TOO_LARGE", words)));
    }

    #[test]
    fn a_reason_in_the_details_names_the_decline() {
        let details = tonic_types::ErrorDetails::with_error_info("KEY_REUSED", "sagamesh", []);
        let status = Status::with_error_details(Code::FailedPrecondition, "twice", details);
        assert!(
            matches!(classified(Err(status)), Answer::Declined(reason) if reason.code == "KEY_REUSED")
        );
    }

    #[test]
    fn a_reason_that_has_not_the_form_of_one_is_no_more_than_words() {
        let endless = "A".repeat(64);
        for wrong in ["", "no", "1_NO", "_NO", "NO!", "N\u{1b}[2J", "N\nO", "ÄRGER", &endless] {
            let details = tonic_types::ErrorDetails::with_error_info(wrong, "elsewhere", []);
            let status = Status::with_error_details(Code::NotFound, "words", details);
            let Answer::Declined(reason) = classified(Err(status)) else { panic!("{wrong}") };
            assert_eq!((reason.code.as_str(), reason.message.as_str()), ("NOT_FOUND", "words"));

            let Answer::Declined(reason) = classified(Ok(freeze(result(false, wrong)))) else {
                panic!("{wrong}")
            };
            assert_eq!(reason.code, "STEP_REFUSED");
            assert!(reason.message.contains(wrong), "{reason}");
        }
        let longest = "A".repeat(63);
        assert!(
            matches!(classified(Ok(freeze(result(false, &longest)))), Answer::Declined(reason) if reason.code == longest)
        );
    }

    #[test]
    fn words_that_are_long_are_cut_and_say_so() {
        let long = "ä".repeat(1_000);
        let in_status = classified(Err(Status::not_found(&long)));
        let in_result = classified(Ok(freeze(result(false, &long))));
        for answer in [in_status, in_result] {
            let Answer::Declined(Reason { message, .. }) = answer else { panic!("{answer:?}") };
            assert!(message.len() <= echo::SENTENCE && message.ends_with('…'), "{message}");
        }
    }

    #[test]
    fn an_answer_of_too_many_values_needs_a_person() {
        let empty = [0x1a, 0x00].repeat(300_000);
        let Answer::Unusable(reason) = classified(Ok(empty.into())) else { panic!() };
        assert_eq!(reason.code, "ANSWER_TOO_LARGE");
        assert!(reason.message.contains("has 300000 values, and 250000 are taken"), "{reason}");
    }

    #[test]
    fn an_answer_that_came_and_cannot_be_used_is_told_as_that_and_asked_for_again_only_where_that_may_help()
     {
        let overrides = Overrides::default();
        let answer = |defect: Defect| {
            let mut status = Status::internal("what is wrong");
            status.set_source(std::sync::Arc::new(defect));
            read(Err(status.into()), &output(), Direction::Forward, &overrides, None)
        };
        let garbled = || Reason::new("GARBLED_ANSWER", "what is wrong");
        assert_eq!(answer(Defect::Encoding), Answer::Unusable(garbled()));
        assert_eq!(answer(Defect::Garbled), Answer::Unknown(garbled()));
        let too_large = Reason::new("ANSWER_TOO_LARGE", "what is wrong");
        assert_eq!(answer(Defect::TooLarge), Answer::Unusable(too_large));
    }

    #[test]
    fn every_code_of_the_engine_is_in_the_registry() {
        for code in Reason::CODES {
            assert!(Registered::from_code(code).is_some(), "{code}");
        }
    }
}
