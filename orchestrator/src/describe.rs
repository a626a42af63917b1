//! Where the descriptors of a definition come from: its own files, the contracts that this program ships with, or the
//! participants themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use definition::{Compiled, Descriptors, Draft, Problem, pool_of_set};
use futures::{FutureExt, future::join_all};
use prost_reflect::DescriptorPool;

use crate::{
    config::Participants,
    outbound::{call::no_participant, reflection},
};

/// What participants said of themselves, or why they did not, by service.
pub(crate) type Contracts = BTreeMap<String, Result<DescriptorPool, String>>;

/// The descriptors that come with a definition.
#[derive(Clone, Debug)]
pub(crate) enum Beside {
    /// The files that it names, relative to this folder, and further ones.
    Files { folder: PathBuf, further: Vec<PathBuf> },
    /// Encoded descriptor sets, in the place of the files that it names.
    Sets(Vec<Bytes>),
}

impl Beside {
    /// The files that a definition in `folder` names.
    pub(crate) fn folder(folder: &Path) -> Self {
        Self::Files { folder: folder.to_owned(), further: Vec::new() }
    }
}

/// A definition with the descriptors that came with it.
#[derive(Debug)]
pub(crate) struct Described {
    draft: Draft,
    descriptors: Descriptors,
    /// Why descriptors that came with it could not be read.
    unread: Vec<String>,
}

/// Why a definition cannot run.
#[derive(Debug)]
pub(crate) struct Unsound {
    pub(crate) problems: Vec<Problem>,
    /// Whether it may be sound: a participant whose contract it needs does not answer, and nothing else is known to be
    /// wrong.
    pub(crate) is_waiting: bool,
}

impl Described {
    /// Reads the descriptors that come with a definition. It reads files, and compiles them.
    pub(crate) fn read(draft: Draft, beside: &Beside) -> Self {
        let (mut descriptors, mut unread) = (Descriptors::new(), Vec::new());
        match beside {
            Beside::Files { folder, further } => {
                let own = draft.descriptor_files().map(|file| folder.join(file));
                for file in own.chain(further.iter().cloned()) {
                    if let Err(error) = descriptors.add_file(&file) {
                        unread.push(format!("{}: {error}", file.display()));
                    }
                }
            }
            Beside::Sets(sets) => {
                for (set, number) in sets.iter().zip(1..) {
                    match pool_of_set(set) {
                        Ok(pool) => descriptors.add_pool(pool),
                        Err(error) => unread.push(format!("descriptor set {number}: {error}")),
                    }
                }
                if sets.is_empty() {
                    let named =
                        draft.descriptor_files().map(|file| format!("{file}: it was not sent"));
                    unread.extend(named);
                }
            }
        }
        Self { draft, descriptors, unread }
    }

    /// The services that it names and nothing that came with it describes.
    fn missing(&self) -> BTreeSet<String> {
        let mut needed = self.draft.services();
        needed.extend(self.draft.served_service().map(str::to_owned));
        needed.retain(|service| !self.descriptors.has_service(service));
        needed
    }

    /// Those of them that a participant is asked for. An address wins over what ships: `--participant` may put another
    /// service in the place of ours.
    pub(crate) fn to_ask(&self, participants: &Participants) -> BTreeSet<String> {
        self.missing().into_iter().filter(|service| participants.contains_key(service)).collect()
    }

    /// Checks the definition. It takes some milliseconds where the definition is large.
    ///
    /// # Errors
    /// Every problem.
    pub(crate) fn compile(self, contracts: &Contracts) -> Result<Compiled, Unsound> {
        let mut is_waiting = false;
        let missing = self.missing();
        let Self { draft, mut descriptors, unread } = self;
        for service in missing {
            // What was described with a service before it: participants that are served together, or the program's own.
            if descriptors.has_service(&service) {
                continue;
            }
            match contracts.get(&service) {
                Some(Ok(pool)) => descriptors.add_pool(pool.clone()),
                Some(Err(why)) => {
                    is_waiting = true;
                    descriptors.undescribed(&service, why);
                }
                None if proto::descriptors().get_service_by_name(&service).is_some() => {
                    descriptors.add_pool(proto::descriptors().clone());
                }
                None if unread.is_empty() => {
                    descriptors.undescribed(&service, no_participant(&service));
                }
                None => descriptors.undescribed(&service, unread.join("; ")),
            }
        }
        let is_waiting = is_waiting && draft.problems().is_empty();
        draft.compile(&descriptors).map_err(|problems| Unsound { problems, is_waiting })
    }
}

/// Asks the participants that serve these services for their contracts, all at once, and waits no longer than `limit` for
/// any.
pub(crate) async fn ask(
    clock: &Clock,
    participants: &Participants,
    services: BTreeSet<String>,
    limit: Duration,
) -> Contracts {
    let asked = services.into_iter().filter_map(|service| {
        let address = &participants.get(&service)?.address;
        Some(async move {
            let asked = AssertUnwindSafe(reflection::describe(clock, &service, address));
            let unasked =
                |why: &str| Err(format!("{service} at {address} cannot be described: {why}"));
            let contract = match clock.timeout(limit, asked.catch_unwind()).await {
                Ok(Ok(contract)) => contract,
                // What a stranger says of itself must not end the process.
                Ok(Err(_)) => unasked("what it says of itself cannot be read"),
                Err(_) => unasked(&format!("no answer within {limit:?}")),
            };
            (service, contract)
        })
    });
    join_all(asked).await.into_iter().collect()
}
