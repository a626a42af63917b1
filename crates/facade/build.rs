//! Generates, for every service of ours, the tonic server (kept private) and the handler trait that a service
//! implements instead: each method passes through the facade on its way to the handler, in one line.

#![expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]

use std::{env, fmt::Write, path::PathBuf};

use anyhow::Result;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

fn main() -> Result<()> {
    let protos = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=../../proto/sagamesh");

    let mut compiler = protox::Compiler::new([&protos])?;
    compiler.include_imports(true).include_source_info(true);
    for area in ["order", "stock", "points", "payment", "saga"] {
        compiler.open_file(protos.join(format!("sagamesh/{area}/v1/{area}.proto")))?;
    }
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;
    let services: Vec<ServiceDescriptor> = pool.services().collect();

    let mut builder = tonic_prost_build::configure()
        .build_client(false)
        .emit_rerun_if_changed(false)
        .codec_path("crate::codec::Codec");
    for service in &services {
        let package = service.package_name();
        builder = builder.extern_path(format!(".{package}"), rust_package(package));
    }
    for method in services.iter().flat_map(ServiceDescriptor::methods) {
        let (input, output) = (method.input(), method.output());
        builder = builder
            .extern_path(format!(".{}", input.full_name()), received(&input))
            .extern_path(format!(".{}", output.full_name()), filled(&output));
    }
    builder
        .extern_path(".sagamesh.facade.v1", rust_package("sagamesh.facade.v1"))
        .compile_fds(compiler.file_descriptor_set())?;

    let code: Result<Vec<String>, std::fmt::Error> = services.iter().map(service).collect();
    std::fs::write(out.join("services.rs"), code?.concat())?;
    Ok(())
}

fn rust_package(package: &str) -> String {
    package.replacen("sagamesh", "::proto", 1).replace('.', "::")
}

fn service(service: &ServiceDescriptor) -> Result<String, std::fmt::Error> {
    let mut code = String::new();
    let (name, package) = (service.name(), service.package_name());
    let module = snake_case(name);
    let methods: Vec<MethodDescriptor> = service.methods().collect();
    writeln!(code, "#[doc = \"Handlers of `{package}.{name}`.\"]\npub mod {module} {{")?;
    writeln!(code, "mod generated {{ include!(concat!(env!(\"OUT_DIR\"), \"/{package}.rs\")); }}")?;
    writeln!(code, "/// The service's full name.\npub const NAME: &str = \"{package}.{name}\";")?;

    writeln!(code, "{}pub trait {name}: Send + Sync + 'static {{", docs(service.path(), service))?;
    for method in &methods {
        let output = match method.is_server_streaming() {
            true => "crate::Answers",
            false => "crate::Reply",
        };
        writeln!(
            code,
            "{}fn {}(&self, call: crate::Call, request: {}) -> impl Future<Output = Result<{output}<{}>, crate::Failure>> + Send;",
            docs(method.path(), service),
            snake_case(method.name()),
            message(method.input().full_name()),
            message(method.output().full_name()),
        )?;
    }
    writeln!(code, "}}")?;

    writeln!(
        code,
        "struct Through<H> {{ facade: crate::Facade, handler: H }}\n\
         #[::tonic::async_trait]\n\
         impl<H: {name}> generated::{module}_server::{name} for Through<H> {{"
    )?;
    for method in &methods {
        through(&mut code, service, method)?;
    }
    writeln!(
        code,
        "}}\n/// Serves `handler` behind the facade.\n\
         pub fn mount<H: {name}>(handler: H) -> crate::server::Mount {{\n\
             crate::server::Mount::new(NAME, |facade, routes| {{\n\
                 routes.add_service(generated::{module}_server::{name}Server::new(Through {{ facade, handler }}));\n\
             }})\n\
         }}\n}}"
    )?;
    Ok(code)
}

fn through(
    code: &mut String,
    service: &ServiceDescriptor,
    method: &MethodDescriptor,
) -> std::fmt::Result {
    let function = snake_case(method.name());
    let (input, output) = (received(&method.input()), filled(&method.output()));
    let path = format!("/{}/{}", service.full_name(), method.name());
    let (kind, returned) = if method.is_server_streaming() {
        writeln!(code, "type {}Stream = {};", method.name(), streamed(&method.output()))?;
        ("stream", streamed(&method.output()))
    } else {
        ("unary", output)
    };
    writeln!(
        code,
        "async fn {function}(&self, request: ::tonic::Request<{input}>) -> Result<::tonic::Response<{returned}>, ::tonic::Status> {{\n\
             self.facade.{kind}(\"{path}\", request, |call, request| self.handler.{function}(call, request)).await\n\
         }}"
    )
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

fn message(full_name: &str) -> String {
    rust_package(full_name)
}

/// What the codec makes of a request.
fn received(request: &MessageDescriptor) -> String {
    format!("crate::codec::Received<{}>", message(request.full_name()))
}

/// What the codec takes for a response.
fn filled(response: &MessageDescriptor) -> String {
    format!("crate::codec::Filled<{}>", message(response.full_name()))
}

fn streamed(response: &MessageDescriptor) -> String {
    format!("crate::stream::Outgoing<{}>", message(response.full_name()))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
