//! Reading definition files, and the descriptor files that they name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::descriptors::Descriptors;
use super::draft::Draft;
use super::problem::{Position, Problem, Problems};
use super::yaml::MAX_SOURCE;

/// Reads one definition file. The problems name it as `path` is displayed.
///
/// # Errors
/// When it cannot be read, or not even be read as YAML.
pub fn read(path: &Path) -> Result<Draft, Vec<Problem>> {
    Draft::parse(&path.display().to_string(), &read_source(path)?)
}

/// Reads the text of one definition file. No more of it is read than a definition may have, so that one that is huge
/// costs nobody memory.
///
/// # Errors
/// When it is no regular file, cannot be read, is larger than [`MAX_SOURCE`], or is no UTF-8.
pub fn read_source(path: &Path) -> Result<String, Vec<Problem>> {
    let problem = |what: String, cure: &str| {
        let mut problems = Problems::new(&path.display().to_string());
        problems.add(Position::START, what, cure);
        problems.into_sorted()
    };
    let unreadable = |error: io::Error| {
        problem(
            format!("cannot read it: {error}"),
            "check the path, where its links lead to, and who may read it",
        )
    };
    // Looked at before it is opened, since to open a pipe is to wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(problem(
            "this is no regular file".to_owned(),
            "name it otherwise where it is no definition",
        ));
    }
    let mut bytes = Vec::new();
    let limit = MAX_SOURCE as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > MAX_SOURCE {
        return Err(problem(
            format!("the file has more than {MAX_SOURCE} bytes"),
            "split it into several sagas",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem(format!("byte {} is no UTF-8", at + 1), "save the file as UTF-8")
    })
}

/// Whether a file's name is that of a definition: `*.yaml` or `*.yml`, and not hidden, as what editors keep beside a file
/// is.
#[must_use]
pub fn is_definition(path: &Path) -> bool {
    let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let name = path.file_name().unwrap_or_default();
    is_yaml && !name.as_encoded_bytes().starts_with(b".")
}

/// The definition files of a folder, sorted by name, `max` at most; not those of its subfolders. What has a definition's
/// name and is none is among them, so that it can be told.
///
/// # Errors
/// When the folder cannot be listed.
pub fn files(folder: &Path, max: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_definition(&path) {
            files.push(path);
        }
        if files.len() > max {
            return Err(io::Error::other(format!(
                "it has more than {max} definitions; raise `definitions.max_registered`"
            )));
        }
    }
    files.sort();
    Ok(files)
}

/// The descriptor files that a definition names, relative to `folder`, and `further` ones; imports begin where the definition
/// says, and at `import_roots`. With what is wrong with files, which are left out then.
#[must_use]
pub fn descriptors(
    draft: &Draft,
    folder: &Path,
    further: &[PathBuf],
    import_roots: &[PathBuf],
) -> (Descriptors, Vec<Problem>) {
    let roots = draft.import_roots().map(|root| folder.join(root));
    let roots: Vec<PathBuf> = roots.chain(import_roots.iter().cloned()).collect();
    let own = draft.descriptor_files().map(|file| folder.join(file));
    let (mut descriptors, mut problems) = (Descriptors::new(), Vec::new());
    for file in own.chain(further.iter().cloned()) {
        if let Err(error) = descriptors.add_file(&file, &roots) {
            descriptors.incomplete();
            let problem = error.into_problem(&file);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    (descriptors, problems)
}
