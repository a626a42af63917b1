//! The types of expressions: CEL's own, and the messages and enums of the descriptors.

use std::fmt;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::json;

/// The static type of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// The type of an element of `[]`, and of an expression whose error was reported already; it fits everywhere.
    Never,
    /// Known only at run time.
    Dyn,
    /// The type of the items of a literal where these differ; it fits into JSON, if all of them do.
    Mixed {
        json: bool,
    },
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    /// An int that remembers which enum it is of.
    Enum(EnumDescriptor),
    Message(MessageDescriptor),
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// A map literal with literal keys, which may become a message.
    Record(Vec<(String, Type)>),
}

/// Messages that expressions see as plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WellKnown {
    /// `google.protobuf.StringValue` and its like: the scalar, its zero value when unset.
    Wrapper,
    /// `google.protobuf.Struct`, or JSON as a saga is started with it; so are the next two.
    Struct,
    Value,
    List,
    /// A time or a field mask: a message, which a text in the form of proto3 JSON builds too.
    Written,
    /// A message that says its own type: the message that it holds.
    Any,
}

impl WellKnown {
    pub(super) fn of(message: &MessageDescriptor) -> Option<Self> {
        if let Some(name) = message.full_name().strip_prefix(json::PACKAGE) {
            return Some(match name {
                "Object" => Self::Struct,
                "Array" => Self::List,
                "Value" => Self::Value,
                _ => return None,
            });
        }
        Some(match message.full_name().strip_prefix("google.protobuf.")? {
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
            | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => Self::Wrapper,
            "Struct" => Self::Struct,
            "Value" => Self::Value,
            "ListValue" => Self::List,
            "Timestamp" | "Duration" | "FieldMask" => Self::Written,
            "Any" => Self::Any,
            _ => return None,
        })
    }
}

/// The kind of the one field of a wrapper message.
pub(super) fn wrapped(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message.get_field_by_name("value")
}

impl Type {
    pub(super) fn of_field(field: &FieldDescriptor) -> Type {
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
        {
            let key = Type::of_kind(&entry.map_entry_key_field().kind());
            let value = Type::of_kind(&entry.map_entry_value_field().kind());
            return Type::Map(Box::new(key), Box::new(value));
        }
        let one = Type::of_kind(&field.kind());
        if field.is_list() { Type::List(Box::new(one)) } else { one }
    }

    pub(super) fn of_kind(kind: &Kind) -> Type {
        match kind {
            Kind::Double | Kind::Float => Type::Double,
            Kind::Int32
            | Kind::Int64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Sfixed32
            | Kind::Sfixed64 => Type::Int,
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Type::Uint,
            Kind::Bool => Type::Bool,
            Kind::String => Type::String,
            Kind::Bytes => Type::Bytes,
            Kind::Message(message) => Type::Message(message.clone()),
            Kind::Enum(descriptor) => Type::Enum(descriptor.clone()),
        }
    }

    /// The type as an operator sees it: enums are ints, well-known messages are what they hold.
    pub(super) fn operand(&self) -> Type {
        match self {
            Type::Enum(_) => Type::Int,
            Type::Message(message) => match WellKnown::of(message) {
                Some(WellKnown::Wrapper) => {
                    wrapped(message).map_or(Type::Dyn, |field| Type::of_kind(&field.kind()))
                }
                Some(WellKnown::Struct) => Type::Map(Box::new(Type::String), Box::new(Type::Dyn)),
                Some(WellKnown::Value | WellKnown::Any) => Type::Dyn,
                Some(WellKnown::List) => Type::List(Box::new(Type::Dyn)),
                Some(WellKnown::Written) | None => self.clone(),
            },
            Type::Record(fields) => {
                let join = |all: Type, (_, one): &(String, Type)| all.join(one);
                let value = fields.iter().fold(Type::Never, join);
                Type::Map(Box::new(Type::String), Box::new(value))
            }
            other => other.clone(),
        }
    }

    /// Whether nothing is known of it before run time.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.operand(), Type::Dyn | Type::Never)
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.operand(), Type::Int | Type::Uint | Type::Double)
    }

    /// The type of the items of a literal that holds both.
    pub(super) fn join(&self, other: &Type) -> Type {
        self.unify(other).unwrap_or_else(|| Type::Mixed { json: self.is_json() && other.is_json() })
    }

    /// Whether every value of the type can be JSON.
    pub(super) fn is_json(&self) -> bool {
        match self.operand() {
            Type::Message(_) | Type::Bytes => false,
            Type::Mixed { json } => json,
            Type::List(item) => item.is_json(),
            Type::Map(key, value) => (key.is_open() || *key == Type::String) && value.is_json(),
            _ => true,
        }
    }

    /// The type that stands for both, when one does without losing what is known.
    pub(super) fn unify(&self, other: &Type) -> Option<Type> {
        Some(match (self, other) {
            (Type::Never, known) | (known, Type::Never) => known.clone(),
            (Type::Dyn, _) | (_, Type::Dyn) | (Type::Null, _) | (_, Type::Null) => {
                if self == other { self.clone() } else { Type::Dyn }
            }
            (Type::List(a), Type::List(b)) => Type::List(Box::new(a.unify(b)?)),
            (Type::Record(a), Type::Record(b)) => Type::Record(union(a, b)?),
            (Type::Message(a), Type::Message(b)) if a.full_name() == b.full_name() => self.clone(),
            (Type::Enum(a), Type::Enum(b)) if a.full_name() == b.full_name() => self.clone(),
            (a, b) => match (a.operand(), b.operand()) {
                (Type::Map(ak, av), Type::Map(bk, bv)) => {
                    Type::Map(Box::new(ak.unify(&bk)?), Box::new(av.unify(&bv)?))
                }
                (a, b) if a.is_scalar() && a == b => a,
                (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
                _ => return None,
            },
        })
    }

    fn is_scalar(&self) -> bool {
        matches!(
            self,
            Type::Bool | Type::Int | Type::Uint | Type::Double | Type::String | Type::Bytes
        )
    }

    /// Whether `==` can ever hold between the two.
    pub(super) fn comparable(&self, other: &Type) -> bool {
        if self.is_open() || other.is_open() || (self.is_number() && other.is_number()) {
            return true;
        }
        match (self.operand(), other.operand()) {
            (Type::List(a), Type::List(b)) => a.comparable(&b),
            (Type::Map(ak, av), Type::Map(bk, bv)) => ak.comparable(&bk) && av.comparable(&bv),
            (Type::Message(a), Type::Message(b)) => a.full_name() == b.full_name(),
            (a, b) => a.is_scalar() && a == b,
        }
    }
}

/// Two literals in one list need not name the same fields.
fn union(a: &[(String, Type)], b: &[(String, Type)]) -> Option<Vec<(String, Type)>> {
    let mut fields = a.to_vec();
    for (name, kind) in b {
        match fields.iter_mut().find(|(other, _)| other == name) {
            Some((_, known)) => *known = known.unify(kind)?,
            None => fields.push((name.clone(), kind.clone())),
        }
    }
    Some(fields)
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Never | Type::Dyn => "dyn",
            Type::Mixed { .. } => "mixed",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Enum(descriptor) => descriptor.full_name(),
            Type::Message(message) if message.full_name().starts_with(json::PACKAGE) => "JSON",
            Type::Message(message) => message.full_name(),
            Type::List(item) => return write!(f, "list({item})"),
            Type::Map(key, value) => return write!(f, "map({key}, {value})"),
            Type::Record(_) => return self.operand().fmt(f),
        })
    }
}
