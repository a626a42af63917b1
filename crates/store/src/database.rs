//! What everything above needs of a database: work in a transaction, and a way back to where it began.
//!
//! A store must keep a promise beyond the methods' own: work that was handed over runs to its end whatever becomes of the
//! future that waits for it.

use std::future::Future;

use futures::future::BoxFuture;

use crate::error::Error;

/// Work on a connection that is inside a transaction. It waits for nothing but that connection: every other
/// writer may be waiting for it. It may be run more than once, each time on what was there before, and must do the same
/// each time: what it did before is taken back.
pub type Work<C, T, E> = Box<dyn for<'t> FnMut(&'t mut C) -> BoxFuture<'t, Result<T, E>> + Send>;

/// A database.
pub trait Store: Clone + Send + Sync + 'static {
    /// A connection inside a transaction.
    type Connection: Send + 'static;

    /// Runs `work` in a transaction, as [`Work`] says, and answers only after its commit is on disk. An `Err` of the work
    /// leaves nothing of it behind and is given back.
    ///
    /// Dropping the future does not stop work that has been handed over.
    fn write<T, E, W>(&self, work: W) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: for<'t> FnMut(&'t mut Self::Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static;

    /// Takes back all that the running work has done so far; the work goes on as if it had just begun. Work that is told
    /// that this failed gives the error back: it is run again where there is a way back.
    fn retract(connection: &mut Self::Connection)
    -> impl Future<Output = Result<(), Error>> + Send;
}
