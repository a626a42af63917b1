//! Turns the `rules` field options into `validator` attributes, so that typed messages are checked by the very rules
//! that messages known only at run time are checked by.

use anyhow::{Context, Result, bail};
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind};
use tonic_prost_build::Builder;

/// Adds `Validate` and the rules' attributes to every message of ours.
pub(crate) fn annotate(
    mut builder: Builder,
    pool: &DescriptorPool,
    rules: &ExtensionDescriptor,
) -> Result<Builder> {
    let ours =
        pool.all_messages().filter(|message| message.full_name().starts_with(super::OUR_PACKAGES));
    for message in ours {
        // `validator` asks for `Serialize` on the fields that it looks into.
        builder = builder.message_attribute(
            message.full_name(),
            "#[derive(::validator::Validate, ::serde::Serialize)]",
        );
        for field in message.fields() {
            for attribute in attributes(&field, rules)? {
                builder = builder.field_attribute(field.full_name(), attribute);
            }
        }
    }
    Ok(builder)
}

fn attributes(field: &FieldDescriptor, rules: &ExtensionDescriptor) -> Result<Vec<String>> {
    let mut attributes = Vec::new();
    if let Kind::Message(kind) = field.kind()
        && kind.full_name().starts_with("google.protobuf.")
    {
        attributes.push("#[serde(skip)]".to_owned());
    }
    let options = field.options();
    if options.has_extension(rules) {
        let value = options.get_extension(rules);
        let rule = value.as_message().context("rules is a message")?;
        attributes.extend(validators(field, rule)?);
    }
    Ok(attributes)
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
            other => bail!("{}: charset {other} has no validator", field.full_name()),
        };
        found.push(custom(function));
    }
    if has("min") || has("max") {
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
        let function = super::messages::unique_function(&entry, by);
        found.push(format!(r#"#[validate(custom(function = "crate::generated::{function}"))]"#));
    }
    if has("positive") {
        found.push(custom("positive"));
    }
    Ok(found)
}

fn custom(function: &str) -> String {
    format!(r#"#[validate(custom(function = "crate::rules::{function}"))]"#)
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
