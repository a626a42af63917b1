//! The node's own files of definitions: those of its bundles, and those of its folder, which is watched.
//!
//! The folder is looked at again and again rather than watched by the kernel's notices: these tell nothing on network file
//! systems, and where a mounted ConfigMap is exchanged they come for a link that none of its files is named after. A look
//! costs a `stat` a file.

mod folder;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clock::{Clock, Timestamp};
use definition::{Problem, load};
use facade::readiness::Readiness;

use self::folder::Stamp;
use super::{Definitions, Judged, Offer, Unregistered, Verdict, at_the_start, beside_the_loop};
use crate::{config, describe::Beside, node::Bundle, outbound::reflection};

/// How long after a failed attempt the next is made: so long after the first, twice as long after each further one, and no
/// longer than `LONGEST_RETRY`.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How long participants are waited for while the node starts. Those that are slower are asked again when it runs.
const START_LIMIT: Duration = Duration::from_secs(2);

/// What the node's files have come to. One task looks at them.
pub(crate) struct Files {
    definitions: Arc<Definitions>,
    clock: Clock,
    folder: Option<PathBuf>,
    max_files: usize,
    poll_interval: Duration,
    /// By the name that problems call it.
    files: BTreeMap<String, File>,
    /// The folder itself, where it cannot be listed.
    unlisted: Option<Unregistered>,
    is_first_look: bool,
}

/// One file.
struct File {
    origin: Origin,
    /// What it was at the last look.
    seen: Option<Stamp>,
    /// What it was when it was tried last.
    tried: Option<Stamp>,
    attempts: u32,
    unregistered: Option<Unregistered>,
}

#[derive(Clone)]
enum Origin {
    Bundle(&'static str),
    Folder(PathBuf),
}

impl File {
    fn new(origin: Origin) -> Self {
        Self { origin, seen: None, tried: None, attempts: 0, unregistered: None }
    }

    /// Notes what it is now; whether it is to be tried. What has changed since the last look may still be written: it is tried
    /// when it is found the same again.
    fn look(&mut self, stamp: Stamp, now: Timestamp) -> bool {
        let is_settled = self.seen.replace(stamp) == Some(stamp);
        let is_changed = self.tried != Some(stamp);
        let is_due = self.unregistered.as_ref().is_some_and(|file| file.next_attempt_at <= now);
        is_settled && (is_changed || is_due)
    }

    /// When it is tried again, after one more attempt that failed.
    fn next_attempt(&mut self, now: Timestamp) -> Timestamp {
        let wait = FIRST_RETRY.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_RETRY);
        self.attempts += 1;
        now.after(wait)
    }
}

impl Files {
    pub(crate) fn new(
        definitions: Arc<Definitions>,
        clock: Clock,
        bundles: &[Bundle],
        config: &config::Definitions,
    ) -> Self {
        let sources = bundles.iter().flat_map(|bundle| bundle.files);
        let files = sources
            .map(|(name, source)| ((*name).to_owned(), File::new(Origin::Bundle(source))))
            .collect();
        Self {
            definitions,
            clock,
            folder: config.folder.clone(),
            max_files: config.max_registered.get(),
            poll_interval: config.poll_interval,
            files,
            unlisted: None,
            is_first_look: true,
        }
    }

    /// Looks again and again, until it is dropped. `readiness` tells which definitions are not registered.
    pub(crate) async fn watch(mut self, readiness: Readiness) {
        let mut is_read = true;
        loop {
            let unregistered = self.definitions.unregistered();
            readiness.set_lacks(unregistered.iter().map(Unregistered::sentence).collect());
            self.clock.sleep(self.poll_interval).await;
            let refreshed = self.definitions.refresh().await;
            if let Err(error) = refreshed.as_ref().map_err(|error| error as &dyn std::error::Error)
                && is_read
            {
                tracing::warn!(error, "what was registered elsewhere cannot be read");
            }
            is_read = refreshed.is_ok();
            self.look().await;
        }
    }

