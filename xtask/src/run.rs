//! Running other programs, and saying so.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}

/// Where cargo builds: `target`, unless the developer has set another folder.
pub(crate) fn target() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    ensure!(output.status.success(), "cargo metadata failed");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no folder")?;
    Ok(PathBuf::from(folder))
}

/// Tells the developer.
pub(crate) fn say(line: &str) {
    eprintln!("\n== {line}");
}

/// Tells the developer that something was left out, so that nobody takes silence for success.
pub(crate) fn say_skipped(what: &str, cure: &str) {
    eprintln!("\n!! SKIPPED: {what}\n!! {cure}");
}

/// Runs a program in the workspace's root; its failure is the step's.
pub(crate) fn step(name: &str, program: &str, arguments: &[&str]) -> Result<()> {
    step_with(name, program, arguments, &[])
}

/// The same, with environment variables.
pub(crate) fn step_with(
    name: &str,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied()).current_dir(root());
    run(name, command)
}

/// The same, in another folder.
pub(crate) fn step_in(folder: &Path, name: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    run(name, command)
}

fn run(name: &str, mut command: Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    say(&format!("{name}: {line}"));
    let begun = now();
    let status = command.status().with_context(|| format!("{line} cannot be run"))?;
    ensure!(status.success(), "{name} failed: {line}");
    eprintln!("== {name}: {} s", begun.elapsed().as_secs());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a developer is told how long a step took")]
fn now() -> Instant {
    Instant::now()
}

/// Whether a program answers.
pub(crate) fn is_there(program: &str, argument: &str) -> bool {
    answers(program, &[argument])
}

/// Whether cargo has this subcommand: not every one can be asked by its own name.
pub(crate) fn has_subcommand(name: &str) -> bool {
    answers("cargo", &[name, "--version"])
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
