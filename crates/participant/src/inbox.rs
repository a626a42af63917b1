//! The inbox: each key takes effect at most once, a repeat gets the first answer byte for byte, and no call
//! takes effect after its undo.
//!
//! The row and the effect are one local transaction. A delivery that meets the work of an earlier one still running waits for
//! its end and gets its answer; where its caller does not wait that long, it asks again. The key is claimed first, so two deliveries that race take turns on
//! it, and an undo that finds no call leaves a tombstone on the call's key.
//!
//! | arrives | the inbox holds | what happens |
//! | --- | --- | --- |
//! | call | nothing | the work runs; its response, or its decline without what it wrote, is stored |
//! | call | the call's answer | that answer |
//! | call | a tombstone | declined, `SUPERSEDED` |
//! | call, undo | another request under this key | [`Error::KeyReused`] |
//! | undo | nothing | a tombstone and the undo's row: nothing to undo |
//! | undo | the call, done | the work runs with the call's response; its own response is stored |
//! | undo | the call, declined | the undo's row: nothing to undo |
//! | undo | the undo's row | that answer |
//! | call, undo | nothing any more | [`Error::Forgotten`] |
//!
//! Rows may be kept for so long and no longer ([`Inbox::keeping`]). What a saga's id tells of its age then decides what a
//! missing row means: of a saga that is younger, that there was no delivery; of an older one, that nobody knows, so its
//! delivery is refused ([`Error::Forgotten`]) and a person looks. A row that is still there is answered by, however old.
//!
//! A technical failure stores nothing, so a repeat runs the work again. Neither does the **decline of an undo**:
//! it goes to a person, and when that person has mended its cause the same undo must be able to succeed.

mod call;
mod refusal;
mod undo;

use bytes::Bytes;
use clock::{Clock, Timestamp};
use store::{Connection, Database, retention::Keep};

use crate::{
    decision::{Answered, WorkError},
    inbox::refusal::Refusal,
    key::{Direction, Key},
    request::Fingerprint,
    rows,
    table::{Content, Row},
};

/// A delivery of a request.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// The idempotency key.
    pub key: Key,
    /// `package.Service/Method`.
    pub method: &'a str,
    /// The encoded request as it came. Not encoded again: a program that knows other fields would make other bytes of it.
    pub request: &'a [u8],
    /// The trace of this delivery; stored when it is the one that decides.
    pub trace_id: &'a str,
}

/// The inbox of one service, in the service's own database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    database: Database,
    clock: Clock,
    keep: Option<Keep>,
}

