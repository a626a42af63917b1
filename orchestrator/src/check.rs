//! `sagamesh check`: a definition checked as a node would, without a node.

use std::path::{Path, PathBuf};

use clock::Clock;
use definition::{Problem, load};

use crate::{config::Participants, describe::Describer};

/// Checks the definition in `path`, asking `participants` by reflection; says of it that it is sound,
/// and what a saga of it is started with.
///
/// # Errors
/// Every problem, each with file, line, column and cure.
pub async fn file(
    path: &Path,
    participants: &Participants,
    descriptors: &[PathBuf],
    import_roots: &[PathBuf],
) -> Result<String, Vec<Problem>> {
    let clock = Clock::system();
    let describer = Describer { clock: &clock, participants, files: descriptors, import_roots };
    let folder = path.parent().unwrap_or(Path::new(""));
    let draft = load::read(path)?;
    let compiled = describer.compile(draft, folder).await?;
    let steps = compiled.engine().steps().len();
    let serves = compiled
        .serves()
        .map(|method| format!(", serves {}/{}", method.parent_service().full_name(), method.name()))
        .unwrap_or_default();
    Ok(format!(
        "{}: {} version {} is sound: {steps} steps{serves}\ninput: {}",
        path.display(),
        compiled.name(),
        compiled.version(),
        compiled.input_shape()
    ))
}
