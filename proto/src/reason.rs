//! What the registry of reasons says of each.

use std::{collections::HashMap, fmt, sync::LazyLock};

use prost_reflect::Value;
use tonic::Code;

use crate::{descriptors, facade::v1::Reason};

const PREFIX: &str = "REASON_";

struct Entry {
    sentence: String,
    cure: String,
    status: Code,
}

impl Reason {
    /// The name as it stands in `ResultInfo.code` and `ErrorInfo.reason`: without the enum's prefix.
    #[must_use]
    pub fn code(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix(PREFIX).unwrap_or(name)
    }

    /// The reason of this code; `None` for a code that is not registered.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::from_str_name(&format!("{PREFIX}{code}"))
    }

    /// What happened, in a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        registry().get(&self).map_or("", |entry| &entry.sentence)
    }

    /// What to do about it, in a sentence.
    #[must_use]
    pub fn cure(self) -> &'static str {
        registry().get(&self).map_or("", |entry| &entry.cure)
    }

    /// The status with which a call is refused for this reason, where it is neither a saga step nor a method that a saga
    /// serves: those are OK, and say no in their response.
    #[must_use]
    pub fn status(self) -> Code {
        registry().get(&self).map_or(Code::FailedPrecondition, |entry| entry.status)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

fn registry() -> &'static HashMap<Reason, Entry> {
    static REGISTRY: LazyLock<HashMap<Reason, Entry>> = LazyLock::new(|| {
        let pool = descriptors();
        let reasons =
            pool.get_enum_by_name("sagamesh.facade.v1.Reason").expect("reason.proto has it");
        let extension = |name| pool.get_extension_by_name(name).expect("reason.proto has it");
        let sentence = extension("sagamesh.facade.v1.sentence");
        let cure = extension("sagamesh.facade.v1.cure");
        let status = extension("sagamesh.facade.v1.status");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        reasons
            .values()
            .filter_map(|value| {
                let options = value.options();
                let entry = Entry {
                    sentence: text(&options.get_extension(&sentence)),
                    cure: text(&options.get_extension(&cure)),
                    status: code_named(&text(&options.get_extension(&status))),
                };
                Some((Reason::try_from(value.number()).ok()?, entry))
            })
            .collect()
    });
    &REGISTRY
}

/// A status by gRPC's name for it.
fn code_named(name: &str) -> Code {
    match name {
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "NOT_FOUND" => Code::NotFound,
        "ALREADY_EXISTS" => Code::AlreadyExists,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "" | "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "OUT_OF_RANGE" => Code::OutOfRange,
        "UNIMPLEMENTED" => Code::Unimplemented,
        "INTERNAL" => Code::Internal,
        "UNAVAILABLE" => Code::Unavailable,
        "DATA_LOSS" => Code::DataLoss,
        // Any other value is a mistake in the registry, which a test finds.
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_not_found_and_every_status_has_a_name_of_grpcs() {
        for reason in (1..).map_while(|number| Reason::try_from(number).ok()) {
            let unknown = reason.code().ends_with("_UNKNOWN") && reason != Reason::MethodUnknown;
            let not_found = unknown || reason == Reason::NothingToUndo;
            assert_eq!(reason.status() == Code::NotFound, not_found, "{reason}");
            assert!(!matches!(reason.status(), Code::Ok | Code::Unknown), "{reason}");
        }
        assert_eq!(Reason::SagaState.status(), Code::FailedPrecondition);
        assert_eq!(Reason::AmountOutOfRange.status(), Code::OutOfRange);
    }

    #[test]
    fn every_registered_reason_has_a_sentence_and_a_cure() {
        for reason in (1..).map_while(|number| Reason::try_from(number).ok()) {
            assert!(reason.sentence().ends_with('.'), "{reason} has no sentence");
            assert!(reason.cure().ends_with('.'), "{reason} has no cure");
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert!(registry().len() > 30);
    }
}
