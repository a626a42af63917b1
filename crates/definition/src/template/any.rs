//! A message that is packed into a `google.protobuf.Any`, by `@type`.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

use super::{FieldTemplate, Template, fields, fill_item, required};
use crate::error::EvaluationError;
use crate::facts::Facts;
use crate::packed::{self, TYPE_KEY};
use crate::problem::Problems;
use crate::scope::Scope;
use crate::types::WellKnown;
use crate::yaml::{Node, Text};

/// What is packed into an `Any`.
#[derive(Debug)]
pub(crate) struct Packed {
    any: MessageDescriptor,
    url: String,
    of: MessageDescriptor,
    content: FieldTemplate,
}

impl Packed {
    /// Whether the type of a message to be packed is named.
    pub(super) fn is_meant(entries: &[(Text, Node)], wanted: &MessageDescriptor) -> bool {
        WellKnown::of(wanted) == Some(WellKnown::Any)
            && entries.iter().any(|(key, _)| key.value == TYPE_KEY)
    }

    /// `@type` and the fields of the message; `@type` and `value` where that message is seen as a plain value, as in proto3 JSON.
    pub(super) fn compile(
        entries: &[(Text, Node)],
        any: &MessageDescriptor,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let (named, rest): (Vec<_>, Vec<_>) =
            entries.iter().cloned().partition(|(key, _)| key.value == TYPE_KEY);
        let (key, node) = named.first()?;
        let Some(written) = node.text() else {
            let what = format!("`{TYPE_KEY}` is {}, not a text", node.describe());
            problems.add(node.at, what, "write `type.googleapis.com/package.Message`");
            return None;
        };
        let of = match scope.descriptors().message(packed::type_name(&written.value)) {
            Ok(of) => of,
            Err(missing) => {
                missing.report(written.at, problems);
                rest.iter()
                    .for_each(|(_, node)| Template::check_expressions(node, scope, problems));
                return None;
            }
        };
        let content = match (WellKnown::of(&of), rest.as_slice()) {
            (None, rest) => {
                let fields = fields(rest, &of, scope, problems);
                required(node, &of, &fields, problems);
                FieldTemplate::Message(Template::Fields(of.clone(), fields))
            }
            (Some(_), [(value, node)]) if value.value == "value" => {
                let field = any.get_field_by_name("value")?;
                fill_item(node, &field, &Kind::Message(of.clone()), scope, problems)?
            }
            (Some(_), _) => {
                let what = format!("{} is packed as one value", of.full_name());
                problems.add(
                    key.at,
                    what,
                    "write it under `value`, and nothing else beside `@type`",
                );
                return None;
            }
        };
        let url = packed::type_url(&written.value);
        Some(Self { any: any.clone(), url, of, content })
    }

    /// What is packed, and its type.
    pub(crate) fn content(&self) -> (&FieldTemplate, Kind) {
        (&self.content, Kind::Message(self.of.clone()))
    }

    pub(super) fn build(
        &self,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<DynamicMessage, EvaluationError> {
        let Self { any, url, of, content } = self;
        let content = match content.build(facts, &Kind::Message(of.clone()), "field", file)? {
            Some(Value::Message(content)) => content,
            _ => DynamicMessage::new(of.clone()),
        };
        Ok(packed::pack(content, url, any))
    }
}
