//! Crashes at the journal: the process dies right before, or right after, the n-th append is on disk.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use orchestrator::{
    journal::{
        self, Archived, Asleep, Change, Compensations, Definition, Entry, Error, Filter, Header,
        IndexRow, Journal, Loaded, Number, Readmit, RemovedSaga, Started, Unfinished,
        UnfinishedCounts, Wanted, Window,
    },
    retention::Keep,
};
use saga::{Event, Reason};
use store::Database;
use tokio::sync::watch;

use crate::script::Script;

/// On which side of an append the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Nothing of it is on disk.
    Before,
    /// It is on disk, and no caller was answered.
    After,
}

/// Where the process dies: at the n-th append from now on, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CrashPoint {
    /// Starts and appends, counted from 1.
    pub append: u64,
    /// Before it or after it.
    pub side: Side,
}

/// Counts the appends, and says when the process has died. Cheap to clone; it outlives a crash.
#[derive(Clone, Debug)]
pub(crate) struct CrashSwitch {
    appends: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
    state: Arc<watch::Sender<State>>,
}

/// The crash point and whether it was reached, in one value: a switch that is set anew has either crashed before or will not.
#[derive(Debug, Default)]
struct State {
    point: Option<CrashPoint>,
    crashed: bool,
}

impl Default for CrashSwitch {
    fn default() -> Self {
        Self {
            appends: Arc::default(),
            reads: Arc::default(),
            state: Arc::new(watch::Sender::new(State::default())),
        }
    }
}

impl CrashSwitch {
    /// Sets where the process dies next; counts from here.
    pub(crate) fn set(&self, point: Option<CrashPoint>) {
        self.appends.store(0, Ordering::SeqCst);
        self.state.send_replace(State { point, crashed: false });
    }

    /// Takes the crash point away. Whether the process had come to it before: then it is dead, and stays so.
    pub(crate) fn disarm(&self) -> bool {
        let mut dead = false;
        self.state.send_modify(|state| {
            state.point = None;
            dead = state.crashed;
        });
        dead
    }

    /// Appends since the fuse was set.
    pub(crate) fn appends(&self) -> u64 {
        self.appends.load(Ordering::SeqCst)
    }

    /// How often a saga, or records of one, were read.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }

