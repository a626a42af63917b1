//! The reference of a config, made from its structs.

use std::fmt::Write;

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::{Config, origins::join};

/// A Markdown table of every setting: its name, its variable, its default, what it is.
#[must_use]
pub fn table<C: Config>(defaults: &C) -> String {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<C>();
    let defaults = serde_json::to_value(defaults).unwrap_or_default();
    let mut rows = String::from("| setting | default | what it is |\n| --- | --- | --- |\n");
    walk("", &schema, &defaults, &mut rows);
    rows
}

fn walk(path: &str, schema: &Schema, default: &Value, rows: &mut String) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, inner) in properties {
            if let Ok(inner) = Schema::try_from(inner.clone()) {
                let default = default.get(name).unwrap_or(&Value::Null);
                walk(&join(path, name), &inner, default, rows);
            }
        }
        return;
    }
    let inner = schema.get("additionalProperties").filter(|inner| inner.is_object());
    if let Some(Ok(inner)) = inner.map(|inner| Schema::try_from(inner.clone())) {
        // The values of a map have the names that the user gives them.
        return walk(&join(path, "NAME"), &inner, &Value::Null, rows);
    }
    let default = match default {
        Value::Null => String::new(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    };
    let what = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let what = what.replace('\n', " ");
    // Writing to a string cannot fail.
    let _ = writeln!(rows, "| `{path}` | {default} | {what} |");
}
