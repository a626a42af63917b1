//! `SagaService`: start, read, watch and steer sagas.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use definition::Input;
use facade::{
    Call, Failure, Reply, ResponseStream, budget, json,
    page::Page,
    wire::{read_duration, read_instant},
};
use futures::StreamExt;
use metrics::Registry as Measured;
use prost_reflect::DynamicMessage;
use proto::{
    facade::v1::Reason,
    rules::{Violation, dynamic_violations},
    saga::v1::{
        ArchiveDefinitionRequest, ArchiveDefinitionResponse, CancelSagaRequest, CancelSagaResponse,
        CheckDefinitionRequest, CheckDefinitionResponse, DefinitionDriftRequest,
        DefinitionDriftResponse, GetDefinitionRequest, GetDefinitionResponse, GetSagaRequest,
        GetSagaResponse, ListDefinitionsRequest, ListDefinitionsResponse, ListSagasRequest,
        ListSagasResponse, PauseSagaRequest, PauseSagaResponse, RegisterDefinitionRequest,
        RegisterDefinitionResponse, ResolveSagaRequest, ResolveSagaResponse, ResumeSagaRequest,
        ResumeSagaResponse, RetrySagaRequest, RetrySagaResponse, Saga, SkipStepRequest,
        SkipStepResponse, StartSagaRequest, StartSagaResponse, UnarchiveDefinitionRequest,
        UnarchiveDefinitionResponse, WaitSagaRequest, WaitSagaResponse, WaitUntil,
        WatchSagaRequest, WatchSagaResponse,
    },
};
use saga::{Event, Status};

use super::{
    abandoned, archived, check_key,
    definitions::DefinitionHandlers,
    drift, is_started,
    looks::Looks,
    not_started, payloads,
    read::{self, SagaSnapshot},
    refused, retired, view,
    watch::{self, Watchers},
};
use crate::{
    config::Sagas,
    definitions::Definitions,
    driver::{Driver, OrderError, Requester, Start},
    handlers::saga_service::SagaService,
    journal::Filter,
    metrics::{Action, ActionResult, observe_watchers},
    registry::Registered,
};

/// How long WaitSaga waits at most, and how long where the request sets no timeout.
const MAX_WAIT: Duration = Duration::from_mins(5);
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The part of the caller's time that is reserved for looking up the saga's state and answering.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// Whether nothing more happens unless a person acts.
fn is_settled(status: Status) -> bool {
    status.is_ended() || matches!(status, Status::Attention | Status::Paused)
}

/// The handlers.
pub struct Handlers {
    driver: Driver,
    definition_handlers: DefinitionHandlers,
    looks: Looks,
    watchers: Arc<Watchers>,
}

impl Handlers {
    /// Handlers over `driver`.
    pub(crate) fn new(
        driver: Driver,
        definitions: Arc<Definitions>,
        limits: &Sagas,
        measured: &Measured,
    ) -> Self {
        let (definition_handlers, watchers) =
            (DefinitionHandlers::new(definitions), Arc::new(Watchers::new(limits)));
        observe_watchers(&watchers, measured);
        Self { driver, definition_handlers, looks: Looks::default(), watchers }
    }

    async fn show(&self, saga_id: &str) -> Result<Option<Saga>, Failure> {
        let found = self.looks.find(&self.driver, saga_id).await?;
        Ok(Some(self.view(&found)))
    }

    fn view(&self, found: &SagaSnapshot) -> Saga {
        view::saga(found, &self.driver)
    }

    /// A saga with what it came to, and, where they are asked for, its payloads.
    async fn show_content(
        &self,
        call: &Call,
        saga_id: &str,
        with_payloads: bool,
    ) -> Result<Option<Saga>, Failure> {
        let found = self.looks.find(&self.driver, saga_id).await?;
        let saga = self.view(&found);
        payloads::fill(&self.driver, call, &found, saga, with_payloads).await.map(Some)
    }