    /// Completes when the process has died.
    pub(crate) async fn crashed(&self) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`.
        let _ = state.wait_for(|state| state.crashed).await;
    }

    /// Crashes at this point of the append, if it is the one that was set: nothing of this process goes on then.
    async fn crash_if_at(&self, append: u64, side: Side) {
        let mut dead = false;
        self.state.send_if_modified(|state| {
            let dies = !state.crashed && state.point == Some(CrashPoint { append, side });
            state.crashed |= dies;
            dead = state.crashed;
            dies
        });
        if dead {
            std::future::pending::<()>().await;
        }
    }

    fn next(&self) -> u64 {
        self.appends.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// A journal in whose appends the process may die, and which tells the script what is on disk.
pub(crate) struct CrashingJournal {
    pub(crate) journal: journal::Shared,
    pub(crate) crash_switch: CrashSwitch,
    pub(crate) script: Script,
    /// The ids of the sagas that this life of the process has seen.
    pub(crate) ids: Mutex<HashMap<i64, String>>,
}

impl CrashingJournal {
    fn remember_id(&self, number: Number, saga_id: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(number.0, saga_id.to_owned());
    }

    fn id_of(&self, number: Number) -> String {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(&number.0).cloned().unwrap_or_default()
    }
}

/// How many calls and undos these records allow.
fn intents(entries: &[Entry]) -> usize {
    let intent = |entry: &&Entry| {
        let event = journal::record::decode(entry).map(|record| record.event);
        matches!(event, Ok(Event::CallIntended { .. } | Event::UndoIntended { .. }))
    };
    entries.iter().filter(intent).count()
}

#[async_trait]
impl Journal for CrashingJournal {
    async fn start(
        &self,
        header: Header,
        entries: Vec<Entry>,
        change: Option<Change>,
        wanted: Wanted,
    ) -> Result<Started, Error> {
        let append = self.crash_switch.next();
        self.crash_switch.crash_if_at(append, Side::Before).await;
        let (saga_id, intents) = (header.saga_id.clone(), intents(&entries));
        let started = self.journal.start(header, entries, change, wanted).await;
        if let Ok(Started::New(number)) = started {
            self.remember_id(number, &saga_id);
            self.script.intended(&saga_id, intents);
        }
        self.crash_switch.crash_if_at(append, Side::After).await;
        started
    }

    async fn append(
        &self,
        saga: Number,
        entries: Vec<Entry>,
        change: Option<Change>,
    ) -> Result<(), Error> {
        let append = self.crash_switch.next();
        self.crash_switch.crash_if_at(append, Side::Before).await;
        let intents = intents(&entries);
        let appended = self.journal.append(saga, entries, change).await;
        if appended.is_ok() {
            self.script.intended(&self.id_of(saga), intents);
        }
        self.crash_switch.crash_if_at(append, Side::After).await;
        appended
    }

    async fn find(&self, saga_id: &str) -> Result<Option<IndexRow>, Error> {
        self.crash_switch.count_read();
        let found = self.journal.find(saga_id).await?;
        if let Some(IndexRow { number, .. }) = &found {
            self.remember_id(*number, saga_id);
        }
        Ok(found)
    }

    async fn look(&self, saga_id: &str, from: u64) -> Result<Option<Loaded>, Error> {
        self.crash_switch.count_read();
        self.journal.look(saga_id, from).await
    }

    async fn read(&self, saga_id: &str, from: u64, limit: u32) -> Result<Vec<Entry>, Error> {
        self.crash_switch.count_read();
        self.journal.read(saga_id, from, limit).await
    }

    async fn load(&self, saga_id: &str) -> Result<Option<Loaded>, Error> {
        self.crash_switch.count_read();
        let loaded = self.journal.load(saga_id).await?;
        if let Some(Loaded { index_row, entries }) = &loaded {
            self.remember_id(index_row.number, saga_id);
            if let Ok(entries) = entries {
                // A crash may have come after the append was on disk and before the script was told.
                self.script.intended_in_all(saga_id, intents(entries));
            }
        }
        Ok(loaded)
    }

    async fn sleep(&self, saga: Number, until: clock::Timestamp) -> Result<(), Error> {
        self.journal.sleep(saga, until).await
    }

    async fn wake(&self, saga: Number) -> Result<(), Error> {
        self.journal.wake(saga).await
    }

    async fn make_due(&self, now: clock::Timestamp) -> Result<(), Error> {
        self.journal.make_due(now).await
    }

    async fn asleep(
        &self,
        after: &Asleep,
        but: &[String],
        limit: u32,
    ) -> Result<Vec<Asleep>, Error> {
        self.journal.asleep(after, but, limit).await
    }

    async fn unfinished(&self, after: &Unfinished, limit: u32) -> Result<Vec<Unfinished>, Error> {
        self.journal.unfinished(after, limit).await
    }

    async fn list(
        &self,
        filter: &Filter,
        before: &str,
        limit: i64,
    ) -> Result<Vec<IndexRow>, Error> {
        self.journal.list(filter, before, limit).await
    }

    async fn compensations(
        &self,
        window: Window,
        definition: &str,
    ) -> Result<Compensations, Error> {
        self.journal.compensations(window, definition).await
    }

    async fn remove_compensations(
        &self,
        before: clock::Timestamp,
        limit: u32,
    ) -> Result<u64, Error> {
        self.journal.remove_compensations(before, limit).await
    }

    async fn count_unfinished(&self, now: clock::Timestamp) -> Result<UnfinishedCounts, Error> {
        self.journal.count_unfinished(now).await
    }

    async fn set_aside(&self, saga_id: &str, why: Reason) -> Result<(), Error> {
        self.journal.set_aside(saga_id, why).await
    }

    async fn readmit(&self, which: Readmit) -> Result<(), Error> {
        self.journal.readmit(which).await
    }

    async fn close_aside(
        &self,
        saga_id: &str,
        why: Reason,
        at: clock::Timestamp,
    ) -> Result<bool, Error> {
        self.journal.close_aside(saga_id, why, at).await
    }

    async fn remove_ended(
        &self,
        before: clock::Timestamp,
        keep_keys: Keep,
        limit: u32,
    ) -> Result<u64, Error> {
        self.journal.remove_ended(before, keep_keys, limit).await
    }

    async fn earlier_start(&self, header: &Header) -> Result<Option<Started>, Error> {
        self.journal.earlier_start(header).await
    }

    async fn removed_saga(
        &self,
        definition: &str,
        key: &str,
    ) -> Result<Option<RemovedSaga>, Error> {
        self.journal.removed_saga(definition, key).await
    }

    async fn remove_keys(&self, now: clock::Timestamp, limit: u32) -> Result<u64, Error> {
        self.journal.remove_keys(now, limit).await
    }

    async fn register(&self, definition: Definition) -> Result<Definition, Error> {
        self.journal.register(definition).await
    }

    async fn archive(
        &self,
        name: &str,
        version: u32,
        archived: Option<Archived>,
    ) -> Result<(), Error> {
        self.journal.archive(name, version, archived).await
    }

    async fn definitions(&self, from: u64) -> Result<Vec<Definition>, Error> {
        self.journal.definitions(from).await
    }

    fn database(&self) -> &Database {
        self.journal.database()
    }
}
