//! How far an open database has come, and what it notes of the databases that it belongs with.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use clock::Timestamp;

use super::{Found, Stamp, lines};

/// How far an open database has come: written by its own writer, read by those of the databases that it belongs with.
#[derive(Debug)]
struct Progress {
    name: String,
    id: String,
    transactions: AtomicU64,
    at: AtomicU64,
}

impl Progress {
    /// As of the last commit.
    fn stamp(&self) -> Stamp {
        Stamp {
            name: self.name.clone(),
            id: self.id.clone(),
            transactions: self.transactions.load(Ordering::Acquire),
            at: Timestamp(self.at.load(Ordering::Relaxed)),
        }
    }
}

/// The stamp of an open database, and whose it notes.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// As it was when it was opened.
    found: Found,
    own: Arc<Progress>,
    siblings: OnceLock<Vec<Arc<Progress>>>,
    /// How many transactions the siblings had had when they were noted last, in all.
    noted: AtomicU64,
    /// Somebody wants the siblings noted without a transaction that has something to write.
    due: AtomicBool,
}

impl Ledger {
    pub(crate) fn of(found: Found) -> Self {
        let Stamp { name, id, transactions, at } = found.own.clone();
        let (transactions, at) = (AtomicU64::new(transactions), AtomicU64::new(at.0));
        Self {
            found,
            own: Arc::new(Progress { name, id, transactions, at }),
            siblings: OnceLock::new(),
            noted: AtomicU64::new(0),
            due: AtomicBool::new(false),
        }
    }

    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// As of the last commit.
    pub(crate) fn stamp(&self) -> Stamp {
        self.own.stamp()
    }

    /// These are noted from now on. Only the first call counts.
    pub(crate) fn belong_with<'l>(&self, siblings: impl IntoIterator<Item = &'l Self>) {
        let siblings = siblings.into_iter().map(|sibling| Arc::clone(&sibling.own));
        let _ = self.siblings.set(siblings.collect());
    }

    /// The number of the next transaction. There is one writer, and only it asks.
    pub(crate) fn next(&self) -> u64 {
        self.own.transactions.load(Ordering::Relaxed) + 1
    }

    /// The transaction is on disk.
    pub(crate) fn committed(&self, transactions: u64, at: Timestamp) {
        self.own.at.store(at.0, Ordering::Relaxed);
        self.own.transactions.store(transactions, Ordering::Release);
    }

    /// The lines to be noted; none where it does not know whom it belongs with.
    pub(crate) fn note(&self) -> Option<String> {
        let stamps: Vec<Stamp> = self.siblings.get()?.iter().map(|one| one.stamp()).collect();
        let transactions = stamps.iter().map(|stamp| stamp.transactions).sum();
        self.noted.store(transactions, Ordering::Relaxed);
        Some(lines(stamps))
    }

    /// Whether a sibling has gone on since it was noted last.
    pub(crate) fn is_behind(&self) -> bool {
        let Some(siblings) = self.siblings.get() else { return false };
        let transactions = siblings.iter().map(|one| one.transactions.load(Ordering::Relaxed));
        transactions.sum::<u64>() != self.noted.load(Ordering::Relaxed)
    }

    /// The next transaction notes the siblings, whether or not it has something else to write.
    pub(crate) fn set_due(&self) {
        self.due.store(true, Ordering::Relaxed);
    }

    /// Whether the siblings are to be noted now.
    pub(crate) fn take_due(&self) -> bool {
        self.due.swap(false, Ordering::Relaxed)
    }
}
