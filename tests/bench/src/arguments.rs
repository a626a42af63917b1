//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use facade::config;
use orchestrator::retention::{Keep, KeepAnswers};

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench
  cargo xtask bench --workload place-order --in-flight 128 --seconds 20
  cargo xtask bench --workload sold-out --in-flight 128
  cargo xtask bench --rate 2000 --in-flight 512 --json rates.jsonl
  cargo xtask bench --recover 100000
  cargo xtask bench --rate 6000 --in-flight 20000 --connections 16 --max-running 1000
  cargo xtask bench --in-flight 128 --telemetry off,metrics,traces --rounds 5
  cargo xtask bench --in-flight 128 --stored 1000000
  cargo xtask bench --in-flight 128 --stored 300000 --keep-finished 1s
  cargo xtask bench --workload place-order --rate 300 --in-flight 2000 --stored 100000 --keep-inbox 1d";

/// How many sagas a second, at what latency and at what cost.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// What each saga does
    #[arg(long, value_enum, default_value_t = Workload::Noop)]
    pub(crate) workload: Workload,
    /// How the orchestrator, its participants and the load reach each other
    #[arg(long, value_enum, default_value_t = Transport::Grpc)]
    pub(crate) transport: Transport,
    /// How many sagas are under way at once; one run for each number
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 128, 512])]
    pub(crate) in_flight: Vec<usize>,
    /// How long each run is measured, after a warm-up of a fifth of it
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Offer so many sagas a second, whatever the system answers: latency counts from when each was due
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// Over how many connections the load of `noop` comes: HTTP/2 lets each have 1,024 calls under way
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) connections: usize,
    /// The bytes that each saga hands from step to step
    #[arg(long, default_value_t = 0)]
    pub(crate) payload: usize,
    /// How many steps a saga of `noop` has
    #[arg(long, default_value_t = 4)]
    pub(crate) steps: usize,
    /// How many sagas may run at once: a start beyond them is refused
    #[arg(long, value_name = "N", default_value_t = orchestrator::MAX_RUNNING)]
    pub(crate) max_running: usize,
    /// How many sagas that have ended the store of `noop` holds before; of the shop, how many rows that are ten days old
    /// each service's inbox holds
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) stored: u64,
    /// Remove sagas so long after their end, while it is measured: 1s with --stored shows what removal costs
    #[arg(long, value_name = "DURATION")]
    pub(crate) keep_finished: Option<Keep>,
    /// Remove the services' answers so long after they were given, while it is measured: 1d with --stored shows what
    /// removal costs
    #[arg(long, value_name = "DURATION")]
    pub(crate) keep_inbox: Option<KeepAnswers>,
    /// What the system tells of its work; where there are several, they take turns
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Telemetry::Metrics])]
    pub(crate) telemetry: Vec<Telemetry>,
    /// How often each run is made
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) rounds: usize,
    /// Append one JSON object a run to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Leave so many sagas unfinished, kill the orchestrator, and time how they are finished
    #[arg(long, value_name = "N")]
    pub(crate) recover: Option<u64>,
    /// Time the lists of the --stored sagas of `noop`
    #[arg(long)]
    pub(crate) lists: bool,
    /// Where the databases are made: on the disk that is to be measured
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) data: PathBuf,
}

/// What each saga does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Four steps, one after the other, that do nothing.
    Noop,
    /// An order of two lines: 100 SKUs, 1,000 users, all real services.
    PlaceOrder,
    /// The same, declined at payment: three undos.
    Decline,
    /// No sagas, but their calls of Freeze at the stock service: nine of ten are for goods that are gone. Over gRPC only.
    SoldOut,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::PlaceOrder => "place-order",
            Self::Decline => "decline",
            Self::SoldOut => "sold-out",
        }
    }
}

/// How the parts reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// The load over loopback; for `noop`, the participant in a process of its own too.
    Grpc,
    /// Everything in one process, and no HTTP/2 in between.
    InProcess,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::InProcess => "in-process",
        }
    }
}

/// What the system tells of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Telemetry {
    /// Nothing.
    Off,
    /// It measures.
    Metrics,
    /// It measures, and sends one of twenty traces to a collector.
    Traces,
}

impl Telemetry {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

/// What this program also is, when it starts itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The steps that do nothing
    #[command(hide = true)]
    Participant {
        /// Never answer
        #[arg(long)]
        hold: bool,
    },
    /// The system under test
    #[command(hide = true)]
    System(System),
}

/// A system that runs in a process of its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct System {
    #[arg(long, value_enum)]
    pub(crate) workload: Workload,
    #[arg(long)]
    pub(crate) data: PathBuf,
    #[arg(long)]
    pub(crate) steps: usize,
    #[arg(long)]
    pub(crate) max_running: usize,
    /// Where the steps that do nothing are.
    #[arg(long)]
    pub(crate) participant: Option<String>,
    #[arg(long)]
    pub(crate) keep_finished: Option<Keep>,
    #[arg(long)]
    pub(crate) keep_inbox: Option<KeepAnswers>,
    #[command(flatten)]
    pub(crate) telemetry: SystemTelemetry,
}

/// What a system tells of its work, and to whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct SystemTelemetry {
    #[arg(long, value_enum)]
    pub(crate) telemetry: Telemetry,
    /// Where spans are sent.
    #[arg(long)]
    pub(crate) otlp: Option<String>,
}

impl SystemTelemetry {
    pub(crate) const OFF: Self = Self { telemetry: Telemetry::Off, otlp: None };

    pub(crate) fn settings(&self) -> Result<config::Telemetry, String> {
        Ok(config::Telemetry {
            otlp: self.otlp.as_deref().map(str::parse).transpose()?,
            metrics: self.telemetry != Telemetry::Off,
            ..config::Telemetry::default()
        })
    }
}
