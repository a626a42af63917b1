//! A saga as the journal has it, for whoever asks.

use std::{sync::Arc, time::Duration};

use definition::Compiled;
use facade::{Failure, wire::causes};
use proto::facade::v1::Reason;
use saga::Status;

use crate::{
    driver::{Driver, Handle, Published, Replayer, definition_unreadable, read_apart},
    journal::{self, IndexRow, Loaded},
};

/// A saga as it was read from the journal.
pub(super) struct SagaSnapshot {
    pub(super) index_row: IndexRow,
    /// Its definition and replayed records; `None` where its journal or definition cannot be read.
    pub(super) history: Option<SagaHistory>,
}

impl SagaSnapshot {
    /// Where it stands: by its journal, unless it stands aside.
    pub(super) fn status(&self) -> Status {
        match (&self.index_row.aside, &self.history) {
            (None, Some(history)) => history.replayer.state.status(),
            _ => self.index_row.status(),
        }
    }
}

/// A saga's definition, its records, and the state that they come to.
pub(super) struct SagaHistory {
    pub(super) definition: Arc<Compiled>,
    pub(super) replayer: Replayer,
}

/// Reads a saga and its journal, where there is one: for whoever repeats its start, so never behind people's lists.
pub(super) async fn look_up(
    driver: &Driver,
    saga_id: &str,
) -> Result<Option<SagaSnapshot>, Failure> {
    let loaded = driver.journal().load(saga_id).await.map_err(Failure::unavailable)?;
    match loaded {
        Some(loaded) => read(driver, loaded, None).await.map(Some),
        None => Ok(None),
    }
}

/// Reads what was loaded of a saga, which follows `before`, where there is a reading of it.
pub(super) async fn read(
    driver: &Driver,
    Loaded { mut index_row, entries }: Loaded,
    before: Option<Replayer>,
) -> Result<SagaSnapshot, Failure> {
    let definition = match definition(driver, &index_row) {
        Ok(definition) => definition,
        Err(why) => {
            index_row.aside.get_or_insert(why);
            return Ok(SagaSnapshot { index_row, history: None });
        }
    };
    let reading = match entries {
        Ok(entries) => {
            let IndexRow { header, state_record, .. } = &index_row;
            let read = read_apart(header, &definition, before, entries, *state_record).await;
            read.map_err(|error| causes(&error))
        }
        Err(journal::Error::Unreadable(why)) => Err(why),
        Err(error) => return Err(Failure::unavailable(error)),
    };
    let history = match reading {
        Ok(replayer) => Some(SagaHistory { definition, replayer }),
        Err(why) => {
            index_row.aside.get_or_insert_with(|| unreadable(why));
            None
        }
    };
    Ok(SagaSnapshot { index_row, history })
}

/// What the saga runs by, or why this program cannot tell.
pub(super) fn definition(
    driver: &Driver,
    index_row: &IndexRow,
) -> Result<Arc<Compiled>, saga::Reason> {
    let registered = driver.registry().find_hash(&index_row.header.definition_hash);
    registered.map(|known| known.compiled).ok_or_else(|| definition_unreadable(&index_row.header))
}

/// The failure for a saga that somebody deleted: its key is there, and its row is not.
pub(super) fn missing_saga(saga_id: &str) -> Failure {
    let message = format!(
        "the saga {saga_id} was started by this request, and is missing from the journal: restore the database from a \
         backup"
    );
    Failure::new(Reason::JournalUnreadable, message).with_fact("saga_id", saga_id)
}

pub(super) fn unknown_saga(saga_id: &str) -> Failure {
    Failure::new(Reason::SagaUnknown, format!("there is no saga {saga_id}"))
}

pub(super) fn unreadable(why: String) -> saga::Reason {
    saga::Reason::new(Reason::JournalUnreadable.code(), why)
}

/// Where a running saga stands once it stands as `wanted` says; `None` when `limit` passes before, or it moves no further
/// here.
pub(super) async fn reached(
    driver: &Driver,
    handle: &Handle,
    wanted: fn(Status) -> bool,
    limit: Duration,
) -> Option<Published> {
    let reached = async {
        tokio::select! {
            reached = handle.reached(wanted) => reached,
            () = driver.halted() => None,
        }
    };
    driver.clock().timeout(limit, reached).await.ok().flatten()
}

/// Waits until the saga stands as `wanted` says or moves no further here, or for `limit`.
pub(super) async fn wait(
    driver: &Driver,
    saga_id: &str,
    wanted: fn(Status) -> bool,
    limit: Duration,
) {
    let stands = async {
        // Subscribed before the first look, so that no change between the two is missed.
        let mut changes = driver.changes(saga_id);
        loop {
            match driver.find(saga_id) {
                Some(handle) if handle.reached(wanted).await.is_some() => return,
                // Its task has just ended: the journal is read in the next round.
                Some(_) => {}
                None => match driver.journal().find(saga_id).await {
                    Ok(Some(index_row)) if wanted(index_row.status()) => return,
                    Ok(None) => return,
                    Ok(Some(_)) | Err(_) => {}
                },
            }
            tokio::select! {
                () = changes.next() => {}
                () = driver.clock().sleep(POLL_INTERVAL) => {}
            }
        }
    };
    let waited = async {
        tokio::select! {
            () = stands => {}
            () = driver.halted() => {}
        }
    };
    let _ = driver.clock().timeout(limit, waited).await;
}

/// How often a saga that no task runs is looked for again, in case a notification of its change was missed.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);
