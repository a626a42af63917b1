//! How a message is built from the facts: `with`, `undo_with` and `reply`.
//!
//! A mapping names fields, a list items, and a text is an expression. What cannot be built is found
//! here, when the definition is loaded.

mod any;

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, MethodDescriptor, Value,
};

use self::any::Packed;
use super::assign::{self, Item};
use super::error::{EvaluationError, UnlocatedError};
use super::expression::Expression;
use super::facts::Facts;
use super::fits;
use super::problem::Problems;
use super::scalar;
use super::scope::Scope;
use super::types::WellKnown;
use super::yaml::{self, Node, Text};

/// A message to be built.
#[derive(Debug)]
pub(super) enum Template {
    Fields(MessageDescriptor, Vec<(FieldDescriptor, FieldTemplate)>),
    /// One expression is the whole message.
    Whole(MessageDescriptor, Expression),
    /// A message that is packed into an `Any`.
    Packed(Box<Packed>),
}

/// What one field, item or map entry is built from.
#[derive(Debug)]
pub(super) enum FieldTemplate {
    Value(Expression),
    Message(Template),
    List(Kind, Vec<FieldTemplate>),
    Map(Kind, Vec<(MapKey, FieldTemplate)>),
}

impl Template {
    /// The empty message.
    pub(super) fn empty(wanted: &MessageDescriptor) -> Self {
        Template::Fields(wanted.clone(), Vec::new())
    }

    /// A template for the method's request. Without the method, the expressions are still read, so that their own mistakes
    /// are not held back.
    pub(super) fn request(
        node: Option<&Node>,
        method: Option<&MethodDescriptor>,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        match (node, method) {
            (Some(node), Some(method)) => {
                Some(Self::compile(node, &method.input(), scope, problems))
            }
            (None, Some(method)) => Some(Self::empty(&method.input())),
            (Some(node), None) => {
                Self::check_expressions(node, scope, problems);
                None
            }
            (None, None) => None,
        }
    }

