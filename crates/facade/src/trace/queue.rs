//! Spans on their way to the collector: a bounded queue. What finds no room in it is dropped and counted, and nobody waits.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clock::Clock;
use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::sync::Notify;

/// Spans that wait to be sent, some kilobytes each at most.
pub(super) const QUEUE_SPANS: usize = 4_096;
/// Spans that are sent together.
pub(super) const BATCH_SPANS: usize = 512;

/// How many spans were dropped since the process began, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedSpans {
    /// They found no room in the queue.
    pub queue_full: u64,
    /// The collector did not take them, or not in time.
    pub not_exported: u64,
}

/// The queue, and what became of the spans that were in it. Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    spans: Mutex<VecDeque<SpanData>>,
    /// Notified when the first span comes, and when a batch is full.
    has_spans: Notify,
    is_full: Notify,
    no_room: AtomicU64,
    not_exported: AtomicU64,
    exported: AtomicU64,
}

impl Queue {
    pub(super) fn push(&self, span: SpanData) {
        let mut spans = self.spans();
        if spans.len() >= QUEUE_SPANS {
            self.0.no_room.fetch_add(1, Ordering::Relaxed);
            return;
        }
        spans.push_back(span);
        let waiting = spans.len();
        drop(spans);
        match waiting {
            1 => self.0.has_spans.notify_one(),
            BATCH_SPANS => self.0.is_full.notify_one(),
            _ => {}
        }
    }

    /// The spans that are sent next; none where there are none.
    pub(super) fn take(&self) -> Vec<SpanData> {
        let mut spans = self.spans();
        let count = spans.len().min(BATCH_SPANS);
        spans.drain(..count).collect()
    }

    /// Waits until there is something to send, and then for more to send with it: until a batch is full, or for `delay`.
    pub(super) async fn batch(&self, clock: &Clock, delay: Duration) {
        if self.spans().is_empty() {
            self.0.has_spans.notified().await;
        }
        if self.spans().len() < BATCH_SPANS {
            let _ = clock.timeout(delay, self.0.is_full.notified()).await;
        }
    }

    /// Counts what became of a batch.
    pub(super) fn count(&self, spans: usize, is_exported: bool) {
        let counter = if is_exported { &self.0.exported } else { &self.0.not_exported };
        counter.fetch_add(spans.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn exported(&self) -> u64 {
        self.0.exported.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> DroppedSpans {
        DroppedSpans {
            queue_full: self.0.no_room.load(Ordering::Relaxed),
            not_exported: self.0.not_exported.load(Ordering::Relaxed),
        }
    }

    fn spans(&self) -> MutexGuard<'_, VecDeque<SpanData>> {
        self.0.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the SDK does with a span that has ended.
impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.push(span);
    }

    /// The last spans are sent by [`super::Flush`].
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
