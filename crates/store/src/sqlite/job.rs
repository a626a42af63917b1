//! A piece of work with the caller who waits for it, as the writer sees it: without its types.

use std::{any::Any, fmt, panic::AssertUnwindSafe};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::oneshot;

use crate::{Error, Work, sqlite::connection::Connection};

/// What becomes of what a job has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    RollBack,
}

pub(super) trait Job: Send {
    /// Runs the work and keeps its result back until the commit. Never panics. May be called again when what it wrote was
    /// rolled back.
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
pub(super) fn pair<T, E>(
    work: Work<Connection, T, E>,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    (Box::new(Pending { work, ran: None, caller }), answer)
}

struct Pending<T, E> {
    work: Work<Connection, T, E>,
    ran: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<T, E> Job for Pending<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn run<'t>(&'t mut self, connection: &'t mut Connection) -> BoxFuture<'t, Verdict> {
        Box::pin(async move {
            let work = &mut self.work;
            // What a panic may have left half done is rolled back.
            let ran = AssertUnwindSafe(async { work(connection).await }).catch_unwind().await;
            let result =
                ran.unwrap_or_else(|panic| Err(Error::Panicked(panic_message(&*panic)).into()));
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
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
        .to_owned()
}
