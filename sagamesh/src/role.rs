//! One role in a process of its own.

use clap::Subcommand;
use clock::Clock;
use facade::config::{self, Loaded, Sources};

use crate::{arguments::ConfigFile, error::CommandResult, shop::SHOP};

pub(crate) const SERVICE: &str = "\
A config file; each setting may be left out:

  listen:
    grpc: 127.0.0.1:7071
    admin: 127.0.0.1:7081       # /livez, /readyz, /metrics and gRPC health; without it there is none
  database:
    folder: ./data              # made when it is missing
  retention:
    keep_inbox: 90d             # keep answers no longer, 24h or more; left out, they are kept for ever
  log:
    format: text                # or json
    filter: info
    calls: notable              # or all
  telemetry:
    otlp: 127.0.0.1:4317        # send spans there by OTLP over gRPC; left out, there are none
    sample: 0.05                # of the traces that begin here

The environment counts over it (SAGAMESH__LISTEN__GRPC=0.0.0.0:7071), and a value may come from a file of its own
(SAGAMESH__LOG__FILTER_FILE=/run/filter). `sagamesh config reference service` lists every setting.

keep_inbox should be longer than any saga may take, people included: a step of a saga that is older is refused until a
person has looked (KEY_FORGOTTEN).

Example:
  sagamesh stock --config stock.yaml

SIGTERM drains: readiness goes off, what runs is finished, the process ends within limits.stop_timeout. A second one ends it
at once.";

const ORCHESTRATOR: &str = "\
A config file; each setting may be left out:

  listen:
    grpc: 127.0.0.1:7070
    admin: 127.0.0.1:7080       # /livez, /readyz, /metrics and gRPC health; without it there is none
  database:
    folder: ./data              # of the journal; made when it is missing
  participants:                 # each service that sagas call
    sagamesh.order.v1.OrderService: 127.0.0.1:7071
    sagamesh.stock.v1.StockService: 127.0.0.1:7072
    sagamesh.points.v1.PointsService: 127.0.0.1:7073
    sagamesh.payment.v1.PaymentService:
      address: 127.0.0.1:7074
      in_flight: 64             # calls at once; further ones wait in line
  definitions:
    bundles: [shop]             # those that this program brings: PlaceOrder and CancelOrder
    folder: ./sagas
  limits:
    max_running: 10000          # active sagas; a start beyond them is refused, RESOURCE_EXHAUSTED
  retention:
    keep_finished: 30d          # remove sagas so long after their end; left out, they are kept for ever
    keep_keys: 7d               # and their keys, with how they ended, so long after their end; 24h or more
  log:
    format: text                # or json
    filter: info
    calls: notable              # or all
  telemetry:
    otlp: 127.0.0.1:4317        # send spans there by OTLP over gRPC; left out, there are none
    sample: 0.05                # of the traces that begin here

The environment counts over it (SAGAMESH__LIMITS__MAX_RUNNING=500), and a value may come from a file of its own
(SAGAMESH__LOG__FILTER_FILE=/run/filter). `sagamesh config reference orchestrator` lists every setting.

Example:
  sagamesh orchestrator --config orchestrator.yaml

SIGTERM drains: readiness goes off, running sagas are parked durably, the process ends within limits.stop_timeout. A second
one ends it at once.";

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

/// Reads the config that a role's file and the environment make.
pub(crate) fn load<C: config::Config>(file: ConfigFile) -> CommandResult<Loaded<C>> {
    Ok(Sources::of_process(Some(file.config)).load(&C::default())?)
}

/// Runs the order service, whose command it shares with the orders themselves.
pub(crate) async fn run_order(file: ConfigFile) -> CommandResult {
    let on_loss = file.accept.on_loss();
    Ok(order_svc::run(load(file)?, Clock::system(), on_loss).await?)
}

pub(crate) async fn run(role: Role) -> CommandResult {
    let clock = Clock::system();
    let (Role::Orchestrator(file) | Role::Stock(file) | Role::Points(file) | Role::Payment(file)) =
        &role;
    let on_loss = file.accept.on_loss();
    match role {
        Role::Orchestrator(file) => {
            orchestrator::run(load(file)?, &[SHOP], clock, on_loss).await?;
        }
        Role::Stock(file) => stock_svc::run(load(file)?, clock, on_loss).await?,
        Role::Points(file) => points_svc::run(load(file)?, clock, on_loss).await?,
        Role::Payment(file) => payment_svc::run(load(file)?, clock, on_loss).await?,
    }
    Ok(())
}
