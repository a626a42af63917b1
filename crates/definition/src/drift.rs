//! How what participants say of themselves now differs from what a definition was checked against.

use std::collections::BTreeSet;
use std::fmt;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use super::compiled::{Compiled, Method, Target};
use super::types::Type;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The service's full name.
    pub service: String,
    /// The method that is called; empty where the service itself is gone.
    pub method: String,
    /// The message that the field is of; empty where it is about the method.
    pub message: String,
    /// What differs.
    pub change: Change,
}

/// What a participant has done to its contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A field of this name has come.
    Added {
        /// Its name.
        field: String,
        /// Its type now.
        is: String,
    },
    /// A field of this name has gone.
    Removed {
        /// Its name.
        field: String,
        /// Its type before.
        was: String,
    },
    /// A field has another name, type or number.
    Retyped {
        /// Its name before.
        field: String,
        /// What it was.
        was: String,
        /// What it is now.
        is: String,
    },
    /// The method takes or gives another message, or is gone.
    Method {
        /// What it was.
        was: String,
        /// What it is now; empty where it is gone.
        is: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { field, is } => write!(f, "field {field} added: {is}"),
            Change::Removed { field, was } => write!(f, "field {field} removed: {was}"),
            Change::Retyped { field, was, is } => {
                write!(f, "field {field} retyped: {was} is now {is}")
            }
            Change::Method { was, is } if is.is_empty() => write!(f, "removed: {was}"),
            Change::Method { was, is } => write!(f, "changed: {was} is now {is}"),
        }
    }
}

impl Compiled {
    /// The full names of the services that are called.
    pub fn services(&self) -> BTreeSet<&str> {
        self.targets().map(|target| target.service.as_str()).collect()
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        const ALL: [Method; 3] = [Method::Call, Method::Undo, Method::Lookup];
        self.steps.iter().flat_map(|step| ALL.into_iter().filter_map(|method| step.target(method)))
    }

    /// How the methods of `service` that are called differ from what `current` says of them.
    pub fn drift(&self, service: &str, current: &DescriptorPool) -> BTreeSet<Difference> {
        let mut found = BTreeSet::new();
        for target in self.targets().filter(|target| target.service == service) {
            let mut comparison = Comparison {
                service,
                method: &target.method,
                seen: BTreeSet::new(),
                found: &mut found,
            };
            comparison.method(&target.descriptor, current);
        }
        found
    }
}

struct Comparison<'c> {
    service: &'c str,
    method: &'c str,
    /// Messages that were compared already; one may hold itself.
    seen: BTreeSet<String>,
    found: &'c mut BTreeSet<Difference>,
}

impl Comparison<'_> {
    fn method(&mut self, was: &MethodDescriptor, current: &DescriptorPool) {
        let service = current.get_service_by_name(self.service);
        let is = service
            .and_then(|service| service.methods().find(|method| method.name() == self.method));
        let Some(is) = is else {
            let change = Change::Method { was: signature(was), is: String::new() };
            return self.add("", change);
        };
        if signature(was) != signature(&is) {
            self.add("", Change::Method { was: signature(was), is: signature(&is) });
        }
        self.message(&was.input(), &is.input());
        self.message(&was.output(), &is.output());
    }

    /// Compares field by field, by their numbers: these are what is sent.
    fn message(&mut self, was: &MessageDescriptor, is: &MessageDescriptor) {
        let name = was.full_name();
        if name != is.full_name() || !self.seen.insert(name.to_owned()) {
            return;
        }
        for before in was.fields() {
            let now = is.get_field(before.number());
            match now {
                None => {
                    let field = before.name().to_owned();
                    self.add(name, Change::Removed { field, was: shown(&before) });
                }
                Some(now) => self.field(name, &before, &now),
            }
        }
        for now in is.fields().filter(|now| was.get_field(now.number()).is_none()) {
            self.add(name, Change::Added { field: now.name().to_owned(), is: shown(&now) });
        }
    }

    fn field(&mut self, message: &str, before: &FieldDescriptor, now: &FieldDescriptor) {
        if (before.name(), shown(before)) != (now.name(), shown(now)) {
            let is = match before.name() == now.name() {
                true => shown(now),
                false => format!("{} {}", now.name(), shown(now)),
            };
            let field = before.name().to_owned();
            self.add(message, Change::Retyped { field, was: shown(before), is });
        }
        if let (Kind::Message(was), Kind::Message(is)) = (before.kind(), now.kind()) {
            self.message(&was, &is);
        }
    }

    fn add(&mut self, message: &str, change: Change) {
        self.found.insert(Difference {
            service: self.service.to_owned(),
            method: self.method.to_owned(),
            message: message.to_owned(),
            change,
        });
    }
}

fn signature(method: &MethodDescriptor) -> String {
    let stream = |is: bool| if is { "stream " } else { "" };
    format!(
        "({}{}) returns ({}{})",
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name()
    )
}

/// The field's type as a .proto writes it, with its number.
fn shown(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Kind::Message(_) if field.is_map() => Type::of_field(field).to_string(),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let label = if field.is_list() { "repeated " } else { "" };
    let group = if field.is_group() { "group " } else { "" };
    format!("{label}{group}{one} = {}", field.number())
}
