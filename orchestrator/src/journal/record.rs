//! Records as bytes: protobuf, so that later versions can add fields and still read what earlier ones wrote.
//!
//! Field and kind numbers are never used again for something else.

use bytes::Bytes;
use prost::Message;
use saga::{Answer, Cause, Event, Jitter, Outcome, Reason, Record, StepId, Timestamp};

use super::{Entry, Link};

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No protobuf message.
    #[error("the bytes are no record")]
    Garbled(#[from] prost::DecodeError),
    /// A kind that this program does not know.
    #[error("the record is of kind {0}, which this program does not know")]
    Kind(u32),
    /// A part that its kind needs is missing.
    #[error("the record has no {0}")]
    Missing(&'static str),
}

#[derive(Clone, PartialEq, Message)]
struct StoredRecord {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint32, optional, tag = "2")]
    step: Option<u32>,
    /// A request, a response, or the reply.
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
    #[prost(uint32, tag = "4")]
    answer: u32,
    #[prost(string, tag = "5")]
    code: String,
    #[prost(string, tag = "6")]
    message: String,
    #[prost(uint32, tag = "7")]
    jitter: u32,
    /// Milliseconds: a push-back's wait.
    #[prost(uint64, tag = "8")]
    wait_ms: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "9")]
    deadline_ms: u64,
}

mod kind {
    pub(super) const STARTED: u32 = 1;
    pub(super) const SKIPPED: u32 = 2;
    pub(super) const CALL_INTENDED: u32 = 3;
    pub(super) const CALL_ANSWERED: u32 = 4;
    pub(super) const TURNED_BACK: u32 = 5;
    pub(super) const UNDO_INTENDED: u32 = 6;
    pub(super) const UNDO_ANSWERED: u32 = 7;
    pub(super) const PARKED: u32 = 8;
    pub(super) const RECOVERED: u32 = 9;
    pub(super) const PAUSED: u32 = 10;
    pub(super) const RESUMED: u32 = 11;
    pub(super) const RETRIED: u32 = 12;
    pub(super) const CANCELLED: u32 = 13;
    pub(super) const SKIPPED_BY_HAND: u32 = 14;
    pub(super) const RESOLVED: u32 = 15;
    pub(super) const SUCCEEDED: u32 = 16;
    pub(super) const COMPENSATED: u32 = 17;
    pub(super) const LOOKUP_INTENDED: u32 = 90;
    pub(super) const LOOKUP_ANSWERED: u32 = 91;
}

mod answer {
    pub(super) const DONE: u32 = 1;
    pub(super) const DECLINED: u32 = 2;
    pub(super) const NOTHING_TO_UNDO: u32 = 3;
    pub(super) const UNKNOWN: u32 = 4;
    pub(super) const PUSHED_BACK: u32 = 5;
    pub(super) const UNUSABLE: u32 = 6;
    pub(super) const NOT_SENT: u32 = 60;
}

/// Encodes records and links each to the one before it; gives the last link.
#[must_use]
pub fn encode_all(records: &[Record], mut link: Link) -> (Vec<Entry>, Link) {
    let entries = records
        .iter()
        .map(|record| {
            let bytes: Bytes = store(&record.event).encode_to_vec().into();
            let at = clock::Timestamp(record.at.0);
            link = link.next(record.seq, at, &bytes);
            Entry { seq: record.seq, at, record: bytes, link }
        })
        .collect();
    (entries, link)
}

/// Decodes an entry's record.
///
/// # Errors
/// See [`Error`].
pub fn decode(entry: &Entry) -> Result<Record, Error> {
    let stored = StoredRecord::decode(entry.record.clone())?;
    Ok(Record { seq: entry.seq, at: Timestamp(entry.at.0), event: restore(stored)? })
}

