//! A saga as the journal has it, for whoever asks.

use std::{sync::Arc, time::Duration};

use definition::Compiled;
use facade::{Failure, wire::causes};
use proto::facade::v1::Reason;
use saga::{Record, Status};

use crate::{
    driver::{Driver, Handle, Published, Reading, Replayed, definition_unreadable, replay},
    journal::{self, Listed, Loaded},
};

/// A saga, read.
pub(super) struct Found {
    pub(super) listed: Listed,
    /// What it runs by, and where it stands; `None` where its journal or definition cannot be read.
    pub(super) story: Option<Story>,
}

impl Found {
    /// Where it stands: by its journal, unless it stands aside.
    pub(super) fn status(&self) -> Status {
        match (&self.listed.aside, &self.story) {
            (None, Some(story)) => story.reading.state.status(),
            _ => self.listed.shown(),
        }
    }
}

pub(super) struct Story {
    pub(super) definition: Arc<Compiled>,
    pub(super) records: Vec<Record>,
    pub(super) reading: Reading,
}

/// Reads a saga and its journal.
pub(super) async fn find(driver: &Driver, saga_id: &str) -> Result<Found, Failure> {
    look_up(driver, saga_id).await?.ok_or_else(|| unknown(saga_id))
}

/// Reads a saga and its journal, where there is one.
pub(super) async fn look_up(driver: &Driver, saga_id: &str) -> Result<Option<Found>, Failure> {
    let loaded = driver.journal().load(saga_id).await.map_err(Failure::unavailable)?;
    let Some(Loaded { mut listed, entries }) = loaded else { return Ok(None) };
    let Some(registered) = driver.registry().find_hash(&listed.header.definition_hash) else {
        let why = definition_unreadable(&listed.header);
        listed.aside.get_or_insert(why);
        return Ok(Some(Found { listed, story: None }));
    };
    let definition = registered.compiled;
    let replayed = match entries {
        Ok(entries) => replay(&listed.header, &definition, &entries, listed.mark)
            .map_err(|error| causes(&error)),
        Err(journal::Error::Unreadable(why)) => Err(why),
        Err(error) => return Err(Failure::unavailable(error)),
    };
    let story = match replayed {
        Ok(Replayed { records, reading }) => Some(Story { definition, records, reading }),
        Err(why) => {
            listed.aside.get_or_insert_with(|| unreadable(why));
            None
        }
    };
    Ok(Some(Found { listed, story }))
}

/// A saga whose key is there, and which is not: somebody deleted it.
pub(super) fn lost(saga_id: &str) -> Failure {
    let message = format!(
        "the saga {saga_id} was started by this request, and is missing from the journal: restore the database from a \
         backup"
    );
    Failure::new(Reason::JournalUnreadable, message).with_fact("saga_id", saga_id)
}

pub(super) fn unknown(saga_id: &str) -> Failure {
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
        // From before the first look: what happens between is then not missed.
        let mut changes = driver.changes(saga_id);
        loop {
            match driver.find(saga_id) {
                Some(handle) if handle.reached(wanted).await.is_some() => return,
                // Its task has just ended.
                Some(_) => {}
                None => match driver.journal().find(saga_id).await {
                    Ok(Some(listed)) if wanted(listed.shown()) => return,
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

/// How soon a saga is looked for again that no task runs, should its change not have been told.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);