    /// Where a saga stands that an earlier start under `key` began.
    async fn status_of_started(
        &self,
        definition: &str,
        key: &str,
        saga_id: &str,
    ) -> Result<Status, Failure> {
        let journal = self.driver.journal();
        if let Some(index_row) = journal.find(saga_id).await.map_err(Failure::unavailable)? {
            return Ok(index_row.status());
        }
        // Retention removed it after the start was refused, or somebody deleted it.
        let removed = journal.removed_saga(definition, key).await.map_err(Failure::unavailable)?;
        removed.map(|removed| removed.ending.status).ok_or_else(|| read::missing_saga(saga_id))
    }

    /// Carries an operator's order out and shows the saga after it.
    async fn steer(&self, saga_id: &str, event: Event) -> Result<Option<Saga>, Failure> {
        let ordered = self.driver.order(saga_id, event).await;
        self.steered(saga_id, ordered).await
    }

    async fn steered(
        &self,
        saga_id: &str,
        ordered: Result<(), OrderError>,
    ) -> Result<Option<Saga>, Failure> {
        match ordered {
            Ok(()) => self.show(saga_id).await,
            Err(refused @ (OrderError::Illegal(_) | OrderError::TooLong { .. })) => {
                Err(Failure::new(Reason::SagaState, refused.to_string()))
            }
            Err(OrderError::Journal(error)) => Err(Failure::unavailable(error)),
            Err(OrderError::TaskEnded) => Err(self.not_running(saga_id).await?),
        }
    }

    async fn skip(&self, request: SkipStepRequest) -> Result<Option<Saga>, Failure> {
        let SkipStepRequest { saga_id, step, reason } = request;
        let found = self.looks.find(&self.driver, &saga_id).await?;
        let Some(history) = &found.history else {
            return Err(self.not_running(&saga_id).await?);
        };
        let Some(step) = history.definition.engine().find(&step) else {
            let sentence = format!("the saga has no step {step}");
            return Err(Failure::new(Reason::StepUnknown, sentence));
        };
        self.steer(&saga_id, Event::SkippedByHand { step, reason }).await
    }

    async fn resolve(&self, request: ResolveSagaRequest) -> Result<Option<Saga>, Failure> {
        let ResolveSagaRequest { saga_id, reason } = request;
        let closed = self.driver.close_aside(&saga_id, &reason).await;
        match closed.map_err(Failure::unavailable)? {
            true => self.show(&saga_id).await,
            false => self.steer(&saga_id, Event::Resolved { reason }).await,
        }
    }

    /// Counts what an order came to, unless a saga gave it: that is nobody's hand.
    async fn counted(
        &self,
        call: &Call,
        action: Action,
        ordered: impl Future<Output = Result<Option<Saga>, Failure>>,
    ) -> Result<Option<Saga>, Failure> {
        let ordered = ordered.await;
        if call.saga_id().is_empty() {
            self.driver.metrics().ordered(action, ActionResult::of(&ordered));
        }
        ordered
    }

    /// Why a saga that no task runs cannot be steered.
    async fn not_running(&self, saga_id: &str) -> Result<Failure, Failure> {
        let found = self.looks.find(&self.driver, saga_id).await?;
        Ok(match (found.status().is_ended(), &found.index_row.aside) {
            (true, _) => Failure::new(
                Reason::SagaState,
                format!("the saga has ended: {}", found.status().as_str()),
            ),
            (false, Some(why)) => Failure::new(
                Reason::SagaState,
                format!("the saga stands aside ({why}): it can only be retried or resolved"),
            ),
            (false, None) => Failure::new(
                Reason::Unavailable,
                "no task runs the saga at this moment; it is taken up again within seconds",
            ),
        })
    }
}

