//! The event loop: what tokio counts of it.

use metrics::{ReadCounters, ReadGauges, Registry};
use tokio::runtime::Handle;

struct Families {
    workers: ReadGauges<0>,
    tasks: ReadGauges<0>,
    queue: ReadGauges<0>,
    busy: ReadCounters<0>,
}

impl Families {
    fn of(metrics: &Registry) -> Self {
        Self {
            workers: metrics.read_gauges("tokio_workers", "Threads of the event loop", []),
            tasks: metrics.read_gauges("tokio_alive_tasks", "Tasks that have not ended", []),
            queue: metrics.read_gauges(
                "tokio_global_queue_depth",
                "Tasks that wait in the queue that all threads of the event loop share",
                [],
            ),
            busy: metrics.read_counters(
                "tokio_worker_busy_seconds_total",
                "How long the threads of the event loop were busy, added up",
                [],
            ),
        }
    }
}

pub(super) fn declare(metrics: &Registry) {
    Families::of(metrics);
}

/// Measures the runtime that this is called on; nothing where there is none.
pub(crate) fn measure_runtime(metrics: &Registry) {
    let Ok(runtime) = Handle::try_current().map(|handle| handle.metrics()) else { return };
    let Families { workers, tasks, queue, busy } = Families::of(metrics);
    let (of_workers, of_tasks, of_queue) = (runtime.clone(), runtime.clone(), runtime.clone());
    workers.read(move |readings| readings.add([], of_workers.num_workers() as f64));
    tasks.read(move |readings| readings.add([], of_tasks.num_alive_tasks() as f64));
    queue.read(move |readings| readings.add([], of_queue.global_queue_depth() as f64));
    // Where atomics have 32 bits, tokio does not count this.
    #[cfg(target_has_atomic = "64")]
    busy.read(move |readings| {
        let busy =
            (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker));
        readings.add([], busy.sum::<std::time::Duration>().as_secs_f64());
    });
}
