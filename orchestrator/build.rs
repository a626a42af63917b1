//! Generates the trait that the operators' handlers implement.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    facade_build::handlers("../proto", &["sagamesh/saga/v1/saga.proto"], "::proto::packages")
}
