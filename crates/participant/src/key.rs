//! The idempotency key: what makes two deliveries the same one.
//!
//! A key names the saga, the step and the direction, or the method and its `request_id` for a write outside a
//! saga, and where that speaks of a user, the user too: nobody's `request_id` can be in another's way. The attempt number is never part of it: every attempt must meet the same inbox row. One key has one
//! text, and two keys never share it, because no part but the last may hold a `/`.

use std::fmt;

use clock::Timestamp;
use http::HeaderName;
use uuid::Uuid;

/// The metadata entry that names a call's saga.
pub static SAGA_ID: HeaderName = HeaderName::from_static("saga-id");
/// The metadata entry that names a call's step.
pub static SAGA_STEP: HeaderName = HeaderName::from_static("saga-step");
/// The metadata entry that tells which way the saga goes through the step.
pub static SAGA_DIRECTION: HeaderName = HeaderName::from_static("saga-direction");

/// What the text of a key of a saga begins with.
const SAGAS: &str = "saga/";

const SAGA_ID_MAX: usize = 128;
const SAGA_STEP_MAX: usize = 64;

/// Which way a saga goes through a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The step's call.
    Forward,
    /// Its compensation.
    Undo,
}

impl Direction {
    /// The word used in metadata and in keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An idempotency key. Its `Display` is [`Key::text`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Scope);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Step { saga_id: String, step: String, direction: Direction },
    Request { method: String, user_id: Option<String>, request_id: String },
}

/// Why metadata make no key. The caller's mistake: asking again will not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Some of the three entries came, this one did not.
    #[error(
        "the metadata name a saga but lack `{0}`: a saga's call carries `saga-id`, `saga-step` and `saga-direction`"
    )]
    Missing(&'static str),
    /// An entry came twice, so nobody knows which one is meant.
    #[error("the metadata entry `{0}` came more than once")]
    Repeated(&'static str),
    /// The entry is empty, too long or holds a character that a key cannot hold.
    #[error("`{name}` must be 1 to {max} of A-Z a-z 0-9 . _ -")]
    Malformed {
        /// The metadata entry.
        name: &'static str,
        /// The most characters it may have.
        max: usize,
    },
    /// The direction is another word.
    #[error("`saga-direction` must be `forward` or `undo`")]
    Direction,
}

impl Key {
    /// The key of one step of one saga.
    ///
    /// # Errors
    /// [`Error::Malformed`] when `saga_id` is not 1 to 128, or `step` not 1 to 64, of `A-Z a-z 0-9 . _ -`.
    pub fn step(saga_id: &str, step: &str, direction: Direction) -> Result<Self, Error> {
        let saga_id = part(&SAGA_ID, saga_id, SAGA_ID_MAX)?;
        let step = part(&SAGA_STEP, step, SAGA_STEP_MAX)?;
        Ok(Self(Scope::Step { saga_id, step, direction }))
    }

    /// The key of a write outside a saga: `method` is `package.Service/Method`, `request_id` the caller's
    /// (1–64 characters, which the request's validation has checked).
    #[must_use]
    pub fn request(method: &str, request_id: &str) -> Self {
        let (method, request_id) = (method.to_owned(), request_id.to_owned());
        Self(Scope::Request { method, user_id: None, request_id })
    }

    /// The key of a write outside a saga that speaks of a user, whose id the request's validation has checked: it holds no
    /// `/`.
    #[must_use]
    pub fn request_of(method: &str, user_id: &str, request_id: &str) -> Self {
        let (method, request_id) = (method.to_owned(), request_id.to_owned());
        Self(Scope::Request { method, user_id: Some(user_id.to_owned()), request_id })
    }

    /// The key that earlier versions gave to a write that speaks of a user: without the user.
    pub(crate) fn without_user(&self) -> Option<Self> {
        match &self.0 {
            Scope::Request { method, user_id: Some(_), request_id } => {
                Some(Self::request(method, request_id))
            }
            Scope::Request { .. } | Scope::Step { .. } => None,
        }
    }

    /// The direction; a write outside a saga always goes forward.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match &self.0 {
            Scope::Step { direction, .. } => *direction,
            Scope::Request { .. } => Direction::Forward,
        }
    }

    /// The key of the call that this key's undo undoes; of a call, itself.
    #[must_use]
    pub fn of_call(&self) -> Self {
        let mut call = self.clone();
        if let Scope::Step { direction, .. } = &mut call.0 {
            *direction = Direction::Forward;
        }
        call
    }

    /// The saga, of a key that belongs to one.
    #[must_use]
    pub fn saga_id(&self) -> Option<&str> {
        match &self.0 {
            Scope::Step { saga_id, .. } => Some(saga_id),
            Scope::Request { .. } => None,
        }
    }

    /// When the saga began, of a key that belongs to one whose id tells it: a UUID of version 7.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.saga_id().and_then(began)
    }

    /// [`Key::began`] of the key with this text.
    pub(crate) fn began_by_text(key: &str) -> Option<Timestamp> {
        let (saga_id, _) = key.strip_prefix(SAGAS)?.split_once('/')?;
        began(saga_id)
    }

    /// What stands before the text of every key of a saga.
    pub(crate) fn first_of_sagas() -> String {
        SAGAS.to_owned()
    }

    /// What stands before the text of every key whose saga began at `instant` or later, and after that of every other
    /// whose saga tells when it began.
    pub(crate) fn first_of_sagas_at(instant: Timestamp) -> String {
        // The first 48 bits of such an id are the milliseconds.
        format!("{SAGAS}{:08x}-{:04x}", instant.0 >> 16, instant.0 & 0xffff)
    }

    /// The text that the inbox stores.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts().concat()
    }

    fn parts(&self) -> [&str; 6] {
        match &self.0 {
            Scope::Step { saga_id, step, direction } => {
                [SAGAS, saga_id, "/", step, "/", direction.as_str()]
            }
            Scope::Request { method, user_id: None, request_id } => {
                ["request/", method, "/", request_id, "", ""]
            }
            Scope::Request { method, user_id: Some(user_id), request_id } => {
                ["request-of/", method, "/", user_id, "/", request_id]
            }
        }
    }

    /// The step's name, of a key that belongs to a saga.
    #[must_use]
    pub fn step_name(&self) -> Option<&str> {
        match &self.0 {
            Scope::Step { step, .. } => Some(step),
            Scope::Request { .. } => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().iter().try_for_each(|part| formatter.write_str(part))
    }
}

