//! A saga's records as they come.

use std::sync::Arc;

use definition::Compiled;
use facade::{Failure, wire::causes};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use proto::{facade::v1::Reason, saga::v1::Event};
use saga::Record;

use super::{
    events,
    read::{self, SagaHistory, SagaSnapshot},
};
use crate::driver::{Driver, Replayer};

/// The records after `after`, those that are there and those to come, until the saga ends.
pub(super) fn events(
    driver: Driver,
    found: SagaSnapshot,
    after: u64,
) -> impl Stream<Item = Result<Event, Failure>> + Send {
    let watcher = Watcher { driver, saga_id: found.index_row.header.saga_id.clone(), after };
    let pieces = stream::try_unfold(Some((watcher, Cursor::Start(Box::new(found)))), |at| async {
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
    /// Nothing was sent yet: the saga as it was found.
    Start(Box<SagaSnapshot>),
    /// All records that the replayer has read were sent.
    Read { definition: Arc<Compiled>, replayer: Box<Replayer> },
}

impl Watcher {
    /// The events that were not sent yet, as soon as there are any, and where to go on; `None` where the saga has ended.
    async fn later(&self, cursor: Cursor) -> Result<(Vec<Event>, Option<Cursor>), Failure> {
        let (definition, mut replayer) = match cursor {
            Cursor::Start(found) => {
                let SagaSnapshot { index_row, history } = *found;
                let Some(history) = history else {
                    return Err(unwatchable(index_row.aside.as_ref()));
                };
                let SagaHistory { definition, records, replayer } = history;
                let events = self.show(&definition, &records);
                let cursor = Cursor::Read { definition, replayer: Box::new(replayer) };
                let ended = index_row.status().is_ended();
                return Ok((events, (!ended).then_some(cursor)));
            }
            Cursor::Read { definition, replayer } => (definition, replayer),
        };
        // Subscribed before the first read, so that no change between the two is missed.
        let mut changes = self.driver.changes(&self.saga_id);
        loop {
            let records = self.driver.find(&self.saga_id).map(|handle| handle.records());
            let from = replayer.state.next_seq();
            let entries = self.driver.journal().read(&self.saga_id, from).await;
            let entries = entries.map_err(Failure::unavailable)?;
            let read = replayer.read_on(&definition, &entries, None);
            let read =
                read.map_err(|error| unwatchable(Some(&read::unreadable(causes(&error)))))?;
            if !read.is_empty() {
                let ended = replayer.state.is_ended();
                let events = self.show(&definition, &read);
                let cursor = Cursor::Read { definition, replayer };
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
        let index_row =
            self.driver.journal().find(&self.saga_id).await.map_err(Failure::unavailable)?;
        match index_row.map(|index_row| index_row.aside) {
            Some(None) => Ok(()),
            Some(Some(why)) => Err(unwatchable(Some(&why))),
            None => Err(read::unknown_saga(&self.saga_id)),
        }
    }
}

/// A saga that cannot be read has no events to show.
fn unwatchable(why: Option<&saga::Reason>) -> Failure {
    let why = why.map(ToString::to_string).unwrap_or_default();
    Failure::new(Reason::JournalUnreadable, why)
}
