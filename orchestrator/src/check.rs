//! `sagamesh check`: a definition checked as a node would, without a node.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clock::Clock;

use crate::{definition::load, describe::Describer};

/// Checks the definition in `path`, asking `participants` (service and address) by reflection; gives a sentence about
/// it.
///
/// # Errors
/// Every problem, each with file, line, column and cure.
pub async fn file(
    path: &Path,
    participants: &[(String, String)],
    descriptors: &[PathBuf],
) -> Result<String, Vec<String>> {
    let addresses: BTreeMap<String, String> = participants.iter().cloned().collect();
    let clock = Clock::system();
    let describer = Describer { clock: &clock, addresses: &addresses, files: descriptors };
    let folder = path.parent().unwrap_or(Path::new(""));
    let sentences = |problems: Vec<crate::definition::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let draft = load::read(path).map_err(sentences)?;
    let compiled = describer.compile(draft, folder).await.map_err(sentences)?;
    let steps = compiled.engine().steps().len();
    let serves = compiled
        .serves()
        .map(|method| format!(", serves {}", method.full_name()))
        .unwrap_or_default();
    Ok(format!(
        "{}: {} version {} is sound: {steps} steps{serves}",
        path.display(),
        compiled.name(),
        compiled.version()
    ))
}
