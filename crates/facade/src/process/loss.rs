//! Databases of which something was lost: what is said of it, and what becomes of the process.

use std::path::Path;

use clock::Timestamp;
use store::{
    Database,
    stamp::{Fault, Loss, Stamp, losses},
};

use crate::wire;

/// What is to be done about a loss.
const CURE: &str = "\
put the right files back, all of one moment (`sagamesh restore`), or start with --accept-loss to go on from what is there";

/// What is done where databases do not belong together, or one went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// The process does not start.
    Refuse,
    /// It goes on from what is there, and what was lost is logged.
    Accept,
}

/// Checks the databases in `folder`, which belong together: what they have noted of each other, and what was written down
/// beside them. From then on each notes the others. Nothing may be written to them before.
///
/// # Errors
/// What was lost, exchanged or went back, with the cure, where that is not accepted; they are closed then.
pub async fn join_databases(
    folder: &Path,
    databases: &[Database],
    on_loss: OnLoss,
) -> Result<(), String> {
    let found: Vec<_> = databases.iter().map(|database| database.found().clone()).collect();
    let lost = loss_sentences(folder, &losses(&found));
    if on_loss == OnLoss::Refuse && !lost.is_empty() {
        for database in databases {
            database.close().await;
        }
        let (folder, lost) = (folder.display(), lost.join("\n  "));
        return Err(format!("something was lost of the databases in {folder}:\n  {lost}\n{CURE}"));
    }
    lost.iter().for_each(|loss| tracing::warn!(loss, "a loss was accepted"));
    for (index, database) in databases.iter().enumerate() {
        let others = databases.iter().enumerate().filter(|(other, _)| *other != index);
        database.belong_with(others.map(|(_, other)| other));
    }
    if !lost.is_empty() {
        for database in databases {
            database.accept();
            database.note().await.map_err(|error| wire::causes(&error))?;
        }
    }
    Ok(())
}

/// A sentence for each of the databases in `folder` that was lost, exchanged or went back.
#[must_use]
pub fn loss_sentences(folder: &Path, losses: &[Loss]) -> Vec<String> {
    losses.iter().map(|loss| sentence(folder, loss)).collect()
}

fn sentence(folder: &Path, Loss { own, noted, by, fault }: &Loss) -> String {
    let file = folder.join(format!("{}.db", own.name)).display().to_string();
    let by: Vec<String> = by
        .iter()
        .map(|name| match *name == own.name {
            true => format!("the file {name}.db.lock"),
            false => format!("{name}.db"),
        })
        .collect();
    let by = by.join(", ");
    let known = noted.as_ref().map(how_far).unwrap_or_default();
    let is_empty = own.transactions == 0;
    match fault {
        Fault::WentBack { by: transactions } => format!(
            "{file} went back by {transactions} transactions: it has had {}, and {known} are noted in {by}; what it did in between is lost",
            how_far(own)
        ),
        Fault::Another if is_empty => format!(
            "{file} is empty or was missing: a database there of {known} is noted in {by}; all of it is lost"
        ),
        Fault::Another => format!(
            "{file} is another database, of {}: one of {known} is noted in {by}",
            how_far(own)
        ),
        Fault::New => {
            format!("{file} is empty or was missing, and {by} have been in use: all of it is lost")
        }
    }
}

fn how_far(Stamp { transactions, at, .. }: &Stamp) -> String {
    match *at {
        Timestamp(0) => format!("{transactions} transactions"),
        at => format!("{transactions} transactions (the last at {})", wire::instant(at)),
    }
}
