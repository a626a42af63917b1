//! How definitions come to be registered: they are offered by files, by bundles and by callers, judged, and registered one
//! at a time. One that is not registered harms nobody: what is registered runs.

pub(crate) mod files;
mod obstacle;
mod serving;

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use definition::{Compiled, Draft, Problem};
use facade::server::DynamicMethods;
use proto::facade::v1::Reason;
use tokio::sync::{Mutex, Semaphore};

pub(crate) use self::obstacle::Obstacle;
use self::serving::Serving;
use crate::{
    config,
    describe::{self, Beside, Contracts, Described, Questions, Unsound},
    driver::{Driver, Limit},
    journal::{self, Archived},
    registry::{Registered, Registry},
};

/// The definitions of a node: those that are registered, and those of its files that are not.
pub(crate) struct Definitions {
    driver: Driver,
    participants: config::Participants,
    max_registered: usize,
    serving: Serving,
    /// Held from the look for what stands in the way of a registration to its end.
    registering: Mutex<()>,
    unregistered: StdMutex<Arc<[Unregistered]>>,
}

/// A definition that is offered.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// What problems call it.
    pub(crate) file: String,
    pub(crate) source: String,
    pub(crate) beside: Beside,
}

/// What an offer has been found to be.
pub(crate) struct Judged {
    /// Empty where the source gives none.
    pub(crate) name: String,
    /// 0 where the source gives none.
    pub(crate) version: u32,
    pub(crate) verdict: Verdict,
}

/// Whether a definition can run.
pub(crate) enum Verdict {
    /// This very source is registered.
    Known(Registered),
    Sound(Box<Compiled>),
    Unsound(Unsound),
}

/// Why a sound definition was not registered.
#[derive(Debug)]
pub(crate) enum NotRegistered {
    Obstacle(Obstacle),
    Journal(journal::Error),
}

/// A file whose definition is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unregistered {
    pub(crate) file: String,
    /// Empty where the file gives none.
    pub(crate) name: String,
    /// 0 where the file gives none.
    pub(crate) version: u32,
    /// Whether it only waits for a participant.
    pub(crate) is_pending: bool,
    pub(crate) problems: Vec<Problem>,
    pub(crate) next_attempt_at: clock::Timestamp,
}

impl Unregistered {
    /// Whether a person would read the same of both.
    fn reads_like(&self, other: &Self) -> bool {
        (self.is_pending, &self.problems) == (other.is_pending, &other.problems)
    }

    /// What is wrong, on one line.
    fn sentence(&self) -> String {
        let state = if self.is_pending { "pending" } else { "refused" };
        let problems: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        format!("the definition in {} is {state}: {}", self.file, problems.join(" | "))
    }

    fn log(&self) {
        let (file, why) = (&self.file, self.sentence());
        match self.is_pending {
            true => tracing::warn!(file, "{why}"),
            false => tracing::error!(file, "{why}"),
        }
    }
}

