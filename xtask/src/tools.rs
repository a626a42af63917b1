//! Tools that make `check` and the README's commands complete.

use anyhow::Result;

use crate::run::{has_subcommand, is_there, say_skipped, step, step_with, target};

const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3";

pub(crate) fn install() -> Result<()> {
    for tool in ["cargo-deny", "cargo-machete"] {
        if !is_there(tool, "--version") {
            step("tool", "cargo", &["install", "--locked", tool])?;
        }
    }
    if !has_subcommand("mutants") {
        step("tool", "cargo", &["install", "--locked", "cargo-mutants"])?;
    }
    grpcurl()?;
    Ok(())
}

/// Where grpcurl is: on the path, or built beside the project's own binaries. `None` where there is no Go to build it.
pub(crate) fn grpcurl() -> Result<Option<String>> {
    if is_there("grpcurl", "-version") {
        return Ok(Some("grpcurl".to_owned()));
    }
    let folder = target()?.join("tools");
    let program = folder.join("grpcurl").display().to_string();
    if is_there(&program, "-version") {
        return Ok(Some(program));
    }
    if !is_there("go", "version") {
        say_skipped(
            "grpcurl is not there, and no Go to build it with",
            "apt-get install golang, or put grpcurl on the path",
        );
        return Ok(None);
    }
    let gobin = folder.display().to_string();
    step_with("tool", "go", &["install", GRPCURL], &[("GOBIN", &gobin)])?;
    Ok(Some(program))
}
