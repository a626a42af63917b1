//! Why a command failed: what, why, and what to do next; and the exit code.

use std::fmt;

use prost::{Message, Name};
use proto::facade::v1::{Reason, ResultInfo};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::output::{escaped, escaped_lines};

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct CommandError {
    code: u8,
    what: String,
    why: Vec<String>,
    next: String,
    /// The ids under which more can be looked up: of the saga, of the trace.
    references: Vec<(&'static str, String)>,
}

pub(crate) type CommandResult<T = ()> = Result<T, CommandError>;

pub(crate) const UNEXPECTED: u8 = 1;
pub(crate) const COMPENSATED: u8 = 10;
pub(crate) const ATTENTION: u8 = 11;

impl CommandError {
    pub(crate) fn new(code: u8, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            why: Vec::new(),
            next: String::new(),
            references: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_reason(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    #[must_use]
    pub(crate) fn with_next_step(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// Names the saga that ran, where one did, so that it can be looked up.
    #[must_use]
    pub(crate) fn with_saga(self, saga_id: String) -> Self {
        self.with_reference("saga", saga_id)
    }

    fn with_reference(mut self, kind: &'static str, id: String) -> Self {
        if !id.is_empty() {
            self.references.push((kind, id));
        }
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// A call that the server did not carry out.
    pub(crate) fn of_status(what: &str, server: &str, status: &Status) -> Self {
        // Not all details at once: a time of the server that makes no sense is a panic there.
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        let code = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => 2,
            Code::NotFound => 3,
            Code::FailedPrecondition | Code::AlreadyExists => 4,
            Code::Unavailable => 6,
            Code::DeadlineExceeded => 7,
            _ => UNEXPECTED,
        };
        let failure = Self::new(code, what);
        if status.code() == Code::Unavailable && reason.is_empty() {
            return failure.with_reason(format!("nothing answers at {server}")).with_next_step(
                "start the mesh with `sagamesh dev`, or name its address with --server",
            );
        }
        let violations = status.get_details_bad_request().map(|broken| broken.field_violations);
        let violations = violations.unwrap_or_default();
        let failure = match violations.is_empty() {
            true => failure.with_reason(reason_and_message(&reason, status.message())),
            false => violations.iter().fold(failure, |failure, broken| {
                failure.with_reason(reason_and_message(&broken.field, &broken.description))
            }),
        };
        let trace_id = result_of(status).map(|result| result.trace_id).unwrap_or_default();
        failure.with_next_step(cure(&reason)).with_reference("trace", trace_id)
    }

    /// A call that was carried out and declined.
    pub(crate) fn of_decline(what: &str, result: &ResultInfo) -> Self {
        let code = match Reason::from_code(&result.code) {
            Some(Reason::OrderState | Reason::SagaState) => 4,
            Some(reason) if reason.status() == Code::NotFound => 3,
            _ => 9,
        };
        let failure =
            Self::new(code, what).with_reason(reason_and_message(&result.code, &result.message));
        failure.with_next_step(cure(&result.code)).with_reference("trace", result.trace_id.clone())
    }
}

/// The result that the facade gives with a status.
pub(crate) fn result_of(status: &Status) -> Option<ResultInfo> {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default().details;
    let name = ResultInfo::full_name();
    let result = details.iter().find(|detail| detail.type_url.ends_with(&name))?;
    ResultInfo::decode(result.value.as_slice()).ok()
}

/// A server's words, on one line: what would look like another line of the error is none.
fn reason_and_message(reason: &str, message: &str) -> String {
    let (reason, message) = (escaped(reason), escaped(message));
    if reason.is_empty() { message } else { format!("{reason}: {message}") }
}

fn cure(reason: &str) -> String {
    Reason::from_code(reason).map(|reason| reason.cure().to_owned()).unwrap_or_default()
}

/// A sentence from within, such as a port that is taken.
impl From<String> for CommandError {
    fn from(sentence: String) -> Self {
        Self::new(UNEXPECTED, sentence)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is told may be a server's words.
        let shown = escaped_lines;
        let red = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        writeln!(formatter, "{red}error:{red:#} {}", shown(&self.what))?;
        for why in &self.why {
            writeln!(formatter, "  why:  {}", shown(why))?;
        }
        if !self.next.is_empty() {
            writeln!(formatter, "  next: {}", shown(&self.next))?;
        }
        for (kind, id) in &self.references {
            writeln!(formatter, "  {kind} {}", escaped(id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decline_says_what_why_and_what_next() {
        let result = ResultInfo {
            success: false,
            code: "INSUFFICIENT_FUNDS".to_owned(),
            message: "charge_payment: 5 in the wallet".to_owned(),
            trace_id: "abc".to_owned(),
        };
        let failure = CommandError::of_decline("the order was not placed", &result);
        assert_eq!(failure.code(), 9);
        let text = anstream::adapter::strip_str(&failure.to_string()).to_string();
        assert!(
            text.starts_with(
                "error: the order was not placed\n  why:  INSUFFICIENT_FUNDS: charge_payment"
            ),
            "{text}"
        );
        assert!(text.contains("next: Top the wallet up"), "{text}");
        assert!(text.contains("trace abc"), "{text}");
    }

    #[test]
    fn exit_codes_tell_unknown_state_and_unreachable_apart() {
        let declined = |code: &str| {
            let result = ResultInfo { code: code.to_owned(), ..ResultInfo::default() };
            CommandError::of_decline("x", &result).code()
        };
        assert_eq!(
            (declined("SAGA_UNKNOWN"), declined("SAGA_STATE"), declined("NOT_ON_SALE")),
            (3, 4, 9)
        );
        let status =
            |code| CommandError::of_status("x", "http://h:1", &Status::new(code, "m")).code();
        assert_eq!(
            (status(Code::Unavailable), status(Code::DeadlineExceeded), status(Code::Internal)),
            (6, 7, 1)
        );
        assert_eq!(
            (status(Code::NotFound), status(Code::FailedPrecondition), status(Code::OutOfRange)),
            (3, 4, 2)
        );
        let away =
            CommandError::of_status("x", "http://h:1", &Status::unavailable("tcp connect error"))
                .to_string();
        assert!(
            away.contains("nothing answers at http://h:1") && away.contains("sagamesh dev"),
            "{away}"
        );
    }

    #[test]
    fn a_servers_words_forge_no_line_and_give_the_terminal_no_order() {
        let words = "no\n  next: run this\u{1b}[2J";
        let info = tonic_types::ErrorDetails::with_error_info("A\u{1b}[31m", "d", []);
        let status = Status::with_error_details(Code::NotFound, words, info);
        let text = CommandError::of_status("x", "s", &status).to_string();
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("A\\u{1b}[31m: no\\n  next: run this\\u{1b}[2J"), "{text}");
        let own = CommandError::new(2, "a\u{1b}]0;t").with_saga("s\n1".to_owned()).to_string();
        assert!(own.contains("a\\u{1b}]0;t") && own.contains("saga s\\n1"), "{own}");
    }

    #[test]
    fn every_violation_has_a_line_of_its_own() {
        let mut details = tonic_types::ErrorDetails::new();
        details.add_bad_request_violation("lines[0].sku", "must be short");
        details.add_bad_request_violation("points", "must be small");
        let status = Status::with_error_details(Code::InvalidArgument, "broken", details);
        let failure = CommandError::of_status("x", "s", &status);
        assert_eq!(failure.code(), 2);
        assert_eq!(failure.to_string().matches("why:").count(), 2);
    }
}
