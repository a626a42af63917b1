//! Connections for reading: few, opened when they are needed, and kept.
//!
//! A read whose caller goes away is not begun, or stopped where it is.

use std::{
    mem,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use clock::Clock;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    Connection, Error,
    backend::ReadJob,
    job::panic_message,
    measures::{Measured, Op, Pool},
    sqlite::session::stoppable,
};

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    /// How many there may be.
    most: u32,
    free: Arc<Semaphore>,
    clock: Clock,
    measured: Measured,
    op: Op,
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    connection: Connection,
    /// While it is set, no statement goes on.
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Reader")
    }
}

/// Where a read is. A connection is stopped only while the read has it: the next one to have it is another's.
#[derive(Default)]
enum Stage {
    #[default]
    Waiting,
    Running(Arc<AtomicBool>),
    Over,
    /// Its caller has gone.
    Unwanted,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Stage>>);

impl Shared {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the read may begin.
    fn begin(&self, reader: &Reader) -> bool {
        let mut stage = self.stage();
        let is_wanted = matches!(*stage, Stage::Waiting);
        if is_wanted {
            *stage = Stage::Running(Arc::clone(&reader.stop));
        }
        is_wanted
    }

    /// The read is over, and nobody stops the connection for it any more.
    fn end(&self, reader: &Reader) {
        *self.stage() = Stage::Over;
        reader.stop.store(false, Ordering::Relaxed);
    }
}

/// Held by the caller of a read: stops it when it is dropped before the read is over.
struct Caller(Shared);

impl Drop for Caller {
    fn drop(&mut self) {
        let mut stage = self.0.stage();
        if let Stage::Running(stop) = mem::replace(&mut *stage, Stage::Unwanted) {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Readers {
    pub(super) fn of(
        path: PathBuf,
        most: u32,
        (clock, measured, op): (Clock, Measured, Op),
    ) -> Self {
        let free = Arc::new(Semaphore::new(most as usize));
        Self { path, most, free, clock, measured, op, idle: Mutex::default() }
    }

    /// How many of them are in use.
    pub(super) fn pool(&self) -> Pool {
        let size = self.most as usize;
        Pool { in_use: size.saturating_sub(self.free.available_permits()), size }
    }

    pub(super) async fn read(self: &Arc<Self>, work: ReadJob) -> Result<(), Error> {
        let timer = self.clock.timer();
        let read = self.read_in_turn(work).await;
        self.measured.record(self.op, timer.elapsed(), &read);
        read
    }

    async fn read_in_turn(self: &Arc<Self>, work: ReadJob) -> Result<(), Error> {
        let turn = Arc::clone(&self.free).acquire_owned().await.map_err(|_| Error::Closed)?;
        let (readers, shared) = (Arc::clone(self), Shared::default());
        let _caller = Caller(shared.clone());
        let read = spawn_blocking(move || {
            let read = readers.run_job(work, &shared);
            drop(turn);
            read
        });
        read.await.unwrap_or_else(|ended| {
            Err(match ended.try_into_panic() {
                // The connection was dropped together with the read that panicked.
                Ok(panic) => Error::Panicked(panic_message(&*panic)),
                Err(_) => Error::Closed,
            })
        })
    }

    fn run_job(&self, work: ReadJob, shared: &Shared) -> Result<(), Error> {
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => self.connect()?,
        };
        if !shared.begin(&reader) {
            self.idle().push(reader);
            return Ok(());
        }
        let connection = &reader.connection;
        connection.execute("begin", ())?;
        work(connection);
        shared.end(&reader);
        // A connection that cannot end its transaction is dropped: it would see the same old snapshot for ever.
        if connection.execute("rollback", ()).is_ok() {
            self.idle().push(reader);
        }
        Ok(())
    }

    fn connect(&self) -> Result<Reader, Error> {
        let (connection, stop) = stoppable(&self.path, "pragma query_only = on")?;
        Ok(Reader { connection, stop })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the reads that were begun; there are no more after it.
    pub(super) async fn close(&self) {
        let all = self.free.acquire_many(self.most).await;
        self.free.close();
        drop(all);
        self.idle().clear();
    }
}
