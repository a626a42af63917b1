//! `DefinitionDrift`: how contracts of participants differ from what definitions were checked against.

use facade::{Failure, page::Page};
use proto::{
    facade::v1::Reason,
    saga::v1::{
        ContractDifference, ContractNotCompared, DefinitionDriftRequest, DefinitionDriftResponse,
    },
};

use crate::{
    drift::{Comparison, Drift, ask_and_compare, compare},
    driver::Driver,
};

/// The differences that concern the definition of the request's name, or any. Participants are asked for the first page.
pub(super) async fn list(
    driver: &Driver,
    request: DefinitionDriftRequest,
) -> Result<DefinitionDriftResponse, Failure> {
    let name = request.name;
    if !name.is_empty() && driver.registry().find(&name, 0).is_none() {
        let message = format!("no definition {name} is registered");
        return Err(Failure::new(Reason::DefinitionUnknown, message));
    }
    let page = Page::<usize>::read(request.page_size, &request.page_token, &[&name])?;
    let Comparison { drift, not_compared } = match page.cursor {
        None => ask_and_compare(driver).await,
        Some(_) => compare(driver),
    };
    let concerned = drift.into_iter().filter(|one| name.is_empty() || one.definition == name);
    let from = page.cursor.map_or(0, |last| last.saturating_add(1));
    let fetch = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
    let found: Vec<(usize, Drift)> = concerned.enumerate().skip(from).take(fetch).collect();
    let (differences, next_page_token) = page.cut(found, |(index, one)| (index, shown(one)));
    let not_compared = not_compared
        .into_iter()
        .map(|(service, why)| ContractNotCompared { service, why })
        .collect();
    Ok(DefinitionDriftResponse { result: None, differences, next_page_token, not_compared })
}

fn shown(drift: Drift) -> ContractDifference {
    let Drift { definition, version, difference } = drift;
    ContractDifference {
        definition,
        version,
        service: difference.service,
        method: difference.method,
        message: difference.message,
        change: difference.change.to_string(),
    }
}
