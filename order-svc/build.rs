//! Generates the trait that the handlers implement.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    facade_build::handlers("../proto", &["sagamesh/order/v1/order.proto"], "::proto::packages")
}
