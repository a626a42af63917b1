//! The definitions that this node can run: immutable, by content hash, kept in the store with their descriptors. All are
//! registered before the node runs.

use std::{collections::HashMap, sync::Arc};

use clock::Clock;
use definition::{Compiled, Descriptors, Draft};

use crate::journal::{self, Definition, Journal};

/// A definition as it is registered and as it runs.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The definition as it is stored.
    pub stored: Arc<Definition>,
    /// Ready to run.
    pub compiled: Arc<Compiled>,
}

/// All registered definitions.
#[derive(Debug, Default)]
pub struct Registry {
    by_hash: HashMap<String, Registered>,
}

impl Registry {
    /// Reads every definition that the store has. One that this program cannot read any more is logged and left out:
    /// its sagas wait for a program that can.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(journal: &dyn Journal) -> Result<Self, journal::Error> {
        let mut registry = Self::default();
        for stored in journal.definitions().await? {
            match compile(&stored) {
                Ok(compiled) => registry
                    .insert(Registered { stored: Arc::new(stored), compiled: Arc::new(compiled) }),
                Err(why) => {
                    tracing::error!(
                        definition = stored.name,
                        version = stored.version,
                        why,
                        "definition left out"
                    );
                }
            }
        }
        Ok(registry)
    }

    /// Registers a definition, unless this very source is.
    ///
    /// # Errors
    /// A sentence when its name and version are registered with another source, or the store fails.
    pub async fn register(
        &mut self,
        journal: &dyn Journal,
        clock: &Clock,
        compiled: Compiled,
    ) -> Result<Arc<Compiled>, String> {
        if let Some(known) = self.find_hash(compiled.hash()) {
            return Ok(known.compiled);
        }
        let offered = Definition {
            hash: compiled.hash().to_owned(),
            name: compiled.name().to_owned(),
            version: compiled.version(),
            source: compiled.source().to_owned(),
            file: compiled.file().to_owned(),
            descriptors: compiled.descriptors().to_vec().into(),
            registered_at: clock.now(),
        };
        let hash = offered.hash.clone();
        let stored = journal
            .register(offered)
            .await
            .map_err(|error| format!("{} was not registered: {error}", compiled.file()))?;
        if stored.hash != hash {
            return Err(format!(
                "{}: {} version {} is registered with another content, and a registered definition never changes: \
                 give this one the version {}",
                compiled.file(),
                stored.name,
                stored.version,
                stored.version.saturating_add(1)
            ));
        }
        let compiled = Arc::new(compiled);
        self.insert(Registered { stored: Arc::new(stored), compiled: Arc::clone(&compiled) });
        Ok(compiled)
    }

    fn insert(&mut self, registered: Registered) {
        self.by_hash.insert(registered.stored.hash.clone(), registered);
    }

    /// The definition with this content hash.
    #[must_use]
    pub fn find_hash(&self, hash: &str) -> Option<Registered> {
        self.by_hash.get(hash).cloned()
    }

    /// The definition of this name: this version of it, or with 0 the newest.
    #[must_use]
    pub fn find(&self, name: &str, version: u32) -> Option<Registered> {
        self.by_hash
            .values()
            .filter(|registered| registered.stored.name == name)
            .filter(|registered| version == 0 || registered.stored.version == version)
            .max_by_key(|registered| registered.stored.version)
            .cloned()
    }

    /// The newest definition of this name that serves the method of this full name.
    #[must_use]
    pub fn find_serving(&self, name: &str, method: &str) -> Option<Registered> {
        self.by_hash
            .values()
            .filter(|registered| registered.stored.name == name)
            .filter(|registered| {
                registered.compiled.serves().is_some_and(|served| served.full_name() == method)
            })
            .max_by_key(|registered| registered.stored.version)
            .cloned()
    }

    /// All of them, by name, the newest version first.
    #[must_use]
    pub fn all(&self) -> Vec<Registered> {
        let mut all: Vec<Registered> = self.by_hash.values().cloned().collect();
        all.sort_by(|one, other| {
            (&one.stored.name, other.stored.version).cmp(&(&other.stored.name, one.stored.version))
        });
        all
    }
}

fn compile(stored: &Definition) -> Result<Compiled, String> {
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
