//! Handler traits, and how a handler is mounted.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use crate::{Contracts, messages::result_of, rust_path, snake_case};

/// Generates `handlers.rs`: for every service in `files`, which are paths below `folder`, a module with a trait that its
/// handlers implement and the function `mount`. `messages` is the path, from anywhere in the crate, of the module that
/// includes what [`messages`](crate::messages()) generated.
///
/// # Errors
/// A contract that cannot be compiled; a method that takes a stream, or whose response has no `ResultInfo result`.
pub fn handlers(folder: impl AsRef<Path>, files: &[&str], messages: &str) -> Result<()> {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let contracts = Contracts::compile(folder.as_ref(), &files)?;
    let ours = contracts.pool.services().filter(|service| {
        let file = service.parent_file();
        files.iter().any(|name| name.as_os_str() == file.name())
    });
    let mut code = String::new();
    for service in ours {
        write_service(&mut code, &service, messages)?;
    }
    Ok(std::fs::write(contracts.out.join("handlers.rs"), code)?)
}

fn write_service(code: &mut String, service: &ServiceDescriptor, messages: &str) -> Result<()> {
    let (name, full_name) = (service.name(), service.full_name());
    let module = snake_case(name);
    writeln!(code, "#[doc = \"Handlers of `{full_name}`.\"]\npub mod {module} {{")?;
    writeln!(code, "/// The service's full name.\npub const NAME: &str = \"{full_name}\";")?;

    let docs_of_service = docs(service.path(), service);
    writeln!(code, "{docs_of_service}pub trait {name}: Send + Sync + 'static {{")?;
    for method in service.methods() {
        check(&method)?;
        let (input, output) = (rust_path(&method.input()), rust_path(&method.output()));
        writeln!(
            code,
            "{}fn {}(&self, call: ::facade::Call, request: {messages}::{input}) \
             -> impl Future<Output = Result<{}<{messages}::{output}>, ::facade::Failure>> + Send;",
            docs(method.path(), service),
            snake_case(method.name()),
            if method.is_server_streaming() {
                "::facade::ResponseStream"
            } else {
                "::facade::Reply"
            },
        )?;
    }
    writeln!(code, "}}")?;

    writeln!(
        code,
        "/// Serves `handler` behind the facade.\n\
         pub fn mount<H: {name}>(handler: H) -> ::facade::server::Mount {{\n\
             ::facade::server::Mount::of(NAME, {messages}::descriptors(), handler)"
    )?;
    for method in service.methods() {
        let kind = if method.is_server_streaming() { "stream" } else { "unary" };
        writeln!(
            code,
            ".{kind}(\"{}\", |handler: ::std::sync::Arc<H>, call, request| async move {{ handler.{}(call, request).await }})",
            method.name(),
            snake_case(method.name()),
        )?;
    }
    writeln!(code, ".mounted()\n}}\n}}")?;
    Ok(())
}

fn check(method: &MethodDescriptor) -> Result<()> {
    let (name, output) = (method.full_name(), method.output());
    let known = !method.input().package_name().starts_with("google.");
    ensure!(known, "{name} takes {}, which has no rules", method.input().full_name());
    ensure!(
        !method.is_client_streaming(),
        "{name} takes a stream, which the facade does not serve"
    );
    ensure!(
        result_of(&output).is_some(),
        "{name} answers {}, which has no field `sagamesh.facade.v1.ResultInfo result`",
        output.full_name()
    );
    Ok(())
}

fn docs(path: &[i32], service: &ServiceDescriptor) -> String {
    let file = service.parent_file();
    let locations =
        file.file_descriptor_proto().source_code_info.as_ref().map(|info| &info.location);
    let comment = locations
        .into_iter()
        .flatten()
        .find(|location| location.path == path)
        .and_then(|location| location.leading_comments.clone())
        .unwrap_or_default();
    comment.lines().map(|line| format!("#[doc = {line:?}]\n")).collect()
}