impl Definitions {
    pub(crate) fn new(
        driver: Driver,
        participants: config::Participants,
        config: &config::Definitions,
        methods: DynamicMethods,
    ) -> Self {
        Self {
            serving: Serving::new(driver.clone(), methods),
            driver,
            participants,
            max_registered: config.max_registered.get(),
            registering: Mutex::default(),
            unregistered: StdMutex::new(Arc::new([])),
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.driver.registry()
    }

    /// The files whose definitions are not registered.
    pub(crate) fn unregistered(&self) -> Arc<[Unregistered]> {
        Arc::clone(&self.unregistered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_unregistered(&self, unregistered: Vec<Unregistered>) {
        let unregistered: Arc<[Unregistered]> = unregistered.into();
        *self.unregistered.lock().unwrap_or_else(PoisonError::into_inner) = unregistered;
    }

    /// Judges offers, side by side: the participants whose contracts they need are asked once, all at the same time, and
    /// waited for no longer than `limit`.
    pub(crate) async fn judge(&self, offers: Vec<Offer>, limit: Duration) -> Vec<Judged> {
        let mut read = Vec::new();
        for offer in offers {
            read.push(self.read(offer).await);
        }
        let described = read.iter().filter_map(|read| match read {
            Read::Described { described, .. } => Some(described.to_ask(&self.participants)),
            Read::Judged(_) => None,
        });
        let asked = Questions::all(described);
        let contracts = describe::ask(self.driver.clock(), &self.participants, asked, limit).await;
        let contracts = Arc::new(contracts);
        let mut judged = Vec::new();
        for read in read {
            judged.push(match read {
                Read::Judged(judged) => judged,
                Read::Described { name, version, described } => {
                    let verdict = compile(described, Arc::clone(&contracts)).await;
                    Judged { name, version, verdict }
                }
            });
        }
        judged
    }

    async fn read(&self, Offer { file, source, beside }: Offer) -> Read {
        let read = move || {
            let draft = Draft::parse(&file, &source)?;
            let hash = draft.hash();
            let (name, version) = (draft.name().to_owned(), draft.version());
            Ok((name, version, hash, Box::new(Described::read(draft, &beside))))
        };
        let read = match beside_the_loop(read).await {
            Ok(read) => read,
            Err(panicked) => Err(vec![panicked]),
        };
        match read {
            Err(problems) => {
                let unsound = Unsound { problems, is_waiting: false };
                let verdict = Verdict::Unsound(unsound);
                Read::Judged(Judged { name: String::new(), version: 0, verdict })
            }
            // A source that is registered needs no descriptors: it runs by those that it was registered with, also
            // while its participants are down.
            Ok((name, version, hash, described)) => match self.registry().find_hash(&hash) {
                Some(known) => {
                    Read::Judged(Judged { name, version, verdict: Verdict::Known(known) })
                }
                None => Read::Described { name, version, described },
            },
        }
    }

    /// What stands in the way of registering a sound definition.
    pub(crate) fn obstacle(&self, compiled: &Compiled) -> Option<Obstacle> {
        Obstacle::find(self.registry(), compiled, self.max_registered)
    }

    /// Registers a sound definition, and serves its method from now on. Whether this very source was registered before.
    ///
    /// # Errors
    /// What stands in the way.
    pub(crate) async fn register(
        &self,
        compiled: &Compiled,
    ) -> Result<(Registered, bool), NotRegistered> {
        let _one_at_a_time = self.registering.lock().await;
        if let Some(known) = self.registry().find_hash(compiled.hash()) {
            return Ok((known, true));
        }
        if let Some(obstacle) = self.obstacle(compiled) {
            if obstacle.reason == Reason::DefinitionsFull {
                self.driver.refused(Limit::MaxRegistered);
            }
            return Err(NotRegistered::Obstacle(obstacle));
        }
        let offered = journal::Definition {
            hash: compiled.hash().to_owned(),
            name: compiled.name().to_owned(),
            version: compiled.version(),
            source: compiled.source().to_owned(),
            file: compiled.file().to_owned(),
            descriptors: compiled.descriptors().to_vec().into(),
            registered_at: self.driver.clock().now(),
            archived: None,
            change: 0,
        };
        let stored = self.driver.journal().register(offered).await?;
        self.refresh().await?;
        // Where the hash is another's, another node was faster, or this program cannot read what is registered.
        let obstacle = || Obstacle::version_taken(self.registry(), compiled, &stored);
        let registered = self.registry().find_hash(compiled.hash());
        let registered = registered.ok_or_else(|| NotRegistered::Obstacle(obstacle()))?;
        tracing::info!(
            definition = registered.stored.name,
            version = registered.stored.version,
            file = registered.stored.file,
            "definition registered"
        );
        Ok((registered, false))
    }

    /// Archives a definition for this reason, or with none unarchives it: one version, or with 0 all. What stands so
    /// already stays as it is. Gives the newest of them; none where there is none.
    ///
    /// # Errors
    /// When another definition serves the method by now, or the journal fails.
    pub(crate) async fn archive(
        &self,
        name: &str,
        version: u32,
        reason: Option<String>,
    ) -> Result<Option<Registered>, NotRegistered> {
        let _one_at_a_time = self.registering.lock().await;
        let Some(known) = self.registry().find(name, version) else { return Ok(None) };
        if reason.is_none()
            && let Some(obstacle) = Obstacle::method_served(self.registry(), &known.compiled)
        {
            return Err(NotRegistered::Obstacle(obstacle));
        }
        let archived = reason.map(|reason| Archived { at: self.driver.clock().now(), reason });
        self.driver.journal().archive(name, version, archived.clone()).await?;
        if self.refresh().await? {
            match archived {
                Some(Archived { reason, .. }) => {
                    tracing::info!(definition = name, version, reason, "definition archived");
                }
                None => tracing::info!(definition = name, version, "definition unarchived"),
            }
        }
        Ok(self.registry().find(name, version))
    }

    /// Reads what this node or another has registered, and serves it; whether there was something.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn refresh(&self) -> Result<bool, journal::Error> {
        let is_changed = self.registry().refresh(self.driver.journal()).await?;
        if is_changed {
            self.serve();
        }
        Ok(is_changed)
    }

    /// Serves what is registered.
    pub(crate) fn serve(&self) {
        self.serving.update();
    }
}

impl From<journal::Error> for NotRegistered {
    fn from(error: journal::Error) -> Self {
        Self::Journal(error)
    }
}

impl NotRegistered {
    /// As a problem of the file.
    pub(crate) fn into_problem(self, file: &str) -> Problem {
        match self {
            Self::Obstacle(obstacle) => obstacle.problem,
            Self::Journal(error) => {
                let what = format!("it was not registered: {}", facade::wire::causes(&error));
                at_the_start(file, what, "see that the database is well; it is tried again")
            }
        }
    }
}

/// An offer whose source was read.
enum Read {
    Judged(Judged),
    Described { name: String, version: u32, described: Box<Described> },
}

async fn compile(described: Box<Described>, contracts: Arc<Contracts>) -> Verdict {
    match beside_the_loop(move || described.compile(&contracts)).await {
        Ok(Ok(compiled)) => Verdict::Sound(Box::new(compiled)),
        Ok(Err(unsound)) => Verdict::Unsound(unsound),
        Err(panicked) => Verdict::Unsound(Unsound { problems: vec![panicked], is_waiting: false }),
    }
}

/// Does what reads files or takes milliseconds beside the event loop, one piece of it at a time, however many callers come.
/// What panics there is told as a problem, so that one definition that the checker fails on takes nothing else with it.
async fn beside_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);
    // It is never closed. Who goes away leaves the work to its end.
    let permit = ONE_AT_A_TIME.acquire().await.ok();
    let work = move || {
        let done = work();
        drop(permit);
        done
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let what = format!("{}: {error}", Reason::EngineFailed.sentence());
        at_the_start("", what, "report it with the file")
    })
}

/// A problem of a whole file.
pub(crate) fn at_the_start(file: &str, what: String, cure: &str) -> Problem {
    Problem { file: file.to_owned(), line: 1, column: 1, what, cure: cure.to_owned() }
}