impl SagaService for Handlers {
    async fn start_saga(
        &self,
        call: Call,
        request: StartSagaRequest,
    ) -> Result<Reply<StartSagaResponse>, Failure> {
        let registry = self.driver.registry();
        let registered = registry.find(&request.definition, request.version).ok_or_else(|| {
            let version = if request.version == 0 {
                String::new()
            } else {
                format!(" version {}", request.version)
            };
            Failure::new(
                Reason::DefinitionUnknown,
                format!("no definition {}{version} is registered", request.definition),
            )
        })?;
        let definition = Arc::clone(&registered.compiled);
        let (input, broken) = read_input(&call, &definition, request.input_json).await?;
        let key = start_key(&definition, &input, &request.key)?;
        let name = definition.name().to_owned();
        // One that was started before this was looked for is found again.
        if !broken.is_empty() && !is_started(&self.driver, &name, &key).await? {
            return Err(Failure::Invalid(broken));
        }
        let newest = registry.find(&name, 0).unwrap_or_else(|| registered.clone());
        if let Some(refusal) = no_start(&registered, &newest)
            && !is_started(&self.driver, &name, &key).await?
        {
            return Err(refusal);
        }
        // Nobody waits for its end.
        let requester = Requester { peer: call.caller().peer, waits: false, rest: None };
        let start = self.driver.start(definition, key.clone(), input, call.trace(), &requester);
        let started = start.await.map_err(not_started)?;
        let mut response = StartSagaResponse::default();
        match started {
            Start::New { saga_id, handle } => {
                response.saga_id = saga_id;
                response.set_state(view::state(handle.status()));
            }
            Start::Already { saga_id } => {
                let status = self.status_of_started(&name, &key, &saga_id).await?;
                response.saga_id = saga_id;
                response.set_state(view::state(status));
                response.already_started = true;
            }
            Start::Removed(removed) => {
                response.saga_id = removed.saga_id;
                response.set_state(view::state(removed.ending.status));
                response.already_started = true;
            }
            Start::Refused(refusal) => return Err(refused(refusal)),
            Start::Abandoned => return Err(abandoned()),
            Start::KeyReused => {
                let sentence =
                    "a saga of this definition was started under this key with another input";
                return Err(Failure::new(Reason::KeyReused, sentence));
            }
        }
        Ok(response.into())
    }

    async fn get_saga(
        &self,
        call: Call,
        request: GetSagaRequest,
    ) -> Result<Reply<GetSagaResponse>, Failure> {
        let saga = self.show_content(&call, &request.saga_id, request.include_payloads).await?;
        Ok(GetSagaResponse { saga, ..GetSagaResponse::default() }.into())
    }

    async fn list_sagas(
        &self,
        _: Call,
        request: ListSagasRequest,
    ) -> Result<Reply<ListSagasResponse>, Failure> {
        let filter = filter(&request)?;
        let bound_to = format!("{filter:?}");
        let page = Page::<String>::read(request.page_size, &request.page_token, &[&bound_to])?;
        let before = page.cursor.clone().unwrap_or_default();
        let found = self
            .driver
            .journal()
            .list(&filter, &before, page.fetch())
            .await
            .map_err(Failure::unavailable)?;
        let (sagas, next_page_token) =
            page.cut(found, |saga| (saga.header.saga_id.clone(), view::index_row(&saga)));
        Ok(ListSagasResponse { sagas, next_page_token, ..ListSagasResponse::default() }.into())
    }

    async fn wait_saga(
        &self,
        call: Call,
        request: WaitSagaRequest,
    ) -> Result<Reply<WaitSagaResponse>, Failure> {
        let wanted = match &request.timeout {
            None => DEFAULT_WAIT,
            Some(timeout) => read_duration(timeout)
                .map_err(|what| Failure::invalid("timeout", what))?
                .min(MAX_WAIT),
        };
        let limit =
            call.limit().map_or(wanted, |limit| wanted.min(limit.saturating_sub(ANSWER_MARGIN)));
        let until: fn(Status) -> bool = match request.until() {
            WaitUntil::Settled => is_settled,
            WaitUntil::Ended | WaitUntil::Unspecified => Status::is_ended,
        };
        // Looked for first, so that an unknown saga is told at once.
        self.looks.find(&self.driver, &request.saga_id).await?;
        read::wait(&self.driver, &request.saga_id, until, limit).await;
        let saga = self.show_content(&call, &request.saga_id, false).await?;
        Ok(WaitSagaResponse { saga, ..WaitSagaResponse::default() }.into())
    }

