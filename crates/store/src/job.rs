//! A piece of work with the caller who waits for it, as a writer sees it: without its types.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::sync::oneshot;

use crate::{Connection, Error};

/// What becomes of what a job has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    RollBack,
}

pub(crate) trait Job: Send {
    /// Runs the work and keeps its result back until the commit. Never panics. May be called again when what it wrote was
    /// rolled back.
    fn run(&mut self, connection: &Connection) -> Verdict;

    /// Gives the caller the result, or the error of the transaction that it was in.
    fn acknowledge(self: Box<Self>, transaction: Result<(), Error>);
}

impl fmt::Debug for dyn Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Job")
    }
}

/// A job, and where its caller waits for the answer.
pub(crate) fn pair<T, E, W>(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: FnMut(&Connection) -> Result<T, E> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    (Box::new(Pending { work, ran: None, caller }), answer)
}

struct Pending<T, E, W> {
    work: W,
    ran: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Job for Pending<T, E, W>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: FnMut(&Connection) -> Result<T, E> + Send + 'static,
{
    fn run(&mut self, connection: &Connection) -> Verdict {
        connection.begin_work();
        // The transaction is rolled back, because a panic may have left changes half done.
        let ran = catch_unwind(AssertUnwindSafe(|| (self.work)(connection)));
        let result =
            ran.unwrap_or_else(|panic| Err(Error::Panicked(panic_message(&*panic)).into()));
        let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::RollBack };
        self.ran = Some(result);
        verdict
    }

    fn acknowledge(self: Box<Self>, transaction: Result<(), Error>) {
        let answer = match transaction {
            Ok(()) => self.ran.unwrap_or_else(|| Err(Error::Unanswered.into())),
            // Even an error of the job cannot be trusted then: it may rest on what another job of the transaction
            // wrote.
            Err(cause) => Err(cause.into()),
        };
        // The caller may have gone away; the inbox answers its repeat.
        let _ = self.caller.send(answer);
    }
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
        .to_owned()
}
