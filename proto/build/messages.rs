//! Writes what messages get beside prost's code: the `Response` and `Checked` traits, and the functions that find
//! double entries.

use std::{collections::BTreeSet, fmt::Write};

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    Value,
};

const RESULT: &str = "sagamesh.facade.v1.ResultInfo";

/// `impl Response` for each message that carries a `ResultInfo result`.
pub(crate) fn responses(pool: &DescriptorPool) -> String {
    let mut code = String::new();
    for message in pool.all_messages() {
        let Some(result) = result_of(&message) else { continue };
        writeln!(
            code,
            "impl crate::Response for {} {{\n    \
                 const RESULT: u32 = {};\n    \
                 fn result(&self) -> Option<&crate::facade::v1::ResultInfo> {{ self.result.as_ref() }}\n    \
                 fn set_result(&mut self, result: crate::facade::v1::ResultInfo) {{ self.result = Some(result); }}\n    \
                 fn clear_result(&mut self) {{ self.result = None; }}\n\
             }}",
            rust_path(&message),
            result.number()
        )
        .expect("writing to a string cannot fail");
    }
    code
}

fn result_of(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message
        .get_field_by_name("result")
        .filter(|field| matches!(field.kind(), Kind::Message(kind) if kind.full_name() == RESULT))
}

fn rust_path(message: &MessageDescriptor) -> String {
    let package = message.package_name().trim_start_matches(super::OUR_PACKAGES).replace('.', "::");
    format!("crate::{package}::{}", message.name())
}

/// `impl Checked` for each message of ours: the walk over the messages inside it.
///
/// Not `#[validate(nested)]`: `validator` drops what is wrong inside a field that breaks a rule itself.
pub(crate) fn checked(pool: &DescriptorPool) -> String {
    let mut code = String::new();
    for message in pool.all_messages().filter(is_ours) {
        let visits: String = message.fields().filter_map(|field| visit(&field)).collect();
        let visitor = if visits.is_empty() { "_" } else { "visit" };
        writeln!(
            code,
            "impl crate::rules::Checked for {} {{\n    \
                 fn visit(&self, {visitor}: &mut crate::rules::Visitor<'_>) {{\n{visits}    }}\n\
             }}",
            rust_path(&message)
        )
        .expect("writing to a string cannot fail");
    }
    code
}

fn visit(field: &FieldDescriptor) -> Option<String> {
    let Kind::Message(kind) = field.kind() else { return None };
    let name = field.name();
    is_ours(&kind).then(|| {
        if field.is_list() {
            format!(
                "        for (index, entry) in self.{name}.iter().enumerate() {{\n            \
                     visit(&format!(\"{name}[{{index}}]\"), entry);\n        }}\n"
            )
        } else {
            format!(
                "        if let Some(message) = &self.{name} {{ visit(\"{name}\", message); }}\n"
            )
        }
    })
}

fn is_ours(message: &MessageDescriptor) -> bool {
    message.full_name().starts_with(super::OUR_PACKAGES)
}

/// The name of the function that finds two entries that agree in `field`.
pub(crate) fn unique_function(entry: &MessageDescriptor, field: &str) -> String {
    let path = entry.full_name().trim_start_matches(super::OUR_PACKAGES).replace('.', "_");
    format!("unique_{}_by_{field}", path.to_lowercase())
}

/// One such function for each pair that a `unique_by` rule names.
pub(crate) fn unique_functions(pool: &DescriptorPool, rules: &ExtensionDescriptor) -> String {
    let mut code = String::new();
    for (entry, field) in unique_pairs(pool, rules) {
        let entry = pool.get_message_by_name(&entry).expect("the pool named it");
        writeln!(
            code,
            "pub(crate) fn {}(entries: &[{}]) -> Result<(), ::validator::ValidationError> {{\n    \
                 crate::rules::unique(entries.iter().map(|entry| entry.{field}.as_str()), \"{field}\")\n\
             }}",
            unique_function(&entry, &field),
            rust_path(&entry)
        )
        .expect("writing to a string cannot fail");
    }
    code
}

fn unique_pairs(pool: &DescriptorPool, rules: &ExtensionDescriptor) -> BTreeSet<(String, String)> {
    let fields = pool.all_messages().flat_map(|message| message.fields().collect::<Vec<_>>());
    fields
        .filter_map(|field| {
            let Kind::Message(entry) = field.kind() else { return None };
            let options: DynamicMessage = field.options();
            let rule = options.get_extension(rules);
            let by = rule.as_message()?.get_field_by_name("unique_by")?;
            match by.as_ref() {
                Value::String(by) if !by.is_empty() => {
                    Some((entry.full_name().to_owned(), by.clone()))
                }
                _ => None,
            }
        })
        .collect()
}
