//! How a definition overrides the table of answers, for participants of another convention.
//!
//! A step's own override wins over the definition's, and a reason wins over the status it came with.

use std::collections::BTreeMap;

use super::problem::{closest, did_you_mean};

/// What an answer of a participant is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The call was carried out, or the undo has nothing left to undo.
    Done,
    /// The participant said no; asking again will not help.
    Declined,
    /// Nobody knows whether it happened: ask again with the same key.
    Unknown,
    /// A person has to look.
    Attention,
}

impl Class {
    const NAMES: [(&'static str, Class); 4] = [
        ("done", Class::Done),
        ("declined", Class::Declined),
        ("unknown", Class::Unknown),
        ("attention", Class::Attention),
    ];

    pub(super) fn named(name: &str) -> Result<Class, (String, String)> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, class)| *class).ok_or_else(|| {
            let what = format!("`{name}` is no way to take an answer");
            (what, did_you_mean(name, Self::NAMES.iter().map(|(name, _)| *name), ""))
        })
    }
}

/// Whether a code has the form of a reason (`google.rpc.ErrorInfo`): at most 63 of `[A-Z][A-Z0-9_]`. It is journaled, shown,
/// and compared with what a definition's overrides name.
#[must_use]
pub fn is_reason(code: &str) -> bool {
    let form = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    code.len() <= 63
        && code.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
        && code.bytes().all(form)
}

/// The statuses that may be overridden: all but OK, where the body speaks.
const STATUSES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The overrides that hold for one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<String, Class>);

impl Overrides {
    /// What an answer with this gRPC status name (`NOT_FOUND`) and this reason is to be taken for;
    /// `None` where the general table holds.
    pub fn class(&self, status: &str, reason: Option<&str>) -> Option<Class> {
        reason.and_then(|reason| self.0.get(reason)).or_else(|| self.0.get(status)).copied()
    }

    /// Whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn set(&mut self, name: &str, class: Class) {
        self.0.insert(name.to_owned(), class);
    }

    /// These overrides, and those of `general` where these say nothing.
    pub(super) fn over(mut self, general: &Overrides) -> Overrides {
        for (name, class) in &general.0 {
            self.0.entry(name.clone()).or_insert(*class);
        }
        self
    }
}

/// Whether `name` may be overridden; else what is wrong and the cure.
pub(super) fn check_name(name: &str) -> Result<(), (String, String)> {
    if STATUSES.contains(&name) {
        return Ok(());
    }
    if name == "OK" {
        let cure = "remove it; an OK is judged by the `result` field of the response, or by `declined_if: …`";
        return Err(("OK cannot be overridden".to_owned(), cure.to_owned()));
    }
    let what = || format!("`{name}` is neither a gRPC status nor a reason");
    if !is_reason(name) {
        return Err((
            what(),
            "write a status such as NOT_FOUND or an UPPER_SNAKE reason".to_owned(),
        ));
    }
    // A mistyped status would be a reason that never comes, and the override would never act.
    match closest(name, STATUSES).filter(|near| strsim::levenshtein(near, name) == 1) {
        Some(near) => Err((what(), format!("did you mean `{near}`?"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_wins_over_its_status_and_a_step_over_the_definition() {
        let mut general = Overrides::default();
        general.set("NOT_FOUND", Class::Done);
        general.set("ABORTED", Class::Declined);
        let mut step = Overrides::default();
        step.set("NOT_FOUND", Class::Attention);
        step.set("GONE", Class::Done);
        let step = step.over(&general);
        assert_eq!(step.class("NOT_FOUND", None), Some(Class::Attention));
        assert_eq!(step.class("NOT_FOUND", Some("GONE")), Some(Class::Done));
        assert_eq!(step.class("ABORTED", Some("OTHER")), Some(Class::Declined));
        assert_eq!(step.class("INTERNAL", None), None);
    }

    #[test]
    fn a_mistyped_status_is_not_taken_for_a_reason() {
        assert_eq!(check_name("ALREADY_EXISTS"), Ok(()));
        assert_eq!(check_name("SEAT_TAKEN"), Ok(()));
        assert_eq!(check_name("ALREADY_EXIST").unwrap_err().1, "did you mean `ALREADY_EXISTS`?");
        assert!(check_name("OK").is_err());
        assert!(check_name("not_found").is_err());
    }
}
