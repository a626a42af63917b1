//! Recovery: the loop that takes up every unfinished saga that no task runs.
//!
//! It is the normal path entered late, and it is repeated: at the start it finds what a stopped process left, later
//! what a failed append dropped. One bad saga never stops the others: each is read by itself, and one that cannot be
//! read is set aside with its bytes as they are.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use facade::wire::causes;
use futures::FutureExt;
use saga::{Event, Record};

use super::{Driver, Place, replay};
use crate::journal::{self, Header, record};

/// Sagas looked up at once.
const PAGE: u32 = 256;
/// How long until the store is looked through again.
const PAUSE: Duration = Duration::from_secs(5);

impl Driver {
    /// Takes up what is left unfinished, now and again, until the driver stops.
    pub async fn recover(&self) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.recover_once().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "recovery failed and is tried again"
                );
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.lost.notified() => {}
                () = self.context.clock.sleep(PAUSE) => {}
            }
        }
    }

    /// Lets a saga that was set aside be tried again, at once.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn try_again(&self, saga_id: &str) -> Result<(), journal::Error> {
        let aside =
            self.context.journal.find(saga_id).await?.filter(|listed| listed.unreadable.is_some());
        let Some(listed) = aside else { return Ok(()) };
        self.context.journal.set_unreadable(saga_id, None).await?;
        if let Some(place) = self.live.take(saga_id) {
            self.take_up(place, listed.header).await;
        }
        Ok(())
    }

    /// Looks through the store once; gives how many sagas were taken up.
    ///
    /// # Errors
    /// When the store cannot be searched.
    pub async fn recover_once(&self) -> Result<usize, journal::Error> {
        let (mut after, mut taken_up) = (String::new(), 0);
        loop {
            let page = self.context.journal.unfinished(&after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.saga_id);
            for header in page {
                if self.stop.is_cancelled() {
                    return Ok(taken_up);
                }
                let Some(place) = self.live.take(&header.saga_id) else { continue };
                if self.take_up(place, header).await {
                    taken_up += 1;
                }
            }
        }
        if taken_up > 0 {
            tracing::info!(sagas = taken_up, "unfinished sagas were taken up");
        }
        Ok(taken_up)
    }

    async fn take_up(&self, place: Place, header: Header) -> bool {
        let saga_id = header.saga_id.clone();
        // One saga's panic must end neither the loop nor the other sagas.
        let taken = AssertUnwindSafe(self.try_take_up(place, header)).catch_unwind().await;
        match taken.unwrap_or_else(|_| Err(Trouble::Saga("taking it up panicked".to_owned()))) {
            Ok(taken_up) => taken_up,
            Err(Trouble::Journal(error)) => {
                tracing::error!(
                    saga.id = saga_id,
                    error = &error as &dyn std::error::Error,
                    "not taken up"
                );
                false
            }
            Err(Trouble::Definition(hash)) => {
                tracing::error!(
                    saga.id = saga_id,
                    hash,
                    "not taken up: its definition cannot be read"
                );
                false
            }
            Err(Trouble::Saga(why)) => {
                tracing::error!(
                    saga.id = saga_id,
                    why,
                    "the saga's journal cannot be read; it is set aside"
                );
                self.set_aside(&saga_id, &why).await;
                false
            }
        }
    }

    async fn try_take_up(&self, place: Place, header: Header) -> Result<bool, Trouble> {
        let Some(registered) = self.registry.find_hash(&header.definition_hash) else {
            return Err(Trouble::Definition(header.definition_hash));
        };
        let definition = registered.compiled;
        let entries = self.context.journal.read(&header.saga_id, 0).await?;
        let replayed = replay(&header.saga_id, &definition, &entries)
            .map_err(|error| Trouble::Saga(causes(&error)))?;
        if replayed.state.is_ended() {
            // It ended between the search and the look.
            return Ok(false);
        }
        let recovered = Record {
            seq: replayed.state.next_seq(),
            at: saga::Timestamp(self.context.clock.now().0),
            event: Event::Recovered { node: self.node.to_string() },
        };
        let state = saga::apply(replayed.state, definition.engine(), &recovered)
            .map_err(|refused| Trouble::Saga(refused.to_string()))?;
        let (entries, link) = record::encode_all(std::slice::from_ref(&recovered), replayed.link);
        self.context.journal.append(&header.saga_id, entries, None).await?;
        self.run(place, Arc::new(header), definition, state, link);
        Ok(true)
    }
}

enum Trouble {
    Journal(journal::Error),
    Definition(String),
    Saga(String),
}

impl From<journal::Error> for Trouble {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::Unreadable(why) => Self::Saga(why),
            error => Self::Journal(error),
        }
    }
}
