//! `cargo xtask mutants`: plants one bug after the other and tells which layer of the tests finds it.
//!
//! The test programs are built once, of a copy of the source that has all bugs; the one that a process is to have is then
//! named to it from outside. The layers come in the order of what they cost, and the first that fails has found the bug. A
//! layer that does not end counts as failed: a hang is noticed too.

mod bugs;
mod copy;
mod plant;

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use self::{
    bugs::BUGS,
    plant::{Bug, VARIABLE},
};
use crate::{
    python,
    run::{root, say, target},
};

/// How long one layer may take with a bug in it.
const WAIT_TIMEOUT: Duration = Duration::from_secs(300);

/// A layer of the suite: what it is called, and the package and test programs that it is.
struct Layer {
    name: &'static str,
    package: &'static str,
    /// Empty: all of the package's.
    test: &'static str,
}

impl Layer {
    /// Whether the program is of this layer: a package's folder has its name.
    fn has(&self, program: &Program) -> bool {
        program.folder.ends_with(self.package)
            && (self.test.is_empty() || self.test == program.name)
    }
}

const LAYERS: &[Layer] = &[
    Layer { name: "engine", package: "saga", test: "" },
    Layer { name: "store", package: "store", test: "" },
    Layer { name: "inbox", package: "participant", test: "" },
    Layer { name: "stock service", package: "stock-svc", test: "" },
    Layer { name: "payment service", package: "payment-svc", test: "" },
    Layer { name: "definitions", package: "definition", test: "" },
    Layer { name: "orchestrator", package: "orchestrator", test: "" },
    Layer { name: "stories", package: "tests", test: "stories" },
    Layer { name: "fault matrix", package: "tests", test: "matrix" },
    Layer { name: "hostile", package: "tests", test: "hostile" },
];

/// Runs every bug, or those that are named.
pub(crate) fn run(named: &[String]) -> Result<()> {
    let bugs: Vec<&Bug> = match named {
        [] => BUGS.iter().collect(),
        named => named.iter().map(|name| find(name)).collect::<Result<_>>()?,
    };
    let folder = target()?.join("planted");
    let (source, built) = (folder.join("source"), folder.join("target"));
    copy::refresh(&root(), &copy::files(&root())?, &plant::plant(BUGS, &root())?, &source)?;
    // The stories have a participant in Python.
    python::prepare(&built)?;
    let layers = build(&source, &built)?;
    say("without a bug");
    for (layer, programs) in &layers {
        if let Some(found) = run_layer(programs, None)? {
            bail!("{} fails without a bug: {}", layer.name, found.test);
        }
    }
    let mut missed = Vec::new();
    for bug in bugs {
        match hunt(bug, &layers)? {
            Some((layer, found)) => println!(
                "{:<24} found by {} after {}: {}",
                bug.name, layer, found.cases, found.test
            ),
            None => {
                println!("{:<24} NOT FOUND: {}", bug.name, bug.sentence);
                missed.push(bug.name);
            }
        }
    }
    ensure!(missed.is_empty(), "no layer found {}", missed.join(", "));
    Ok(())
}

fn find(name: &str) -> Result<&'static Bug> {
    let bug = BUGS.iter().find(|bug| bug.name == name);
    let all = || BUGS.iter().map(|bug| bug.name).collect::<Vec<_>>().join(", ");
    bug.with_context(|| format!("there is no bug {name}; there are {}", all()))
}

/// A test program.
#[derive(Clone)]
struct Program {
    path: PathBuf,
    name: String,
    /// Its package's, which cargo would run it in.
    folder: PathBuf,
}

/// Builds the test programs of each layer, all at once: what they lean on is then built once.
fn build(source: &Path, built: &Path) -> Result<Vec<(&'static Layer, Vec<Program>)>> {
    say(&format!("building the tests of {}", source.display()));
    let mut command = Command::new("cargo");
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(["--lib", "--tests", "--target-dir"]).arg(built);
    for layer in LAYERS {
        command.args(["-p", layer.package]);
    }
    let output = command.current_dir(source).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the tests with planted bugs do not build");
    let programs: Vec<Program> = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|message| test_program(&message))
        .collect();
    LAYERS
        .iter()
        .map(|layer| {
            let of_layer = programs.iter().filter(|program| layer.has(program));
            let of_layer: Vec<Program> = of_layer.cloned().collect();
            ensure!(!of_layer.is_empty(), "{} has no test program", layer.name);
            Ok((layer, of_layer))
        })
        .collect()
}

