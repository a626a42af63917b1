//! Putting a backup back.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use books::Books;

use super::{
    DATABASES, Manifest, check, file,
    manifest::{Database, sha256},
    new_folder,
};

/// Copies the databases of the backup in `from` into the new folder `data`, and checks them before and after. Gives what
/// the backup says of itself, and its books.
///
/// # Errors
/// A sentence; what was copied until then is removed.
pub(crate) async fn restore(from: &Path, data: &Path) -> Result<(Manifest, Books), String> {
    let manifest = Manifest::read(from)?;
    let listed = listed(from, &manifest)?;
    for database in &listed {
        is_as_listed(from, database)?;
    }
    new_folder(data)?;
    let restored = copy_and_check(from, data, &listed).await;
    if restored.is_err() {
        for name in DATABASES {
            let _ = fs::remove_file(file(data, name));
        }
    }
    Ok((manifest, restored?))
}

/// What the manifest says of each database of a mesh; of others it says nothing.
fn listed<'m>(from: &Path, manifest: &'m Manifest) -> Result<Vec<&'m Database>, String> {
    let mut listed = Vec::new();
    for name in DATABASES {
        let database = manifest.databases.iter().find(|database| database.name == name);
        listed.push(database.ok_or_else(|| {
            format!("the backup in {} is not whole: its manifest has no {name}.db", from.display())
        })?);
    }
    Ok(listed)
}

async fn copy_and_check(from: &Path, data: &Path, listed: &[&Database]) -> Result<Books, String> {
    for database in listed {
        copy(&file(from, &database.name), &file(data, &database.name)).map_err(|error| {
            format!("{} cannot be copied to {}: {error}", database.name, data.display())
        })?;
        is_as_listed(data, database)?;
    }
    let (found, books) =
        check(data).await.map_err(|why| format!("the backup is not sound: {why}"))?;
    let is_listed = |database: &Database| {
        found.iter().any(|found| {
            let own = &found.own;
            own.name == database.name
                && own.id == database.id
                && own.transactions == database.transactions
        })
    };
    match listed.iter().find(|database| !is_listed(database)) {
        None => Ok(books),
        Some(other) => {
            Err(format!("{}.db is not the database that the manifest names", other.name))
        }
    }
}

/// Whether the file is, byte for byte, what the manifest says.
fn is_as_listed(folder: &Path, database: &Database) -> Result<(), String> {
    let path = file(folder, &database.name);
    let found = path.metadata().and_then(|file| Ok((file.len(), sha256(&path)?)));
    let (bytes, hash) =
        found.map_err(|error| format!("the backup is not whole: {}: {error}", path.display()))?;
    if bytes != database.bytes {
        return Err(format!(
            "the backup is damaged: {} has {bytes} bytes, and had {}",
            path.display(),
            database.bytes
        ));
    }
    if hash != database.sha256 {
        return Err(format!(
            "the backup is damaged: {} has changed since it was taken",
            path.display()
        ));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut copy = options.create_new(true).write(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}
