//! Backups of a mesh: all its databases as they were at one moment, checked, and described by a manifest.

mod manifest;
mod restore;
mod take;

use std::{
    fs,
    path::{Path, PathBuf},
};

use books::Books;
use store::{
    sqlite::backup,
    stamp::{Fault, Found, losses},
};

pub(crate) use manifest::Manifest;
pub(crate) use restore::restore;
pub(crate) use take::take;

/// The databases of a mesh, by their files' names without the ending.
pub(crate) const DATABASES: [&str; 5] = ["orchestrator", "order", "stock", "points", "payment"];

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.db"))
}

/// Checks copies of a mesh's databases that nobody has open: each for itself, that they belong together, and the books.
async fn check(folder: &Path) -> Result<(Vec<Found>, Books), String> {
    let files = DATABASES.map(|name| file(folder, name));
    let inspected = blocking(move || files.iter().map(|file| backup::inspect(file)).collect());
    let found: Vec<Found> = inspected.await?;
    let mut lost = losses(&found);
    // One that was never written to is copied as it is: roles in processes of their own note nothing of each other.
    lost.retain(|loss| loss.fault != Fault::New);
    if !lost.is_empty() {
        let sentences = facade::process::loss_sentences(folder, &lost);
        return Err(format!("the databases do not belong together: {}", sentences.join("; ")));
    }
    let books = books::read(folder).await.map_err(|error| facade::wire::causes(&error))?;
    Ok((found, books))
}

/// Runs work that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, backup::Error> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| facade::wire::causes(&error))
}

/// Makes a folder that is missing, for this user alone, or takes one that is empty.
fn new_folder(folder: &Path) -> Result<(), String> {
    facade::process::prepare_folder(folder)?;
    let mut entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(format!("{} is not empty: name a new folder", folder.display())),
    }
}
