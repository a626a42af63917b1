//! Protobuf values as the evaluator sees them.
//!
//! A message stays a message and gives out its fields when they are asked for; wrappers, `Struct`,
//! `Value` and `ListValue` are the plain values they hold. A field that is not set reads as its
//! default, whether it has presence or not; `has()` tells the difference, and so does a field that it is passed on to.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::traits::Indexer;
use cel::common::types::{
    self, CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
    CelUInt,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};
use prost_reflect::{DynamicMessage, MapKey, ReflectMessage, Value};

use super::json::{self, Number};
use super::packed;
use super::path::field;
use super::types::WellKnown;

/// The function that stands for `has(m.f)` in rewritten expressions. Nobody can write the name.
pub(super) const HAS: &str = "@has";

/// The one environment; building it anew costs more than an evaluation.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    env.add_extension(cel::extensions::strings).expect("no other extension claims these names");
    env.add_overload(HAS, "has_field", vec![types::DYN_TYPE, types::STRING_TYPE], has_field)
        .expect("the name cannot be taken, nobody can write it");
    Arc::new(env)
});

static MESSAGE: types::Type = types::Type::new_unspecified_type("message");

/// A message as a value of an expression.
#[derive(Debug, Clone)]
pub(super) struct Message(pub(super) DynamicMessage);

impl Val for Message {
    fn get_type(&self) -> &types::Type {
        &MESSAGE
    }

    fn cel_type() -> &'static types::Type {
        &MESSAGE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Message>().is_some_and(|other| equal_on_the_wire(&self.0, &other.0))
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Message {
    fn no_field(&self, name: &str) -> ExecutionError {
        if WellKnown::of(&self.0.descriptor()) == Some(WellKnown::Any)
            && let Err(why) = packed::unpack(&self.0)
        {
            return ExecutionError::function_error("google.protobuf.Any", why);
        }
        ExecutionError::no_such_key(name)
    }
}

impl StaticVal for Message {}

impl Indexer for Message {
    fn get<'b, 'v>(&'b self, field: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = field.downcast_ref::<CelString>().map_or("", CelString::inner);
        let field = self.0.descriptor().get_field_by_name(name);
        let field = field.ok_or_else(|| self.no_field(name))?;
        let value = to_cel(&self.0.get_field(&field));
        let is_absent = field.supports_presence() && !self.0.has_field(&field);
        Ok(CowVal::Owned(if is_absent { Box::new(Absent(value)) } else { value }))
    }

    fn steal<'v>(self: Box<Self>, field: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(field).map(CowVal::into_owned)
    }
}

/// What is not set although it might be: its default to operators and functions, and nothing to a field that could tell.
#[derive(Debug, Clone)]
pub(super) struct Absent(pub(super) Box<dyn Val>);

impl Val for Absent {
    fn get_type(&self) -> &types::Type {
        self.0.get_type()
    }

    fn cel_type() -> &'static types::Type {
        &types::DYN_TYPE
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Absent {}

/// The value itself, or the default of what is absent.
pub(super) fn or_default<'b, 'v>(val: &'b (dyn Val + 'v)) -> &'b (dyn Val + 'v) {
    match val.downcast_ref::<Absent>() {
        Some(Absent(default)) => default.as_ref(),
        None => val,
    }
}

pub(super) fn is_absent(val: &dyn Val) -> bool {
    val.downcast_ref::<Absent>().is_some()
}

/// Messages of two pools are equal when they are so on the wire.
fn equal_on_the_wire(a: &DynamicMessage, b: &DynamicMessage) -> bool {
    if a.descriptor() == b.descriptor() {
        return a == b;
    }
    a.descriptor().full_name() == b.descriptor().full_name()
        && in_pool_of(b, &a.descriptor()).is_ok_and(|b| *a == b)
}

/// The same message, described by another pool.
pub(super) fn in_pool_of(
    message: &DynamicMessage,
    to: &prost_reflect::MessageDescriptor,
) -> Result<DynamicMessage, prost::DecodeError> {
    use prost::Message as _;
    DynamicMessage::decode(to.clone(), message.encode_to_vec().as_slice())
}