    async fn watch_saga(
        &self,
        _: Call,
        request: WatchSagaRequest,
    ) -> Result<ResponseStream<WatchSagaResponse>, Failure> {
        let (driver, saga_id) = (self.driver.clone(), &request.saga_id);
        let events = watch::events(driver, &self.watchers, saga_id, request.after_seq).await?;
        let responses = events.map(|event| {
            event.map(|event| WatchSagaResponse {
                event: Some(event),
                ..WatchSagaResponse::default()
            })
        });
        Ok(responses.boxed())
    }

    async fn cancel_saga(
        &self,
        call: Call,
        request: CancelSagaRequest,
    ) -> Result<Reply<CancelSagaResponse>, Failure> {
        let cancelled = self.steer(&request.saga_id, Event::Cancelled { reason: request.reason });
        let saga = self.counted(&call, Action::Cancel, cancelled).await?;
        Ok(CancelSagaResponse { saga, ..CancelSagaResponse::default() }.into())
    }

    async fn retry_saga(
        &self,
        call: Call,
        request: RetrySagaRequest,
    ) -> Result<Reply<RetrySagaResponse>, Failure> {
        let retried = async {
            let retried = self.driver.retry(&request.saga_id, request.reason).await;
            self.steered(&request.saga_id, retried).await
        };
        let saga = self.counted(&call, Action::Retry, retried).await?;
        Ok(RetrySagaResponse { saga, ..RetrySagaResponse::default() }.into())
    }

    async fn pause_saga(
        &self,
        call: Call,
        request: PauseSagaRequest,
    ) -> Result<Reply<PauseSagaResponse>, Failure> {
        let steered = self.steer(&request.saga_id, Event::Paused { reason: request.reason });
        let saga = self.counted(&call, Action::Pause, steered).await?;
        Ok(PauseSagaResponse { saga, ..PauseSagaResponse::default() }.into())
    }

    async fn resume_saga(
        &self,
        call: Call,
        request: ResumeSagaRequest,
    ) -> Result<Reply<ResumeSagaResponse>, Failure> {
        let steered = self.steer(&request.saga_id, Event::Resumed { reason: request.reason });
        let saga = self.counted(&call, Action::Resume, steered).await?;
        Ok(ResumeSagaResponse { saga, ..ResumeSagaResponse::default() }.into())
    }

    async fn skip_step(
        &self,
        call: Call,
        request: SkipStepRequest,
    ) -> Result<Reply<SkipStepResponse>, Failure> {
        let saga = self.counted(&call, Action::Skip, self.skip(request)).await?;
        Ok(SkipStepResponse { saga, ..SkipStepResponse::default() }.into())
    }

    async fn resolve_saga(
        &self,
        call: Call,
        request: ResolveSagaRequest,
    ) -> Result<Reply<ResolveSagaResponse>, Failure> {
        let saga = self.counted(&call, Action::Resolve, self.resolve(request)).await?;
        Ok(ResolveSagaResponse { saga, ..ResolveSagaResponse::default() }.into())
    }

    async fn list_definitions(
        &self,
        _: Call,
        request: ListDefinitionsRequest,
    ) -> Result<Reply<ListDefinitionsResponse>, Failure> {
        self.definition_handlers.list(&request)
    }

    async fn get_definition(
        &self,
        _: Call,
        request: GetDefinitionRequest,
    ) -> Result<Reply<GetDefinitionResponse>, Failure> {
        self.definition_handlers.get(&request)
    }

    async fn register_definition(
        &self,
        _: Call,
        request: RegisterDefinitionRequest,
    ) -> Result<Reply<RegisterDefinitionResponse>, Failure> {
        self.definition_handlers.register(request).await
    }

    async fn check_definition(
        &self,
        _: Call,
        request: CheckDefinitionRequest,
    ) -> Result<Reply<CheckDefinitionResponse>, Failure> {
        self.definition_handlers.check(request).await
    }

