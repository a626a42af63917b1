//! Rules of typed messages, through `validator`.

use std::borrow::Cow;

use validator::ValidationError;

use super::{
    CURRENCY, Checked, IDENTIFIER, LINE, MAX_VIOLATIONS, POSITIVE, Violation, double, first_double,
    is_currency, is_identifier, is_line,
};
use crate::facade::v1::Money;

/// Every rule that `message` breaks, by path.
pub fn violations(message: &dyn Checked) -> Vec<Violation> {
    let mut found = Vec::new();
    collect(message, "", &mut found);
    found.sort();
    found
}

fn collect(message: &dyn Checked, path: &str, found: &mut Vec<Violation>) {
    if found.len() >= MAX_VIOLATIONS {
        return;
    }
    if let Err(errors) = message.validate() {
        for (field, errors) in errors.field_errors() {
            let path = join(path, &field);
            found.extend(errors.iter().map(|error| violation(&path, error)));
        }
    }
    message.visit(&mut |field, inner| collect(inner, &join(path, field), found));
}

fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}

fn violation(path: &str, error: &ValidationError) -> Violation {
    let path = match error.code.as_ref() {
        "positive" => join(path, "minor_units"),
        _ => path.to_owned(),
    };
    Violation { path, message: error.message.as_deref().unwrap_or(&error.code).to_owned() }
}

fn check(
    holds: bool,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
) -> Result<(), ValidationError> {
    if holds { Ok(()) } else { Err(ValidationError::new(code).with_message(message.into())) }
}

/// The charset `IDENTIFIER`, for generated code.
///
/// # Errors
/// A violation.
pub fn identifier(text: &str) -> Result<(), ValidationError> {
    check(is_identifier(text), "identifier", IDENTIFIER)
}

/// The charset `CURRENCY`, for generated code.
///
/// # Errors
/// A violation.
pub fn currency(text: &str) -> Result<(), ValidationError> {
    check(is_currency(text), "currency", CURRENCY)
}

/// The charset `LINE`, for generated code.
///
/// # Errors
/// A violation.
pub fn line(text: &str) -> Result<(), ValidationError> {
    check(is_line(text), "line", LINE)
}

/// The rule `positive`, for generated code.
///
/// # Errors
/// A violation.
pub fn positive(money: &Money) -> Result<(), ValidationError> {
    check(money.minor_units >= 1, "positive", POSITIVE)
}

/// The rule `unique_by`, for generated code: the field of each entry, and its name.
///
/// # Errors
/// A violation.
pub fn unique<'a>(
    keys: impl Iterator<Item = &'a str>,
    field: &'static str,
) -> Result<(), ValidationError> {
    match first_double(keys) {
        None => Ok(()),
        Some((first, second)) => check(false, "unique", double(first, second, field)),
    }
}