fn store(event: &Event) -> StoredRecord {
    let of = |kind| StoredRecord { kind, ..StoredRecord::default() };
    let step_of = |kind, step: &StepId| StoredRecord { step: Some(step.0.into()), ..of(kind) };
    let by_hand = |kind, reason: &String| StoredRecord { message: reason.clone(), ..of(kind) };
    match event {
        Event::Started { deadline } => {
            StoredRecord { deadline_ms: deadline.0, ..of(kind::STARTED) }
        }
        Event::Skipped { step } => step_of(kind::SKIPPED, step),
        Event::CallIntended { step, request } => {
            StoredRecord { payload: request.clone(), ..step_of(kind::CALL_INTENDED, step) }
        }
        Event::CallAnswered { step, answer, jitter } => {
            store_answer(step_of(kind::CALL_ANSWERED, step), answer, *jitter)
        }
        Event::TurnedBack { cause } => {
            let stored = StoredRecord {
                step: cause.step.map(|step| step.0.into()),
                ..of(kind::TURNED_BACK)
            };
            store_reason(stored, &cause.reason)
        }
        Event::UndoIntended { step, request } => {
            StoredRecord { payload: request.clone(), ..step_of(kind::UNDO_INTENDED, step) }
        }
        Event::UndoAnswered { step, answer, jitter } => {
            store_answer(step_of(kind::UNDO_ANSWERED, step), answer, *jitter)
        }
        Event::LookupIntended { step, request } => {
            StoredRecord { payload: request.clone(), ..step_of(kind::LOOKUP_INTENDED, step) }
        }
        Event::LookupAnswered { step, answer, jitter } => {
            store_answer(step_of(kind::LOOKUP_ANSWERED, step), answer, *jitter)
        }
        Event::Parked { step, reason } => store_reason(
            StoredRecord { step: step.map(|step| step.0.into()), ..of(kind::PARKED) },
            reason,
        ),
        Event::Recovered { node } => StoredRecord { message: node.clone(), ..of(kind::RECOVERED) },
        Event::Paused { reason } => by_hand(kind::PAUSED, reason),
        Event::Resumed { reason } => by_hand(kind::RESUMED, reason),
        Event::Retried { reason } => by_hand(kind::RETRIED, reason),
        Event::Cancelled { reason } => by_hand(kind::CANCELLED, reason),
        Event::SkippedByHand { step, reason } => {
            StoredRecord { message: reason.clone(), ..step_of(kind::SKIPPED_BY_HAND, step) }
        }
        Event::Resolved { reason } => by_hand(kind::RESOLVED, reason),
        Event::Finished { outcome, reply } => {
            let kind = match outcome {
                Outcome::Succeeded => kind::SUCCEEDED,
                Outcome::Compensated => kind::COMPENSATED,
            };
            StoredRecord { payload: reply.clone(), ..of(kind) }
        }
    }
}

fn store_reason(stored: StoredRecord, reason: &Reason) -> StoredRecord {
    StoredRecord { code: reason.code.clone(), message: reason.message.clone(), ..stored }
}

fn store_answer(stored: StoredRecord, answer: &Answer, jitter: Jitter) -> StoredRecord {
    let stored = StoredRecord { jitter: jitter.0.into(), ..stored };
    let told = |stored: StoredRecord, answer, reason| {
        store_reason(StoredRecord { answer, ..stored }, reason)
    };
    match answer {
        Answer::Done { response } => {
            StoredRecord { answer: answer::DONE, payload: response.clone(), ..stored }
        }
        Answer::NothingToUndo => StoredRecord { answer: answer::NOTHING_TO_UNDO, ..stored },
        Answer::Declined(reason) => told(stored, answer::DECLINED, reason),
        Answer::Unknown(reason) => told(stored, answer::UNKNOWN, reason),
        Answer::Unusable(reason) => told(stored, answer::UNUSABLE, reason),
        Answer::NotSent(reason) => told(stored, answer::NOT_SENT, reason),
        Answer::PushedBack { reason, wait } => {
            let wait_ms = wait.as_millis().try_into().unwrap_or(u64::MAX);
            told(StoredRecord { wait_ms, ..stored }, answer::PUSHED_BACK, reason)
        }
    }
}

fn restore(stored: StoredRecord) -> Result<Event, Error> {
    let step = stored.step.map(|step| u16::try_from(step).map(StepId)).transpose();
    let step = step.map_err(|_| Error::Missing("step that a definition can have"))?;
    let the_step = || step.ok_or(Error::Missing("step"));
    let reason = || Reason::new(stored.code.clone(), stored.message.clone());
    let jitter = Jitter(stored.jitter.try_into().unwrap_or(u16::MAX));
    let by_hand = || stored.message.clone();
    Ok(match stored.kind {
        kind::STARTED => Event::Started { deadline: Timestamp(stored.deadline_ms) },
        kind::SKIPPED => Event::Skipped { step: the_step()? },
        kind::CALL_INTENDED => Event::CallIntended { step: the_step()?, request: stored.payload },
        kind::CALL_ANSWERED => Event::CallAnswered {
            step: the_step()?,
            answer: restore_answer(&stored, reason())?,
            jitter,
        },
        kind::TURNED_BACK => Event::TurnedBack { cause: Cause { step, reason: reason() } },
        kind::UNDO_INTENDED => Event::UndoIntended { step: the_step()?, request: stored.payload },
        kind::UNDO_ANSWERED => Event::UndoAnswered {
            step: the_step()?,
            answer: restore_answer(&stored, reason())?,
            jitter,
        },
        kind::LOOKUP_INTENDED => {
            Event::LookupIntended { step: the_step()?, request: stored.payload }
        }
        kind::LOOKUP_ANSWERED => Event::LookupAnswered {
            step: the_step()?,
            answer: restore_answer(&stored, reason())?,
            jitter,
        },
        kind::PARKED => Event::Parked { step, reason: reason() },
        kind::RECOVERED => Event::Recovered { node: by_hand() },
        kind::PAUSED => Event::Paused { reason: by_hand() },
        kind::RESUMED => Event::Resumed { reason: by_hand() },
        kind::RETRIED => Event::Retried { reason: by_hand() },
        kind::CANCELLED => Event::Cancelled { reason: by_hand() },
        kind::SKIPPED_BY_HAND => Event::SkippedByHand { step: the_step()?, reason: by_hand() },
        kind::RESOLVED => Event::Resolved { reason: by_hand() },
        kind::SUCCEEDED => Event::Finished { outcome: Outcome::Succeeded, reply: stored.payload },
        kind::COMPENSATED => {
            Event::Finished { outcome: Outcome::Compensated, reply: stored.payload }
        }
        unknown => return Err(Error::Kind(unknown)),
    })
}

