//! A saga as the journal has it, for whoever asks.

use std::{sync::Arc, time::Duration};

use definition::Compiled;
use facade::{Failure, wire::causes};
use proto::facade::v1::Reason;
use saga::{Record, SagaState, Status};

use crate::{
    driver::{Driver, Handle, definition_unreadable, replay},
    journal::{self, Listed},
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
            (None, Some(story)) => story.state.status(),
            _ => self.listed.shown(),
        }
    }
}

pub(super) struct Story {
    pub(super) definition: Arc<Compiled>,
    pub(super) state: SagaState,
    pub(super) records: Vec<Record>,
}

/// Reads a saga and its journal.
pub(super) async fn find(driver: &Driver, saga_id: &str) -> Result<Found, Failure> {
    let journal = driver.journal();
    let listed = journal.find(saga_id).await.map_err(Failure::unavailable)?;
    let Some(mut listed) = listed else {
        return Err(Failure::new(Reason::SagaUnknown, format!("there is no saga {saga_id}")));
    };
    let Some(registered) = driver.registry().find_hash(&listed.header.definition_hash) else {
        let why = definition_unreadable(&listed.header);
        listed.aside.get_or_insert(why);
        return Ok(Found { listed, story: None });
    };
    let entries = match journal.read(saga_id, 0).await {
        Ok(entries) => entries,
        Err(journal::Error::Unreadable(why)) => {
            listed.aside.get_or_insert_with(|| unreadable(why));
            return Ok(Found { listed, story: None });
        }
        Err(error) => return Err(Failure::unavailable(error)),
    };
    let definition = registered.compiled;
    match replay(&listed.header, &definition, &entries) {
        Ok(replayed) => {
            let story = Story { definition, state: replayed.state, records: replayed.records };
            Ok(Found { listed, story: Some(story) })
        }
        Err(error) => {
            listed.aside.get_or_insert_with(|| unreadable(causes(&error)));
            Ok(Found { listed, story: None })
        }
    }
}

fn unreadable(why: String) -> saga::Reason {
    saga::Reason::new(Reason::JournalUnreadable.code(), why)
}

/// The end of a running saga; `None` when `limit` passes before, or it moves no further here.
pub(super) async fn end_of(
    driver: &Driver,
    handle: &Handle,
    limit: Duration,
) -> Option<Arc<SagaState>> {
    let ended = async {
        tokio::select! {
            ended = handle.ended() => ended,
            () = driver.halted() => None,
        }
    };
    driver.clock().timeout(limit, ended).await.ok().flatten()
}

/// Waits until the saga has ended or moves no further here, or for `limit`.
pub(super) async fn wait(driver: &Driver, saga_id: &str, limit: Duration) {
    // A saga that no task runs is taken up by recovery soon, or has ended: looked for again until the limit.
    let ended = async {
        loop {
            match driver.find(saga_id) {
                Some(handle) => {
                    if end_of(driver, &handle, limit).await.is_some() {
                        return;
                    }
                }
                None => match driver.journal().find(saga_id).await {
                    Ok(Some(listed)) if listed.status.is_ended() => return,
                    Ok(None) => return,
                    Ok(Some(_)) | Err(_) => {}
                },
            }
            driver.clock().sleep(LOOK_AGAIN).await;
        }
    };
    let waited = async {
        tokio::select! {
            () = ended => {}
            () = driver.halted() => {}
        }
    };
    let _ = driver.clock().timeout(limit, waited).await;
}

/// How soon a saga is looked for again that no task runs.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