fn began(saga_id: &str) -> Option<Timestamp> {
    let id = Uuid::try_parse(saga_id).ok().filter(|id| id.get_version_num() == 7)?;
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Some(Timestamp(seconds * 1_000 + u64::from(nanos / 1_000_000)))
}

fn part(name: &'static HeaderName, value: &str, max: usize) -> Result<String, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if value.is_empty() || value.len() > max || !value.bytes().all(allowed) {
        return Err(Error::Malformed { name: name.as_str(), max });
    }
    Ok(value.to_owned())
}

/// The error for an entry whose value is not visible ASCII.
pub(crate) fn malformed(name: &'static HeaderName) -> Error {
    if *name == SAGA_DIRECTION {
        return Error::Direction;
    }
    let max = if *name == SAGA_ID { SAGA_ID_MAX } else { SAGA_STEP_MAX };
    Error::Malformed { name: name.as_str(), max }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Error, Key};

    #[test]
    fn a_step_and_its_undo_have_texts_of_their_own() {
        let undo = Key::step("0192-ab", "freeze_stock", Direction::Undo).unwrap();
        assert_eq!(undo.to_string(), "saga/0192-ab/freeze_stock/undo");
        assert_eq!(undo.of_call().to_string(), "saga/0192-ab/freeze_stock/forward");
        assert_eq!(undo.of_call().of_call(), undo.of_call());
        assert_eq!(undo.direction(), Direction::Undo);
        assert_eq!((undo.saga_id(), undo.step_name()), (Some("0192-ab"), Some("freeze_stock")));
    }

    #[test]
    fn a_request_outside_a_saga_is_keyed_by_its_method_and_id() {
        let key = Key::request("sagamesh.points.v1.PointsService/Earn", "r/1");
        assert_eq!(key.to_string(), "request/sagamesh.points.v1.PointsService/Earn/r/1");
        assert_eq!((key.direction(), key.saga_id()), (Direction::Forward, None));
        assert_eq!(key.without_user(), None);
    }

    #[test]
    fn a_request_that_speaks_of_a_user_is_keyed_by_the_user_too() {
        let key = Key::request_of("shop.v1.Points/Earn", "ada", "r/1");
        assert_eq!(key.to_string(), "request-of/shop.v1.Points/Earn/ada/r/1");
        assert!(key.to_string() < Key::first_of_sagas(), "the index of requests has it");
        assert_eq!(key.without_user(), Some(Key::request("shop.v1.Points/Earn", "r/1")));
        // A request id that looks like a user's is nobody else's key.
        assert_ne!(key.text(), Key::request("shop.v1.Points/Earn", "ada/r/1").text());
    }

    #[test]
    fn parts_that_could_blur_a_key_are_refused() {
        let long = "a".repeat(129);
        for saga_id in ["", "a/b", "a b", "ä", "a\n", long.as_str()] {
            let refused = Key::step(saga_id, "charge", Direction::Forward);
            assert_eq!(refused, Err(Error::Malformed { name: "saga-id", max: 128 }), "{saga_id:?}");
        }
        let refused = Key::step("s", &"b".repeat(65), Direction::Forward);
        assert_eq!(refused, Err(Error::Malformed { name: "saga-step", max: 64 }));
        assert!(Key::step(&"a".repeat(128), &"b".repeat(64), Direction::Forward).is_ok());
    }

    /// What the inbox removes by its place is what it refuses by its age.
    #[test]
    fn keys_stand_in_the_order_of_the_starts_of_their_sagas() {
        let instants = [0, 1, 0xffff, 0x1_0000, 1_700_000_000_123, (1 << 48) - 1];
        for (began, horizon) in instants.iter().flat_map(|began| instants.map(|at| (*began, at))) {
            for rest in [[0; 10], [0xff; 10]] {
                let id = uuid::Builder::from_unix_timestamp_millis(began, &rest).into_uuid();
                let key = Key::step(&id.to_string(), "s", Direction::Forward).unwrap().to_string();
                assert!(key > Key::first_of_sagas());
                let before = key < Key::first_of_sagas_at(clock::Timestamp(horizon));
                assert_eq!(before, began < horizon, "{began} {horizon}");
                assert_eq!(Key::began_by_text(&key), Some(clock::Timestamp(began)));
            }
        }
    }
}