fn restore_answer(stored: &StoredRecord, reason: Reason) -> Result<Answer, Error> {
    Ok(match stored.answer {
        answer::DONE => Answer::Done { response: stored.payload.clone() },
        answer::NOTHING_TO_UNDO => Answer::NothingToUndo,
        answer::DECLINED => Answer::Declined(reason),
        answer::UNKNOWN => Answer::Unknown(reason),
        answer::UNUSABLE => Answer::Unusable(reason),
        answer::NOT_SENT => Answer::NotSent(reason),
        answer::PUSHED_BACK => {
            Answer::PushedBack { reason, wait: std::time::Duration::from_millis(stored.wait_ms) }
        }
        _ => return Err(Error::Missing("answer")),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn reasons() -> impl Strategy<Value = Reason> {
        ("[A-Z_]{1,9}", ".{0,9}").prop_map(|(code, message)| Reason::new(code, message))
    }

    fn payloads() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
    }

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            payloads().prop_map(|response| Answer::Done { response }),
            reasons().prop_map(Answer::Declined),
            Just(Answer::NothingToUndo),
            reasons().prop_map(Answer::Unknown),
            (reasons(), 0_u64..99_999).prop_map(|(reason, ms)| Answer::PushedBack {
                reason,
                wait: Duration::from_millis(ms)
            }),
            reasons().prop_map(Answer::Unusable),
            reasons().prop_map(Answer::NotSent),
        ]
    }

    fn events() -> impl Strategy<Value = Event> {
        let step = || any::<u16>().prop_map(StepId);
        let some_step = || proptest::option::of(step());
        let jitter = || any::<u16>().prop_map(Jitter);
        prop_oneof![
            any::<u64>().prop_map(|ms| Event::Started { deadline: Timestamp(ms) }),
            step().prop_map(|step| Event::Skipped { step }),
            (step(), payloads()).prop_map(|(step, request)| Event::CallIntended { step, request }),
            (step(), answers(), jitter()).prop_map(|(step, answer, jitter)| Event::CallAnswered {
                step,
                answer,
                jitter
            }),
            (some_step(), reasons())
                .prop_map(|(step, reason)| Event::TurnedBack { cause: Cause { step, reason } }),
            (step(), payloads()).prop_map(|(step, request)| Event::UndoIntended { step, request }),
            (step(), answers(), jitter()).prop_map(|(step, answer, jitter)| Event::UndoAnswered {
                step,
                answer,
                jitter
            }),
            (step(), payloads())
                .prop_map(|(step, request)| Event::LookupIntended { step, request }),
            (step(), answers(), jitter()).prop_map(|(step, answer, jitter)| {
                Event::LookupAnswered { step, answer, jitter }
            }),
            (some_step(), reasons()).prop_map(|(step, reason)| Event::Parked { step, reason }),
            ".{0,9}".prop_map(|node| Event::Recovered { node }),
            ".{0,9}".prop_map(|reason| Event::Paused { reason }),
            ".{0,9}".prop_map(|reason| Event::Resumed { reason }),
            ".{0,9}".prop_map(|reason| Event::Retried { reason }),
            ".{0,9}".prop_map(|reason| Event::Cancelled { reason }),
            (step(), ".{0,9}").prop_map(|(step, reason)| Event::SkippedByHand { step, reason }),
            ".{0,9}".prop_map(|reason| Event::Resolved { reason }),
            payloads().prop_map(|reply| Event::Finished { outcome: Outcome::Succeeded, reply }),
            payloads().prop_map(|reply| Event::Finished { outcome: Outcome::Compensated, reply }),
        ]
    }

    proptest! {
        #[test]
        fn every_event_is_read_as_it_was_written(events in proptest::collection::vec(events(), 1..5)) {
            let records: Vec<Record> = events
                .into_iter()
                .zip(0..)
                .map(|(event, seq)| Record { seq, at: Timestamp(seq * 7), event })
                .collect();
            let (entries, _) = encode_all(&records, Link([7; 16]));
            let read: Vec<Record> = entries.iter().map(|entry| decode(entry).unwrap()).collect();
            prop_assert_eq!(read, records);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let entry =
                Entry { seq: 0, at: clock::Timestamp(0), record: bytes.into(), link: Link([7; 16]) };
            let _ = decode(&entry);
        }
    }
}
