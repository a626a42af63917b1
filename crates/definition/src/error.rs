//! What goes wrong when an expression of a sound definition meets the values of one saga.

use std::fmt;

use super::problem::Position;

/// How much is told of an expression, in characters; its place tells the rest.
const MAX_EXPRESSION: usize = 200;
/// How much of what went wrong: it may quote a value of the saga.
const MAX_WHAT: usize = 400;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A number does not fit: division by zero, overflow, a field that is too narrow.
    Arithmetic,
    /// A map has no such key, or a list no such item.
    MissingKey,
    /// A text does not say what a function or a field expects of it.
    Conversion,
    /// A value is of another kind. Only values that are known at run time alone (`dyn`, JSON) do this.
    Type,
    /// The recorded bytes are not the message that they should be.
    Bytes,
    /// More would have to be done than an evaluation may take.
    Budget,
}

/// An expression that could not be evaluated; the saga's values are at fault, not the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// The definition file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The expression, or the field, as it is written.
    pub expression: String,
    /// What went wrong, without a full stop.
    pub what: String,
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EvaluationError { file, line, column, expression, what, .. } = self;
        write!(f, "{file}:{line}:{column}: `{expression}`: {what}")
    }
}

impl std::error::Error for EvaluationError {}

/// An evaluation error without its position in the file, which its expression adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnlocatedError {
    pub(super) kind: ErrorKind,
    /// Where in the value it is, such as `lines[2].price`; empty where it is the value as a whole.
    pub(super) path: String,
    pub(super) what: String,
}

impl UnlocatedError {
    pub(super) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, path: String::new(), what: what.into() }
    }

    /// The same, of the part `name` of a value: a field's name, or an index or key in brackets.
    pub(super) fn inside(mut self, name: &str) -> Self {
        let is_index = self.path.is_empty() || self.path.starts_with('[');
        self.path = format!("{name}{}{}", if is_index { "" } else { "." }, self.path);
        self
    }

    /// Whether the evaluation ends here, whatever else would be decided by other operands.
    pub(super) fn is_final(&self) -> bool {
        self.kind == ErrorKind::Budget
    }

    pub(super) fn at(self, file: &str, at: Position, expression: &str) -> EvaluationError {
        let Self { kind, path, what } = self;
        let what = if path.is_empty() { what } else { format!("{path}: {what}") };
        let (what, expression) = (cut(&what, MAX_WHAT), cut(expression, MAX_EXPRESSION));
        let file = file.to_owned();
        EvaluationError { kind, file, line: at.line, column: at.column, expression, what }
    }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
