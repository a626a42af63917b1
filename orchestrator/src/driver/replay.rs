//! From a saga's records to its state: what recovery begins with, and what a reader is shown.

use definition::Compiled;
use planted::Bug;
use saga::{Record, SagaState};

use crate::journal::{Entry, Header, Link, record};

/// A saga as its journal tells it.
#[derive(Debug)]
pub struct Replayed {
    /// Every record.
    pub records: Vec<Record>,
    /// What they come to.
    pub state: SagaState,
    /// What the next record is linked to.
    pub link: Link,
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

/// Replays the entries of the saga that was started with `header`.
///
/// # Errors
/// Names the first entry that is wrong.
pub fn replay(
    header: &Header,
    definition: &Compiled,
    entries: &[Entry],
) -> Result<Replayed, Unreadable> {
    if entries.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut link = Link::root(header);
    let mut state = SagaState::new(definition.engine());
    let mut records = Vec::with_capacity(entries.len());
    for (expected, entry) in (0..).zip(entries) {
        let seq = entry.seq;
        if seq != expected {
            return Err(Unreadable::Gap { expected, found: seq });
        }
        link = link.next(seq, entry.at, &entry.record);
        if link != entry.link && !planted::is(Bug::ChangedRecordUnseen) {
            return Err(Unreadable::Broken { seq });
        }
        let record = record::decode(entry).map_err(|source| Unreadable::Record { seq, source })?;
        saga::apply(&mut state, definition.engine(), &record)
            .map_err(|source| Unreadable::Illegal { seq, source })?;
        records.push(record);
    }
    Ok(Replayed { records, state, link })
}
