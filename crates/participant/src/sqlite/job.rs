//! A piece of work with the caller who waits for it, as the writer sees it: without its types.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::oneshot;

use crate::{
    sqlite::connection::Connection,
    store::{Error, Work},
};

/// Work that may be run more than once, and does the same each time.
type Repeatable<T, E> = Box<dyn Fn(&Connection) -> Result<T, E> + Send>;

/// What a job runs.
pub(super) enum Task<T, E> {
    /// Taken out when it is run.
    Once(Option<Work<Connection, T, E>>),
    /// Stays there, to be run again.
    Repeatable(Repeatable<T, E>),
}

/// What becomes of what a job has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    RollBack,
}

pub(super) trait Job: Send {
    /// Whether it may be run again after it was rolled back.
    fn repeats(&self) -> bool;

    /// Runs the work and keeps its result back until the commit. Never panics.
    fn run<'t>(&'t mut self, connection: &'t mut Connection) -> BoxFuture<'t, Verdict>;

    /// Gives the caller the result, or the error of the transaction that it was in.
    fn acknowledge(self: Box<Self>, transaction: Result<(), Error>);
}

impl fmt::Debug for dyn Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Job")
    }
}

/// A job, and where its caller waits for the answer.
pub(super) fn pair<T, E>(task: Task<T, E>) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    (Box::new(Pending { task, ran: None, caller }), answer)
}

struct Pending<T, E> {
    task: Task<T, E>,
    ran: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<T, E> Job for Pending<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn repeats(&self) -> bool {
        matches!(self.task, Task::Repeatable(_))
    }

    fn run<'t>(&'t mut self, connection: &'t mut Connection) -> BoxFuture<'t, Verdict> {
        Box::pin(async move {
            // What a panic may have left half done is rolled back.
            let ran = match &mut self.task {
                Task::Once(work) => {
                    let Some(work) = work.take() else { return Verdict::RollBack };
                    AssertUnwindSafe(async { work(connection).await }).catch_unwind().await
                }
                Task::Repeatable(work) => catch_unwind(AssertUnwindSafe(|| work(connection))),
            };
            let result = ran.unwrap_or_else(|panic| Err(Error::Panicked(said(&*panic)).into()));
            let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::RollBack };
            self.ran = Some(result);
            verdict
        })
    }

    fn acknowledge(self: Box<Self>, transaction: Result<(), Error>) {
        let answer = match transaction {
            Ok(()) => self.ran.unwrap_or_else(|| Err(Error::Unanswered.into())),
            // Even a refusal is not to be trusted then: it may rest on what another job of the transaction wrote.
            Err(cause) => Err(cause.into()),
        };
        // A caller who has gone is no loss: the inbox answers the repeat.
        let _ = self.caller.send(answer);
    }
}

/// What a panic says.
pub(super) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
        .to_owned()
}