    async fn archive_definition(
        &self,
        _: Call,
        request: ArchiveDefinitionRequest,
    ) -> Result<Reply<ArchiveDefinitionResponse>, Failure> {
        self.definition_handlers.archive(request).await
    }

    async fn unarchive_definition(
        &self,
        _: Call,
        request: UnarchiveDefinitionRequest,
    ) -> Result<Reply<UnarchiveDefinitionResponse>, Failure> {
        self.definition_handlers.unarchive(request).await
    }

    async fn definition_drift(
        &self,
        _: Call,
        request: DefinitionDriftRequest,
    ) -> Result<Reply<DefinitionDriftResponse>, Failure> {
        Ok(drift::list(&self.driver, request).await?.into())
    }
}

/// The input of a start, which keeps the rules of its type, and because of what no saga can succeed with it; one that is
/// large is read beside the event loop.
async fn read_input(
    call: &Call,
    definition: &Arc<definition::Compiled>,
    json: String,
) -> Result<(Bytes, Vec<Violation>), Failure> {
    json::check(call, "input_json", &json)?;
    let (definition, is_heavy) = (Arc::clone(definition), budget::is_heavy(json.len()));
    let read = move || {
        let input = definition.request_from_json(&json);
        let input = input.map_err(|error| Failure::invalid(place(&error.path), error.what))?;
        check_rules(&definition, &input)?;
        let broken = definition.check_input(&input).into_iter().map(|problem| Violation {
            path: format!("input_json{}", problem.path),
            message: problem.what,
        });
        let broken = broken.collect();
        Ok((input, broken))
    };
    if is_heavy { call.off_the_loop(read).await? } else { read() }
}

/// The path of a place in the input.
fn place(path: &str) -> String {
    match path {
        "" => "input_json".to_owned(),
        path => format!("input_json.{path}"),
    }
}

/// An input whose type has rules must keep them, as if the served method itself were called.
fn check_rules(definition: &definition::Compiled, input: &Bytes) -> Result<(), Failure> {
    let Input::Typed(descriptor) = definition.input() else { return Ok(()) };
    // It was encoded a moment ago, but may be deeper than anything is decoded.
    let message = DynamicMessage::decode(descriptor.clone(), input.clone())
        .map_err(|error| Failure::invalid("input_json", error.to_string()))?;
    let mut broken = dynamic_violations(&message);
    for violation in &mut broken {
        violation.path.insert_str(0, "input_json.");
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure::Invalid(broken)) }
}

/// The definition's own key where it has one; the caller's must agree with it then.
fn start_key(
    definition: &definition::Compiled,
    input: &[u8],
    given: &str,
) -> Result<String, Failure> {
    let own =
        definition.key(input).map_err(|fault| Failure::invalid("input_json", fault.to_string()))?;
    match own {
        Some(own) if given.is_empty() || given == own => check_key("key", own),
        Some(own) => Err(Failure::invalid(
            "key",
            format!("the definition makes its key of the input ({own}): leave the key empty"),
        )),
        None => check_key("key", given.to_owned()),
    }
}

/// Why no saga begins by this version of a definition any more.
fn no_start(registered: &Registered, newest: &Registered) -> Option<Failure> {
    match newest.stored.version > registered.stored.version {
        _ if newest.is_archived() => Some(archived(newest)),
        true => Some(retired(registered, newest)),
        false => None,
    }
}

fn filter(request: &ListSagasRequest) -> Result<Filter, Failure> {
    let statuses: Option<Vec<Status>> = request.states.iter().copied().map(view::status).collect();
    let instant = |field: &str, timestamp: &Option<prost_types::Timestamp>| {
        let read = timestamp.as_ref().map(read_instant).transpose();
        read.map_err(|what| Failure::invalid(field, what))
    };
    Ok(Filter {
        statuses: statuses.ok_or_else(|| {
            Failure::invalid("states", "must be states of a saga, not UNSPECIFIED")
        })?,
        definition: request.definition.clone(),
        key: request.key.clone(),
        started_after: instant("started_after", &request.started_after)?,
        started_before: instant("started_before", &request.started_before)?,
    })
}
