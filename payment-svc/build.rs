//! Generates the trait that the handlers implement.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    facade_build::handlers("../proto", &["sagamesh/payment/v1/payment.proto"], "::proto::packages")
}
