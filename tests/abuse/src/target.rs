//! What an attack is given: where the mesh is, how much it may do, and where it tells what came of it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use clock::Clock;
use live::{Clients, Installation};
use tokio_util::sync::CancellationToken;

/// How much of everything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Short,
}

/// The mesh that is attacked, as the attack sees it.
pub(crate) struct Target {
    pub(crate) clock: Clock,
    pub(crate) clients: Clients,
    pub(crate) size: Size,
    pub(crate) port_base: u16,
    /// The binary, for its command line.
    pub(crate) program: PathBuf,
    /// What the mesh logs.
    pub(crate) log: PathBuf,
    measuring: CancellationToken,
    notes: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
}

impl Target {
    pub(crate) fn new(
        clients: Clients,
        size: Size,
        program: &Path,
        installation: &Installation,
        clock: &Clock,
    ) -> Self {
        Self {
            clock: clock.clone(),
            clients,
            size,
            port_base: installation.port_base(),
            program: program.to_owned(),
            log: installation.log(),
            measuring: CancellationToken::new(),
            notes: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    pub(crate) fn orchestrator(&self) -> u16 {
        self.port_base
    }

    pub(crate) fn orders(&self) -> u16 {
        self.port_base + 1
    }

    /// The ports of all five services.
    pub(crate) fn services(&self) -> [u16; 5] {
        std::array::from_fn(|offset| self.port_base + offset as u16)
    }

    /// The port of health, which speaks HTTP/1.1 too.
    pub(crate) fn health(&self) -> u16 {
        self.port_base + 5
    }

    /// The one number in the full form, the other in the short one.
    pub(crate) fn count(&self, full: usize, short: usize) -> usize {
        match self.size {
            Size::Full => full,
            Size::Short => short,
        }
    }

    /// All is prepared: from now on orders are placed beside the attack, and its time runs.
    pub(crate) fn start_measuring(&self) {
        self.measuring.cancel();
    }

    pub(crate) async fn measuring_started(&self) {
        self.measuring.cancelled().await;
    }

    /// What was done, for the report.
    pub(crate) fn note(&self, sentence: String) {
        push(&self.notes, sentence);
    }

    /// Tells it when what is given is dropped: also where the attack is ended in the middle.
    pub(crate) fn note_at_end<F: Fn() -> String>(&self, sentence: F) -> NoteAtEnd<'_, F> {
        NoteAtEnd { target: self, sentence }
    }

    /// What must not be, beside the bars that every attack has.
    pub(crate) fn violation(&self, sentence: String) {
        push(&self.violations, sentence);
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        take(&self.notes)
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        take(&self.violations)
    }
}

/// A sentence that is there already is not said again.
fn push(list: &Mutex<Vec<String>>, sentence: String) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if !list.contains(&sentence) {
        list.push(sentence);
    }
}

fn take(list: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Tells at its end.
pub(crate) struct NoteAtEnd<'a, F: Fn() -> String> {
    target: &'a Target,
    sentence: F,
}

impl<F: Fn() -> String> Drop for NoteAtEnd<'_, F> {
    fn drop(&mut self) {
        self.target.note((self.sentence)());
    }
}

/// How often something was done, counted by many tasks.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) fn add(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
