//! An open database: work in a transaction, reads, and its end.

use std::sync::{Arc, Weak};

use clock::{Clock, Timestamp};
use metrics::Registry;
use tokio::sync::{oneshot, watch};

use crate::{
    Connection, Error,
    backend::{Backend, Lane, ReadJob},
    job,
    measures::Load,
    retention::Removal,
    stamp::{Found, Stamp},
};

/// An open database. Cheap to clone; closed when [`Database::close`] returns, or soon after the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Database(Arc<dyn Backend>);

impl Database {
    pub(crate) fn on(backend: impl Backend + 'static) -> Self {
        Self(Arc::new(backend))
    }

    /// Runs `work` in a transaction, and answers only after its commit is on disk. An `Err` of the work leaves nothing of
    /// it behind and is given back.
    ///
    /// The work waits for nothing but its connection: every other writer may be waiting for it, and a write of the same
    /// database, which would come after itself, would never come. It may be run more than once, each time on what was there
    /// before, and must do the same each time: what it did before is taken back. It leaves the transaction open that it is
    /// given: it may use a savepoint, never a bare `commit` or `rollback`. It changes rows and no tables: by the rows that
    /// it has changed it is known whether there is something to take back.
    ///
    /// Dropping the future does not stop work that has been handed over: it runs to its end.
    ///
    /// # Errors
    /// The work's own, or that it was not carried out, or that nobody knows.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnMut(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (job, answer) = job::pair(work);
        self.0.write(job).await?;
        answer.await.unwrap_or_else(|_| Err(Error::Unanswered.into()))
    }

    /// Runs `work` on a connection that sees what is committed at one moment, and that refuses to write.
    ///
    /// Work is not begun when the future has been dropped before, and the statement that runs is stopped when it is dropped
    /// meanwhile.
    ///
    /// # Errors
    /// The work's own, or that it was not carried out.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.read_on(Lane::Work, work).await
    }

    /// Runs `work` as [`Database::read`] does, on connections apart: for people, whose lists may take long.
    ///
    /// # Errors
    /// The errors of [`Database::read`].
    pub async fn search<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.read_on(Lane::Lists, work).await
    }

    async fn read_on<T, E, W>(&self, lane: Lane, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let read_job: ReadJob = Box::new(move |connection| {
            // The caller may have gone away; nothing was written.
            let _ = caller.send(work(connection));
        });
        self.0.read(lane, read_job).await?;
        answer.await.unwrap_or_else(|_| Err(Error::Unanswered.into()))
    }

    /// How many transactions were committed since the database was opened: how often the writer has waited for the disk.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits()
    }

    /// Why the last transaction that had something to write was not committed; none where it was, or none has been.
    #[must_use]
    pub fn failing(&self) -> watch::Receiver<Option<Error>> {
        self.0.failing()
    }

    /// Writes something that changes nothing, to learn whether a database that failed works again: where nobody sends
    /// work to one that is not ready, nothing else would tell.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn probe(&self) -> Result<(), Error> {
        self.write(Connection::probe).await
    }

    /// Which database it is, and how far it has come.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.0.ledger().stamp()
    }

    /// Its stamp as it was when the database was opened, and what it had noted of others.
    #[must_use]
    pub fn found(&self) -> &Found {
        self.0.ledger().found()
    }

    /// From now on each transaction notes how far these have come. Only the first call counts.
    pub fn belong_with<'d>(&self, siblings: impl IntoIterator<Item = &'d Self>) {
        let siblings = siblings.into_iter().map(|sibling| &**sibling.0.ledger());
        self.0.ledger().belong_with(siblings);
    }

    /// Notes how far the databases have come that it belongs with, where that has changed: for when it has nothing else to
    /// write. It is done at the end of [`Database::close`] too.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn note(&self) -> Result<(), Error> {
        let ledger = self.0.ledger();
        if !ledger.is_behind() {
            return Ok(());
        }
        ledger.set_due();
        self.write(|_| Ok(())).await
    }

    /// Takes the database for what it is from now on, whatever its witness says. Others note it with what they write next.
    pub fn accept(&self) {
        self.0.accept();
    }

    /// Before this instant nothing is to be removed for its age. In the past, unless the clock had jumped when the
    /// database was opened, or nobody had used it for a while.
    #[must_use]
    pub fn removal_from(&self) -> Timestamp {
        self.0.removal_from()
    }

    /// From when on what is old may be removed, for [`retention::run`](crate::retention::run).
    #[must_use]
    pub fn removal(&self) -> Removal {
        Removal::of(self.removal_from(), self.0.measured().clone())
    }

    /// Measures what it does from now on; its name is the label `database`. Only the first call counts.
    pub fn measured_by(&self, metrics: &Registry, clock: &Clock) {
        self.0.measured().begin(metrics, clock, self);
    }

    pub(crate) fn backend(&self) -> &'static str {
        self.0.kind()
    }

    pub(crate) fn schema_version(&self) -> usize {
        self.0.schema_version()
    }

    pub(crate) fn load(&self) -> Load {
        self.0.load()
    }

    /// How large the log is that is not in the database's file yet, as of some commit of late.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.0.log_bytes()
    }

    /// The database for somebody who does not keep it open.
    #[must_use]
    pub fn downgrade(&self) -> WeakDatabase {
        WeakDatabase { backend: Arc::downgrade(&self.0), ended: self.0.ended() }
    }

    /// Takes no more work, finishes what was handed over, and lets the database go. May be called again.
    pub async fn close(&self) {
        self.0.close();
        until_closed(&mut self.0.ended()).await;
    }
}

/// A [`Database`] that is not kept open.
#[derive(Clone, Debug)]
pub struct WeakDatabase {
    backend: Weak<dyn Backend>,
    ended: watch::Receiver<()>,
}

impl WeakDatabase {
    /// The database, where somebody else has it open.
    #[must_use]
    pub fn upgrade(&self) -> Option<Database> {
        self.backend.upgrade().map(Database)
    }

    /// Completes when the database is closed.
    pub async fn closed(&mut self) {
        until_closed(&mut self.ended).await;
    }
}

async fn until_closed(ended: &mut watch::Receiver<()>) {
    // The error is what is waited for: the sender is dropped when the writer has ended.
    while ended.changed().await.is_ok() {}
}