/// Why a delivery was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another request was made under this key: the caller's mistake, asking again will not help.
    #[error("the key {key} was used for another request")]
    KeyReused {
        /// The key.
        key: Key,
    },
    /// The saga began longer ago than rows are kept, and there is none: whether an earlier delivery took effect is not
    /// known any more. Asking again will not help.
    #[error(
        "the saga of {key} began longer ago than answers are kept here: whether the call took effect is not known any more"
    )]
    Forgotten {
        /// The key.
        key: Key,
    },
    /// The method takes calls and the metadata say undo, or the other way round: the caller's mistake.
    #[error("{method} was sent with `saga-direction: {sent}`, which it does not take here")]
    Direction {
        /// The method.
        method: String,
        /// The direction it was sent with.
        sent: Direction,
    },
    /// The work could not be carried out; nothing of it was kept, and a repeat runs it again.
    #[error("the work failed")]
    Work(#[source] store::SharedError),
    /// The store could not carry the delivery out, or cannot tell whether it did: the same key tells.
    #[error("the inbox's database failed")]
    Store(#[source] store::Error),
}

impl Inbox {
    /// The inbox in `database`; `clock` dates its rows. They are kept for ever.
    pub fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock, keep: None }
    }

    /// Keeps rows no longer than `keep`, where it is given. It should be longer than any saga may take, the time that a
    /// person takes to look at one included: later deliveries of an older saga are refused. A request outside a saga that
    /// is repeated after that takes effect again.
    /// [`remove_old_rows`](crate::remove_old_rows) removes them.
    #[must_use]
    pub fn keeping(self, keep: Option<Keep>) -> Self {
        Self { keep, ..self }
    }

    /// Answers a call: runs `work`, which gives the encoded response, unless an earlier delivery has decided.
    ///
    /// The work runs to its end even when the returned future is dropped. It may be run more than once, each time a clone
    /// of it on what was there before: whatever it does but on its connection, it must be able to do again.
    ///
    /// # Errors
    /// See [`Error`]. A decline is an answer, not an error.
    pub async fn call<W>(&self, delivery: Delivery<'_>, work: W) -> Result<Answered, Error>
    where
        W: FnOnce(&Connection) -> Result<Bytes, WorkError> + Clone + Send + 'static,
    {
        let delivery = self.owned(delivery, Direction::Forward)?;
        let answered = self
            .database
            .write(move |connection| call::answer(connection, &delivery, work.clone()));
        refusal::into_result(answered.await)
    }

    /// Answers an undo: runs `work` with the call's stored response where the call took effect, and gives the
    /// undo's own encoded response.
    ///
    /// A decline of `work` is answered as [`Decision::Declined`](crate::Decision::Declined) and not stored.
    /// The work runs as that of [`Inbox::call`] does.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn undo<W>(&self, delivery: Delivery<'_>, work: W) -> Result<Answered, Error>
    where
        W: FnOnce(&Connection, Bytes) -> Result<Bytes, WorkError> + Clone + Send + 'static,
    {
        let delivery = self.owned(delivery, Direction::Undo)?;
        let answered = self
            .database
            .write(move |connection| undo::answer(connection, &delivery, work.clone()));
        refusal::into_result(answered.await)
    }

    /// The delivery as the writer's task can own it.
    fn owned(&self, delivery: Delivery<'_>, wanted: Direction) -> Result<OwnedDelivery, Error> {
        let Delivery { key, method, request, trace_id } = delivery;
        let sent = key.direction();
        if sent != wanted {
            return Err(Error::Direction { method: method.to_owned(), sent });
        }
        let (fingerprint, at) = (Fingerprint::of(method, request), self.clock.now());
        // The id is read only where rows are forgotten at all.
        let may_be_forgotten =
            self.keep.is_some_and(|keep| key.began().is_some_and(|began| began < keep.horizon(at)));
        Ok(OwnedDelivery { key, fingerprint, trace_id: trace_id.to_owned(), at, may_be_forgotten })
    }
}

/// A delivery as the writer's task owns it, with what its row needs.
#[derive(Debug)]
struct OwnedDelivery {
    key: Key,
    fingerprint: Fingerprint,
    trace_id: String,
    at: Timestamp,
    /// The saga began longer ago than rows are kept: the row of an earlier delivery may have been removed.
    may_be_forgotten: bool,
}

impl OwnedDelivery {
    /// Refuses a delivery that found no row where it may have been forgotten.
    fn refuse_forgotten(&self) -> Result<(), Refusal> {
        match self.may_be_forgotten {
            true => Err(Refusal::Forgotten(self.key.clone())),
            false => Ok(()),
        }
    }

    /// The row that an earlier delivery of this very request left under `key`.
    fn earlier(&self, connection: &Connection) -> Result<Row, Refusal> {
        let row = claimed_row(connection, &self.key)?;
        // A tombstone carries no request: it refuses every one.
        if row.fingerprint.as_ref().is_some_and(|earlier| *earlier != self.fingerprint) {
            return Err(Refusal::KeyReused(self.key.clone()));
        }
        Ok(row)
    }

    /// The row that records this delivery's decision.
    fn row(&self, content: Content) -> Row {
        let fingerprint = Some(self.fingerprint);
        Row { fingerprint, content, trace_id: self.trace_id.clone(), at: self.at }
    }

    /// What this delivery itself has decided.
    fn decided(&self, outcome: crate::Decision) -> Answered {
        Answered { outcome, trace_id: self.trace_id.clone(), repeated: false }
    }
}

/// The row of a key that could not be claimed.
fn claimed_row(connection: &Connection, key: &Key) -> Result<Row, store::Error> {
    rows::find(connection, key)?.ok_or_else(|| unreadable(key, "it was there and is gone"))
}

fn unreadable(key: &Key, what: &'static str) -> store::Error {
    store::Error::Unreadable { key: key.to_string(), what }
}
