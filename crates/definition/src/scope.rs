//! Which names an expression may use, and what it says where one is not allowed.

use prost_reflect::MessageDescriptor;

use super::descriptors::Descriptors;
use super::path::{Root, SagaField};
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

    /// Gives `name` a meaning before whatever else is called so.
    pub(super) fn over(mut self, name: &str, meaning: Name) -> Self {
        self.names.insert(0, (name.to_owned(), meaning));
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
pub(super) const SAGA_FIELDS: [(&str, SagaField); 6] = [
    ("id", SagaField::Id),
    ("name", SagaField::Name),
    ("version", SagaField::Version),
    ("key", SagaField::Key),
    ("reason", SagaField::Reason),
    ("reason_code", SagaField::ReasonCode),
];

pub(super) fn saga_type(field: SagaField) -> Type {
    match field {
        SagaField::Version => Type::Int,
        SagaField::Id
        | SagaField::Name
        | SagaField::Key
        | SagaField::Reason
        | SagaField::ReasonCode => Type::String,
    }
}
