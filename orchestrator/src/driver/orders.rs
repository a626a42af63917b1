//! Operators' orders: passed to a saga's task, or to one that is begun for it.

use std::time::Duration;

use facade::Trace;
use saga::Event;
use tokio::sync::mpsc::error::SendError;

use super::{
    Driver, Slot,
    live::{Claim, OperatorOrder, OrderError},
    recover::TakeUp,
};
use crate::journal::Readmit;

/// How long an order waits for a saga that is being taken up, or whose task is ending.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(2);

impl Driver {
    /// Passes an operator's order, which came `by` this call, to a saga's task; answers when it is on disk. A saga that no task
    /// runs is taken up for it.
    ///
    /// # Errors
    /// See [`OrderError`]; [`OrderError::TaskEnded`] where the saga is unknown, has ended, or stands aside.
    pub async fn order(&self, saga_id: &str, event: Event, by: &Trace) -> Result<(), OrderError> {
        let (order, answered) = OperatorOrder::new(event, by);
        self.deliver(saga_id, Box::new(order)).await;
        answered.await.unwrap_or(Err(OrderError::TaskEnded))
    }

    /// Lets what a saga waits for be tried at once. One that stands aside is taken up again, and has the order in its
    /// journal before it does anything: it may end before it could be told.
    ///
    /// # Errors
    /// See [`OrderError`]; [`OrderError::TaskEnded`] where the saga could not be taken up.
    pub async fn retry(&self, saga_id: &str, reason: String, by: &Trace) -> Result<(), OrderError> {
        let event = Event::Retried { reason };
        let found = self.context.journal.find(saga_id).await.map_err(OrderError::Journal)?;
        if !found.is_some_and(|index_row| {
            index_row.aside.is_some() && !index_row.standing.status.is_ended()
        }) {
            return self.order(saga_id, event, by).await;
        }
        // The slot is taken before recovery can find the saga.
        let Some(slot) = self.context.live.take(saga_id) else {
            return self.order(saga_id, event, by).await;
        };
        let readmitted = self.context.journal.readmit(Readmit::Saga(saga_id.to_owned())).await;
        readmitted.map_err(OrderError::Journal)?;
        let (order, answered) = OperatorOrder::new(event, by);
        self.begin_for(slot, saga_id, order);
        answered.await.unwrap_or(Err(OrderError::TaskEnded))
    }

    /// An order that cannot be delivered is dropped, which tells whoever waits for its answer.
    pub(super) async fn deliver(&self, saga_id: &str, mut order: Box<OperatorOrder>) {
        let delivering = async {
            // From before the first look: what happens between is then not missed.
            let mut changes = self.changes(saga_id);
            while !self.context.stop.is_cancelled() {
                match self.context.live.claim(saga_id) {
                    Claim::Free(slot) => return Some((slot, order)),
                    Claim::Running(handle) => match handle.orders.send(order).await {
                        Ok(()) => return None,
                        // Its task is ending, or falls asleep.
                        Err(SendError(back)) => order = back,
                    },
                    Claim::Taken => {}
                }
                changes.next().await;
            }
            None
        };
        let claimed = self.context.clock.timeout(CLAIM_TIMEOUT, delivering).await;
        if let Ok(Some((slot, order))) = claimed {
            self.begin_for(slot, saga_id, *order);
        }
    }

    /// Takes a saga up for an order, to the end also where the operator goes away.
    fn begin_for(&self, slot: Slot, saga_id: &str, order: OperatorOrder) {
        let (driver, saga_id) = (self.clone(), saga_id.to_owned());
        self.tasks.spawn(async move {
            let take_up = TakeUp { order: Some(order), permit: None };
            driver.take_up(slot, &saga_id, take_up).await;
        });
    }
}
