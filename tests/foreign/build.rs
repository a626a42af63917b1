//! As in a service of somebody else: its own contract, its own package.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    facade_build::messages("proto")?;
    facade_build::handlers("proto", &["library/v1/library.proto"], "crate::contracts")
}
