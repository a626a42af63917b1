//! `cargo xtask mutants`: plants one bug after the other and tells which layer of the tests finds it.
//!
//! The test programs are built once, armed; each bug is then named to them from outside. The layers come in the order of
//! what they cost, and the first that fails has found the bug. A layer that does not end counts as failed: a hang is
//! noticed too.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use planted::Bug;

use crate::{
    python,
    run::{root, say},
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
    let bugs: Vec<Bug> = match named {
        [] => Bug::ALL.to_vec(),
        named => named.iter().map(|name| find(name)).collect::<Result<_>>()?,
    };
    // The stories have a participant in Python.
    python::prepare()?;
    let layers = build()?;
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
                bug.name(),
                layer,
                found.cases,
                found.test
            ),
            None => {
                println!("{:<24} NOT FOUND: {}", bug.name(), bug.sentence());
                missed.push(bug.name());
            }
        }
    }
    ensure!(missed.is_empty(), "no layer found {}", missed.join(", "));
    Ok(())
}

/// Fails for a program that can be told to have a bug.
pub(crate) fn is_not_in(program: &Path) -> Result<()> {
    let bytes = std::fs::read(program).with_context(|| program.display().to_string())?;
    let armed =
        bytes.windows(planted::VARIABLE.len()).any(|some| some == planted::VARIABLE.as_bytes());
    ensure!(!armed, "{} was built with planted bugs", program.display());
    Ok(())
}

fn find(name: &str) -> Result<Bug> {
    let bug = Bug::ALL.iter().copied().find(|bug| bug.name() == name);
    let all = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    bug.with_context(|| format!("there is no bug {name}; there are {}", all()))
}

type Programs = Vec<PathBuf>;

/// Builds the armed test programs of each layer.
fn build() -> Result<Vec<(&'static Layer, Programs)>> {
    say("building the armed tests");
    LAYERS.iter().map(|layer| Ok((layer, build_layer(layer)?))).collect()
}

fn build_layer(layer: &Layer) -> Result<Programs> {
    let mut command = Command::new("cargo");
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(["-p", "planted", "-p", layer.package, "--features", "planted/armed"]);
    match layer.test {
        "" => command.args(["--lib", "--tests"]),
        test => command.args(["--test", test]),
    };
    let output = command.current_dir(root()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the tests of {} do not build", layer.package);
    let programs: Programs = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect();
    ensure!(!programs.is_empty(), "{} has no test program", layer.package);
    Ok(programs)
}

/// What found a bug.
struct Found {
    test: String,
    cases: String,
}

fn hunt(bug: Bug, layers: &[(&Layer, Programs)]) -> Result<Option<(&'static str, Found)>> {
    for (layer, programs) in layers {
        if let Some(found) = run_layer(programs, Some(bug))? {
            return Ok(Some((layer.name, found)));
        }
    }
    Ok(None)
}

fn run_layer(programs: &Programs, bug: Option<Bug>) -> Result<Option<Found>> {
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
fn run_program(program: &PathBuf, bug: Option<Bug>) -> Result<Option<Found>> {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true").env("RUST_BACKTRACE", "0");
    if let Some(bug) = bug {
        command.env(planted::VARIABLE, bug.name());
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
    use super::{first_failure, is_not_in};

    #[test]
    fn a_program_that_reads_the_name_of_its_bug_is_refused() {
        let folder = std::env::temp_dir().join(format!("sagamesh-armed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (armed, sound) = (folder.join("armed"), folder.join("sound"));
        std::fs::write(&armed, format!("\x7fELF..{}..", planted::VARIABLE)).unwrap();
        std::fs::write(&sound, "\x7fELF..SAGAMESH_PLANTED..").unwrap();
        let refused = is_not_in(&armed);
        let accepted = is_not_in(&sound);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(refused.is_err());
        accepted.unwrap();
    }

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
