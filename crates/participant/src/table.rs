//! The rows of the inbox's table.

use bytes::Bytes;
use clock::Timestamp;

use crate::{decision::Decline, request::Fingerprint};

/// A row of the inbox, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The fingerprint of the request; none on a tombstone, whose writer has not seen the call's request.
    pub fingerprint: Option<Fingerprint>,
    /// The decision that the row records.
    pub content: Content,
    /// The trace id of the delivery that wrote the row.
    pub trace_id: String,
    /// When it was written.
    pub at: Timestamp,
}

/// The decision that a row of the inbox records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The call took effect; its encoded response.
    Done(Bytes),
    /// The business declined the call.
    Declined(Decline),
    /// The undo came first: the call is refused for ever.
    Tombstone,
    /// The undo took effect; its encoded response.
    Undone(Bytes),
    /// The undo found nothing to undo.
    NothingToUndo,
}

/// [`Content`] as columns of the inbox's table, the same in every dialect.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// One of the five words that the table allows.
    pub kind: &'a str,
    /// The encoded response.
    pub answer: Option<&'a [u8]>,
    /// A decline's reason.
    pub reason: Option<&'a str>,
    /// A decline's message.
    pub message: Option<&'a str>,
}

impl Content {
    /// The columns that say this.
    #[must_use]
    pub fn columns(&self) -> Columns<'_> {
        let bare = |kind| Columns { kind, answer: None, reason: None, message: None };
        match self {
            Self::Done(response) => Columns { answer: Some(response), ..bare("done") },
            Self::Declined(Decline { reason, message }) => {
                Columns { reason: Some(reason), message: Some(message), ..bare("declined") }
            }
            Self::Tombstone => bare("tombstone"),
            Self::Undone(response) => Columns { answer: Some(response), ..bare("undone") },
            Self::NothingToUndo => bare("nothing"),
        }
    }

    /// What `columns` say; `None` when no inbox wrote them.
    #[must_use]
    pub fn of_columns(columns: Columns<'_>) -> Option<Self> {
        let response = || columns.answer.map(Bytes::copy_from_slice);
        match columns.kind {
            "done" => response().map(Self::Done),
            "declined" => Some(Self::Declined(Decline::new(columns.reason?, columns.message?))),
            "tombstone" => Some(Self::Tombstone),
            "undone" => response().map(Self::Undone),
            "nothing" => Some(Self::NothingToUndo),
            _ => None,
        }
    }
}