    /// Looks at the files once, and registers what is sound. At the first look they are taken as they are, and those of the
    /// folder are read once more at the second: one may have been in the midst of being written.
    pub(crate) async fn look(&mut self) {
        let now = self.clock.now();
        let due = self.due(now).await;
        if !due.is_empty() {
            self.attempt(due).await;
        }
        self.is_first_look = false;
        let unregistered = self.files.values().filter_map(|file| file.unregistered.as_ref());
        let unregistered = unregistered.chain(self.unlisted.as_ref()).cloned().collect();
        self.definitions.set_unregistered(unregistered);
    }

    /// The files that are to be tried now.
    async fn due(&mut self, now: Timestamp) -> Vec<String> {
        let mut stamps = self.list(now).await;
        for (name, file) in &self.files {
            if let Origin::Bundle(_) = file.origin {
                stamps.insert(name.clone(), (Stamp::BuiltIn, file.origin.clone()));
            }
        }
        self.forget_removed(&stamps);
        let mut due = Vec::new();
        for (name, (stamp, origin)) in stamps {
            let file = self.files.entry(name.clone()).or_insert_with(|| File::new(origin));
            if file.look(stamp, now) || self.is_first_look {
                due.push(name);
            }
        }
        due
    }

    /// The files of the folder by name. Where it cannot be listed, those that are known stay as they are.
    async fn list(&mut self, now: Timestamp) -> BTreeMap<String, (Stamp, Origin)> {
        let Some(folder) = self.folder.clone() else { return BTreeMap::new() };
        let (listed, max) = (folder.clone(), self.max_files);
        let why = match beside_the_loop(move || folder::list(&listed, max)).await {
            Ok(Ok(stamps)) => {
                self.unlisted = None;
                let named = |(path, stamp): (PathBuf, Stamp)| {
                    (path.display().to_string(), (stamp, Origin::Folder(path)))
                };
                return stamps.into_iter().map(named).collect();
            }
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.what,
        };
        self.set_unlisted(&folder, &why, now);
        let known = self
            .files
            .iter()
            .filter_map(|(name, file)| Some((name.clone(), (file.seen?, file.origin.clone()))));
        known.collect()
    }

    fn set_unlisted(&mut self, folder: &Path, why: &str, now: Timestamp) {
        let file = folder.display().to_string();
        let what = format!("the folder of definitions cannot be listed: {why}");
        let problem = at_the_start(&file, what, "make it, or leave it out of the settings");
        let unlisted = Unregistered {
            file,
            name: String::new(),
            version: 0,
            is_pending: false,
            problems: vec![problem],
            next_attempt_at: now.after(self.poll_interval),
        };
        if !self.unlisted.as_ref().is_some_and(|earlier| earlier.reads_like(&unlisted)) {
            unlisted.log();
        }
        self.unlisted = Some(unlisted);
    }

    /// Forgets files that are there no more. What was registered of them stays registered.
    fn forget_removed(&mut self, stamps: &BTreeMap<String, (Stamp, Origin)>) {
        self.files.retain(|name, file| {
            let is_there = stamps.contains_key(name);
            if !is_there && file.unregistered.is_none() {
                tracing::info!(
                    file = name,
                    "the file is gone, and its definition stays registered: archive it where no saga is to begin by it"
                );
            }
            is_there
        });
    }

    /// Tries to register these files.
    async fn attempt(&mut self, names: Vec<String>) {
        let mut offers = Vec::new();
        for name in names {
            let Some(file) = self.files.get_mut(&name) else { continue };
            // After the first look those of the folder count as untried.
            let is_final = !self.is_first_look || matches!(file.origin, Origin::Bundle(_));
            if is_final && file.tried != file.seen {
                (file.tried, file.attempts) = (file.seen, 0);
            }
            match offer(&name, file.origin.clone()).await {
                Ok(offer) => offers.push(offer),
                Err(problems) => self.conclude(&name, Some(Unready::of(problems))),
            }
        }
        let limit = if self.is_first_look { START_LIMIT } else { reflection::LIMIT };
        let names: Vec<String> = offers.iter().map(|offer| offer.file.clone()).collect();
        let judged = self.definitions.judge(offers, limit).await;
        for (name, judged) in names.into_iter().zip(judged) {
            let unready = self.register(&name, judged).await;
            self.conclude(&name, unready);
        }
    }

