//! A service's own errors, and what each becomes: the one place where a no of the business is told from a failure.

use std::error::Error;

use proto::facade::v1::Reason;

use crate::{Decline, Failure};

/// Why a service says no or fails.
pub trait ServiceError: Error + Send + Sync + Sized + 'static {
    /// The registered reason where the business says no; `None` for a failure.
    fn reason(&self) -> Option<Reason>;

    /// Whether a failure is permanent: what is stored makes no sense, and asking again does not help.
    fn is_permanent(&self) -> bool;

    /// The decline that this is; `None` for a failure.
    fn decline(&self) -> Option<Decline> {
        self.reason().map(|reason| Decline::new(reason, self.to_string()))
    }

    /// What it is inside the inbox's work: a decline is stored and replayed, a failure stores nothing and is asked
    /// again.
    fn in_work(self) -> participant::WorkError {
        match self.decline() {
            Some(decline) => decline.into(),
            None => participant::WorkError::technical(self),
        }
    }
}

/// What it is outside the inbox, of a read: a status, a no of the business too.
impl<C: ServiceError> From<C> for Failure {
    fn from(cause: C) -> Self {
        match cause.decline() {
            Some(decline) => decline.into(),
            None if cause.is_permanent() => Self::internal(cause),
            None => Self::unavailable(cause),
        }
    }
}
