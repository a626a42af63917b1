//! Where the descriptors of a definition come from: its own files, the contracts that this program ships with, or the
//! participants themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use definition::{Compiled, Descriptors, Draft, Problem, Undescribed, load, pool_of_set};
use facade::dial::Peer;
use futures::{FutureExt, future::join_all};
use prost_reflect::DescriptorPool;
use tokio::task::spawn_blocking;

use crate::{
    config::{Participant, Participants},
    outbound::reflection::{self, Failure, Server},
};

/// What participants said of themselves, or why they did not, by service.
pub(crate) type Contracts = BTreeMap<String, Result<DescriptorPool, Failure>>;

/// The descriptors that come with a definition.
#[derive(Clone, Debug)]
pub(crate) enum Beside {
    /// The files that it names, relative to this folder, and further ones; and folders that imports begin at beside those
    /// that it names.
    Files { folder: PathBuf, further: Vec<PathBuf>, import_roots: Vec<PathBuf> },
    /// Encoded descriptor sets, in the place of the files that it names.
    Sets(Vec<Bytes>),
}

impl Beside {
    /// The files that a definition in `folder` names.
    pub(crate) fn folder(folder: &Path) -> Self {
        Self::Files { folder: folder.to_owned(), further: Vec::new(), import_roots: Vec::new() }
    }
}

/// A definition with the descriptors that came with it.
#[derive(Debug)]
pub(crate) struct Described {
    draft: Draft,
    descriptors: Descriptors,
    /// What is wrong with the descriptors that came with it.
    problems: Vec<Problem>,
    /// The files that it names, and that were not sent with it.
    not_sent: Vec<String>,
}

/// What is to be asked of participants.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    services: BTreeSet<String>,
    /// Messages that are packed into an `Any` by their names.
    messages: BTreeSet<String>,
}

impl Questions {
    /// Of several definitions, to be asked once.
    pub(crate) fn all(questions: impl IntoIterator<Item = Self>) -> Self {
        questions.into_iter().fold(Self::default(), |mut all, one| {
            all.services.extend(one.services);
            all.messages.extend(one.messages);
            all
        })
    }
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
        let (descriptors, problems) = match beside {
            Beside::Files { folder, further, import_roots } => {
                load::descriptors(&draft, folder, further, import_roots)
            }
            Beside::Sets(_) => (Descriptors::new(), Vec::new()),
        };
        let mut described = Self { draft, descriptors, problems, not_sent: Vec::new() };
        if let Beside::Sets(sets) = beside {
            described.read_sets(sets);
        }
        described
    }

    fn read_sets(&mut self, sets: &[Bytes]) {
        for (set, number) in sets.iter().zip(1..) {
            match pool_of_set(set) {
                Ok(pool) => self.descriptors.add_pool(pool),
                Err(error) => {
                    self.descriptors.incomplete();
                    let problem = error.into_problem(Path::new("descriptors"));
                    let what = format!("descriptor set {number}: {}", problem.what);
                    self.problems.push(Problem { what, ..problem });
                }
            }
        }
        if sets.is_empty() {
            self.not_sent.extend(self.draft.descriptor_files().map(str::to_owned));
        }
    }

    /// The services that it names and nothing that came with it describes.
    fn missing(&self) -> BTreeSet<String> {
        let mut needed = self.draft.services();
        needed.extend(self.draft.served_service().map(str::to_owned));
        needed.retain(|service| !self.descriptors.has_service(service));
        needed
    }

    /// What participants are asked for. An address wins over what ships: `--participant` may put another service in the
    /// place of ours.
    pub(crate) fn to_ask(&self, participants: &Participants) -> Questions {
        let mut services = self.missing();
        services.retain(|service| participants.contains_key(service));
        Questions { services, messages: self.draft.packed_messages() }
    }

    /// Checks the definition. It takes some milliseconds where the definition is large.
    ///
    /// # Errors
    /// Every problem.
    pub(crate) fn compile(self, contracts: &Contracts) -> Result<Compiled, Unsound> {
        let missing = self.missing();
        let Self { draft, mut descriptors, mut problems, not_sent } = self;
        let (mut is_waiting, mut addresses) = (false, BTreeSet::new());
        for service in missing {
            // What was described with a service before it: participants that are served together, or the program's own.
            if descriptors.has_service(&service) {
                continue;
            }
            let undescribed = match contracts.get(&service) {
                Some(Ok(pool)) => {
                    descriptors.add_pool(pool.clone());
                    continue;
                }
                Some(Err(Failure { what, cure, address })) => {
                    is_waiting = true;
                    let is_told =
                        address.as_ref().is_some_and(|address| !addresses.insert(address));
                    let (why, cure) = (what.clone(), cure.clone());
                    if is_told { Undescribed::Told } else { Undescribed::Because { why, cure } }
                }
                None if proto::descriptors().get_service_by_name(&service).is_some() => {
                    descriptors.add_pool(proto::descriptors().clone());
                    continue;
                }
                // A file that could not be read probably has it.
                None if !problems.is_empty() => Undescribed::Told,
                None => unknown(&service, &not_sent),
            };
            descriptors.undescribed(&service, undescribed);
        }
        let is_waiting = is_waiting && problems.is_empty() && draft.problems().is_empty();
        let compiled = draft.compile(&descriptors);
        match compiled {
            Ok(compiled) if problems.is_empty() => Ok(compiled),
            compiled => {
                problems.extend(compiled.err().unwrap_or_default());
                Err(Unsound { problems, is_waiting })
            }
        }
    }
}

/// Why a service is unknown that no participant is configured for.
fn unknown(service: &str, not_sent: &[String]) -> Undescribed {
    if let [_, ..] = not_sent {
        let why = format!("the definition names {}, and it was not sent", not_sent.join(", "));
        let cure = "send them along as descriptor sets".to_owned();
        return Undescribed::Because { why, cure };
    }
    let why = format!("no participant is configured for {service}");
    let cure = format!(
        "name its address with --participant {service}=ADDRESS, or its .proto under `descriptors:`"
    );
    Undescribed::Because { why, cure }
}

/// Asks participants for their contracts, all at once, and waits no longer than `limit` for any.
pub(crate) async fn ask(
    clock: &Clock,
    participants: &Participants,
    questions: Questions,
    limit: Duration,
) -> Contracts {
    let messages: Vec<String> = questions.messages.into_iter().collect();
    let asked = questions.services.into_iter().filter_map(|service| {
        let (participant, messages) = (participants.get(&service)?, &messages);
        let address = &participant.address;
        Some(async move {
            let asked = AssertUnwindSafe(describe(clock, &service, messages, participant));
            let unasked = |why: &str| {
                Err(Failure {
                    what: format!("{service} at {address} cannot be described: {why}"),
                    cure: "see whether it is well".to_owned(),
                    address: None,
                })
            };
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

async fn describe(
    clock: &Clock,
    service: &str,
    messages: &[String],
    participant: &Participant,
) -> Result<DescriptorPool, Failure> {
    let Peer { address, authority, .. } = participant.peer();
    let metadata = participant.metadata.clone();
    let read = spawn_blocking(move || metadata.read()).await;
    let metadata = read.unwrap_or_else(|error| Err(error.to_string())).map_err(|why| Failure {
        what: format!("{service} at {address} is not asked for its contract: {why}"),
        cure: format!("correct participants.{service}.metadata"),
        address: None,
    })?;
    let server = Server { address, authority, metadata: Arc::new(metadata) };
    reflection::describe(clock, service, messages, &server).await
}
