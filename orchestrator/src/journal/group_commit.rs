//! Group commit: whatever arrives while a commit is running goes into the next one.
//!
//! There is no timer. One task takes all that waits, writes it as a few multi-row statements in one transaction, and
//! answers everybody after the commit.

use participant::Database;
use saga::Status;
use tokio::sync::{mpsc, oneshot};

use super::{Entry, Error, Header, Started, sqlite::statements};

/// Writes that may wait; who comes then waits to hand over.
const QUEUE: usize = 4096;
/// Writes in one transaction. While they are committed, the sagas of the batch before them make their calls: larger
/// batches would have all wait for the disk at once, and then all for the participants.
const BATCH: usize = 64;

/// One write to the journal.
#[derive(Debug)]
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
    match write(database, &writes).await {
        Ok(outcomes) => outcomes,
        // Nothing of the batch was kept, and one bad write must not fail its neighbours: each is tried alone.
        Err(error) if writes.len() > 1 && error.kept_nothing() => {
            let mut outcomes = Vec::with_capacity(writes.len());
            for alone in &writes {
                match write(database, std::slice::from_ref(alone)).await {
                    Ok(outcome) => outcomes.extend(outcome),
                    Err(error) => outcomes.push(Err(error)),
                }
            }
            outcomes
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                writes = writes.len(),
                "journal commit failed"
            );
            vec![Err(error); writes.len()]
        }
    }
}

/// One outcome for each write, or the error of them all.
async fn write(database: &Database, writes: &[Write]) -> Result<Vec<Answer>, Error> {
    let played = database.play(statements::script(writes)).await;
    let new = statements::new(&played.map_err(|error| taken(error, writes))?)?;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        outcomes.push(match &write.header {
            Some(header) if !new.contains(&header.saga_id) => {
                statements::earlier(database.read(), header).await
            }
            _ => Ok(Started::New),
        });
    }
    Ok(outcomes)
}

/// Another record at the position of a write that was alone.
fn taken(error: participant::store::Error, writes: &[Write]) -> Error {
    if let participant::store::Error::Statement(cause) = &error
        && cause.as_database_error().is_some_and(|cause| cause.is_unique_violation())
        && let [Write { saga_id, entries, .. }] = writes
        && let [first, ..] = entries.as_slice()
    {
        return Error::Taken { saga_id: saga_id.clone(), seq: first.seq };
    }
    error.into()
}