    /// Compiles `node` into a template of `wanted`; every mistake becomes a problem.
    pub(super) fn compile(
        node: &Node,
        wanted: &MessageDescriptor,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Self {
        let template = match &node.kind {
            yaml::Kind::Text(text) => whole(text, wanted, scope, problems),
            yaml::Kind::Map(entries) if Packed::is_meant(entries, wanted) => {
                let packed = Packed::compile(entries, wanted, scope, problems);
                packed.map(|packed| Template::Packed(Box::new(packed)))
            }
            yaml::Kind::Map(entries) => {
                let fields = fields(entries, wanted, scope, problems);
                required(node, wanted, &fields, problems);
                Some(Template::Fields(wanted.clone(), fields))
            }
            yaml::Kind::List(_) => {
                let what = format!("{} is built from a list", wanted.full_name());
                problems.add(node.at, what, "write `{ field: expression }`");
                None
            }
        };
        template.unwrap_or_else(|| Self::empty(wanted))
    }

    /// Checks the expressions of `node` where the message to build is not known.
    pub(super) fn check_expressions(node: &Node, scope: &Scope<'_>, problems: &mut Problems) {
        match &node.kind {
            yaml::Kind::Text(text) => {
                let _ = Expression::compile(text, scope, problems);
            }
            yaml::Kind::List(items) => {
                items.iter().for_each(|item| Self::check_expressions(item, scope, problems));
            }
            yaml::Kind::Map(entries) => {
                entries.iter().for_each(|(_, node)| Self::check_expressions(node, scope, problems));
            }
        }
    }

    /// Builds the message.
    pub(super) fn build(
        &self,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<DynamicMessage, EvaluationError> {
        match self {
            Template::Whole(wanted, expression) => {
                let fault = |failure: UnlocatedError| expression.fault(failure, file);
                let value = expression.to_item(facts, &Kind::Message(wanted.clone()));
                Ok(match value.map_err(fault)? {
                    Item::Value(Value::Message(message)) => message,
                    _ => DynamicMessage::new(wanted.clone()),
                })
            }
            Template::Packed(packed) => packed.build(facts, file),
            Template::Fields(wanted, fields) => {
                let mut message = DynamicMessage::new(wanted.clone());
                for (field, field_template) in fields {
                    match field_template {
                        FieldTemplate::Value(expression) => {
                            let set = expression.to_field(facts, field).and_then(|value| {
                                value
                                    .map_or(Ok(()), |value| assign::set(&mut message, field, value))
                            });
                            set.map_err(|failure| expression.fault(failure, file))?;
                        }
                        other => {
                            // The value is made for this field, so the descriptors agree.
                            if let Some(value) = other.build(facts, &field.kind(), "field", file)? {
                                message.set_field(field, value);
                            }
                        }
                    }
                }
                Ok(message)
            }
        }
    }
}

impl FieldTemplate {
    fn may_be_absent(&self) -> bool {
        matches!(self, FieldTemplate::Value(expression) if expression.may_be_absent())
    }

    /// The value, or `None` where it is absent. Null has no place in the `collection` that it is for.
    fn build(
        &self,
        facts: &Facts<'_>,
        kind: &Kind,
        collection: &str,
        file: &str,
    ) -> Result<Option<Value>, EvaluationError> {
        Ok(Some(match self {
            FieldTemplate::Value(expression) => {
                let fault = |failure: UnlocatedError| expression.fault(failure, file);
                match expression.to_item(facts, kind).map_err(fault)? {
                    Item::Value(value) => value,
                    Item::Absent => return Ok(None),
                    Item::Null => return Err(fault(assign::null_inside(collection))),
                }
            }
            FieldTemplate::Message(template) => Value::Message(template.build(facts, file)?),
            FieldTemplate::List(kind, items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    // It cannot be left out.
                    let value = item.build(facts, kind, "list", file)?;
                    values.push(value.unwrap_or_else(|| Value::default_value(kind)));
                }
                Value::List(values)
            }
            FieldTemplate::Map(kind, entries) => {
                let mut values = HashMap::with_capacity(entries.len());
                for (key, item) in entries {
                    if let Some(value) = item.build(facts, kind, "map", file)? {
                        values.insert(key.clone(), value);
                    }
                }
                Value::Map(values)
            }
        }))
    }
}

fn whole(
    text: &Text,
    wanted: &MessageDescriptor,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Template> {
    let expression = Expression::compile(text, scope, problems)?;
    match fits::message(expression.found(), wanted) {
        Ok(()) => Some(Template::Whole(wanted.clone(), expression)),
        Err(mismatch) => {
            problems.add(expression.at(), mismatch.what, mismatch.cure);
            None
        }
    }
}

fn fields(
    entries: &[(Text, Node)],
    wanted: &MessageDescriptor,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Vec<(FieldDescriptor, FieldTemplate)> {
    let mut filled: Vec<(FieldDescriptor, FieldTemplate)> = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let Some(field) = wanted.get_field_by_name(&name.value) else {
            let mismatch = fits::no_field(&name.value, wanted);
            problems.add(name.at, mismatch.what, mismatch.cure);
            continue;
        };
        let Some(field_template) = fill(node, &field, scope, problems) else { continue };
        let of_one = |other: &FieldDescriptor| {
            field.containing_oneof().is_some()
                && other.containing_oneof() == field.containing_oneof()
        };
        // Of those that may be absent, one may be there.
        let beside = filled.iter().find(|(other, other_template)| {
            of_one(other) && !(other_template.may_be_absent() && field_template.may_be_absent())
        });
        if let (Some((other, _)), Some(oneof)) = (beside, field.containing_oneof()) {
            let what =
                format!("`{}` and `{}` are both of `{}`", other.name(), field.name(), oneof.name());
            problems.add(name.at, what, "set one of them");
        }
        filled.push((field, field_template));
    }
    filled
}

/// proto2 alone has fields that must be set.
fn required(
    node: &Node,
    wanted: &MessageDescriptor,
    filled: &[(FieldDescriptor, FieldTemplate)],
    problems: &mut Problems,
) {
    for field in wanted.fields().filter(FieldDescriptor::is_required) {
        if !filled.iter().any(|(given, _)| given.number() == field.number()) {
            let what =
                format!("required field `{}` of {} is not set", field.name(), wanted.full_name());
            problems.add(node.at, what, format!("add `{}: …`", field.name()));
        }
    }
}

fn fill(
    node: &Node,
    field: &FieldDescriptor,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<FieldTemplate> {
    match &node.kind {
        yaml::Kind::Text(text) => {
            let expression = Expression::compile(text, scope, problems)?;
            let expression = expression.literal_as_double(&field.kind());
            match fits::field(expression.found(), field)
                .and_then(|()| named(&expression, &field.kind()))
            {
                Ok(()) => Some(FieldTemplate::Value(expression)),
                Err(mismatch) => {
                    problems.add(expression.at(), mismatch.what, mismatch.cure);
                    None
                }
            }
        }
        yaml::Kind::Map(entries) if field.is_map() => map(entries, field, scope, problems),
        yaml::Kind::List(items) if field.is_list() => {
            let fill = |item| fill_item(item, field, &field.kind(), scope, problems);
            Some(FieldTemplate::List(field.kind(), items.iter().filter_map(fill).collect()))
        }
        _ if field.is_list() || field.is_map() => report_kind_mismatch(node, field, problems),
        _ => fill_item(node, field, &field.kind(), scope, problems),
    }
}

fn map(
    entries: &[(Text, Node)],
    field: &FieldDescriptor,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<FieldTemplate> {
    let Kind::Message(entry) = field.kind() else { return None };
    let (key_kind, value_kind) =
        (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut filled = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let Some(key) = scalar::key_of_text(&name.value, &key_kind) else {
            let what = format!("`{}` is no key of `{}`", name.value, field.name());
            problems.add(name.at, what, format!("its keys are of type {key_kind:?}"));
            continue;
        };
        if let Some(field_template) = fill_item(node, field, &value_kind, scope, problems) {
            filled.push((key, field_template));
        }
    }
    Some(FieldTemplate::Map(value_kind, filled))
}

/// A single value: a field that is not repeated, or an item.
fn fill_item(
    node: &Node,
    field: &FieldDescriptor,
    kind: &Kind,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<FieldTemplate> {
    match (&node.kind, kind) {
        (yaml::Kind::Text(text), _) => {
            let expression = Expression::compile(text, scope, problems)?.literal_as_double(kind);
            match fits::item(expression.found(), field, kind)
                .and_then(|()| named(&expression, kind))
            {
                Ok(()) => Some(FieldTemplate::Value(expression)),
                Err(mismatch) => {
                    problems.add(expression.at(), mismatch.what, mismatch.cure);
                    None
                }
            }
        }
        (yaml::Kind::Map(_), Kind::Message(wanted)) => match WellKnown::of(wanted) {
            Some(WellKnown::Struct) => inside(node, wanted, "fields", scope, problems),
            Some(WellKnown::Value) => inside(node, wanted, "struct_value", scope, problems),
            Some(WellKnown::Wrapper | WellKnown::List) => {
                report_kind_mismatch(node, field, problems)
            }
            Some(WellKnown::Written | WellKnown::Any) | None => {
                let template = Template::compile(node, wanted, scope, problems);
                Some(FieldTemplate::Message(template))
            }
        },
        (yaml::Kind::List(_), Kind::Message(wanted)) => match WellKnown::of(wanted) {
            Some(WellKnown::List) => inside(node, wanted, "values", scope, problems),
            Some(WellKnown::Value) => inside(node, wanted, "list_value", scope, problems),
            _ => report_kind_mismatch(node, field, problems),
        },
        _ => report_kind_mismatch(node, field, problems),
    }
}

/// JSON written as YAML: the message that holds it has one field for it.
fn inside(
    node: &Node,
    wanted: &MessageDescriptor,
    name: &str,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<FieldTemplate> {
    let field = wanted.get_field_by_name(name)?;
    let field_template = fill(node, &field, scope, problems)?;
    Some(FieldTemplate::Message(Template::Fields(wanted.clone(), vec![(field, field_template)])))
}

/// A text literal must name a value of the enum, or be the time or the field mask, that it is meant to be.
fn named(expression: &Expression, kind: &Kind) -> Result<(), fits::FieldMismatch> {
    expression.literal_texts().iter().try_for_each(|text| match kind {
        Kind::Enum(wanted) if wanted.get_value_by_name(text).is_none() => {
            Err(fits::no_value(text, wanted))
        }
        Kind::Message(wanted) if WellKnown::of(wanted) == Some(WellKnown::Written) => {
            scalar::written(text, wanted).map(|_| ()).map_err(|failure| fits::FieldMismatch {
                what: failure.what,
                cure: "write it in the form of proto3 JSON".to_owned(),
            })
        }
        _ => Ok(()),
    })
}

/// Reports that a list, a map or a text stands where the field takes something else.
fn report_kind_mismatch(
    node: &Node,
    field: &FieldDescriptor,
    problems: &mut Problems,
) -> Option<FieldTemplate> {
    let wanted = super::types::Type::of_field(field);
    let what = format!("`{}` wants {wanted}, got {}", field.name(), node.describe());
    problems.add(node.at, what, "give it an expression of that type");
    None
}
