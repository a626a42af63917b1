//! What a backup says of itself. It is written last: a folder without it is no backup.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::stamp::{Found, Stamp};

use super::file;

/// The file that it stands in.
const NAME: &str = "manifest.json";

/// The form of this program's backups.
const FORMAT: u32 = 1;

/// A larger one is none of ours.
const MAX_BYTES: u64 = 1 << 20;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Of the backup.
    pub(crate) format: u32,
    /// The version of the program that took it.
    pub(crate) program: String,
    /// When it was taken: RFC 3339, UTC.
    pub(crate) taken_at: String,
    /// Each database.
    pub(crate) databases: Vec<Database>,
}

/// A database in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Database {
    /// Its file's name, without the ending.
    pub(crate) name: String,
    /// Which one it is.
    pub(crate) id: String,
    /// How many transactions it has had.
    pub(crate) transactions: u64,
    /// How large its file is.
    pub(crate) bytes: u64,
    /// Of its file, in hex.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Describes the databases in `folder`.
    pub(super) fn of(folder: &Path, found: &[Found], taken_at: String) -> io::Result<Self> {
        let describe = |Found { own: Stamp { name, id, transactions, .. }, .. }: &Found| {
            let path = file(folder, name);
            Ok(Database {
                name: name.clone(),
                id: id.clone(),
                transactions: *transactions,
                bytes: path.metadata()?.len(),
                sha256: sha256(&path)?,
            })
        };
        Ok(Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at,
            databases: found.iter().map(describe).collect::<io::Result<_>>()?,
        })
    }

    /// Writes it into `folder`, and waits until all of the folder is on disk.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.create_new(true).write(true).mode(0o600).open(folder.join(NAME))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }

    /// Reads that of the backup in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join(NAME);
        let length = path.metadata().map_err(|_| {
            format!(
                "{} is no backup, or one that was not finished: it has no {NAME}",
                folder.display()
            )
        })?;
        if length.len() > MAX_BYTES {
            return Err(format!("{} is too large to be a manifest", path.display()));
        }
        let unreadable = |why: String| format!("{} cannot be read: {why}", path.display());
        let text = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let form: Form =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if form.format != FORMAT {
            return Err(format!(
                "the backup in {} has the form {}, and this program reads {FORMAT}: restore it with the version that took it",
                folder.display(),
                form.format
            ));
        }
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
    }
}

/// What every form has.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

/// Of a file, in hex.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut part)? {
            0 => break,
            read => hash.update(&part[..read]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
