//! `sagamesh check`: a definition checked as a node would, without a node.

use std::path::{Path, PathBuf};

use clock::Clock;
use definition::{Problem, load};

use crate::{
    config::Participants,
    describe::{Beside, Described, ask},
    outbound::reflection,
};

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
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let (further, import_roots) = (descriptors.to_vec(), import_roots.to_vec());
    let beside = Beside::Files { folder, further, import_roots };
    let described = Described::read(load::read(path)?, &beside);
    let asked = described.to_ask(participants);
    let contracts = ask(&Clock::system(), participants, asked, reflection::LIMIT).await;
    let compiled = described.compile(&contracts).map_err(|unsound| unsound.problems)?;
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
