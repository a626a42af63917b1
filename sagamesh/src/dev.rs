//! `sagamesh dev`: the whole mesh in one process.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clock::Clock;
use facade::{
    log::{self, Calls, Format},
    process,
};

use crate::{
    arguments::Participants,
    demo,
    failure::{Failure, Outcome, UNEXPECTED},
    mesh::{self, Keep, KeepAnswers, Mesh, Settings},
};

const EXAMPLES: &str = "\
Examples:
  sagamesh dev --demo
  sagamesh dev --sagas ./sagas --participant hotel.v1.HotelService=127.0.0.1:50051

Plaintext on loopback: for development. SIGTERM and Ctrl-C drain; a second one ends the process at once.";

const DEFAULT_PORT: u16 = 7070;

/// The whole mesh.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dev {
    /// Fill a small shop, place an order that succeeds and one that is declined, cancel the first, and go on serving
    #[arg(long)]
    demo: bool,
    /// The folder of the SQLite files; made when it is missing
    #[arg(long, value_name = "DIR", default_value = "./sagamesh-data")]
    data: PathBuf,
    /// The orchestrator's port; order, stock, points and payment are on the four that follow. 0: free ports
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_PORT)]
    port_base: u16,
    /// A folder of definitions, beside the shop's
    #[arg(long, value_name = "DIR")]
    sagas: Option<PathBuf>,
    #[command(flatten)]
    participants: Participants,
    /// How many sagas may run at once; a start beyond them is refused, RESOURCE_EXHAUSTED
    #[arg(long, value_name = "NUMBER", default_value_t = orchestrator::MAX_RUNNING)]
    max_running: usize,
    /// Remove sagas so long after their end, for example 30d. Without it they are kept for ever
    #[arg(long, value_name = "DURATION")]
    keep_finished: Option<Keep>,
    /// Keep the keys of removed sagas, with how they ended, so long after their end, 24h or more: a token that is repeated
    /// within that time gets the first answer; after it, it starts another saga
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    keep_keys: KeepAnswers,
    /// Keep the services' answers to sagas no longer than this, for example 90d, 24h or more: longer than any saga may take, people
    /// included, for a step of an older saga is refused until a person has looked (KEY_FORGOTTEN). Without it they are
    /// kept for ever
    #[arg(long, value_name = "DURATION")]
    keep_inbox: Option<KeepAnswers>,
    /// How log lines are written, to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged, for example info or warn,orchestrator=debug
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
    /// Which calls are logged, at the level info
    #[arg(long, value_enum, default_value_t = LogCalls::All)]
    log_calls: LogCalls,
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

pub(crate) async fn run(dev: Dev) -> Outcome {
    let format = match dev.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    log::start(format, &dev.log).map_err(|why| Failure::new(2, why))?;
    let stop =
        process::stop_signal().map_err(|error| Failure::new(UNEXPECTED, error.to_string()))?;
    let settings = Settings {
        data: dev.data,
        port_base: dev.port_base,
        sagas: dev.sagas,
        participants: dev.participants.participants,
        calls: match dev.log_calls {
            LogCalls::All => Calls::All,
            LogCalls::Notable => Calls::Notable,
        },
        max_running: dev.max_running,
        keep_finished: dev.keep_finished,
        keep_keys: dev.keep_keys,
        keep_inbox: dev.keep_inbox,
    };
    let mesh = mesh::start(settings, Clock::system()).await?;
    let greeting = Greeting::of(&mesh);
    greeting.where_it_is();
    let addresses = *mesh.addresses();
    let shown = async {
        if dev.demo {
            demo::run(&addresses).await?;
        }
        greeting.what_next();
        Ok(())
    };
    Box::pin(serve(mesh, stop, shown)).await
}

/// Serves, with what is shown meanwhile. A demo that fails ends the process, well.
async fn serve(
    mesh: Mesh,
    stop: impl Future<Output = ()> + Send,
    shown: impl Future<Output = Outcome>,
) -> Outcome {
    let failed = tokio_util::sync::CancellationToken::new();
    let stopping = {
        let failed = failed.clone();
        async move {
            tokio::select! {
                () = stop => {}
                () = failed.cancelled() => {}
            }
        }
    };
    let watched = async {
        let outcome = shown.await;
        if outcome.is_err() {
            failed.cancel();
        }
        outcome
    };
    let mut serving = std::pin::pin!(mesh.run(stopping));
    let mut watched = std::pin::pin!(watched);
    tokio::select! {
        served = &mut serving => served?,
        shown = &mut watched => {
            serving.await?;
            shown?;
        }
    }
    Ok(())
}

struct Greeting {
    addresses: mesh::Addresses,
    data: String,
    /// As this very program was called, so that the commands can be copied.
    program: String,
}

impl Greeting {
    fn of(mesh: &Mesh) -> Self {
        let program = std::env::args().next().unwrap_or_else(|| "sagamesh".to_owned());
        Self { addresses: *mesh.addresses(), data: mesh.data().display().to_string(), program }
    }

    fn where_it_is(&self) {
        let mesh::Addresses { orchestrator, order, stock, points, payment } = self.addresses;
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
        anstream::println!("  {:<13} {}\n", "data", self.data);
    }

    fn what_next(&self) {
        let orchestrator = self.addresses.orchestrator;
        let server = match orchestrator.port() {
            DEFAULT_PORT => String::new(),
            _ => format!(" --server http://{orchestrator}"),
        };
        let program = &self.program;
        anstream::println!("Try next:");
        anstream::println!("  {program} saga list{server}");
        anstream::println!("  {program} order place --user ada --line tea=2{server}");
        anstream::println!("  grpcurl -plaintext {orchestrator} list");
    }
}
