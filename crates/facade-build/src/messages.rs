//! Messages and clients, and what messages get beside prost's code: the `Response` and `Checked` traits, and the functions
//! that find double entries.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::{Contracts, FACADE_PACKAGE, RESULT, rules, rust_path};

/// Generates `contracts.rs` from every `.proto` file below `folder`: a module a package, with messages, clients and rules,
/// and beside these `DESCRIPTOR_SET` and `descriptors()`.
///
/// # Errors
/// A contract that cannot be compiled, or a rule at a field that it cannot be checked of.
pub fn messages(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    let mut files = Vec::new();
    find_files(folder, Path::new(""), &mut files)?;
    files.sort();
    let contracts = Contracts::compile(folder, &files)?;
    let out = &contracts.out;
    std::fs::write(out.join("contracts.binpb"), contracts.compiler.encode_file_descriptor_set())?;

    let mut builder = tonic_prost_build::configure()
        .build_server(false)
        .emit_rerun_if_changed(false)
        .include_file("packages.rs");
    if !contracts.packages.contains(FACADE_PACKAGE) {
        builder = builder.extern_path(format!(".{FACADE_PACKAGE}"), "::proto::facade::v1");
    }
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    rules::annotate(builder, &contracts)?
        .compile_fds_with_config(contracts.compiler.file_descriptor_set(), config)?;

    // The derive of `Validate` calls the trait's methods by name, so each package's module must see the trait.
    let packages = std::fs::read_to_string(out.join("packages.rs"))?.replace(
        "include!(",
        "#[allow(unused_imports)] use ::validator::Validate as _;\ninclude!(",
    );
    let code = [
        packages,
        responses(&contracts)?,
        checked(&contracts)?,
        unique_functions(&contracts)?,
        DESCRIPTORS.to_owned(),
    ];
    Ok(std::fs::write(out.join("contracts.rs"), code.concat())?)
}

const DESCRIPTORS: &str = r#"
/// The encoded `google.protobuf.FileDescriptorSet` of every package, with its imports and custom options.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contracts.binpb"));

/// The descriptors of every package.
pub fn descriptors() -> &'static ::proto::DescriptorPool {
    static POOL: ::std::sync::LazyLock<::proto::DescriptorPool> = ::std::sync::LazyLock::new(|| {
        ::proto::DescriptorPool::decode(DESCRIPTOR_SET)
            .expect("the build wrote a descriptor set that it had decoded")
    });
    &POOL
}
"#;

fn find_files(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let here = folder.join(below);
    let entries =
        std::fs::read_dir(&here).with_context(|| format!("reading {}", here.display()))?;
    for entry in entries {
        let path = below.join(entry?.file_name());
        if folder.join(&path).is_dir() {
            find_files(folder, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

/// `impl Response` for each message that carries a `ResultInfo result`.
fn responses(contracts: &Contracts) -> Result<String> {
    let mut code = String::new();
    for message in contracts.messages() {
        let Some(result) = result_of(&message) else { continue };
        writeln!(
            code,
            "impl ::proto::Response for {} {{\n    \
                 const RESULT: u32 = {};\n    \
                 fn result(&self) -> Option<&::proto::facade::v1::ResultInfo> {{ self.result.as_ref() }}\n    \
                 fn set_result(&mut self, result: ::proto::facade::v1::ResultInfo) {{ self.result = Some(result); }}\n    \
                 fn clear_result(&mut self) {{ self.result = None; }}\n\
             }}",
            rust_path(&message),
            result.number()
        )?;
    }
    Ok(code)
}

/// The field that the facade fills.
pub(crate) fn result_of(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message
        .get_field_by_name("result")
        .filter(|field| matches!(field.kind(), Kind::Message(kind) if kind.full_name() == RESULT))
}

/// `impl Checked` for each message: the walk over the messages inside it.
///
/// Not `#[validate(nested)]`: `validator` drops what is wrong inside a field that breaks a rule itself.
fn checked(contracts: &Contracts) -> Result<String> {
    let mut code = String::new();
    for message in contracts.messages() {
        let visits: String =
            message.fields().filter_map(|field| visit(contracts, &field)).collect();
        let visitor = if visits.is_empty() { "_" } else { "visit" };
        writeln!(
            code,
            "impl ::proto::rules::Checked for {} {{\n    \
                 fn visit(&self, {visitor}: &mut ::proto::rules::Visitor<'_>) {{\n{visits}    }}\n\
             }}",
            rust_path(&message)
        )?;
    }
    Ok(code)
}

/// Maps are not looked into, by the rules of messages known only at run time neither; in a oneof there are no rules.
fn visit(contracts: &Contracts, field: &FieldDescriptor) -> Option<String> {
    let Kind::Message(kind) = field.kind() else { return None };
    if field.is_map() || rules::in_oneof(field) || !contracts.checks(&kind) {
        return None;
    }
    let name = field.name();
    Some(if field.is_list() {
        format!(
            "        for (index, entry) in self.{name}.iter().enumerate() {{\n            \
                 visit(&format!(\"{name}[{{index}}]\"), entry);\n        }}\n"
        )
    } else {
        // prost boxes a message that may hold itself.
        let kind = checked_path(contracts, &kind);
        format!(
            "        if let Some(message) = &self.{name} {{\n            \
                 visit(\"{name}\", ::std::borrow::Borrow::<{kind}>::borrow(message));\n        }}\n"
        )
    })
}

fn checked_path(contracts: &Contracts, message: &MessageDescriptor) -> String {
    if contracts.has(message) {
        return rust_path(message);
    }
    format!("::proto::facade::v1::{}", message.name())
}

/// The name of the function that finds two entries that agree in `field`.
pub(crate) fn unique_function(entry: &MessageDescriptor, field: &str) -> String {
    format!("unique_{}_by_{field}", entry.full_name().replace('.', "_").to_lowercase())
}

/// One such function for each pair that a `unique_by` rule names.
fn unique_functions(contracts: &Contracts) -> Result<String> {
    let mut code = String::new();
    let Some(rules) = rules::extension(contracts) else { return Ok(code) };
    for (entry, field) in unique_pairs(contracts, &rules) {
        let entry = contracts.pool.get_message_by_name(&entry).context("the pool named it")?;
        writeln!(
            code,
            "fn {}(entries: &[{}]) -> Result<(), ::validator::ValidationError> {{\n    \
                 ::proto::rules::unique(entries.iter().map(|entry| entry.{field}.as_str()), \"{field}\")\n\
             }}",
            unique_function(&entry, &field),
            checked_path(contracts, &entry)
        )?;
    }
    Ok(code)
}

fn unique_pairs(contracts: &Contracts, rules: &ExtensionDescriptor) -> BTreeSet<(String, String)> {
    let fields = contracts.messages().flat_map(|message| message.fields().collect::<Vec<_>>());
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
