//! Recovery: the loop that takes up every unfinished saga that no task runs and that is not asleep.
//!
//! It is the normal path entered late, and it is repeated: at the start it finds what a stopped process left, later
//! what a failed append dropped. One bad saga never stops the others: each is read by itself, and one that cannot be
//! read is set aside with its bytes as they are.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use clock::Timestamp;
use definition::Compiled;
use facade::wire::causes;
use futures::{FutureExt, StreamExt};
use proto::facade::v1::Reason::{DefinitionUnreadable, EngineFailed, JournalUnreadable};
use saga::{Event, Reason, Record, SagaState};

use super::{Driver, Replayer, Slot, admission::Permit, live::OperatorOrder, replay::read_apart};
use crate::{
    journal::{self, Header, IndexRow, Link, Loaded, Number, Readmit, Unfinished, record},
    metrics::Marks,
};

/// How many unfinished sagas one query lists.
pub(super) const PAGE_SIZE: u32 = 256;
/// How many sagas are taken up at once: that many share a commit of the journal.
pub(super) const MAX_TAKE_UPS: usize = 64;
/// How often the journal is searched for sagas that no task runs.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How long a saga may sleep beyond its instant, as where there is no room for it, before that is put down.
const MAX_OVERSLEEP: Duration = Duration::from_mins(1);

impl Driver {
    /// Takes up what is left unfinished and what is due, now and again, until the driver stops.
    pub async fn recover(&self) {
        tokio::join!(self.recover_lost(), self.wake_sleepers());
    }

    async fn recover_lost(&self) {
        let mut readmitted = false;
        while !self.context.stop.is_cancelled() {
            let recovered = async {
                if !readmitted {
                    // This program may know definitions that the one before it could not read.
                    let which = Readmit::Reason(DefinitionUnreadable.code().to_owned());
                    self.context.journal.readmit(which).await?;
                    readmitted = true;
                }
                self.take_up_lost().await
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

    /// Looks through the store once; gives how many sagas were taken up.
    ///
    /// # Errors
    /// When the store cannot be searched.
    pub async fn recover_once(&self) -> Result<usize, journal::Error> {
        let lost = self.take_up_lost().await?;
        Ok(lost + self.wake_due().await?.sagas)
    }

    async fn take_up_lost(&self) -> Result<usize, journal::Error> {
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
        match self.context.live.take(&saga_id) {
            Some(slot) => self.take_up(slot, &saga_id, TakeUp::default()).await,
            None => false,
        }
    }

    /// Takes a saga up and gives its task the order, where there is one.
    pub(super) async fn take_up(&self, slot: Slot, saga_id: &str, how: TakeUp) -> bool {
        // One saga's panic must end neither the loop nor the other sagas.
        let taken = AssertUnwindSafe(self.try_take_up(slot, saga_id, how)).catch_unwind().await;
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
        TakeUp { order, permit }: TakeUp,
    ) -> Result<bool, TakeUpError> {
        let loaded = self.context.journal.load(saga_id).await?;
        let Some(Loaded { index_row, entries }) = loaded else { return Ok(false) };
        if index_row.standing.status.is_ended() {
            return Ok(false);
        }
        match index_row.aside {
            // Who gives the order is told so.
            Some(_) if order.is_some() => return Ok(false),
            Some(damage) => return Err(TakeUpError::Saga(damage)),
            None => {}
        }
        let IndexRow { number, header, state_record, asleep_until, .. } = index_row;
        let Some(registered) = self.registry.find_hash(&header.definition_hash) else {
            return Err(TakeUpError::Saga(definition_unreadable(&header)));
        };
        let definition = registered.compiled;
        let replayer = read_apart(&header, &definition, None, entries?, state_record).await;
        let replayer = replayer.map_err(|error| TakeUpError::unreadable(causes(&error)))?;
        if replayer.state.is_ended() {
            // It ended between the search and the look.
            return Ok(false);
        }
        let Replayer { mut state, mut link } = replayer;
        let node = self.node.to_string();
        let taken_up = match asleep_until {
            // It had nothing under way, and goes on as if it had not slept.
            Some(until) => {
                self.context.journal.wake(number).await?;
                let is_out_of_time = is_out_of_time(&state, until, self.context.clock.now());
                is_out_of_time.then_some(Event::Woken { node })
            }
            None => Some(Event::Recovered { node }),
        };
        if let Some(event) = taken_up {
            link = self.record(&definition, number, &mut state, link, event).await?;
        }
        let permit = permit.unwrap_or_else(|| self.context.admission.take_up(definition.name()));
        let (mut task, handle) = self.task(Arc::new(header), definition, state, link, permit);
        if let Some(order) = order {
            task.apply_order(order);
        }
        self.spawn(slot, handle, task, number);
        Ok(true)
    }

    /// Puts down that the saga is taken up, and what that means for its calls and its instants.
    async fn record(
        &self,
        definition: &Compiled,
        number: Number,
        state: &mut SagaState,
        link: Link,
        event: Event,
    ) -> Result<Link, TakeUpError> {
        let at = saga::Timestamp(self.context.clock.now().0);
        let taken_up = Record { seq: state.next_seq(), at, event };
        let mut marks = Marks::default();
        marks
            .apply(state, definition.engine(), &taken_up)
            .map_err(|refused| TakeUpError::unreadable(refused.to_string()))?;
        let (entries, link) = record::encode_all(std::slice::from_ref(&taken_up), link);
        self.context.journal.append(number, entries, None).await?;
        self.context.metrics.of(definition).count(&mut marks, || None);
        Ok(link)
    }
}

/// Whether a saga that was asleep `until` then is taken up at an instant that its wait does not explain: no node ran, or the
/// clock jumped.
fn is_out_of_time(state: &SagaState, until: Timestamp, now: Timestamp) -> bool {
    now.0 < state.updated_at().0 || now.since(until) > MAX_OVERSLEEP
}

/// How a saga is taken up.
#[derive(Debug, Default)]
pub(super) struct TakeUp {
    /// What its task is to do first.
    pub(super) order: Option<OperatorOrder>,
    /// Where there must be room for it.
    pub(super) permit: Option<Permit>,
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
