//! `sagamesh definition drift`.

use clap::Args;
use proto::saga::v1::{
    DefinitionDriftRequest, DefinitionDriftResponse, saga_service_client::SagaServiceClient,
};

use crate::{
    arguments::{Format, Global},
    connect::{self, request, success},
    error::CommandResult,
    output,
};

pub(super) const EXAMPLES: &str = "\
The participants of the newest version of each definition are asked by reflection.

Examples:
  sagamesh definition drift
  sagamesh definition drift book-room -o json";

/// Which definitions are compared.
#[derive(Debug, Args)]
pub(super) struct Drift {
    /// Only this definition
    #[arg(default_value = "")]
    name: String,
}

pub(super) async fn run(global: &Global, wanted: Drift) -> CommandResult {
    let mut client = SagaServiceClient::new(connect::orchestrator(global)?);
    let mut all = DefinitionDriftResponse::default();
    loop {
        let message = DefinitionDriftRequest {
            name: wanted.name.clone(),
            page_token: std::mem::take(&mut all.next_page_token),
            ..DefinitionDriftRequest::default()
        };
        let answer = client.definition_drift(request(global, message)).await;
        let page = success("the contracts were not compared", global, answer)?;
        all.differences.extend(page.differences);
        (all.result, all.not_compared) = (page.result, page.not_compared);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    if global.output == Format::Json {
        return output::json(&all);
    }
    if all.differences.is_empty() && all.not_compared.is_empty() {
        anstream::println!("every contract is as it was");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all
        .differences
        .into_iter()
        .map(|one| {
            let version = one.version.to_string();
            vec![one.definition, version, one.service, one.method, one.message, one.change]
        })
        .collect();
    output::table(&["DEFINITION", "VERSION", "SERVICE", "METHOD", "MESSAGE", "CHANGE"], &rows);
    for one in all.not_compared {
        anstream::eprintln!(
            "{}",
            output::escaped_lines(&format!("{} was not compared: {}", one.service, one.why))
        );
    }
    Ok(())
}
