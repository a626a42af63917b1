//! Whether the databases of a mesh belong together, in words.

use std::path::Path;

use clock::Timestamp;
use facade::wire;
use store::stamp::{Fault, Loss, Stamp};

use crate::output;

/// What to do about a loss.
const CURE: &str = "\
put the right files back, all of one moment (`sagamesh restore`), or start with --accept-loss to go on from what is there";

/// A sentence for each of the databases in `folder` that is lost, exchanged or went back, by what they have noted of each
/// other.
pub(crate) fn sentences(folder: &Path, losses: &[Loss]) -> Vec<String> {
    losses.iter().map(|loss| sentence(folder, loss)).collect()
}

/// The refusal of a mesh whose databases do not belong together.
pub(crate) fn refusal(folder: &Path, sentences: &[String]) -> String {
    format!(
        "the databases in {} do not belong together:\n  {}\n{CURE}",
        folder.display(),
        sentences.join("\n  ")
    )
}

fn sentence(folder: &Path, Loss { own, noted, by, fault }: &Loss) -> String {
    let path = |name: &str| folder.join(format!("{name}.db")).display().to_string();
    let file = path(&own.name);
    let others: Vec<String> = by.iter().map(|name| format!("{name}.db")).collect();
    let others = others.join(", ");
    let known = noted.as_ref().map(how_far).unwrap_or_default();
    match fault {
        Fault::WentBack { by } => format!(
            "{file} went back by {by} transactions: it has had {}, and {others} have noted {known}; what it did in between is lost",
            how_far(own)
        ),
        Fault::Another if own.transactions == 0 => format!(
            "{file} is empty or was missing: {others} have noted a database there of {known}; all of it is lost"
        ),
        Fault::Another => format!(
            "{file} is another database, of {}: {others} have noted one of {known}",
            how_far(own)
        ),
        Fault::New => format!(
            "{file} is empty or was missing, and {others} have been in use: all of it is lost"
        ),
    }
}

fn how_far(Stamp { transactions, at, .. }: &Stamp) -> String {
    match *at {
        Timestamp(0) => format!("{transactions} transactions"),
        at => {
            let at = output::instant(Some(&wire::instant(at)));
            format!("{transactions} transactions (the last at {at})")
        }
    }
}
