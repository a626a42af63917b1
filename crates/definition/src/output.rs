//! What a saga has come to, as JSON: by `output`, by the reply of the method that it serves, or its last step's response.
//!
//! It is worked out when somebody asks, from what the journal has: a saga whose output cannot be evaluated has succeeded
//! all the same.

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt,
};
use cel::common::value::Val;
use prost_reflect::{DynamicMessage, EnumDescriptor, MessageDescriptor};
use proto::shown::Writer;
use saga::StepId;

use super::compiled::Compiled;
use super::error::EvaluationError;
use super::expression::Expression;
use super::facts::Facts;
use super::problem::Problems;
use super::scope::Scope;
use super::types::Type;
use super::value;
use super::wire;
use super::yaml::{self, Node};

/// JSON to be built: a mapping is an object, a list a list, and a text an expression.
#[derive(Debug)]
pub(super) enum OutputTemplate {
    Value(Expression),
    List(Vec<OutputTemplate>),
    Object(Vec<(String, OutputTemplate)>),
}

/// Why a saga that succeeded has no output to show.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Its own values do not fit the `output` of its definition.
    #[error("{0}")]
    Evaluation(#[from] EvaluationError),
    /// What the journal has cannot be decoded by the registered descriptors, or has too many values.
    #[error("{0}")]
    Undecodable(#[from] Undecodable),
    /// There is more of it than is shown.
    #[error(
        "the output has more than {0} bytes of JSON: let `output` name the fields that are needed"
    )]
    TooLarge(usize),
}

/// Why bytes of the journal are not shown.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// They are not the message that they should be.
    #[error("these {bytes} bytes are no {name} by the registered descriptors: {source}")]
    Bytes {
        /// The full name of the message's type.
        name: String,
        /// How many bytes.
        bytes: usize,
        /// What is wrong with them.
        source: prost::DecodeError,
    },
    /// In memory they would be too large.
    #[error("these {bytes} bytes of {name} have {values} values: more than are shown")]
    TooMany {
        /// The full name of the message's type.
        name: String,
        /// How many bytes.
        bytes: usize,
        /// How many values they have.
        values: usize,
    },
}

/// Values of a message that is shown, at most.
const MAX_VALUES: usize = 100_000;

/// The message that the bytes are, to be shown to a person.
///
/// # Errors
/// When they are none, or have too many values.
pub fn decode_to_show(
    kind: &MessageDescriptor,
    bytes: &[u8],
) -> Result<DynamicMessage, Undecodable> {
    let name = || kind.full_name().to_owned();
    let values = wire::count_values(kind, bytes);
    if values > MAX_VALUES {
        return Err(Undecodable::TooMany { name: name(), bytes: bytes.len(), values });
    }
    let decoded = DynamicMessage::decode(kind.clone(), bytes);
    decoded.map_err(|source| Undecodable::Bytes { name: name(), bytes: bytes.len(), source })
}

impl OutputTemplate {
    pub(super) fn compile(
        node: &Node,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Option<OutputTemplate> {
        match &node.kind {
            yaml::Kind::Text(text) => {
                Expression::compile(text, scope, problems).map(OutputTemplate::Value)
            }
            yaml::Kind::List(items) => {
                // Each is compiled, so that all problems are found.
                let items: Vec<_> =
                    items.iter().map(|item| Self::compile(item, scope, problems)).collect();
                items.into_iter().collect::<Option<_>>().map(OutputTemplate::List)
            }
            yaml::Kind::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(name, node)| (&name.value, Self::compile(node, scope, problems)))
                    .collect();
                let entries = entries.into_iter().map(|(name, node)| Some((name.clone(), node?)));
                entries.collect::<Option<_>>().map(OutputTemplate::Object)
            }
        }
    }

    /// Every expression of it.
    pub(super) fn expressions(&self) -> Vec<&Expression> {
        match self {
            OutputTemplate::Value(expression) => vec![expression],
            OutputTemplate::List(items) => items.iter().flat_map(Self::expressions).collect(),
            OutputTemplate::Object(entries) => {
                entries.iter().flat_map(|(_, entry)| entry.expressions()).collect()
            }
        }
    }

    /// Evaluates all expressions before anything is written: what a field that is not set comes to is known then.
    fn build<'t>(
        &'t self,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<Option<Json<'t>>, EvaluationError> {
        Ok(Some(match self {
            OutputTemplate::Value(expression) => {
                let found = expression.to_output(facts);
                match found.map_err(|failure| expression.fault(failure, file))? {
                    Some(value) => Json::Value(value, enum_in(expression.found())),
                    None => return Ok(None),
                }
            }
            OutputTemplate::List(items) => {
                let items = items.iter().map(|item| item.build(facts, file));
                Json::List(items.collect::<Result<_, _>>()?)
            }
            OutputTemplate::Object(entries) => {
                let mut object = Vec::with_capacity(entries.len());
                for (name, entry) in entries {
                    if let Some(value) = entry.build(facts, file)? {
                        object.push((name.as_str(), value));
                    }
                }
                Json::Object(object)
            }
        }))
    }
}

