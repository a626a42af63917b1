//! `sagamesh definition register`.

use std::path::PathBuf;

use clap::Args;

use super::{
    HEADS,
    check::{self, report},
    client,
    offer::{Contracts, Offer},
    row,
};
use crate::{
    arguments::{Format, Global},
    connect::{request, success},
    error::CommandResult,
    output,
};

pub(super) const EXAMPLES: &str = "\
All files are checked by the node before the first is registered. The descriptor files that a definition names are sent along;
what they do not describe, the node asks of its participants.

Examples:
  sagamesh definition register book-room.yaml
  sagamesh definition register sagas/*.yaml --server http://127.0.0.1:7070
  sagamesh definition register book-room.yaml --descriptors hotel.proto -o json";

#[derive(Debug, Args)]
pub(super) struct Register {
    /// The definitions
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    contracts: Contracts,
}

pub(super) async fn run(global: &Global, Register { files, contracts }: Register) -> CommandResult {
    let mut client = client(global)?;
    let (mut offers, mut problems) = (Vec::new(), Vec::new());
    for file in &files {
        match Offer::read(file, &contracts) {
            Ok(offer) => {
                problems.extend(check::ask(global, &mut client, &offer).await?.problems);
                offers.push(offer);
            }
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return report(global, &files, &problems);
    }
    let mut rows = Vec::new();
    for offer in offers {
        let what = format!("{} was not registered", offer.file);
        let answer = client.register_definition(request(global, offer.register())).await;
        let registered = success(&what, global, answer)?;
        if global.output == Format::Json {
            output::json(&registered)?;
        }
        let mut row = row(&registered.definition.unwrap_or_default());
        row.push(if registered.already_registered { "yes" } else { "no" }.to_owned());
        rows.push(row);
    }
    if global.output == Format::Table {
        let heads = [HEADS.as_slice(), &["REGISTERED BEFORE"]].concat();
        output::table(&heads, &rows);
    }
    Ok(())
}
