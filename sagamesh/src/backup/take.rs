//! Taking a backup.

use std::{
    fs,
    path::{Path, PathBuf},
};

use books::Books;
use clock::Clock;
use facade::wire;
use store::sqlite::backup;

use super::{DATABASES, Manifest, blocking, check, file, new_folder};

/// Copies the databases in the folder `data` into the new folder `to`, as they all are at one moment, and checks the
/// copies. Gives what the backup says of itself, and its books.
///
/// # Errors
/// A sentence; what was copied until then is removed.
pub(crate) async fn take(
    data: &Path,
    to: &Path,
    clock: &Clock,
) -> Result<(Manifest, Books), String> {
    let sources: Vec<PathBuf> = DATABASES.iter().map(|name| file(data, name)).collect();
    if let Some(missing) = sources.iter().find(|source| !source.is_file()) {
        return Err(backup::Error::Missing { path: missing.clone() }.to_string());
    }
    new_folder(to)?;
    let taken = into(sources, to, clock).await;
    if taken.is_err() {
        for name in DATABASES {
            let _ = fs::remove_file(file(to, name));
        }
    }
    taken
}

async fn into(
    sources: Vec<PathBuf>,
    to: &Path,
    clock: &Clock,
) -> Result<(Manifest, Books), String> {
    let snapshots = blocking(move || backup::snapshots(&sources)).await?;
    let taken_at = wire::instant(clock.now()).to_string();
    let copies = DATABASES.map(|name| file(to, name));
    blocking(move || {
        snapshots.iter().zip(&copies).try_for_each(|(snapshot, copy)| snapshot.copy_to(copy))
    })
    .await?;
    let (found, books) = check(to).await.map_err(|why| format!("the copy is not sound: {why}"))?;
    let manifest = Manifest::of(to, &found, taken_at).and_then(|manifest| {
        manifest.write(to)?;
        Ok(manifest)
    });
    let manifest =
        manifest.map_err(|error| format!("{} cannot be written: {error}", to.display()))?;
    Ok((manifest, books))
}