/// A value of an output.
pub(super) enum OutputValue {
    /// Found by a path.
    Field(prost_reflect::Value),
    /// Computed.
    Computed(Box<dyn Val>),
}

enum Json<'t> {
    Value(OutputValue, Option<EnumDescriptor>),
    /// What is absent in a list is null.
    List(Vec<Option<Json<'t>>>),
    Object(Vec<(&'t str, Json<'t>)>),
}

impl Json<'_> {
    fn write(self, writer: &mut Writer) {
        match self {
            Json::Value(OutputValue::Field(value), of) => writer.value(&value, of.as_ref()),
            Json::Value(OutputValue::Computed(value), _) => write_val(writer, value.as_ref()),
            Json::List(items) => writer.list(items.into_iter(), |writer, item| match item {
                Some(item) => item.write(writer),
                None => writer.null(),
            }),
            Json::Object(entries) => {
                writer.object(entries, |writer, value| value.write(writer));
            }
        }
    }
}

/// The enum whose values a path's value has, or holds.
fn enum_in(found: &Type) -> Option<EnumDescriptor> {
    match found {
        Type::Enum(of) => Some(of.clone()),
        Type::List(item) => enum_in(item),
        Type::Map(_, value) => enum_in(value),
        _ => None,
    }
}

fn write_val(writer: &mut Writer, val: &dyn Val) {
    if let Some(value) = val.downcast_ref::<CelBool>() {
        writer.value(&prost_reflect::Value::Bool(*value.inner()), None);
    } else if let Some(int) = val.downcast_ref::<CelInt>() {
        writer.integer(i128::from(*int.inner()));
    } else if let Some(uint) = val.downcast_ref::<CelUInt>() {
        writer.integer(i128::from(*uint.inner()));
    } else if let Some(double) = val.downcast_ref::<CelDouble>() {
        writer.double(*double.inner());
    } else if let Some(text) = val.downcast_ref::<CelString>() {
        writer.text(text.inner());
    } else if let Some(bytes) = val.downcast_ref::<CelBytes>() {
        writer.bytes(bytes.inner());
    } else if let Some(value::Message(message)) = val.downcast_ref::<value::Message>() {
        writer.message(message);
    } else if let Some(list) = val.downcast_ref::<CelList>() {
        writer.list(list.inner().iter(), |writer, item| write_val(writer, item.as_ref()));
    } else if let Some(map) = val.downcast_ref::<CelMap>() {
        let mut entries: Vec<(String, &dyn Val)> =
            map.inner().iter().map(|(key, value)| (key_text(key), value.as_ref())).collect();
        entries.retain(|(_, value)| !value::is_absent(*value));
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        writer.object(entries, write_val);
    } else {
        writer.null();
    }
}

fn key_text(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::Bool(key) => key.inner().to_string(),
        CelMapKey::Int(key) => key.inner().to_string(),
        CelMapKey::UInt(key) => key.inner().to_string(),
        CelMapKey::String(key) => key.inner().to_owned(),
    }
}

impl Compiled {
    /// What a saga that has succeeded comes to, as JSON of at most `room` bytes; `None` where no step was carried out. The
    /// `reply` is what the journal has, for a definition that serves a method.
    ///
    /// Fields marked `debug_redact` are hidden in messages; one that an expression of `output` names itself is shown.
    ///
    /// # Errors
    /// When its values do not fit the `output`, cannot be decoded, or need more room.
    pub fn output(
        &self,
        facts: &Facts<'_>,
        reply: &[u8],
        room: usize,
    ) -> Result<Option<String>, OutputError> {
        let mut writer = Writer::new(room);
        match (&self.output, self.serves()) {
            (Some(template), _) => match template.build(facts, &self.file)? {
                Some(json) => json.write(&mut writer),
                None => writer.null(),
            },
            (None, Some(method)) => writer.message(&decode_to_show(&method.output(), reply)?),
            (None, None) => match self.last_response(facts) {
                Some((kind, bytes)) => writer.message(&decode_to_show(kind, bytes)?),
                None => return Ok(None),
            },
        }
        match writer.is_cut() {
            true => Err(OutputError::TooLarge(room)),
            false => Ok(Some(writer.into_text())),
        }
    }

    /// The response of the step that came last: of those that were carried out, the one that no other of them comes after;
    /// where there are several, the one that is written last.
    fn last_response<'f>(
        &'f self,
        facts: &'f Facts<'_>,
    ) -> Option<(&'f MessageDescriptor, &'f [u8])> {
        let ids = (0..self.steps.len()).filter_map(|index| u16::try_from(index).ok().map(StepId));
        let done: Vec<StepId> = ids.filter(|step| facts.response(*step).is_some()).collect();
        let graph = self.engine.graph();
        let is_last =
            |step: &&StepId| !done.iter().any(|other| graph.ancestors(*other).contains(step));
        let last = *done.iter().rev().find(is_last)?;
        Some((&self.step(last).call.output, facts.response(last)?))
    }
}
