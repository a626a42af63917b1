//! Stamps: which database it is, how far it has come, and what it has noted of those that it belongs with.
//!
//! Each transaction that changes something carries its own number, and the last numbers of the other databases that were
//! answered before it. So whatever one database knows of an effect in another is covered by a number that it has noted:
//! when a file is lost, exchanged or went back, the others show it.
//!
//! A number is noted only after its commit is on disk. Nothing that a crash takes away was ever noted.

mod check;
mod ledger;

use clock::Timestamp;

pub use check::{Fault, Loss, losses};
pub(crate) use ledger::Ledger;

/// Which database it is, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its file's name, without the ending.
    pub name: String,
    /// Random, given when the database was made.
    pub id: String,
    /// How many transactions have changed something since.
    pub transactions: u64,
    /// When the last one was.
    pub at: Timestamp,
}

/// A database's own stamp, and those that it has noted of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its own.
    pub own: Stamp,
    /// Of the databases that it belongs with.
    pub noted: Vec<Stamp>,
    /// Its own as it was written down outside of it, where it was.
    pub witness: Option<Stamp>,
}

/// The lines that a database keeps of others.
pub(crate) fn lines(stamps: impl IntoIterator<Item = Stamp>) -> String {
    let line = |Stamp { name, id, transactions, at }: Stamp| {
        format!("{id} {transactions} {} {name}\n", at.0)
    };
    stamps.into_iter().map(line).collect()
}

/// The stamps in such lines; `None` where no program has written them.
pub(crate) fn read_lines(text: &str) -> Option<Vec<Stamp>> {
    text.lines().map(read_line).collect()
}

fn read_line(line: &str) -> Option<Stamp> {
    let mut parts = line.splitn(4, ' ');
    let id = parts.next()?.to_owned();
    let transactions = parts.next()?.parse().ok()?;
    let at = Timestamp(parts.next()?.parse().ok()?);
    Some(Stamp { name: parts.next()?.to_owned(), id, transactions, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written_and_anything_else_is_refused() {
        let stamp = |name: &str, transactions| Stamp {
            name: name.to_owned(),
            id: "ab12".to_owned(),
            transactions,
            at: Timestamp(7),
        };
        let stamps = vec![stamp("order", 0), stamp("with a space", u64::MAX)];
        assert_eq!(read_lines(&lines(stamps.clone())), Some(stamps));
        assert_eq!(read_lines(""), Some(Vec::new()));
        for broken in ["ab12", "ab12 1 2", "ab12 x 2 order", "ab12 1 -2 order"] {
            assert_eq!(read_lines(broken), None, "{broken}");
        }
    }
}
