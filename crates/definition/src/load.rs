//! Reading definition files from a folder.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::problem::{Position, Problem, Problems};

/// Reads one definition file. The problems name it as `path` is displayed.
///
/// # Errors
/// When it cannot be read, or not even be read as YAML.
pub fn read(path: &Path) -> Result<Draft, Vec<Problem>> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(source) => Draft::parse(&file, &source),
        Err(error) => {
            let mut problems = Problems::new(&file);
            problems.add(Position::START, format!("cannot read it: {error}"), "check the path");
            Err(problems.into_sorted())
        }
    }
}

/// The definition files of a folder, `*.yaml` and `*.yml`, sorted by name; not of its subfolders.
///
/// # Errors
/// When the folder cannot be listed.
pub fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
