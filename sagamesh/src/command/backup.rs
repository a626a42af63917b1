//! `sagamesh backup` and `sagamesh restore`.

use std::path::{Path, PathBuf};

use books::Books;
use clap::Args;
use clock::Clock;

use crate::{
    arguments::{Format, Global},
    backup::{self, Manifest},
    error::{CommandError, CommandResult, UNEXPECTED},
};

const BACKUP_EXAMPLES: &str = "\
It reads the files, so it runs on the mesh's machine, as its user. The mesh may be running: its writers wait for some
milliseconds. The backup is checked before it is called one.

Examples:
  sagamesh backup --to ./backups/monday
  sagamesh backup --data /var/lib/sagamesh --to /backups/2026-11-28";

const RESTORE_EXAMPLES: &str = "\
The folder must be new or empty. The backup is checked before and after, and the mesh starts from it as from a crash at the
moment at which it was taken.

Examples:
  sagamesh restore --from ./backups/monday --data ./restored
  sagamesh dev --data ./restored";

/// A backup.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct Backup {
    /// The folder of the backup: new, or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The folder of the mesh's databases
    #[arg(long, value_name = "DIR", default_value = "./sagamesh-data")]
    data: PathBuf,
}

/// A backup that is put back.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct Restore {
    /// The folder of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The folder of the mesh's databases: new, or empty
    #[arg(long, value_name = "DIR", default_value = "./sagamesh-data")]
    data: PathBuf,
}

pub(crate) async fn backup(global: &Global, Backup { to, data }: Backup) -> CommandResult {
    let (manifest, books) = backup::take(&data, &to, &Clock::system()).await.map_err(|why| {
        CommandError::new(UNEXPECTED, "the backup was not taken").with_reason(why)
    })?;
    show(global, "backed up to", &to, &manifest, &books)
}

pub(crate) async fn restore(global: &Global, Restore { from, data }: Restore) -> CommandResult {
    let (manifest, books) = backup::restore(&from, &data).await.map_err(|why| {
        CommandError::new(UNEXPECTED, "the backup was not restored").with_reason(why)
    })?;
    show(global, "restored to", &data, &manifest, &books)
}

fn show(
    global: &Global,
    what: &str,
    folder: &Path,
    manifest: &Manifest,
    books: &Books,
) -> CommandResult {
    if global.output == Format::Json {
        let shown = serde_json::json!({
            "folder": folder,
            "manifest": manifest,
            "sagas": { "unfinished": books.unfinished, "in_attention": books.in_attention, "ended": books.ended },
            "wrong": books.wrong,
        });
        anstream::println!("{shown:#}");
        return Ok(());
    }
    anstream::println!("{what} {}, as of {}", folder.display(), manifest.taken_at);
    let bytes: u64 = manifest.databases.iter().map(|database| database.bytes).sum();
    anstream::println!("  {} databases, {bytes} bytes", manifest.databases.len());
    let Books { unfinished, in_attention, ended, wrong } = books;
    anstream::println!(
        "  {ended} sagas have ended, {unfinished} go on, {in_attention} wait for a person"
    );
    match wrong.len() {
        0 => anstream::println!("  the books are right"),
        entries => {
            anstream::println!(
                "  {entries} entries of the books are wrong, as they were in the mesh:"
            );
            wrong.iter().for_each(|entry| anstream::println!("    {entry}"));
        }
    }
    Ok(())
}
