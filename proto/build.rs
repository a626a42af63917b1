//! Compiles the contracts in pure Rust: messages, clients, validation rules, and the descriptor set that
//! reflection serves.

#![expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use prost_reflect::DescriptorPool;

#[path = "build/messages.rs"]
mod messages;
#[path = "build/rules.rs"]
mod rules;

const OUR_PACKAGES: &str = "sagamesh.";

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=sagamesh");
    println!("cargo::rerun-if-changed=build");

    let files = proto_files(&root.join("sagamesh"))?;
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    // Not `file_descriptor_set()`: prost's own descriptor types drop the custom options that carry the rules.
    let encoded = compiler.encode_file_descriptor_set();
    std::fs::write(out.join("sagamesh.binpb"), &encoded)?;
    let pool = DescriptorPool::decode(encoded.as_slice())?;

    let builder = tonic_prost_build::configure()
        .build_server(false)
        .emit_rerun_if_changed(false)
        .include_file("packages.rs");
    let rules = pool
        .get_extension_by_name("sagamesh.facade.v1.rules")
        .context("the rules extension is missing from facade.proto")?;
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    rules::annotate(builder, &pool, &rules)?
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    bring_validate_into_scope(&out.join("packages.rs"))?;
    std::fs::write(
        out.join("messages.rs"),
        messages::responses(&pool)
            + &messages::checked(&pool)
            + &messages::unique_functions(&pool, &rules),
    )?;
    Ok(())
}

fn proto_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The derive of `Validate` calls the trait's methods by name, so each package's module must see the trait.
fn bring_validate_into_scope(packages: &Path) -> Result<()> {
    let code = std::fs::read_to_string(packages)?;
    let code = code.replace(
        "include!(",
        "#[allow(unused_imports)] use ::validator::Validate as _;\ninclude!(",
    );
    Ok(std::fs::write(packages, code)?)
}