    /// Registers a file's definition where it is sound; otherwise why it is not.
    async fn register(
        &self,
        file: &str,
        Judged { name, version, verdict }: Judged,
    ) -> Option<Unready> {
        let (is_pending, problems) = match verdict {
            Verdict::Known(_) => return None,
            Verdict::Unsound(unsound) => (unsound.is_waiting, unsound.problems),
            Verdict::Sound(compiled) => match self.definitions.register(&compiled).await {
                Ok(_) => return None,
                Err(not_registered) => (false, vec![not_registered.into_problem(file)]),
            },
        };
        Some(Unready { name, version, is_pending, problems })
    }

    /// Notes what a file has come to, and logs it where that is new.
    fn conclude(&mut self, name: &str, unready: Option<Unready>) {
        let now = self.clock.now();
        let Some(file) = self.files.get_mut(name) else { return };
        let earlier = file.unregistered.take();
        let Some(Unready { name: definition, version, is_pending, problems }) = unready else {
            if earlier.is_some() {
                tracing::info!(file = name, "the file's definition is registered now");
            }
            return;
        };
        let unregistered = Unregistered {
            file: name.to_owned(),
            name: definition,
            version,
            is_pending,
            problems,
            next_attempt_at: file.next_attempt(now),
        };
        if !earlier.is_some_and(|earlier| earlier.reads_like(&unregistered)) {
            unregistered.log();
        }
        file.unregistered = Some(unregistered);
    }
}

/// Why a file's definition is not registered.
struct Unready {
    name: String,
    version: u32,
    is_pending: bool,
    problems: Vec<Problem>,
}

impl Unready {
    /// Of a file that cannot be read.
    fn of(problems: Vec<Problem>) -> Self {
        Self { name: String::new(), version: 0, is_pending: false, problems }
    }
}

async fn offer(name: &str, origin: Origin) -> Result<Offer, Vec<Problem>> {
    let file = name.to_owned();
    match origin {
        Origin::Bundle(source) => {
            Ok(Offer { file, source: source.to_owned(), beside: Beside::folder(Path::new("")) })
        }
        Origin::Folder(path) => {
            let beside = Beside::folder(path.parent().unwrap_or(Path::new("")));
            let read = beside_the_loop(move || load::read_source(&path)).await;
            let source = read.map_err(|panicked| vec![panicked])??;
            Ok(Offer { file, source, beside })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64) -> Stamp {
        Stamp::File { device: 1, inode: 1, size, modified: (1, 1), changed: (1, 1) }
    }

    #[test]
    fn a_file_that_is_being_written_is_tried_when_two_looks_have_found_it_the_same() {
        let mut file = File::new(Origin::Folder(PathBuf::from("a.yaml")));
        let mut look = |size| {
            let is_tried = file.look(stamp(size), Timestamp(0));
            if is_tried {
                file.tried = file.seen;
            }
            is_tried
        };
        let looks = [1, 2, 3, 3, 3, 4, 3, 3, 4, 4];
        let tried = looks.map(&mut look);
        assert_eq!(tried, [false, false, false, true, false, false, false, false, false, true]);
    }

    #[test]
    fn an_attempt_that_failed_is_made_again_later_each_time_and_within_ten_seconds() {
        let mut file = File::new(Origin::Folder(PathBuf::from("a.yaml")));
        let waits: Vec<u64> = (0..20).map(|_| file.next_attempt(Timestamp(0)).0 / 1_000).collect();
        assert_eq!(waits[..6], [1, 2, 4, 8, 10, 10]);
        assert!(waits.iter().all(|wait| *wait <= 10));
    }
}
