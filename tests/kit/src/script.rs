//! What goes wrong in which saga, and what was seen of it.
//!
//! A script is kept by the saga's key, for its id is not known before it starts. Beside the faults it watches every
//! answer and every key: no call is made before the journal has it on disk, all attempts of a call have one key, two
//! answers to one key must be the same, byte for byte, and a call that comes after its undo must be refused.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use saga::Direction;

use crate::fault::{Fault, Planned, Times};

/// A step of a saga in one direction: the saga's key, the step, and the direction.
pub(crate) type Slot = (String, String, Direction);

/// What was seen of one saga at the seam.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Attempts into which a fault was injected, by step and direction.
    pub injected: HashMap<(String, Direction), u32>,
    /// Answers that were those of an earlier delivery again.
    pub replayed: u32,
    /// Calls that were refused because their undo had come first.
    pub superseded: u32,
    /// The calls and undos of which an attempt came, by step and direction.
    pub called: HashSet<(String, Direction)>,
    /// What must never be: each a sentence.
    pub wrong: Vec<String>,
}

#[derive(Debug, Default)]
struct Inner {
    /// One attempt after the other; a fault of every attempt is the last.
    planned: HashMap<Slot, VecDeque<(Fault, Times)>>,
    seen: HashMap<String, Seen>,
    answers: HashMap<Slot, Bytes>,
    /// The call that each idempotency key stands for.
    keys: HashMap<String, Slot>,
    /// The idempotency key of each call.
    sent: HashMap<Slot, String>,
    /// The calls of each saga that are on disk, and those that came, by the saga's id.
    intended: HashMap<String, usize>,
    called: HashMap<String, HashSet<(String, Direction)>>,
}

/// The script of a mesh. Cheap to clone; it outlives a crash.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Mutex<Inner>>);

impl Script {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans faults for the saga that will be started under `key`. Of several of one call each is injected into one attempt, in
    /// this order.
    pub fn plan(&self, key: &str, faults: impl IntoIterator<Item = Planned>) {
        let mut inner = self.inner();
        for Planned { step, direction, fault, times } in faults {
            let slot = (key.to_owned(), step, direction);
            inner.planned.entry(slot).or_default().push_back((fault, times));
        }
    }

    /// Lets nothing go wrong in the saga any more.
    pub fn heal(&self, key: &str) {
        self.inner().planned.retain(|(saga, ..), _| saga != key);
    }

    /// What was seen of the saga.
    #[must_use]
    pub fn seen(&self, key: &str) -> Seen {
        self.inner().seen.get(key).cloned().unwrap_or_default()
    }

    /// The fault that is injected into this attempt.
    pub(crate) fn next_fault(&self, slot: &Slot) -> Option<Fault> {
        let mut inner = self.inner();
        let attempts = inner.planned.get_mut(slot)?;
        let (fault, times) = *attempts.front()?;
        if times == Times::Once {
            attempts.pop_front();
        }
        let (key, step, direction) = slot.clone();
        *inner.seen.entry(key).or_default().injected.entry((step, direction)).or_default() += 1;
        Some(fault)
    }

    /// Holds the idempotency key of an attempt against those of the others: all of a call have one, and no other call has
    /// it.
    pub(crate) fn sent(&self, slot: &Slot, key: &str) {
        let mut inner = self.inner();
        let first = inner.sent.entry(slot.clone()).or_insert_with(|| key.to_owned()).clone();
        let owner = inner.keys.entry(key.to_owned()).or_insert_with(|| slot.clone()).clone();
        let (saga, step, direction) = slot;
        let wrong = if key.is_empty() {
            "has no idempotency key"
        } else if first != key {
            "has another idempotency key at each attempt"
        } else if owner != *slot {
            "has the idempotency key of another call"
        } else {
            return;
        };
        let sentence = format!("{step} ({}) {wrong}", direction.as_str());
        inner.seen.entry(saga.clone()).or_default().wrong.push(sentence);
    }

    /// The journal has so many more calls and undos of the saga on disk.
    pub(crate) fn intended(&self, saga_id: &str, more: usize) {
        *self.inner().intended.entry(saga_id.to_owned()).or_default() += more;
    }

    /// The journal has so many calls and undos of the saga on disk, at least.
    pub(crate) fn intended_in_all(&self, saga_id: &str, all: usize) {
        let mut inner = self.inner();
        let intended = inner.intended.entry(saga_id.to_owned()).or_default();
        *intended = all.max(*intended);
    }

    /// Holds the calls of a saga against what its journal has on disk: no call is made before its intent.
    pub(crate) fn called(&self, saga_id: &str, slot: &Slot) {
        let mut inner = self.inner();
        let (key, step, direction) = slot.clone();
        let intended = inner.intended.get(saga_id).copied().unwrap_or_default();
        let called = inner.called.entry(saga_id.to_owned()).or_default();
        called.insert((step.clone(), direction));
        let is_early = called.len() > intended;
        inner.seen.entry(key.clone()).or_default().called.insert((step.clone(), direction));
        if is_early {
            let sentence =
                format!("{step} ({}) was called before that was on disk", direction.as_str());
            inner.seen.entry(key).or_default().wrong.push(sentence);
        }
    }

    /// Compares an answer with the first one that was given under the same key.
    pub(crate) fn answered(&self, slot: &Slot, answer: &Bytes) {
        let mut inner = self.inner();
        let (key, step, direction) = slot;
        if let Some(first) = inner.answers.get(slot) {
            let same = first == answer;
            let seen = inner.seen.entry(key.clone()).or_default();
            seen.replayed += 1;
            if !same {
                seen.wrong.push(format!(
                    "{step} ({}) gave two different answers to one key",
                    direction.as_str()
                ));
            }
        } else {
            inner.answers.insert(slot.clone(), answer.clone());
        }
    }

    /// Checks that a call that came after its undo was refused.
    pub(crate) fn check_late_call(&self, slot: &Slot, refused: bool) {
        let mut inner = self.inner();
        let seen = inner.seen.entry(slot.0.clone()).or_default();
        match refused {
            true => seen.superseded += 1,
            false => seen.wrong.push(format!("{} took effect after its undo", slot.1)),
        }
    }
}
