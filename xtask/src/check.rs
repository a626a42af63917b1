//! What must hold before anything is tested.

use anyhow::Result;

use crate::run::{is_there, say_skipped, step, step_with};

pub(crate) fn all() -> Result<()> {
    components()?;
    step("formatting", "cargo", &["fmt", "--all", "--check"])?;
    step("clippy", "cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    let documents = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    step_with("documents", "cargo", &documents, &[("RUSTDOCFLAGS", "-D warnings")])?;
    dependencies()
}

/// Formatting and clippy come with the toolchain, or are added to it.
fn components() -> Result<()> {
    for (component, program) in [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")] {
        if !is_there(program, "--version") {
            step("toolchain", "rustup", &["component", "add", component])?;
        }
    }
    Ok(())
}

fn dependencies() -> Result<()> {
    let cure = "install it with `cargo xtask tools`";
    if is_there("cargo-deny", "--version") {
        // The advisories need a database from the network, so they are the release's check and not everybody's.
        step("dependency policy", "cargo", &["deny", "check", "bans", "licenses", "sources"])?;
    } else {
        say_skipped("dependency policy: cargo-deny is not there", cure);
    }
    if is_there("cargo-machete", "--version") {
        // It is not run as `cargo machete`: inside `cargo run` it takes its own name for a path.
        step("unused dependencies", "cargo-machete", &[])?;
    } else {
        say_skipped("unused dependencies: cargo-machete is not there", cure);
    }
    Ok(())
}
