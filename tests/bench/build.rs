//! Compiles the contract of the steps that do nothing.

use anyhow::Result;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["noop.proto"], ["proto"])?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(files)?;
    Ok(())
}
