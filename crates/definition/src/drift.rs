//! How what participants say of themselves now differs from what a definition was checked against.

use std::collections::BTreeSet;
use std::fmt;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

use super::compiled::{Compiled, Method, Target};
use super::types::Type;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The service's full name.
    pub service: String,
    /// The method that is called; empty where the service itself is gone.
    pub method: String,
    /// The message that the field is of, or the enum that the value is of; empty where it is about the method.
    pub message: String,
    /// What differs.
    pub change: Change,
}

/// What a participant has done to its contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A part of this name has come.
    Added {
        /// What has.
        part: Part,
        /// Its name.
        name: String,
        /// What it is now.
        is: String,
    },
    /// A part of this name has gone.
    Removed {
        /// What has.
        part: Part,
        /// Its name.
        name: String,
        /// What it was.
        was: String,
    },
    /// A field has another name or type, or a field or an enum's value another number.
    Changed {
        /// What has.
        part: Part,
        /// Its name before.
        name: String,
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

/// A part of a message or an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Of a message.
    Field,
    /// Of an enum.
    Value,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Field => "field",
            Part::Value => "value",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { part, name, is } => write!(f, "{part} {name} added: {is}"),
            Change::Removed { part, name, was } => write!(f, "{part} {name} removed: {was}"),
            Change::Changed { part, name, was, is } => {
                write!(f, "{part} {name} changed: {was} is now {is}")
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
    /// Messages and enums that were compared already; a message may hold itself.
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
        // A field that has gone from its number may be there under another.
        let moved = |one: &FieldDescriptor, other: &MessageDescriptor| {
            let same = other.get_field_by_name(one.name());
            same.filter(|same| same.number() != one.number())
        };
        for before in was.fields() {
            match is.get_field(before.number()).or_else(|| moved(&before, is)) {
                None => {
                    let field = before.name().to_owned();
                    self.add(
                        name,
                        Change::Removed { part: Part::Field, name: field, was: shown(&before) },
                    );
                }
                Some(now) => self.field(name, &before, &now),
            }
        }
        for now in is.fields().filter(|now| was.get_field(now.number()).is_none()) {
            let is_moved =
                moved(&now, was).is_some_and(|before| is.get_field(before.number()).is_none());
            if !is_moved {
                let field = now.name().to_owned();
                self.add(name, Change::Added { part: Part::Field, name: field, is: shown(&now) });
            }
        }
    }

    fn field(&mut self, message: &str, before: &FieldDescriptor, now: &FieldDescriptor) {
        if (before.name(), shown(before)) != (now.name(), shown(now)) {
            let is = match before.name() == now.name() {
                true => shown(now),
                false => format!("{} {}", now.name(), shown(now)),
            };
            let name = before.name().to_owned();
            self.add(message, Change::Changed { part: Part::Field, name, was: shown(before), is });
        }
        match (before.kind(), now.kind()) {
            (Kind::Message(was), Kind::Message(is)) => self.message(&was, &is),
            (Kind::Enum(was), Kind::Enum(is)) => self.values(&was, &is),
            _ => {}
        }
    }

    /// Compares an enum by the names of its values, of which several may have one number.
    fn values(&mut self, was: &EnumDescriptor, is: &EnumDescriptor) {
        let of = was.full_name();
        if of != is.full_name() || !self.seen.insert(of.to_owned()) {
            return;
        }
        for before in was.values() {
            let (name, was) = (before.name().to_owned(), before.number().to_string());
            match is.get_value_by_name(&name).map(|now| now.number()) {
                None => self.add(of, Change::Removed { part: Part::Value, name, was }),
                Some(now) if now != before.number() => {
                    let is = now.to_string();
                    self.add(of, Change::Changed { part: Part::Value, name, was, is });
                }
                Some(_) => {}
            }
        }
        for now in is.values().filter(|now| was.get_value_by_name(now.name()).is_none()) {
            let (name, is) = (now.name().to_owned(), now.number().to_string());
            self.add(of, Change::Added { part: Part::Value, name, is });
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
