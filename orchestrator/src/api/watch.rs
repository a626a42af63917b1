//! A saga's records as they come.

use facade::Failure;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use proto::{facade::v1::Reason, saga::v1::Event};

use super::{events, read};
use crate::driver::Driver;

/// The records after `after`, those that are there and those to come, until the saga ends.
pub(super) fn events(
    driver: Driver,
    saga_id: String,
    after: u64,
) -> impl Stream<Item = Result<Event, Failure>> + Send {
    let pieces = stream::try_unfold(Some(after), move |after| {
        let (driver, saga_id) = (driver.clone(), saga_id.clone());
        async move {
            let Some(after) = after else { return Ok(None) };
            let (events, ended) = later(&driver, &saga_id, after).await?;
            let last = events.last().map_or(after, |event| event.seq);
            let piece = stream::iter(events).map(Ok);
            Ok::<_, Failure>(Some((piece, (!ended).then_some(last))))
        }
    });
    pieces.try_flatten()
}

/// The events after `after` as soon as there are any, and whether the saga has ended with them.
async fn later(driver: &Driver, saga_id: &str, after: u64) -> Result<(Vec<Event>, bool), Failure> {
    loop {
        // Watched before the journal is read: what comes between is then not missed.
        let running = driver.find(saga_id).map(|handle| handle.progress());
        let found = read::find(driver, saga_id).await?;
        let ended = found.status().is_ended();
        let Some(story) = found.story else { return Err(unwatchable(&found.listed)) };
        let later = story.records.iter().filter(|record| record.seq >= after);
        let shown: Vec<_> = later.map(|record| events::show(&story.definition, record)).collect();
        if ended || !shown.is_empty() {
            return Ok((shown, ended));
        }
        let changed = async {
            match running {
                Some(mut progress) => {
                    let seen = story.state.next_seq();
                    let _ = progress.wait_for(|progress| progress.next_seq > seen).await;
                }
                None => driver.clock().sleep(read::LOOK_AGAIN).await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = driver.halted() => return Err(Failure::new(
                Reason::Unavailable,
                format!("this node is stopping: watch again after record {after}"),
            )),
        }
    }
}

/// A saga that cannot be read has no events to show.
fn unwatchable(listed: &crate::journal::Listed) -> Failure {
    let why = listed.aside.as_ref().map(ToString::to_string).unwrap_or_default();
    Failure::new(Reason::JournalUnreadable, why)
}