fn has_field<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [operand, name] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let has = match operand.downcast_ref::<Message>() {
        Some(Message(message)) => {
            let name = name.downcast_ref::<CelString>().map_or("", CelString::inner);
            message.has_field_by_name(name)
        }
        None => match operand.as_indexer() {
            Some(indexer) => match indexer.get(name.as_ref()) {
                Ok(_) => true,
                Err(ExecutionError::NoSuchKey(_)) => false,
                Err(error) => return Err(error),
            },
            None => {
                let got = operand.get_type().name().to_owned();
                return Err(ExecutionError::UnexpectedType { got, want: "map".to_owned() });
            }
        },
    };
    Ok(CowVal::owned(CelBool::from(has)))
}

/// A protobuf value as a CEL value.
pub(super) fn to_cel<'v>(value: &Value) -> Box<dyn Val + 'v> {
    match value {
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::I32(value) | Value::EnumNumber(value) => Box::new(CelInt::from(i64::from(*value))),
        Value::I64(value) => Box::new(CelInt::from(*value)),
        Value::U32(value) => Box::new(CelUInt::from(u64::from(*value))),
        Value::U64(value) => Box::new(CelUInt::from(*value)),
        Value::F32(value) => Box::new(CelDouble::from(f64::from(*value))),
        Value::F64(value) => Box::new(CelDouble::from(*value)),
        Value::String(value) => Box::new(CelString::from(value.clone())),
        Value::Bytes(value) => Box::new(CelBytes::from(value.to_vec())),
        Value::Message(message) => message_to_cel(message),
        Value::List(items) => list(items),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| (key_to_cel(key), to_cel(value)));
            Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
        }
    }
}

fn list<'v>(items: &[Value]) -> Box<dyn Val + 'v> {
    Box::new(CelList::from(items.iter().map(to_cel).collect::<Vec<_>>()))
}

fn key_to_cel<'v>(key: &MapKey) -> CelMapKey<'v> {
    match key {
        MapKey::Bool(key) => CelMapKey::from(*key),
        MapKey::I32(key) => CelMapKey::from(i64::from(*key)),
        MapKey::I64(key) => CelMapKey::from(*key),
        MapKey::U32(key) => CelMapKey::from(u64::from(*key)),
        MapKey::U64(key) => CelMapKey::from(*key),
        MapKey::String(key) => CelMapKey::from(key.clone()),
    }
}

fn message_to_cel<'v>(message: &DynamicMessage) -> Box<dyn Val + 'v> {
    match WellKnown::of(&message.descriptor()) {
        None | Some(WellKnown::Written) => Box::new(Message(message.clone())),
        // One that cannot be unpacked says why when it is asked for a field.
        Some(WellKnown::Any) => packed::unpack(message)
            .map_or_else(|_| Box::new(Message(message.clone())) as _, |held| message_to_cel(&held)),
        Some(WellKnown::Wrapper) => {
            message.get_field_by_name("value").map_or_else(null, |value| to_cel(&value))
        }
        Some(WellKnown::Struct) => {
            message.get_field_by_name("fields").map_or_else(null, |fields| to_cel(&fields))
        }
        Some(WellKnown::List) => {
            message.get_field_by_name("values").map_or_else(null, |values| to_cel(&values))
        }
        Some(WellKnown::Value) => {
            const KINDS: [&str; 5] =
                ["number_value", "string_value", "bool_value", "struct_value", "list_value"];
            match field(message, json::NUMBER_TEXT).and_then(Value::as_str).and_then(Number::parse)
            {
                Some(number) => number.to_cel(),
                None => {
                    KINDS.iter().find_map(|kind| field(message, kind)).map_or_else(null, to_cel)
                }
            }
        }
    }
}

fn null<'v>() -> Box<dyn Val + 'v> {
    Box::new(CelNull)
}
