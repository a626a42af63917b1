//! What clients and operators call: `SagaService`, and the methods that sagas serve.

pub mod saga_service;
pub mod served;

mod definitions;
mod drift;
mod events;
mod in_line;
mod looks;
mod payloads;
mod read;
mod sentence;
mod view;
pub(crate) mod watch;

use facade::Failure;
use proto::{facade::v1::Reason, rules};

use crate::{
    driver::{Driver, Refusal, StartError},
    journal::Filter,
    registry::Registered,
};

/// Characters of a saga's key.
const MAX_KEY: usize = 200;

/// A start that failed.
fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Journal(error) => Failure::unavailable(error),
        bug @ (StartError::Engine(_) | StartError::IdTaken(_)) => Failure::internal(bug),
    }
}

/// A saga's key, where it has the form of one: it is listed, logged, and looked for.
fn check_key(field: &str, key: String) -> Result<String, Failure> {
    if !(1..=MAX_KEY).contains(&key.chars().count()) {
        return Err(Failure::invalid(field, format!("must have 1 to {MAX_KEY} characters")));
    }
    if !rules::is_line(&key) {
        return Err(Failure::invalid(field, rules::LINE));
    }
    Ok(key)
}

/// A start by a version that has a newer one.
fn retired(definition: &Registered, current: &Registered) -> Failure {
    let (name, old, new) =
        (&definition.stored.name, definition.stored.version, current.stored.version);
    let message = format!("{name} version {old} is retired: the current one is version {new}");
    Failure::new(Reason::DefinitionRetired, message)
}

/// A start by a definition that is archived.
fn archived(definition: &Registered) -> Failure {
    let (name, version) = (&definition.stored.name, definition.stored.version);
    let message = format!("{name} version {version} is archived: no saga begins by it");
    Failure::new(Reason::DefinitionArchived, message)
}

/// Whether a saga was started under this key, removed since or not.
async fn is_started(driver: &Driver, definition: &str, key: &str) -> Result<bool, Failure> {
    let journal = driver.journal();
    let filter =
        Filter { definition: definition.to_owned(), key: key.to_owned(), ..Filter::default() };
    let found = journal.list(&filter, "", 1).await.map_err(Failure::unavailable)?;
    if !found.is_empty() {
        return Ok(true);
    }
    Ok(journal.removed_saga(definition, key).await.map_err(Failure::unavailable)?.is_some())
}

/// A start that there is no room for.
fn refused(Refusal { why, retry_after, .. }: Refusal) -> Failure {
    Failure::Overloaded { message: why, retry_after }
}

/// A start that was not made, since its caller had gone: nobody is told so.
fn abandoned() -> Failure {
    Failure::unavailable("the caller went away before its saga was on disk")
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
