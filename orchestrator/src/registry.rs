//! The definitions that this node can run: immutable, by content hash, kept in the store with their descriptors.
//!
//! Memory follows the table: whoever registers writes a row and has the registry read what is new, and a node reads what
//! other nodes have registered in the same way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use definition::{Compiled, Descriptors, Draft};
use tokio::sync::Mutex;

use crate::journal::{self, Definition, Journal};

/// A definition as it is registered and as it runs.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The definition as it is stored.
    pub stored: Arc<Definition>,
    /// Ready to run.
    pub compiled: Arc<Compiled>,
}

impl Registered {
    /// Whether no saga begins by it any more because a person said so.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.stored.archived.is_some()
    }

    /// Whether it serves the method of this full name.
    #[must_use]
    pub fn serves(&self, method: &str) -> bool {
        self.compiled.serves().is_some_and(|served| served.full_name() == method)
    }
}

/// All registered definitions. Whoever looks sees them as they are at one moment, and waits for nobody.
#[derive(Debug, Default)]
pub struct Registry {
    known: ArcSwap<Known>,
    /// The number of the next change that is news; held while what is new is read.
    next_change: Mutex<u64>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    by_hash: HashMap<String, Registered>,
    /// The versions of each name, the newest first.
    by_name: BTreeMap<String, Vec<Registered>>,
    /// The names of those that this program cannot read.
    left_out: BTreeSet<String>,
}

impl Known {
    fn insert(&mut self, registered: Registered) {
        let stored = &registered.stored;
        self.by_hash.insert(stored.hash.clone(), registered.clone());
        let versions = self.by_name.entry(stored.name.clone()).or_default();
        versions.retain(|known| known.stored.version != stored.version);
        versions.push(registered);
        versions.sort_by_key(|known| std::cmp::Reverse(known.stored.version));
    }
}

impl Registry {
    /// Reads every definition that the store has. One that this program cannot read any more is logged and left out:
    /// its sagas wait for a program that can.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(journal: &dyn Journal) -> Result<Self, journal::Error> {
        let registry = Self::default();
        registry.refresh(journal).await?;
        Ok(registry)
    }

    /// Reads what was registered, archived or unarchived since it looked last, by this node or another; whether there was
    /// something.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh(&self, journal: &dyn Journal) -> Result<bool, journal::Error> {
        let mut next_change = self.next_change.lock().await;
        let news = journal.definitions(*next_change).await?;
        let Some(last_change) = news.last().map(|last| last.change) else { return Ok(false) };
        let mut known = Known::clone(&self.known.load());
        for stored in news.into_iter().map(Arc::new) {
            let compiled = match known.by_hash.get(&stored.hash) {
                Some(earlier) => Ok(Arc::clone(&earlier.compiled)),
                None => compile(Arc::clone(&stored)).await,
            };
            match compiled {
                Ok(compiled) => known.insert(Registered { stored, compiled }),
                Err(why) => {
                    tracing::error!(
                        definition = stored.name,
                        version = stored.version,
                        why,
                        "definition left out"
                    );
                    known.left_out.insert(stored.name.clone());
                }
            }
        }
        self.known.store(Arc::new(known));
        // Only now, since whoever waits for this may go away on the way.
        *next_change = last_change + 1;
        Ok(true)
    }

    /// How many there are, each version counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.load().by_hash.len()
    }

    /// The definition with this content hash.
    #[must_use]
    pub fn find_hash(&self, hash: &str) -> Option<Registered> {
        self.known.load().by_hash.get(hash).cloned()
    }

    /// The definition of this name: this version of it, or with 0 the newest.
    #[must_use]
    pub fn find(&self, name: &str, version: u32) -> Option<Registered> {
        self.find_where(name, |known| version == 0 || known.stored.version == version)
    }

    /// The newest definition of this name that serves the method of this full name.
    #[must_use]
    pub fn find_serving(&self, name: &str, method: &str) -> Option<Registered> {
        self.find_where(name, |known| known.serves(method))
    }

    fn find_where(&self, name: &str, is_it: impl Fn(&Registered) -> bool) -> Option<Registered> {
        self.known.load().by_name.get(name)?.iter().find(|known| is_it(known)).cloned()
    }

    /// The newest version of each name, by name.
    #[must_use]
    pub fn newest(&self) -> Vec<Registered> {
        self.known
            .load()
            .by_name
            .values()
            .filter_map(|versions| versions.first())
            .cloned()
            .collect()
    }

    /// Whether a definition of this name is registered, also where this program cannot read it.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let known = self.known.load();
        known.by_name.contains_key(name) || known.left_out.contains(name)
    }

    /// The names by which sagas begin: those with a version that is not archived.
    pub(crate) fn open_names(&self) -> BTreeSet<String> {
        let known = self.known.load();
        let is_open = |versions: &[Registered]| versions.iter().any(|known| !known.is_archived());
        let open = known.by_name.iter().filter(|(_, versions)| is_open(versions));
        open.map(|(name, _)| name.clone()).collect()
    }

    /// All of them, by name, the newest version first.
    #[must_use]
    pub fn all(&self) -> Vec<Registered> {
        self.known.load().by_name.values().flatten().cloned().collect()
    }
}

/// Compiles a definition beside the event loop, where a large one takes milliseconds.
async fn compile(stored: Arc<Definition>) -> Result<Arc<Compiled>, String> {
    let compiled = tokio::task::spawn_blocking(move || compile_now(&stored)).await;
    compiled.map_err(|panicked| panicked.to_string())?.map(Arc::new)
}

fn compile_now(stored: &Definition) -> Result<Compiled, String> {
    let descriptors =
        Descriptors::decode(&stored.descriptors).map_err(|error| error.to_string())?;
    let sentences = |problems: Vec<definition::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    Draft::parse(&stored.file, &stored.source)
        .map_err(sentences)?
        .compile(&descriptors)
        .map_err(sentences)
}
