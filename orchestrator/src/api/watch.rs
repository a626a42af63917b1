//! A saga's records as they come.

use std::sync::Arc;

use definition::Compiled;
use facade::{Failure, wire::causes};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use proto::{facade::v1::Reason, saga::v1::Event};
use saga::Record;

use super::{
    events,
    read::{self, Found, Story},
};
use crate::driver::{Driver, Reading};

/// The records after `after`, those that are there and those to come, until the saga ends.
pub(super) fn events(
    driver: Driver,
    found: Found,
    after: u64,
) -> impl Stream<Item = Result<Event, Failure>> + Send {
    let watcher = Watcher { driver, saga_id: found.listed.header.saga_id.clone(), after };
    let pieces = stream::try_unfold(Some((watcher, Cursor::Found(Box::new(found)))), |at| async {
        let Some((watcher, cursor)) = at else { return Ok(None) };
        let (events, cursor) = watcher.later(cursor).await?;
        let piece = stream::iter(events).map(Ok);
        Ok::<_, Failure>(Some((piece, cursor.map(|cursor| (watcher, cursor)))))
    });
    pieces.try_flatten()
}

struct Watcher {
    driver: Driver,
    saga_id: String,
    after: u64,
}

/// How far a watcher has come.
enum Cursor {
    /// It has the saga as it was found.
    Found(Box<Found>),
    /// It has told all that it had read.
    Read { definition: Arc<Compiled>, reading: Box<Reading> },
}

impl Watcher {
    /// The events that are not told yet, as soon as there are any, and where to go on; `None` where the saga has ended.
    async fn later(&self, cursor: Cursor) -> Result<(Vec<Event>, Option<Cursor>), Failure> {
        let (definition, mut reading) = match cursor {
            Cursor::Found(found) => {
                let Found { listed, story } = *found;
                let Some(story) = story else { return Err(unwatchable(listed.aside.as_ref())) };
                let Story { definition, records, reading } = story;
                let events = self.show(&definition, &records);
                let cursor = Cursor::Read { definition, reading: Box::new(reading) };
                let ended = listed.shown().is_ended();
                return Ok((events, (!ended).then_some(cursor)));
            }
            Cursor::Read { definition, reading } => (definition, reading),
        };
        // From before the first look: what happens between is then not missed.
        let mut changes = self.driver.changes(&self.saga_id);
        loop {
            let records = self.driver.find(&self.saga_id).map(|handle| handle.records());
            let from = reading.state.next_seq();
            let entries = self.driver.journal().read(&self.saga_id, from).await;
            let entries = entries.map_err(Failure::unavailable)?;
            let read = reading.read_on(&definition, &entries, None);
            let read =
                read.map_err(|error| unwatchable(Some(&read::unreadable(causes(&error)))))?;
            if !read.is_empty() {
                let ended = reading.state.is_ended();
                let events = self.show(&definition, &read);
                let cursor = Cursor::Read { definition, reading };
                return Ok((events, (!ended).then_some(cursor)));
            }
            if records.is_none() {
                self.refuse_aside().await?;
            }
            let changed = async {
                match records {
                    Some(mut records) => {
                        let more = records.wait_for(|records| *records > from).await.is_ok();
                        if !more {
                            changes.next().await;
                        }
                    }
                    None => changes.next().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = self.driver.clock().sleep(read::POLL_INTERVAL) => {}
                () = self.driver.halted() => return Err(Failure::new(
                    Reason::Unavailable,
                    format!("this node is stopping: watch again after record {from}"),
                )),
            }
        }
    }

    fn show(&self, definition: &Compiled, records: &[Record]) -> Vec<Event> {
        let later = records.iter().filter(|record| record.seq >= self.after);
        later.map(|record| events::show(definition, record)).collect()
    }

    /// A saga that stands aside, or was removed, has no event to come.
    async fn refuse_aside(&self) -> Result<(), Failure> {
        let listed =
            self.driver.journal().find(&self.saga_id).await.map_err(Failure::unavailable)?;
        match listed.map(|listed| listed.aside) {
            Some(None) => Ok(()),
            Some(Some(why)) => Err(unwatchable(Some(&why))),
            None => Err(read::unknown(&self.saga_id)),
        }
    }
}

/// A saga that cannot be read has no events to show.
fn unwatchable(why: Option<&saga::Reason>) -> Failure {
    let why = why.map(ToString::to_string).unwrap_or_default();
    Failure::new(Reason::JournalUnreadable, why)
}
