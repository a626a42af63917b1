//! Recovery: the loop that takes up every unfinished saga that no task runs.
//!
//! It is the normal path entered late, and it is repeated: at the start it finds what a stopped process left, later
//! what a failed append dropped. One bad saga never stops the others: each is read by itself, and one that cannot be
//! read is set aside with its bytes as they are.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use facade::wire::causes;
use futures::{FutureExt, StreamExt};
use proto::facade::v1::Reason::{DefinitionUnreadable, EngineFailed, JournalUnreadable};
use saga::{Event, Reason, Record};

use super::{Driver, OperatorOrder, OrderError, Replayer, Slot, replay};
use crate::journal::{self, Header, IndexRow, Loaded, Readmit, Unfinished, record};

/// How many unfinished sagas one query lists.
const PAGE_SIZE: u32 = 256;
/// How many sagas are taken up at once: that many share a commit of the journal.
const MAX_TAKE_UPS: usize = 64;
/// How often the journal is searched for sagas that no task runs.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(5);

impl Driver {
    /// Takes up what is left unfinished, now and again, until the driver stops.
    pub async fn recover(&self) {
        let mut readmitted = false;
        while !self.context.stop.is_cancelled() {
            let recovered = async {
                if !readmitted {
                    // This program may know definitions that the one before it could not read.
                    let which = Readmit::Reason(DefinitionUnreadable.code().to_owned());
                    self.context.journal.readmit(which).await?;
                    readmitted = true;
                }
                self.recover_once().await
            };
            if let Err(error) = recovered.await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "recovery failed and is tried again"
                );
            }
            tokio::select! {
                () = self.context.stop.cancelled() => {}
                () = self.needs_recovery.notified() => {}
                () = self.context.clock.sleep(RECOVERY_INTERVAL) => {}
            }
        }
    }

    /// Lets what a saga waits for be tried at once. One that stands aside is taken up again, and has the order in its
    /// journal before it does anything: it may end before it could be told.
    ///
    /// # Errors
    /// See [`OrderError`]; [`OrderError::TaskEnded`] where the saga does not run here and could not be taken up.
    pub async fn retry(&self, saga_id: &str, reason: String) -> Result<(), OrderError> {
        let event = Event::Retried { reason };
        let found = self.context.journal.find(saga_id).await.map_err(OrderError::Journal)?;
        if !found.is_some_and(|index_row| {
            index_row.aside.is_some() && !index_row.standing.status.is_ended()
        }) {
            return self.order(saga_id, event).await;
        }
        // The slot is taken before recovery can find the saga.
        let Some(slot) = self.live.take(saga_id) else { return self.order(saga_id, event).await };
        let readmitted = self.context.journal.readmit(Readmit::Saga(saga_id.to_owned())).await;
        readmitted.map_err(OrderError::Journal)?;
        let (order, answered) = OperatorOrder::new(event);
        self.take_up(slot, saga_id, Some(order)).await;
        answered.await.unwrap_or(Err(OrderError::TaskEnded))
    }

    /// Looks through the store once; gives how many sagas were taken up.
    ///
    /// # Errors
    /// When the store cannot be searched.
    pub async fn recover_once(&self) -> Result<usize, journal::Error> {
        let (mut after, mut taken_up) = (Unfinished::default(), 0);
        loop {
            let page = self.context.journal.unfinished(&after, PAGE_SIZE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(last);
            taken_up += futures::stream::iter(page)
                .map(|unfinished| self.take_up_idle(unfinished.saga_id))
                .buffer_unordered(MAX_TAKE_UPS)
                .filter(|taken_up| std::future::ready(*taken_up))
                .count()
                .await;
            if self.context.stop.is_cancelled() {
                break;
            }
        }
        if taken_up > 0 {
            tracing::info!(sagas = taken_up, "unfinished sagas were taken up");
        }
        Ok(taken_up)
    }

    /// Takes a saga up unless a task has it.
    async fn take_up_idle(&self, saga_id: String) -> bool {
        if self.context.stop.is_cancelled() {
            return false;
        }
        match self.live.take(&saga_id) {
            Some(slot) => self.take_up(slot, &saga_id, None).await,
            None => false,
        }
    }

    /// Takes a saga up and gives its task the order, where there is one.
    async fn take_up(&self, slot: Slot, saga_id: &str, order: Option<OperatorOrder>) -> bool {
        // One saga's panic must end neither the loop nor the other sagas.
        let taken = AssertUnwindSafe(self.try_take_up(slot, saga_id, order)).catch_unwind().await;
        let panicked =
            || TakeUpError::Saga(Reason::new(EngineFailed.code(), "taking it up panicked"));
        match taken.unwrap_or_else(|_| Err(panicked())) {
            Ok(taken_up) => taken_up,
            Err(TakeUpError::Journal(error)) => {
                tracing::error!(
                    saga.id = saga_id,
                    error = &error as &dyn std::error::Error,
                    "not taken up"
                );
                false
            }
            Err(TakeUpError::Saga(why)) => {
                self.set_aside(saga_id, why).await;
                false
            }
        }
    }

    async fn try_take_up(
        &self,
        slot: Slot,
        saga_id: &str,
        order: Option<OperatorOrder>,
    ) -> Result<bool, TakeUpError> {
        let loaded = self.context.journal.load(saga_id).await?;
        let Some(Loaded { index_row, entries }) = loaded else { return Ok(false) };
        if let Some(damage) = index_row.aside {
            return Err(TakeUpError::Saga(damage));
        }
        let IndexRow { number, header, state_record, .. } = index_row;
        let Some(registered) = self.registry.find_hash(&header.definition_hash) else {
            return Err(TakeUpError::Saga(definition_unreadable(&header)));
        };
        let definition = registered.compiled;
        let replayed = replay(&header, &definition, &entries?, state_record)
            .map_err(|error| TakeUpError::unreadable(causes(&error)))?;
        if replayed.replayer.state.is_ended() {
            // It ended after the search and before it was read.
            return Ok(false);
        }
        let recovered = Record {
            seq: replayed.replayer.state.next_seq(),
            at: saga::Timestamp(self.context.clock.now().0),
            event: Event::Recovered { node: self.node.to_string() },
        };
        let Replayer { mut state, link } = replayed.replayer;
        saga::apply(&mut state, definition.engine(), &recovered)
            .map_err(|refused| TakeUpError::unreadable(refused.to_string()))?;
        let (entries, link) = record::encode_all(std::slice::from_ref(&recovered), link);
        self.context.journal.append(number, entries, None).await?;
        let (mut task, handle) = self.task(Arc::new(header), definition, state, link);
        if let Some(order) = order {
            task.apply_order(order);
        }
        self.spawn(slot, handle, task, number);
        Ok(true)
    }
}

/// Why a saga stands aside whose definition this program does not have.
pub(crate) fn definition_unreadable(header: &Header) -> Reason {
    let Header { definition, version, definition_hash, .. } = header;
    let why = format!("{definition} version {version} ({definition_hash}) is not known here");
    Reason::new(DefinitionUnreadable.code(), why)
}

/// Why a saga was not taken up.
enum TakeUpError {
    /// The journal failed: tried again.
    Journal(journal::Error),
    /// The saga cannot be run: set aside.
    Saga(Reason),
}

impl TakeUpError {
    fn unreadable(why: String) -> Self {
        Self::Saga(Reason::new(JournalUnreadable.code(), why))
    }
}

impl From<journal::Error> for TakeUpError {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::Unreadable(why) => Self::unreadable(why),
            // A retry would read all records and be refused again.
            full @ journal::Error::Full { .. } => Self::unreadable(full.to_string()),
            error => Self::Journal(error),
        }
    }
}
