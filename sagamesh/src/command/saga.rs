//! `sagamesh saga`.

mod show;
mod start;
mod stats;
mod wait;

use clap::{Args, Subcommand, ValueEnum};
use proto::saga::v1::{
    CancelSagaRequest, GetSagaRequest, ListSagasRequest, PauseSagaRequest, ResolveSagaRequest,
    ResumeSagaRequest, RetrySagaRequest, Saga as Shown, SagaState, SkipStepRequest,
    saga_service_client::SagaServiceClient,
};
use tonic::transport::Channel;

use super::definition;
use crate::{
    arguments::{Format, Global},
    connect::{self, request, success},
    error::{CommandError, CommandResult},
    output,
};

/// Sagas.
#[derive(Debug, Args)]
pub(crate) struct Saga {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List sagas, newest first
    #[command(after_help = "Examples:\n  sagamesh saga list --state attention --state paused\n  \
                            sagamesh saga list --definition place-order --limit 10 -o json")]
    List(List),
    /// Show a saga, its steps, and what happens next
    #[command(
        after_help = "Examples:\n  sagamesh saga get SAGA_ID\n  sagamesh saga get SAGA_ID --payloads\n  \
                      sagamesh saga get SAGA_ID -o json"
    )]
    Get(Get),
    /// Count what compensations came to
    #[command(after_help = stats::HELP)]
    Stats(stats::Stats),
    /// Wait until a saga has ended, or needs a person or is paused; the exit code says which
    #[command(
        after_help = "Examples:\n  sagamesh saga wait SAGA_ID\n  sagamesh --timeout 5 saga wait SAGA_ID -o json"
    )]
    Wait(Id),
    /// Follow a saga's journal until it ends
    #[command(
        after_help = "Examples:\n  sagamesh saga watch SAGA_ID\n  sagamesh saga watch SAGA_ID -o json"
    )]
    Watch(Id),
    /// Start a saga of a registered definition
    #[command(after_help = start::EXAMPLES)]
    Start(start::Start),
    /// Make what waits due now, with a fresh budget; take a saga out of ATTENTION
    #[command(after_help = "Example:\n  sagamesh saga retry SAGA_ID --reason 'the bank is back'")]
    Retry(Steer),
    /// Turn a saga back before its pivot
    #[command(
        after_help = "Example:\n  sagamesh saga cancel SAGA_ID --reason 'the customer called'"
    )]
    Cancel(Steer),
    /// Hold a saga: no new call is made
    #[command(after_help = "Example:\n  sagamesh saga pause SAGA_ID --reason 'maintenance'")]
    Pause(Steer),
    /// Let a paused saga go on
    #[command(
        after_help = "Example:\n  sagamesh saga resume SAGA_ID --reason 'maintenance is over'"
    )]
    Resume(Steer),
    /// Count a step, or while compensating its undo, as handled by hand
    #[command(
        after_help = "Example:\n  sagamesh saga skip SAGA_ID charge_payment --reason 'refunded by hand'"
    )]
    Skip(Skip),
    /// Close a saga in ATTENTION or PAUSED that a person has settled
    #[command(
        after_help = "Example:\n  sagamesh saga resolve SAGA_ID --reason 'settled with the customer'"
    )]
    Resolve(Steer),
    /// List the definitions, as `sagamesh definition list` does
    #[command(after_help = "Example:\n  sagamesh saga definitions")]
    Definitions,
    /// Show a definition's source, as `sagamesh definition get` does
    #[command(after_help = "Example:\n  sagamesh saga definition place-order")]
    Definition(definition::Named),
}

#[derive(Debug, Args)]
struct Id {
    /// The saga's id
    saga_id: String,
}

#[derive(Debug, Args)]
struct Get {
    /// The saga's id
    saga_id: String,
    /// Also what it was started with, and what each step sent and got
    #[arg(long)]
    payloads: bool,
}

