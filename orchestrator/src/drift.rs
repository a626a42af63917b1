//! Participants' contracts that have changed since a definition was registered: compared when the node starts, when answers
//! carry fields that the definition does not know, and when an operator asks.

use std::collections::{BTreeMap, BTreeSet};

use definition::Difference;
use futures::future::join_all;

use crate::driver::Driver;

/// A difference, and the definition that it concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Drift {
    pub(crate) definition: String,
    pub(crate) version: u32,
    pub(crate) difference: Difference,
}

/// What comparing came to.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) drift: BTreeSet<Drift>,
    /// Services that could not be asked, each with the reason.
    pub(crate) not_compared: BTreeMap<String, String>,
}

/// Compares the newest version of each definition with what its participants have said of themselves the last time.
pub(crate) fn compare(driver: &Driver) -> Comparison {
    let mut comparison = Comparison::default();
    let mut seen = BTreeSet::new();
    for registered in driver.registry().all() {
        let (definition, version) = (registered.stored.name.clone(), registered.stored.version);
        // They come by name, the newest version first.
        if !seen.insert(definition.clone()) {
            continue;
        }
        for service in registered.compiled.services() {
            let participant = driver.participants().find(service);
            let Some(contract) = participant.as_ref().and_then(|known| known.contract()) else {
                continue;
            };
            if let Some(why) = contract.failure() {
                comparison.not_compared.insert(service.to_owned(), why);
            }
            let Some(current) = contract.last() else { continue };
            let found = registered.compiled.drift(service, &current);
            comparison.drift.extend(found.into_iter().map(|difference| Drift {
                definition: definition.clone(),
                version,
                difference,
            }));
        }
    }
    comparison
}

/// Asks all participants, at the same time, and compares.
pub(crate) async fn ask_and_compare(driver: &Driver) -> Comparison {
    let contracts = driver.participants().contracts();
    join_all(contracts.iter().map(|contract| contract.refresh(driver.clock()))).await;
    compare(driver)
}

/// Compares at once, and again whenever a participant's contract was asked for or answers make it worth asking. Each difference
/// is logged once.
pub(crate) async fn watch(driver: Driver) {
    let mut logged = BTreeSet::new();
    log(&driver, ask_and_compare(&driver).await, &mut logged);
    loop {
        driver.participants().contract_news().await;
        let contracts = driver.participants().contracts();
        join_all(contracts.iter().map(|contract| contract.explain_noticed(driver.clock()))).await;
        log(&driver, compare(&driver), &mut logged);
    }
}

fn log(driver: &Driver, comparison: Comparison, logged: &mut BTreeSet<Drift>) {
    let drifting = comparison.drift.iter().map(|drift| drift.definition.as_str());
    driver.metrics().compared(drifting, comparison.not_compared.len());
    for drift in comparison.drift.difference(logged) {
        let Difference { service, method, message, change } = &drift.difference;
        tracing::warn!(
            definition = drift.definition,
            version = drift.version,
            service,
            method,
            of = message,
            %change,
            "a participant's contract differs from what a definition was checked against"
        );
    }
    *logged = comparison.drift;
}
