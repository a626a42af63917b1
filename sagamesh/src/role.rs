//! One role in a process of its own.

use std::path::Path;

use clap::Subcommand;
use clock::Clock;
use facade::process::read_config;

use crate::{arguments::ConfigFile, failure::Outcome, shop::SHOP};

pub(crate) const SERVICE: &str = "\
A config file:

  listen: 127.0.0.1:7071
  data: ./data                  # the folder of its database; made when it is missing
  keep_inbox: 90d               # keep answers no longer, 24h or more; left out, they are kept for ever
  log:
    format: text                # or json
    filter: info
    calls: notable              # or all

keep_inbox should be longer than any saga may take, people included: a step of a saga that is older is refused until a
person has looked (KEY_FORGOTTEN).

Example:
  sagamesh stock --config stock.yaml

SIGTERM drains: readiness goes off, what runs is finished, the process ends within seconds. A second one ends it at once.";

const ORCHESTRATOR: &str = "\
A config file:

  listen: 127.0.0.1:7070
  data: ./data                  # the folder of its journal; made when it is missing
  participants:                 # the address of each service that sagas call
    sagamesh.order.v1.OrderService: 127.0.0.1:7071
    sagamesh.stock.v1.StockService: 127.0.0.1:7072
    sagamesh.points.v1.PointsService: 127.0.0.1:7073
    sagamesh.payment.v1.PaymentService: 127.0.0.1:7074
  bundles: [shop]               # definitions that this program brings: PlaceOrder and CancelOrder; may be left out
  sagas: ./sagas                # a folder of definitions; may be left out
  max_running: 10000            # sagas at once; a start beyond them is refused, RESOURCE_EXHAUSTED
  keep_finished: 30d            # remove sagas so long after their end; left out, they are kept for ever
  keep_keys: 7d                 # and their keys, with how they ended, so long after their end; 24h or more
  log:
    format: text                # or json
    filter: info
    calls: notable              # or all

Example:
  sagamesh orchestrator --config orchestrator.yaml

SIGTERM drains: readiness goes off, running sagas are parked durably, the process ends within seconds. A second one ends
it at once.";

/// Runs the order service, whose command it shares with the orders themselves.
pub(crate) async fn run_order(config: &Path) -> Outcome {
    Ok(order_svc::run(read_config(config)?, Clock::system()).await?)
}

/// A role.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Run the orchestrator alone
    #[command(after_long_help = ORCHESTRATOR)]
    Orchestrator(ConfigFile),
    /// Run the stock service alone
    #[command(after_long_help = SERVICE)]
    Stock(ConfigFile),
    /// Run the points service alone
    #[command(after_long_help = SERVICE)]
    Points(ConfigFile),
    /// Run the payment service alone
    #[command(after_long_help = SERVICE)]
    Payment(ConfigFile),
}

pub(crate) async fn run(role: Role) -> Outcome {
    let clock = Clock::system();
    match role {
        Role::Orchestrator(file) => {
            orchestrator::run(read_config(&file.config)?, &[SHOP], clock).await?
        }
        Role::Stock(file) => stock_svc::run(read_config(&file.config)?, clock).await?,
        Role::Points(file) => points_svc::run(read_config(&file.config)?, clock).await?,
        Role::Payment(file) => payment_svc::run(read_config(&file.config)?, clock).await?,
    }
    Ok(())
}
