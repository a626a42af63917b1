//! `cargo xtask mutate`: changes the source in one place after the other with cargo-mutants and tells which changes no test
//! of the same package notices. It takes hours, so it is nobody's check: what it finds is a test that is missing.
//!
//! A change that no test can notice, or should, is explained in `docs/mutants.md` by the words that the tool has for it.

use std::{
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{has_subcommand, root, say, target};

/// A part of the source, and the package whose tests must hold it.
struct Scope {
    package: &'static str,
    /// Empty: all of the package.
    files: &'static [&'static str],
}

const SCOPES: &[Scope] = &[
    Scope { package: "saga", files: &[] },
    Scope {
        package: "participant",
        files: &["crates/participant/src/inbox.rs", "crates/participant/src/inbox/**"],
    },
    Scope { package: "orchestrator", files: &["orchestrator/src/driver/**"] },
];

/// How long the tests may take with one change, in seconds. A change that they hang on is noticed too.
const TIMEOUT: &str = "60";
/// cargo-mutants' exit codes for a run to its end: all are caught, some are missed, some timed out.
const COMPLETED_EXIT_CODES: [i32; 3] = [0, 2, 3];

/// Runs the scopes of these packages; all of them when none is named.
pub(crate) fn run(packages: &[String]) -> Result<()> {
    ensure!(
        has_subcommand("mutants"),
        "cargo-mutants is not there: install it with `cargo xtask tools`"
    );
    let wanted = |scope: &&Scope| {
        packages.is_empty() || packages.iter().any(|package| package == scope.package)
    };
    let scopes: Vec<&Scope> = SCOPES.iter().filter(wanted).collect();
    if scopes.is_empty() {
        let known: Vec<&str> = SCOPES.iter().map(|scope| scope.package).collect();
        bail!("no such package is mutated; there are {}", known.join(", "));
    }
    let explained = std::fs::read_to_string(root().join("docs/mutants.md"))?;
    let mut unexplained = Vec::new();
    for scope in scopes {
        let missed = mutate(scope)?;
        unexplained.extend(
            missed.lines().filter(|line| !is_explained(line, &explained)).map(str::to_owned),
        );
    }
    ensure!(
        unexplained.is_empty(),
        "no test notices these; write one, or explain them in docs/mutants.md:\n{}",
        unexplained.join("\n")
    );
    Ok(())
}

/// What the tests of a scope missed, a line each.
fn mutate(scope: &Scope) -> Result<String> {
    let folder = target()?.join("mutants").join(scope.package);
    std::fs::create_dir_all(&folder)?;
    say(&format!("cargo-mutants: {}, into {}", scope.package, folder.display()));
    let status = command(scope, &folder).status().context("cargo-mutants cannot be run")?;
    ensure!(ran(status), "cargo-mutants failed on {}: {status}", scope.package);
    Ok(std::fs::read_to_string(folder.join("mutants.out/missed.txt"))?)
}

fn command(scope: &Scope, folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(["mutants", "--package", scope.package, "--no-shuffle"]);
    command.args(["--timeout", TIMEOUT, "--output"]).arg(folder);
    for file in scope.files {
        command.args(["--file", file]);
    }
    command
}

fn ran(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| COMPLETED_EXIT_CODES.contains(&code))
}

/// Whether a change is explained: by its own words, for its line moves with every change of the file.
fn is_explained(missed: &str, explained: &str) -> bool {
    let change = missed.splitn(4, ':').last().unwrap_or(missed).trim();
    explained.contains(&format!("`{change}`"))
}

#[cfg(test)]
mod tests {
    use super::is_explained;

    #[test]
    fn a_change_is_explained_by_its_words_wherever_its_line_has_moved() {
        let missed = "crates/saga/src/legal.rs:101:9: replace Rules<'_>::name -> &str with \"\"";
        let explained = "- `replace Rules<'_>::name -> &str with \"\"`: nobody reads it.";
        assert!(is_explained(missed, explained));
        assert!(!is_explained("src/a.rs:1:1: replace + with - in a::b", explained));
    }
}