/// The test program that a message of cargo's tells of.
fn test_program(message: &Value) -> Option<Program> {
    let is_test = message["profile"]["test"] == true;
    let path = message["executable"].as_str().filter(|_| is_test)?.into();
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    Some(Program { path, name: message["target"]["name"].as_str()?.to_owned(), folder })
}

/// What found a bug.
struct Found {
    test: String,
    cases: String,
}

fn hunt(bug: &Bug, layers: &[(&Layer, Vec<Program>)]) -> Result<Option<(&'static str, Found)>> {
    for (layer, programs) in layers {
        if let Some(found) = run_layer(programs, Some(bug))? {
            return Ok(Some((layer.name, found)));
        }
    }
    Ok(None)
}

fn run_layer(programs: &[Program], bug: Option<&Bug>) -> Result<Option<Found>> {
    for program in programs {
        if let Some(found) = run_program(program, bug)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Runs one test program; gives its first failure.
#[expect(
    clippy::disallowed_methods,
    reason = "it times another program, and no test holds it still"
)]
fn run_program(program: &Program, bug: Option<&Bug>) -> Result<Option<Found>> {
    let mut command = Command::new(&program.path);
    command.current_dir(&program.folder).stdin(Stdio::null());
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true").env("RUST_BACKTRACE", "0");
    if let Some(bug) = bug {
        command.env(VARIABLE, bug.name);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdout = child.stdout.take().context("the program has an output")?;
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        stdout.read_to_string(&mut said).map(|_| said)
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > WAIT_TIMEOUT {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = reader.join().map_err(|_| anyhow::anyhow!("reading the output panicked"))??;
    Ok(match status {
        Some(status) if status.success() => None,
        Some(_) => Some(first_failure(&said)),
        None => Some(Found { test: "it did not end".to_owned(), cases: passed(&said) }),
    })
}

/// The first test that failed, and how much ran before: the cases of a property, or the tests that passed.
fn first_failure(said: &str) -> Found {
    let failed = |line: &&str| line.starts_with("test ") && line.ends_with("FAILED");
    let test = said.lines().find(failed).and_then(|line| line.split(' ').nth(1));
    let test = test.unwrap_or("it ended at once").to_owned();
    let section = said.split(&format!("---- {test} stdout ----")).nth(1).unwrap_or_default();
    let section = section.split("\n---- ").next().unwrap_or_default();
    let successes = section.split("successes: ").nth(1).and_then(|rest| rest.lines().next());
    let cases = match successes.and_then(|number| number.trim().parse::<u64>().ok()) {
        Some(successes) => format!("{} cases of a property", successes + 1),
        None => passed(said),
    };
    Found { test, cases }
}

fn passed(said: &str) -> String {
    let passed = said.lines().filter(|line| line.starts_with("test ") && line.ends_with("ok"));
    format!("{} tests that passed", passed.count())
}

#[cfg(test)]
mod tests {
    use super::first_failure;

    #[test]
    fn the_first_failure_is_told_with_the_cases_of_its_property() {
        let said = "test a ... ok\ntest b ... FAILED\ntest c ... FAILED\n\n---- c stdout ----\nsuccesses: 3\n\n\
                    ---- b stdout ----\npanicked\n\tsuccesses: 41\n\tlocal rejects: 0\n";
        let found = first_failure(said);
        assert_eq!((found.test.as_str(), found.cases.as_str()), ("b", "42 cases of a property"));
    }

    #[test]
    fn a_failure_that_is_no_property_is_told_with_the_tests_before_it() {
        let found =
            first_failure("test a ... ok\ntest b ... FAILED\n---- b stdout ----\npanicked\n");
        assert_eq!((found.test.as_str(), found.cases.as_str()), ("b", "1 tests that passed"));
    }
}
