//! Turns the `rules` field options into `validator` attributes, so that typed messages are checked by the very rules
//! that messages known only at run time are checked by.

use anyhow::{Context, Result, bail, ensure};
use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};
use tonic_prost_build::Builder;

use crate::{Contracts, messages::unique_function};

/// The field option; `None` where no contract imports it.
pub(crate) fn extension(contracts: &Contracts) -> Option<ExtensionDescriptor> {
    contracts.pool.get_extension_by_name("sagamesh.facade.v1.rules")
}

/// Whether prost makes the field a variant of an enum.
pub(crate) fn in_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())
}

/// Adds `Validate` and the rules' attributes to every message.
pub(crate) fn annotate(mut builder: Builder, contracts: &Contracts) -> Result<Builder> {
    let rules = extension(contracts);
    for message in contracts.messages() {
        // `validator` asks for `Serialize` on the fields that it looks into.
        builder = builder.message_attribute(
            message.full_name(),
            "#[derive(::validator::Validate, ::serde::Serialize)]",
        );
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            builder = builder.field_attribute(oneof.full_name(), "#[serde(skip)]");
        }
        for field in message.fields() {
            for attribute in attributes(contracts, &field, rules.as_ref())? {
                builder = builder.field_attribute(field.full_name(), attribute);
            }
        }
    }
    Ok(builder)
}

fn attributes(
    contracts: &Contracts,
    field: &FieldDescriptor,
    rules: Option<&ExtensionDescriptor>,
) -> Result<Vec<String>> {
    let rule = rules.and_then(|rules| rule_of(field, rules));
    if in_oneof(field) {
        ensure!(rule.is_none(), "{}: a field of a oneof cannot have rules", field.full_name());
        if let (Kind::Message(kind), Some(rules)) = (field.kind(), rules) {
            let checked = contracts.checks(&kind) && has_rules(&kind, rules, &mut Vec::new());
            ensure!(!checked, "{}: a oneof cannot hold a message with rules", field.full_name());
        }
        return Ok(Vec::new());
    }
    let mut attributes = Vec::new();
    if let Kind::Message(kind) = field.kind()
        && (field.is_map() || !contracts.checks(&kind))
    {
        attributes.push("#[serde(skip)]".to_owned());
    }
    if let Some(rule) = rule {
        attributes.extend(validators(field, &rule)?);
    }
    Ok(attributes)
}

fn rule_of(field: &FieldDescriptor, rules: &ExtensionDescriptor) -> Option<DynamicMessage> {
    let options = field.options();
    let set = options.has_extension(rules);
    set.then(|| options.get_extension(rules).as_message().cloned()).flatten()
}

/// Whether the message, or one inside it, has a rule.
fn has_rules(
    message: &MessageDescriptor,
    rules: &ExtensionDescriptor,
    seen: &mut Vec<MessageDescriptor>,
) -> bool {
    if seen.contains(message) {
        return false;
    }
    seen.push(message.clone());
    message.fields().any(|field| {
        let inside = |kind: &MessageDescriptor, seen: &mut Vec<_>| has_rules(kind, rules, seen);
        rule_of(&field, rules).is_some()
            || matches!(field.kind(), Kind::Message(kind) if inside(&kind, seen))
    })
}

/// From the module of a message to the one that has the packages.
fn out_of_packages(message: &MessageDescriptor) -> String {
    let mut modules = message.package_name().split('.').count();
    let mut parent = message.parent_message();
    while let Some(outer) = parent {
        modules += 1;
        parent = outer.parent_message();
    }
    "super::".repeat(modules)
}

fn validators(field: &FieldDescriptor, rule: &DynamicMessage) -> Result<Vec<String>> {
    let has = |name: &str| rule.has_field_by_name(name);
    let number = |name: &str| -> Result<i64> {
        let value = rule.get_field_by_name(name).context("rules has no such field")?;
        value
            .as_i64()
            .or_else(|| value.as_u32().map(i64::from))
            .or_else(|| value.as_enum_number().map(i64::from))
            .context("not a number")
    };
    let mut found = Vec::new();
    if has("required") {
        found.push(
            r#"#[validate(required(code = "required", message = "must be set"))]"#.to_owned(),
        );
    }
    if has("min_len") || has("max_len") {
        let min = if has("min_len") { number("min_len")? } else { 0 };
        let max = number("max_len")?;
        found.push(format!(
            r#"#[validate(length(min = {min}, max = {max}, code = "length", message = "must have {min} to {max} characters"))]"#
        ));
    }
    if has("charset") {
        let function = match number("charset")? {
            1 => "identifier",
            2 => "currency",
            3 => "line",
            other => bail!("{}: charset {other} has no validator", field.full_name()),
        };
        found.push(custom(function));
    }
    if has("min") || has("max") {
        let is_integer = !field.is_list()
            && matches!(
                field.kind(),
                Kind::Int32
                    | Kind::Int64
                    | Kind::Uint32
                    | Kind::Uint64
                    | Kind::Sint32
                    | Kind::Sint64
                    | Kind::Fixed32
                    | Kind::Fixed64
                    | Kind::Sfixed32
                    | Kind::Sfixed64
                    | Kind::Enum(_)
            );
        ensure!(is_integer, "{}: min and max are for whole numbers", field.full_name());
        found.push(range(
            field,
            if has("min") { Some(number("min")?) } else { None },
            if has("max") { Some(number("max")?) } else { None },
        ));
    }
    if has("min_items") || has("max_items") {
        let min = if has("min_items") { number("min_items")? } else { 0 };
        let max = number("max_items")?;
        found.push(format!(
            r#"#[validate(length(min = {min}, max = {max}, code = "items", message = "must have {min} to {max} entries"))]"#
        ));
    }
    if has("unique_by") {
        let by = rule.get_field_by_name("unique_by").context("rules has no unique_by")?;
        let by = by.as_str().context("unique_by is a string")?;
        let Kind::Message(entry) = field.kind() else {
            bail!("{}: unique_by is for repeated messages", field.full_name());
        };
        let path = out_of_packages(field.parent_message());
        let function = unique_function(&entry, by);
        found.push(format!(r#"#[validate(custom(function = "{path}{function}"))]"#));
    }
    if has("positive") {
        found.push(custom("positive"));
    }
    Ok(found)
}

fn custom(function: &str) -> String {
    format!(r#"#[validate(custom(function = "::proto::rules::{function}"))]"#)
}

fn range(field: &FieldDescriptor, min: Option<i64>, max: Option<i64>) -> String {
    let suffix = if matches!(field.kind(), Kind::Int64) { "_i64" } else { "" };
    match (min, max) {
        (Some(min), Some(max)) => format!(
            r#"#[validate(range(min = {min}{suffix}, max = {max}{suffix}, code = "range", message = "must be from {min} to {max}"))]"#
        ),
        (Some(min), None) => format!(
            r#"#[validate(range(min = {min}{suffix}, code = "range", message = "must be at least {min}"))]"#
        ),
        (None, Some(max)) => format!(
            r#"#[validate(range(max = {max}{suffix}, code = "range", message = "must be at most {max}"))]"#
        ),
        (None, None) => String::new(),
    }
}
