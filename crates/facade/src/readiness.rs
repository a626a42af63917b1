//! Whether a role can take work: each of its parts says so for itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// Why a part cannot take work; `None` where it can.
type Parts = BTreeMap<&'static str, Option<String>>;

/// Whether a role can take work. Cheap to clone; all clones see the same parts.
#[derive(Clone, Debug)]
pub struct Readiness {
    parts: Arc<watch::Sender<Parts>>,
    lacks: Arc<Mutex<Vec<String>>>,
}

/// One part of a role, such as its database. It cannot take work until it says so.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    readiness: Readiness,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { parts: Arc::new(watch::Sender::new(Parts::new())), lacks: Arc::default() }
    }
}

impl Readiness {
    /// A part of this name; that of another part, where there is one, is taken over.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part { name, readiness: self.clone() };
        part.not_ready("it is starting");
        part
    }

    /// Each part that cannot take work, with the reason; empty where all can.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let parts = self.parts.borrow();
        let missing = parts.iter().filter_map(|(name, why)| Some((name, why.as_ref()?)));
        missing.map(|(name, why)| format!("{name}: {why}")).collect()
    }

    /// Each part, and whether it can take work.
    pub(crate) fn parts(&self) -> Vec<(&'static str, bool)> {
        self.parts.borrow().iter().map(|(name, why)| (*name, why.is_none())).collect()
    }

    /// Says what the role lacks while it takes work all the same, a sentence each, in the place of what was said before.
    pub fn set_lacks(&self, sentences: Vec<String>) {
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = sentences;
    }

    /// What the role lacks while it takes work all the same.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A receiver that is notified of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<Parts> {
        self.parts.subscribe()
    }
}

impl Part {
    /// From now on it can take work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// From now on it cannot, for this reason.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        self.readiness.parts.send_if_modified(|parts| {
            let changes = parts.get(self.name) != Some(&why);
            parts.insert(self.name, why);
            changes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_ready_when_each_of_its_parts_is() {
        let readiness = Readiness::default();
        let (database, listener) = (readiness.part("database"), readiness.part("listener"));
        assert_eq!(readiness.missing().len(), 2);
        database.ready();
        assert_eq!(readiness.missing(), ["listener: it is starting"]);
        listener.ready();
        assert!(readiness.missing().is_empty());
        database.not_ready("the disk is full");
        assert_eq!(readiness.missing(), ["database: the disk is full"]);
    }

    #[test]
    fn who_follows_is_told_of_changes_alone() {
        let readiness = Readiness::default();
        let part = readiness.part("database");
        let mut changes = readiness.changes();
        part.ready();
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        part.ready();
        assert!(!changes.has_changed().unwrap());
    }
}
