//! What a call's metadata say of its saga.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::key::{Direction, Error, Key, SAGA_DIRECTION, SAGA_ID, SAGA_STEP, malformed};

/// The three entries that name a call's saga, as they came. Outside a saga there are none.
#[derive(Clone, Debug, Default)]
pub struct SagaMetadata {
    saga_id: Entry,
    step: Entry,
    direction: Entry,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    first: Option<HeaderValue>,
    repeated: bool,
}

impl SagaMetadata {
    /// Takes the entries out of a call's headers. Nothing is copied, and nothing is checked yet.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let entry = |name| {
            let mut values = headers.get_all(name).iter();
            Entry { first: values.next().cloned(), repeated: values.next().is_some() }
        };
        Self {
            saga_id: entry(&SAGA_ID),
            step: entry(&SAGA_STEP),
            direction: entry(&SAGA_DIRECTION),
        }
    }

    /// The saga's id as it came; empty outside a saga.
    #[must_use]
    pub fn saga_id(&self) -> &str {
        self.saga_id.shown()
    }

    /// The step's name as it came; empty outside a saga.
    #[must_use]
    pub fn step(&self) -> &str {
        self.step.shown()
    }

    /// The direction's word as it came; empty outside a saga.
    #[must_use]
    pub fn direction(&self) -> &str {
        self.direction.shown()
    }

    /// The key that the entries make; `None` when there are none, so the call belongs to no saga.
    ///
    /// # Errors
    /// When some of the three are missing, repeated or malformed. Such a call must not be served: without its
    /// key a repeat of it would take effect again.
    pub fn key(&self) -> Result<Option<Key>, Error> {
        let saga_id = self.saga_id.once(&SAGA_ID)?;
        let step = self.step.once(&SAGA_STEP)?;
        let direction = self.direction.once(&SAGA_DIRECTION)?;
        if saga_id.is_none() && step.is_none() && direction.is_none() {
            return Ok(None);
        }
        let saga_id = saga_id.ok_or(Error::Missing(SAGA_ID.as_str()))?;
        let step = step.ok_or(Error::Missing(SAGA_STEP.as_str()))?;
        let direction = match direction.ok_or(Error::Missing(SAGA_DIRECTION.as_str()))? {
            "forward" => Direction::Forward,
            "undo" => Direction::Undo,
            _ => return Err(Error::Direction),
        };
        Key::step(saga_id, step, direction).map(Some)
    }
}

impl Entry {
    fn shown(&self) -> &str {
        self.first.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn once(&self, name: &'static HeaderName) -> Result<Option<&str>, Error> {
        if self.repeated {
            return Err(Error::Repeated(name.as_str()));
        }
        // A value that is not visible ASCII fails the same rule as any other foreign character.
        self.first.as_ref().map(|value| value.to_str().map_err(|_| malformed(name))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::SagaMetadata;
    use crate::key::{Direction, Error, Key};

    fn key(entries: &[(&'static str, &str)]) -> Result<Option<Key>, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(*name, value.parse().unwrap());
        }
        SagaMetadata::of(&headers).key()
    }

    #[test]
    fn metadata_of_a_saga_make_its_key_and_none_make_none() {
        let whole = [("saga-id", "s1"), ("saga-step", "charge"), ("saga-direction", "forward")];
        let step = Key::step("s1", "charge", Direction::Forward).unwrap();
        assert_eq!(key(&whole), Ok(Some(step)));
        assert_eq!(key(&[("x-other", "1")]), Ok(None));
    }

    #[test]
    fn metadata_that_lack_repeat_or_garble_an_entry_are_refused() {
        let whole = [("saga-id", "s1"), ("saga-step", "charge"), ("saga-direction", "undo")];
        for (index, (name, _)) in whole.iter().enumerate() {
            let mut part = whole.to_vec();
            part.remove(index);
            assert_eq!(key(&part), Err(Error::Missing(name)));
            let mut twice = whole.to_vec();
            twice.push(whole[index]);
            assert_eq!(key(&twice), Err(Error::Repeated(name)));
        }
        let backward = [("saga-id", "s1"), ("saga-step", "charge"), ("saga-direction", "back")];
        assert_eq!(key(&backward), Err(Error::Direction));
    }
}