#[derive(Debug, Args)]
struct Steer {
    /// The saga's id
    saga_id: String,
    /// Why; journaled
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
struct Skip {
    #[command(flatten)]
    steer: Steer,
    /// The step's name
    step: String,
}

#[derive(Debug, Args)]
struct List {
    /// Only sagas in this state; may be repeated
    #[arg(long = "state", value_enum)]
    states: Vec<State>,
    /// Only sagas of this definition
    #[arg(long, default_value = "")]
    definition: String,
    /// Only the saga of this idempotency key
    #[arg(long, default_value = "")]
    key: String,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Running,
    Compensating,
    Succeeded,
    Compensated,
    Attention,
    Paused,
    Resolved,
}

impl From<State> for SagaState {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Compensating => Self::Compensating,
            State::Succeeded => Self::Succeeded,
            State::Compensated => Self::Compensated,
            State::Attention => Self::Attention,
            State::Paused => Self::Paused,
            State::Resolved => Self::Resolved,
        }
    }
}

type Client = SagaServiceClient<Channel>;

pub(crate) async fn run(global: &Global, saga: Saga) -> CommandResult {
    let mut client = Client::new(connect::orchestrator(global)?);
    /// One operator's method: call it and show the saga after it.
    macro_rules! steer {
        ($method:ident, $request:ident, $steer:expr, $verb:literal) => {{
            let Steer { saga_id, reason } = $steer;
            let answer = client.$method(request(global, $request { saga_id, reason })).await;
            show_one(global, success(concat!("the saga was not ", $verb), global, answer)?.saga)
        }};
    }
    match saga.verb {
        Verb::List(wanted) => list(global, &mut client, wanted).await,
        Verb::Stats(wanted) => stats::run(global, &mut client, wanted).await,
        Verb::Wait(Id { saga_id }) => wait::run(global, &mut client, saga_id).await,
        Verb::Get(Get { saga_id, payloads }) => {
            let message = GetSagaRequest { saga_id, include_payloads: payloads };
            let answer = client.get_saga(request(global, message)).await;
            show_one(global, success("the saga was not found", global, answer)?.saga)
        }
        Verb::Watch(Id { saga_id }) => show::watch(global, &mut client, saga_id).await,
        Verb::Start(wanted) => start::run(global, &mut client, wanted).await,
        Verb::Retry(order) => steer!(retry_saga, RetrySagaRequest, order, "retried"),
        Verb::Cancel(order) => steer!(cancel_saga, CancelSagaRequest, order, "cancelled"),
        Verb::Pause(order) => steer!(pause_saga, PauseSagaRequest, order, "paused"),
        Verb::Resume(order) => steer!(resume_saga, ResumeSagaRequest, order, "resumed"),
        Verb::Resolve(order) => steer!(resolve_saga, ResolveSagaRequest, order, "resolved"),
        Verb::Skip(Skip { steer: Steer { saga_id, reason }, step }) => {
            let answer =
                client.skip_step(request(global, SkipStepRequest { saga_id, step, reason })).await;
            show_one(global, success("the step was not skipped", global, answer)?.saga)
        }
        Verb::Definitions => definition::list(global).await,
        Verb::Definition(wanted) => definition::get(global, wanted).await,
    }
}

fn show_one(global: &Global, saga: Option<Shown>) -> CommandResult {
    let saga = saga.ok_or_else(|| CommandError::new(1, "the answer has no saga"))?;
    show::saga(global, &saga)
}

async fn list(global: &Global, client: &mut Client, wanted: List) -> CommandResult {
    let message = ListSagasRequest {
        states: wanted.states.into_iter().map(|state| SagaState::from(state).into()).collect(),
        definition: wanted.definition,
        key: wanted.key,
        page_size: wanted.limit,
        ..ListSagasRequest::default()
    };
    let answer = client.list_sagas(request(global, message)).await;
    let found = success("the sagas were not listed", global, answer)?;
    if global.output == Format::Json {
        return output::json(&found);
    }
    let rows: Vec<Vec<String>> = found.sagas.iter().map(show::row).collect();
    output::table(&["SAGA", "DEFINITION", "KEY", "STATE", "STARTED", "WHY"], &rows);
    if !found.next_page_token.is_empty() {
        anstream::eprintln!("there are more: raise --limit");
    }
    Ok(())
}
