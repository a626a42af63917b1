//! Connections for reading: few, opened when they are needed, and kept.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{Connection, Error, backend::ReadJob, job::panic_message, sqlite::session::connect};

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    /// How many there may be.
    most: u32,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn of(path: PathBuf, most: u32) -> Self {
        let free = Arc::new(Semaphore::new(most as usize));
        Self { path, most, free, idle: Mutex::default() }
    }

    pub(super) async fn read(self: &Arc<Self>, work: ReadJob) -> Result<(), Error> {
        let turn = Arc::clone(&self.free).acquire_owned().await.map_err(|_| Error::Closed)?;
        let readers = Arc::clone(self);
        let read = spawn_blocking(move || {
            let read = readers.run_job(work);
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

    fn run_job(&self, work: ReadJob) -> Result<(), Error> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, "pragma query_only = on")?,
        };
        connection.execute("begin", ())?;
        work(&connection);
        // A connection that cannot end its transaction is dropped: it would see the same old snapshot for ever.
        if connection.execute("rollback", ()).is_ok() {
            self.idle().push(connection);
        }
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
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
