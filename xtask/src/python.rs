//! The Python that the example participant runs on: a virtual environment where cargo builds.

use std::path::Path;

use anyhow::{Result, bail};

use crate::run::{is_there, say, step};

const PACKAGES: [&str; 3] = ["grpcio==1.76.0", "grpcio-tools==1.76.0", "grpcio-reflection==1.76.0"];

/// Makes the environment in this target folder where it is not there.
///
/// # Errors
/// Says what is missing where it cannot be installed.
pub(crate) fn prepare(target: &Path) -> Result<()> {
    let folder = target.join("python");
    let python = folder.join("bin/python").display().to_string();
    if folder.join("ready").exists() && is_there(&python, "--version") {
        return Ok(());
    }
    if !is_there("python3", "--version") || !has_venv() {
        install_python()?;
    }
    let folder_name = folder.display().to_string();
    step("python", "python3", &["-m", "venv", &folder_name])?;
    let mut arguments = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    arguments.extend(PACKAGES);
    step("python", &python, &arguments)?;
    std::fs::write(folder.join("ready"), PACKAGES.join("\n"))?;
    Ok(())
}

fn has_venv() -> bool {
    let probe =
        std::process::Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    probe.is_ok_and(|output| output.status.success())
}

fn install_python() -> Result<()> {
    say("python3 with venv is missing: installing Debian's");
    if !is_there("apt-get", "--version") {
        bail!("python3 with its venv module is missing: install it, then run this again");
    }
    let installed = step("python", "apt-get", &["update", "-qq"]).and_then(|()| {
        step("python", "apt-get", &["install", "-y", "-qq", "python3", "python3-venv"])
    });
    if installed.is_err() {
        bail!(
            "python3 with its venv module is missing: run `apt-get install python3 python3-venv` as root"
        );
    }
    Ok(())
}
