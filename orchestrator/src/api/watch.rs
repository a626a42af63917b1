//! A saga's records as they come.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use definition::Compiled;
use facade::{Failure, wire::causes};
use futures::{Stream, TryStreamExt, stream};
use proto::{facade::v1::Reason, saga::v1::Event};
use saga::Record;

use super::{events, read};
use crate::{
    config::Sagas,
    driver::{Driver, Limit, Replayer},
    journal::StateRecord,
};

/// Records that are read at once for a watcher: it holds no more of a long journal.
const PAGE: u32 = 256;
/// Beyond every record: only the saga itself is read.
const NO_RECORD: u64 = u64::MAX;
/// How long whoever was refused should wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The streams that are open, each bounded by what it reads at once.
pub(crate) struct Watchers {
    max: usize,
    max_per_saga: usize,
    open: Mutex<HashMap<String, usize>>,
}

impl Watchers {
    pub(super) fn new(limits: &Sagas) -> Self {
        let Sagas { max_watchers, max_watchers_per_saga, .. } = limits;
        Self { max: *max_watchers, max_per_saga: *max_watchers_per_saga, open: Mutex::default() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().values().sum()
    }

    fn enter(self: &Arc<Self>, driver: &Driver, saga_id: &str) -> Result<Place, Failure> {
        let mut open = self.open();
        let full = |what: &str, limit: Limit, max: usize| {
            driver.refused(limit);
            Failure::Overloaded {
                message: format!("{what} by as many as may: {max} ({})", limit.setting()),
                retry_after: RETRY_AFTER,
            }
        };
        if open.get(saga_id).is_some_and(|watchers| *watchers >= self.max_per_saga) {
            return Err(full("the saga is watched", Limit::MaxWatchersPerSaga, self.max_per_saga));
        }
        if open.values().sum::<usize>() >= self.max {
            return Err(full("sagas are watched", Limit::MaxWatchers, self.max));
        }
        *open.entry(saga_id.to_owned()).or_default() += 1;
        Ok(Place { watchers: Arc::clone(self), saga_id: saga_id.to_owned() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a stream that is open.
struct Place {
    watchers: Arc<Watchers>,
    saga_id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.watchers.open();
        if let Some(watchers) = open.get_mut(&self.saga_id) {
            *watchers = watchers.saturating_sub(1);
            if *watchers == 0 {
                open.remove(&self.saga_id);
            }
        }
    }
}

/// The records after `after`, those that are there and those to come, until the saga ends.
pub(super) async fn events(
    driver: Driver,
    watchers: &Arc<Watchers>,
    saga_id: &str,
    after: u64,
) -> Result<impl Stream<Item = Result<Event, Failure>> + Send + use<>, Failure> {
    let place = watchers.enter(&driver, saga_id)?;
    let found = driver.journal().look(saga_id, NO_RECORD).await.map_err(Failure::unavailable)?;
    let index_row = found.ok_or_else(|| read::unknown_saga(saga_id))?.index_row;
    let definition =
        read::definition(&driver, &index_row).map_err(|why| unwatchable(Some(&why)))?;
    let replayer = Replayer::new(&index_row.header, &definition);
    let ended = index_row.status().is_ended();
    let watcher =
        Watcher { driver, place, definition, after, state_record: index_row.state_record, ended };
    let pieces = stream::try_unfold(Some((watcher, replayer)), |at| async {
        let Some((watcher, mut replayer)) = at else { return Ok(None) };
        let events = watcher.later(&mut replayer).await?;
        let goes_on = !events.is_empty() && !replayer.state.is_ended();
        let shown = watcher.show(&events);
        let piece = stream::iter(shown);
        Ok::<_, Failure>(Some((piece, goes_on.then_some((watcher, replayer)))))
    });
    Ok(pieces.try_flatten())
}

struct Watcher {
    driver: Driver,
    place: Place,
    definition: Arc<Compiled>,
    after: u64,
    /// The record that the index named when the stream was opened.
    state_record: Option<StateRecord>,
    /// The saga had ended then: nothing is waited for.
    ended: bool,
}

impl Watcher {
    /// The records that are not told yet, as soon as there are any; none where the saga has ended.
    async fn later(&self, replayer: &mut Replayer) -> Result<Vec<Record>, Failure> {
        let saga_id = &self.place.saga_id;
        let unreadable = |error| unwatchable(Some(&read::unreadable(causes(&error))));
        // From before the first look: what happens between is then not missed.
        let mut changes = self.driver.changes(saga_id);
        loop {
            let records = self.driver.find(saga_id).map(|handle| handle.records());
            let from = replayer.state.next_seq();
            let entries = self.driver.journal().read(saga_id, from, PAGE).await;
            let entries = entries.map_err(Failure::unavailable)?;
            let read = replayer.read_part(&self.definition, &entries, self.state_record);
            let read = read.map_err(unreadable)?;
            if !read.is_empty() {
                return Ok(read);
            }
            replayer.is_whole(self.state_record).map_err(unreadable)?;
            if self.ended {
                return Ok(Vec::new());
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

    fn show(&self, records: &[Record]) -> Vec<Result<Event, Failure>> {
        let later = records.iter().filter(|record| record.seq >= self.after);
        later.map(|record| Ok(events::show(&self.definition, record))).collect()
    }

    /// A saga that stands aside, or was removed, has no event to come.
    async fn refuse_aside(&self) -> Result<(), Failure> {
        let saga_id = &self.place.saga_id;
        let found = self.driver.journal().look(saga_id, NO_RECORD).await;
        match found.map_err(Failure::unavailable)?.map(|found| found.index_row.aside) {
            Some(None) => Ok(()),
            Some(Some(why)) => Err(unwatchable(Some(&why))),
            None => Err(read::unknown_saga(saga_id)),
        }
    }
}

/// A saga that cannot be read has no events to show.
fn unwatchable(why: Option<&saga::Reason>) -> Failure {
    let why = why.map(ToString::to_string).unwrap_or_default();
    Failure::new(Reason::JournalUnreadable, why)
}
