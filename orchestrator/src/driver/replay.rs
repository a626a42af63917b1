//! From a saga's records to its state: what recovery begins with, and what a reader is shown.

use std::sync::Arc;

use definition::Compiled;
use saga::{Record, SagaState};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::spans::SagaSpans;
use crate::journal::{Entry, Header, Link, StateRecord, record};

/// A saga as its journal tells it.
#[derive(Debug)]
pub struct Replayed {
    /// Every record.
    pub records: Vec<Record>,
    /// The replayer behind the last of them, with the state.
    pub replayer: Replayer,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is no record at all.
    #[error("the journal is empty")]
    Empty,
    /// A record is missing.
    #[error("record {expected} is missing: {found} follows")]
    Gap {
        /// The sequence number that should come.
        expected: u64,
        /// The one that comes.
        found: u64,
    },
    /// The hash chain is broken: the record, or what it follows, was changed.
    #[error("record {seq} was changed: its link does not follow from {before}", before = match seq { 0 => "what the saga was started with", _ => "the record before it" })]
    Broken {
        /// Its sequence number.
        seq: u64,
    },
    /// The last records are missing.
    #[error(
        "the journal was cut off: record {last} brought the saga to where the index has it, and {left} records are left"
    )]
    CutOff {
        /// The sequence number of the record that the index names.
        last: u64,
        /// How many records there are.
        left: u64,
    },
    /// The bytes are no record.
    #[error("record {seq} cannot be decoded")]
    Record {
        /// Its sequence number.
        seq: u64,
        /// What is wrong with it.
        #[source]
        source: record::Error,
    },
    /// The engine does not allow the record where it stands.
    #[error("record {seq} does not fit what came before it")]
    Illegal {
        /// Its sequence number.
        seq: u64,
        /// Why not.
        #[source]
        source: saga::IllegalEvent,
    },
}

/// Replays a saga's journal record by record, and keeps how far it has come.
#[derive(Clone, Debug)]
pub struct Replayer {
    /// The state that the records read so far come to.
    pub state: SagaState,
    /// What the next record is linked to.
    pub link: Link,
    /// Of a saga that is taken up, where its trace is exported.
    pub(crate) spans: Option<Box<SagaSpans>>,
}

impl Replayer {
    /// A replayer that has read no record yet of the saga that was started with `header`.
    #[must_use]
    pub fn new(header: &Header, definition: &Compiled) -> Self {
        let state = SagaState::new(definition.engine());
        Self { state, link: Link::root(header), spans: None }
    }

    /// Reads on: `entries` follow those that were read. `state_record` is the record that the index names, where it does.
    ///
    /// # Errors
    /// Names the first entry that is wrong.
    pub fn read_on(
        &mut self,
        definition: &Compiled,
        entries: &[Entry],
        state_record: Option<StateRecord>,
    ) -> Result<Vec<Record>, Unreadable> {
        let records = self.read_part(definition, entries, state_record)?;
        self.is_whole(state_record)?;
        Ok(records)
    }

    /// Reads on, to where more may follow.
    ///
    /// # Errors
    /// Names the first entry that is wrong.
    pub fn read_part(
        &mut self,
        definition: &Compiled,
        entries: &[Entry],
        state_record: Option<StateRecord>,
    ) -> Result<Vec<Record>, Unreadable> {
        entries.iter().map(|entry| self.read_one(definition, entry, state_record)).collect()
    }

    /// Whether the record that the index names was there.
    ///
    /// # Errors
    /// [`Unreadable::CutOff`].
    pub fn is_whole(&self, state_record: Option<StateRecord>) -> Result<(), Unreadable> {
        let left = self.state.next_seq();
        match state_record {
            Some(StateRecord { seq, .. }) if seq >= left => {
                Err(Unreadable::CutOff { last: seq, left })
            }
            _ => Ok(()),
        }
    }

    fn read_one(
        &mut self,
        definition: &Compiled,
        entry: &Entry,
        state_record: Option<StateRecord>,
    ) -> Result<Record, Unreadable> {
        let (seq, expected) = (entry.seq, self.state.next_seq());
        if seq != expected {
            return Err(Unreadable::Gap { expected, found: seq });
        }
        let link = self.link.next(seq, entry.at, &entry.record);
        let other = state_record
            .is_some_and(|state_record| state_record.seq == seq && state_record.link != link);
        if link != entry.link || other {
            return Err(Unreadable::Broken { seq });
        }
        let record = record::decode(entry).map_err(|source| Unreadable::Record { seq, source })?;
        if let Some(spans) = &mut self.spans {
            spans.read(&self.state, record.at);
        }
        saga::apply(&mut self.state, definition.engine(), &record)
            .map_err(|source| Unreadable::Illegal { seq, source })?;
        if let Some(spans) = &mut self.spans {
            spans.was_told(&record, &self.state);
        }
        self.link = link;
        Ok(record)
    }
}

/// Replays the entries of the saga that was started with `header`. `state_record` is the record that the index names, where it
/// does.
///
/// # Errors
/// Names the first entry that is wrong.
pub fn replay(
    header: &Header,
    definition: &Compiled,
    entries: &[Entry],
    state_record: Option<StateRecord>,
) -> Result<Replayed, Unreadable> {
    if entries.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut replayer = Replayer::new(header, definition);
    let records = replayer.read_on(definition, entries, state_record)?;
    Ok(Replayed { records, replayer })
}

/// Journals beyond this are read on a thread of their own: the event loop has others to serve.
const LONG: usize = 256;
/// How many of them are read at once.
static LONG_READS: Semaphore = Semaphore::const_new(2);

/// What the entries of a saga come to that follow those of `before`, where there is a reading of it.
///
/// # Errors
/// As [`replay`].
pub(crate) async fn read_apart(
    header: &Header,
    definition: &Arc<Compiled>,
    before: Option<Replayer>,
    entries: Vec<Entry>,
    state_record: Option<StateRecord>,
) -> Result<Replayer, Unreadable> {
    let mut reading = before.unwrap_or_else(|| Replayer::new(header, definition));
    if reading.state.next_seq() == 0 && entries.is_empty() {
        return Err(Unreadable::Empty);
    }
    if entries.len() <= LONG {
        return reading.read_on(definition, &entries, state_record).map(|_| reading);
    }
    let definition = Arc::clone(definition);
    let _turn = LONG_READS.acquire().await;
    let read = spawn_blocking(move || {
        reading.read_on(&definition, &entries, state_record).map(|_| reading)
    });
    match read.await {
        Ok(read) => read,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}
