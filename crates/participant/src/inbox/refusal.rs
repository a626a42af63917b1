//! What ends a delivery's transaction without leaving anything in it.

use crate::{decision::Answered, inbox::Error, key::Key};

#[derive(Debug)]
pub(super) enum Refusal {
    KeyReused(Key),
    /// The row of an earlier delivery may have been removed: whether it took effect is not known any more.
    Forgotten(Key),
    /// An answer that must not be stored: the decline of an undo.
    Unstored(Answered),
    Work(store::SharedError),
    Store(store::Error),
}

impl From<store::Error> for Refusal {
    fn from(cause: store::Error) -> Self {
        Self::Store(cause)
    }
}

/// The transaction's result as the caller is told it.
pub(super) fn into_result(answered: Result<Answered, Refusal>) -> Result<Answered, Error> {
    answered.or_else(|refusal| match refusal {
        Refusal::Unstored(answered) => Ok(answered),
        Refusal::KeyReused(key) => Err(Error::KeyReused { key }),
        Refusal::Forgotten(key) => Err(Error::Forgotten { key }),
        Refusal::Work(cause) => Err(Error::Work(cause)),
        Refusal::Store(cause) => Err(Error::Store(cause)),
    })
}
