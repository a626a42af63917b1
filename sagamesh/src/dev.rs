//! `sagamesh dev`: the whole mesh in one process.

use std::{path::PathBuf, thread};

use clap::{Args, ValueEnum};
use clock::Clock;
use facade::{
    config::{Loaded, Sources},
    process::{self, Instrumentation, Signals},
};
use tokio::{runtime, sync::oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::{AcceptLoss, Participants},
    demo,
    error::{CommandError, CommandResult, UNEXPECTED},
    mesh::{self, Addresses, Config, Mesh, PORT_BASE},
};

const EXAMPLES: &str = "\
Settings come from the config file, over it from the environment (SAGAMESH__LIMITS__MAX_RUNNING), over that from flags;
`sagamesh config reference dev` lists them all.

Examples:
  sagamesh dev --demo
  sagamesh dev --sagas ./sagas --participant hotel.v1.HotelService=127.0.0.1:50051

Plaintext on loopback: for development. SIGTERM and Ctrl-C drain and end the process within limits.stop_timeout; a second
one ends it at once.";

/// The whole mesh.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dev {
    /// Fill a small shop, place an order that succeeds and one that is declined, cancel the first, and go on serving
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    accept: AcceptLoss,
    #[command(flatten)]
    settings: Settings,
}

/// What `dev` is configured by.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// A YAML file of settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the SQLite files; made when it is missing [default: ./sagamesh-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The orchestrator's port; order, stock, points and payment are on the four that follow, health on the next. 0: free
    /// ports [default: 7070]
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
    /// A folder of definitions, beside the shop's
    #[arg(long, value_name = "DIR")]
    sagas: Option<PathBuf>,
    #[command(flatten)]
    participants: Participants,
    /// How many sagas may run at once; a start beyond them is refused, RESOURCE_EXHAUSTED [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    max_running: Option<usize>,
    /// Remove sagas so long after their end, for example 30d. Without it they are kept for ever
    #[arg(long, value_name = "DURATION")]
    keep_finished: Option<String>,
    /// Keep the keys of removed sagas, with how they ended, so long after their end, 24h or more: a token that is repeated
    /// within that time gets the first answer; after it, it starts another saga [default: 7d]
    #[arg(long, value_name = "DURATION")]
    keep_keys: Option<String>,
    /// Keep the services' answers to sagas no longer than this, for example 90d, 24h or more: longer than any saga may take, people
    /// included, for a step of an older saga is refused until a person has looked (KEY_FORGOTTEN). Without it they are
    /// kept for ever
    #[arg(long, value_name = "DURATION")]
    keep_inbox: Option<String>,
    /// How log lines are written, to standard error [default: text]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// What is logged, for example info or warn,orchestrator=debug [default: warn]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Which calls are logged, at the level info [default: all]
    #[arg(long, value_enum)]
    log_calls: Option<LogCalls>,
    /// Send spans to a collector by OTLP over gRPC, for example 127.0.0.1:4317. Without it there are none
    #[arg(long, value_name = "ADDRESS")]
    otlp: Option<String>,
    /// Which part of the traces that begin here are sent, from 0 to 1 [default: 0.05]
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true)]
    sample: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogCalls {
    All,
    Notable,
}

impl Settings {
    /// Reads the config that the file, the environment and these flags make.
    pub(crate) fn load(self) -> Result<Loaded<Config>, String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned())
        };
        let format = word(&|| self.log_format?.to_possible_value());
        let calls = word(&|| self.log_calls?.to_possible_value());
        let participants = self.participants.by_service();
        let mut sources = Sources::of_process(self.config)
            .with_flag("--data", "database.folder", self.data.map(text))
            .with_flag("--port-base", "listen.port_base", self.port_base)
            .with_flag("--sagas", "definitions.folder", self.sagas.map(text))
            .with_flag("--max-running", "limits.max_running", self.max_running)
            .with_flag("--keep-finished", "retention.keep_finished", self.keep_finished)
            .with_flag("--keep-keys", "retention.keep_keys", self.keep_keys)
            .with_flag("--keep-inbox", "retention.keep_inbox", self.keep_inbox)
            .with_flag("--log-format", "log.format", format)
            .with_flag("--log", "log.filter", self.log)
            .with_flag("--log-calls", "log.calls", calls)
            .with_flag("--otlp", "telemetry.otlp", self.otlp)
            .with_flag("--sample", "telemetry.sample", self.sample);
        for (service, participant) in participants {
            let named = serde_json::json!({ service: participant.address });
            sources = sources.with_flag("--participant", "participants", Some(named));
        }
        sources.load(&Config::default())
    }
}

