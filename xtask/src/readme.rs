//! The commands of the README and of some documents, run as they stand there.
//!
//! In a block marked `console`, every line that begins with `$ ` is a command. The one that starts the mesh runs in
//! the background until it says that it is ready; every other must succeed while it runs. What begins with `./sagamesh-` is a
//! folder of the run's own. Nothing else is special.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    run::{root, say, say_skipped, step, target},
    tools,
};

/// What `sagamesh dev` prints last when it is ready.
const READY: &str = "try next";
/// In the order in which their commands are run.
const PAGES: [&str; 2] = ["README.md", "docs/backup.md"];
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn run() -> Result<()> {
    // The binary is built first, so that the time-out below is for its start alone.
    step("release build", "cargo", &["build", "--release"])?;
    let target = target()?;
    let mut text = String::new();
    for page in PAGES {
        text += &std::fs::read_to_string(root().join(page)).context(page)?;
    }
    // The README's paths are replaced by the folder where cargo puts what it builds.
    let release = format!("{}/", target.join("release").display());
    let commands: Vec<String> = commands(&text)
        .into_iter()
        .map(|command| command.replace("cargo run --release --", "target/release/sagamesh"))
        .map(|command| command.replace("target/release/", &release))
        .collect();
    ensure!(
        commands.len() >= 5,
        "README.md has only {} commands: is it still marked `console`?",
        commands.len()
    );
    let folder = target.join("readme");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let own = format!("{}/sagamesh-", folder.display());
    let commands: Vec<String> =
        commands.into_iter().map(|command| command.replace("./sagamesh-", &own)).collect();
    let grpcurl = tools::grpcurl()?;
    let mut serving = Vec::new();
    let outcome = commands
        .iter()
        .try_for_each(|command| one(command, &folder, grpcurl.as_deref(), &mut serving));
    for child in &mut serving {
        stop(child)?;
    }
    outcome
}

fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            found.push(command.to_owned());
        }
    }
    found
}

fn one(
    command: &str,
    folder: &Path,
    grpcurl: Option<&str>,
    serving: &mut Vec<Child>,
) -> Result<()> {
    if command.starts_with("cargo xtask") {
        return Ok(());
    }
    say(&format!("README: {command}"));
    if command.contains("grpcurl ") {
        match grpcurl {
            Some(program) => return finish(&command.replacen("grpcurl", program, 1)),
            None => {
                say_skipped(command, "grpcurl is not there");
                return Ok(());
            }
        }
    }
    if command.contains("sagamesh dev") || command.contains("-- dev") {
        let data = folder.join("sagamesh-data").display().to_string();
        serving.push(start(&format!("exec {command} --data {data}"))?);
        return Ok(());
    }
    finish(command)
}

fn finish(command: &str) -> Result<()> {
    let status = Command::new("bash")
        .args(["-euo", "pipefail", "-c", command])
        .current_dir(root())
        .status()?;
    ensure!(status.success(), "a command of the README failed: {command}");
    Ok(())
}

fn start(command: &str) -> Result<Child> {
    let mut child = Command::new("bash")
        .args(["-c", command])
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("the output of the mesh")?;
    let (ready, waiting) = mpsc::channel();
    // The output is read to its end, or the mesh would block on a full pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            if line.to_lowercase().contains(READY) {
                let _ = ready.send(());
            }
        }
    });
    if waiting.recv_timeout(WAIT_TIMEOUT).is_err() {
        stop(&mut child)?;
        bail!(
            "the mesh did not say that it is ready within {} s: {command}",
            WAIT_TIMEOUT.as_secs()
        );
    }
    Ok(child)
}

fn stop(child: &mut Child) -> Result<()> {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let status = child.wait()?;
    ensure!(status.success(), "the mesh did not end well: {status}");
    Ok(())
}
