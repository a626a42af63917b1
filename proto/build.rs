//! Generates messages, clients and rules of every contract in `sagamesh/`.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    facade_build::messages(".")
}