pub(crate) async fn run(dev: Dev) -> CommandResult {
    let usage = |why: String| CommandError::new(2, why);
    let loaded = dev.settings.load().map_err(usage)?;
    let Config { log, telemetry, limits, .. } = &loaded.config;
    let instrumentation = Instrumentation {
        service: "sagamesh-dev",
        log,
        telemetry,
        stop_timeout: limits.stop_timeout,
    };
    let _flush = process::start_log(&loaded, instrumentation).map_err(usage)?;
    let signals = Signals::listen(loaded.config.limits.stop_timeout)
        .map_err(|why| CommandError::new(UNEXPECTED, why))?;
    let on_loss = dev.accept.on_loss();
    let mesh = mesh::start_with(loaded.config, Clock::system(), on_loss).await?;
    let failed = CancellationToken::new();
    let mut shown = show(Greeting::of(&mesh), dev.demo, failed.clone())?;
    mesh.into_process().run_until_signal(signals, failed).await?;
    // A demo that fails ends the process in good order. One that is not done is not waited for.
    shown.try_recv().unwrap_or(Ok(()))
}

/// Greets, on a thread of its own: who has started the mesh and reads nothing holds up nobody that it serves. What is given
/// back is how the demo came out; `failed` is cancelled where it failed.
fn show(
    greeting: Greeting,
    demo: bool,
    failed: CancellationToken,
) -> CommandResult<oneshot::Receiver<CommandResult>> {
    let unexpected =
        |error| CommandError::new(UNEXPECTED, format!("nothing can be shown: {error}"));
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(unexpected)?;
    let (told, shown) = oneshot::channel();
    let show = move || {
        greeting.print_addresses();
        let outcome = match demo {
            true => runtime.block_on(demo::run(&greeting.addresses)),
            false => Ok(()),
        };
        let went_well = outcome.is_ok();
        // Nobody waits for it where the process is ending.
        let _ = told.send(outcome);
        match went_well {
            true => greeting.print_next_commands(),
            false => failed.cancel(),
        }
    };
    thread::Builder::new().name("greeting".to_owned()).spawn(show).map_err(unexpected)?;
    Ok(shown)
}

struct Greeting {
    addresses: Addresses,
    data: String,
    /// The program's name as it was called, so that the commands can be copied.
    program: String,
}

impl Greeting {
    fn of(mesh: &Mesh) -> Self {
        let program = std::env::args().next().unwrap_or_else(|| "sagamesh".to_owned());
        Self { addresses: *mesh.addresses(), data: mesh.data().display().to_string(), program }
    }

    fn print_addresses(&self) {
        let Addresses { orchestrator, order, stock, points, payment, admin } = self.addresses;
        anstream::println!("sagamesh serves, for development: plaintext, loopback only\n");
        for (name, address) in [
            ("orchestrator", orchestrator),
            ("order", order),
            ("stock", stock),
            ("points", points),
            ("payment", payment),
        ] {
            anstream::println!("  {name:<13} http://{address}");
        }
        anstream::println!("  {:<13} http://{admin}/readyz", "health");
        anstream::println!("  {:<13} {}\n", "data", self.data);
    }

    fn print_next_commands(&self) {
        let orchestrator = self.addresses.orchestrator;
        let server = match orchestrator.port() {
            PORT_BASE => String::new(),
            _ => format!(" --server http://{orchestrator}"),
        };
        let program = &self.program;
        anstream::println!("Try next:");
        anstream::println!("  {program} saga list{server}");
        anstream::println!("  {program} order place --user ada --line tea=2{server}");
        anstream::println!("  grpcurl -plaintext {orchestrator} list");
    }
}
