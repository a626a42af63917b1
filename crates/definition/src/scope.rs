//! Which names an expression may use, and what it says where one is not allowed.

use prost_reflect::MessageDescriptor;

use super::descriptors::Descriptors;
use super::path::{About, Root};
use super::types::Type;

/// What a name stands for at the place of an expression.
#[derive(Debug, Clone)]
pub(super) enum Name {
    /// A message. `None` where its type could not be found, which has been reported.
    Message(Root, Option<MessageDescriptor>),
    /// The saga itself: only its fields are values.
    Saga,
    /// A step whose response may not be there: what is wrong and the cure.
    Hidden(String, String),
}

/// The names of one expression.
#[derive(Debug)]
pub(super) struct Scope<'d> {
    names: Vec<(String, Name)>,
    descriptors: &'d Descriptors,
}

impl<'d> Scope<'d> {
    pub(super) fn new(descriptors: &'d Descriptors) -> Self {
        Self { names: Vec::new(), descriptors }
    }

    pub(super) fn with(mut self, name: &str, meaning: Name) -> Self {
        self.names.push((name.to_owned(), meaning));
        self
    }

    pub(super) fn find(&self, name: &str) -> Option<&Name> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, meaning)| meaning)
    }

    /// The names that may be used here.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let usable = self.names.iter().filter(|(_, name)| !matches!(name, Name::Hidden(..)));
        usable.map(|(name, _)| name.as_str())
    }

    pub(super) fn descriptors(&self) -> &'d Descriptors {
        self.descriptors
    }
}

/// The fields of `saga`.
pub(super) const SAGA_FIELDS: [(&str, About); 6] = [
    ("id", About::Id),
    ("name", About::Name),
    ("version", About::Version),
    ("key", About::Key),
    ("reason", About::Reason),
    ("reason_code", About::ReasonCode),
];

pub(super) fn saga_type(field: About) -> Type {
    match field {
        About::Version => Type::Int,
        About::Id | About::Name | About::Key | About::Reason | About::ReasonCode => Type::String,
    }
}
