//! Group commit: whatever arrives while a commit is running goes into the next one.
//!
//! There is no timer. One task takes all that waits, writes it as a few multi-row statements in one transaction, and
//! answers everybody after the commit.

use participant::{Database, Store};
use saga::Status;
use tokio::sync::{mpsc, oneshot};

use super::{Entry, Error, Header, Started, sqlite::statements};

/// Writes that may wait; who comes then waits to hand over.
const QUEUE: usize = 4096;
/// Writes in one transaction.
const BATCH: usize = 1024;

/// One write to the journal.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) saga_id: String,
    /// Set for the start of a saga.
    pub(crate) header: Option<Header>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) status: Option<Status>,
}

type Answer = Result<Started, Error>;

struct Waiting {
    write: Write,
    answer: oneshot::Sender<Answer>,
}

/// The way to the writing task. It ends when this is dropped, after what was handed over.
#[derive(Debug)]
pub(super) struct GroupCommit {
    writes: mpsc::Sender<Waiting>,
}

impl GroupCommit {
    pub(super) fn start(database: Database) -> Self {
        let (writes, mut waiting) = mpsc::channel::<Waiting>(QUEUE);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while waiting.recv_many(&mut batch, BATCH).await > 0 {
                commit(&database, std::mem::take(&mut batch)).await;
            }
        });
        Self { writes }
    }

    /// Writes, and answers when it is on disk. A future that is dropped does not take back what was handed over.
    pub(super) async fn write(&self, write: Write) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.writes.send(Waiting { write, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

async fn commit(database: &Database, batch: Vec<Waiting>) {
    let (writes, answers): (Vec<Write>, Vec<oneshot::Sender<Answer>>) =
        batch.into_iter().map(|waiting| (waiting.write, waiting.answer)).unzip();
    for (answer, outcome) in answers.into_iter().zip(outcomes(database, writes).await) {
        // Where nobody waits any more, the write stands all the same.
        let _ = answer.send(outcome);
    }
}

async fn outcomes(database: &Database, writes: Vec<Write>) -> Vec<Answer> {
    let count = writes.len();
    match write(database, writes.clone()).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        // Nothing of the batch was kept, and one bad write must not fail its neighbours: each is tried alone.
        Err(error) if count > 1 && error.kept_nothing() => {
            let mut outcomes = Vec::with_capacity(count);
            for alone in writes {
                let outcome = write(database, vec![alone]).await;
                outcomes.push(outcome.and_then(|mut one| one.pop().ok_or(Error::Closed)));
            }
            outcomes
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                writes = count,
                "journal commit failed"
            );
            vec![Err(error); count]
        }
    }
}

async fn write(database: &Database, writes: Vec<Write>) -> Result<Vec<Started>, Error> {
    database
        .write(move |connection| {
            Box::pin(async move { statements::write_all(connection, &writes).await })
        })
        .await
}
