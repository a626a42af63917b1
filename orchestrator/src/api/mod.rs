//! What clients and operators call: `SagaService`, and the methods that sagas serve.

pub mod saga_service;
pub mod served;

mod events;
mod read;
mod sentence;
mod view;
mod watch;

use std::time::Duration;

use facade::Failure;

use crate::driver::StartError;

/// How long a caller should wait whose saga was not started because too many are running.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A start that failed.
fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Journal(error) => Failure::unavailable(error),
        bug @ (StartError::Engine(_) | StartError::IdTaken(_)) => Failure::internal(bug),
    }
}

/// A start that was refused because of what is running.
fn overloaded() -> Failure {
    Failure::Overloaded {
        message: "this node runs as many sagas as it may; nothing was begun".to_owned(),
        retry_after: OVERLOAD_RETRY_AFTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal;

    #[test]
    fn a_bug_of_the_engine_is_not_told_as_something_that_may_work_when_asked_again() {
        for (error, internal) in [
            (StartError::IdTaken("s".to_owned()), true),
            (StartError::Journal(journal::Error::Closed), false),
        ] {
            assert_eq!(matches!(not_started(error), Failure::Internal(_)), internal);
        }
    }
}
