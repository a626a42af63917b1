//! The way of every call: context, validation, handler, answer, log line.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use clock::Clock;
use futures::FutureExt;
use participant::{retention::KeepAnswers, store::Store};
use prost::Message;
use prost_reflect::DynamicMessage;
use proto::{
    Response,
    facade::v1::ResultInfo,
    rules::{Checked, Violation, violations},
};
use tonic::{Code, Extensions, Status, metadata::MetadataMap};
use tracing::Instrument;

use crate::{
    Answers, Call, Failure, Inbox, Reply,
    log::{self, Calls},
    method, redact,
    status::Told,
    stream::Outgoing,
    wire::causes,
};

/// What every RPC goes in and out through. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Facade {
    inner: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    clock: Clock,
    calls: Calls,
    overload: log::Overload,
    keep_inbox: Option<KeepAnswers>,
}

/// What is known of a request before its handler is.
#[derive(Default)]
pub(crate) struct Asked {
    /// The rules that it breaks.
    pub(crate) broken: Vec<Violation>,
    /// As the log shows it; `None` where the log does not.
    pub(crate) shown: Option<DynamicMessage>,
    /// How long its call had waited before it came here.
    pub(crate) waited: Duration,
}

/// How a response type is made, filled and shown.
pub(crate) struct Shape<B, F, S> {
    /// A response without payload.
    pub(crate) blank: B,
    /// Fills the result; `false` where the type has none.
    pub(crate) fill: F,
    /// The response as the log shows it.
    pub(crate) show: S,
}

impl Facade {
    /// A facade that tells time by `clock` and logs the calls that `calls` names.
    #[must_use]
    pub fn new(clock: Clock, calls: Calls) -> Self {
        Self::of(clock, calls, None)
    }

    /// The same for services whose inbox keeps its rows for so long; for ever where it is `None`.
    #[must_use]
    pub fn keeping_inbox(&self, keep: Option<KeepAnswers>) -> Self {
        let Settings { clock, calls, .. } = &*self.inner;
        Self::of(clock.clone(), *calls, keep)
    }

    fn of(clock: Clock, calls: Calls, keep_inbox: Option<KeepAnswers>) -> Self {
        let overload = log::Overload::default();
        Self { inner: Arc::new(Settings { clock, calls, overload, keep_inbox }) }
    }

    /// The inbox in a service's database, on this facade's clock.
    #[must_use]
    pub fn inbox<S: Store>(&self, store: S) -> Inbox<S> {
        let Settings { clock, keep_inbox, .. } = &*self.inner;
        Inbox::new(
            participant::Inbox::new(store, clock.clone())
                .keeping(keep_inbox.map(KeepAnswers::keep)),
        )
    }

    /// The clock that calls are timed by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) async fn unary<Q, R, H, F>(
        &self,
        method: &'static str,
        request: tonic::Request<Q>,
        handler: H,
    ) -> Result<tonic::Response<R>, Status>
    where
        Q: Message + Checked,
        R: Message + Default + Response,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Reply<R>, Failure>> + Send,
    {
        let (metadata, extensions, request) = request.into_parts();
        let shape = Shape {
            blank: R::default,
            fill: |response: &mut R, result| {
                response.set_result(result);
                true
            },
            show: |response: &R| redact::shown(method::output_of_ours(method), response),
        };
        let asked = Asked {
            broken: violations(&request),
            shown: shown_request(method, &request),
            waited: Duration::ZERO,
        };
        self.run(method, metadata, &extensions, asked, shape, |call| handler(call, request)).await
    }

    /// Runs a handler whose messages are known only at run time.
    pub(crate) async fn run<R, B, S, W, H, F>(
        &self,
        method: &str,
        metadata: MetadataMap,
        extensions: &Extensions,
        asked: Asked,
        shape: Shape<B, S, W>,
        handler: H,
    ) -> Result<tonic::Response<R>, Status>
    where
        B: FnOnce() -> R,
        S: FnOnce(&mut R, ResultInfo) -> bool,
        W: FnOnce(&R) -> Option<DynamicMessage>,
        H: FnOnce(Call) -> F,
        F: Future<Output = Result<Reply<R>, Failure>> + Send,
    {
        let (call, sound) = Call::read(method, metadata, extensions, &self.inner.clock);
        let span = log::span(&call);
        async {
            redact::log_request(asked.shown);
            let outcome = match sound.and(refuse_broken(asked.broken)) {
                Ok(()) => self.guard(&call, handler(call.clone())).await,
                Err(failure) => Err(failure),
            };
            let Shape { blank, fill, show } = shape;
            let Answer { line, given } = answer(&call, blank, fill, outcome);
            if let Ok(response) = &given
                && redact::wanted()
            {
                redact::log_response(show(response.get_ref()));
            }
            self.log(&call, asked.waited, &line);
            given
        }
        .instrument(span)
        .await
    }

    pub(crate) async fn stream<Q, R, H, F>(
        &self,
        method: &'static str,
        request: tonic::Request<Q>,
        handler: H,
    ) -> Result<tonic::Response<Outgoing<R>>, Status>
    where
        Q: Message + Checked,
        R: Message + Default + Response + 'static,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Answers<R>, Failure>> + Send,
    {
        let (metadata, extensions, request) = request.into_parts();
        let (call, sound) = Call::read(method, metadata, &extensions, &self.inner.clock);
        let span = log::span(&call);
        let show = {
            let span = span.clone();
            move |response: &R| {
                if redact::wanted() {
                    let shown = redact::shown(method::output_of_ours(method), response);
                    span.in_scope(|| redact::log_response(shown));
                }
            }
        };
        async {
            redact::log_request(shown_request(method, &request));
            let opened = match sound.and(refuse_broken(violations(&request))) {
                Ok(()) => self.guard(&call, handler(call.clone(), request)).await,
                Err(failure) => Err(failure),
            };
            let trace_id = call.trace().id();
            let (line, given) = match opened {
                Ok(answers) => (Line::done(), Ok(Outgoing::carry(answers, trace_id, show))),
                Err(failure)
                    if call.wants_envelope() || matches!(failure, Failure::Declined(_)) =>
                {
                    let mut response = R::default();
                    let told = Told::of(&failure);
                    response.set_result(told.result(&trace_id));
                    show(&response);
                    (Line::of(&failure, &told), Ok(Outgoing::single(response)))
                }
                Err(failure) => {
                    let told = Told::of(&failure);
                    (Line::of(&failure, &told), Err(told.status(&trace_id)))
                }
            };
            self.log(&call, Duration::ZERO, &line);
            given.map(tonic::Response::new)
        }
        .instrument(span)
        .await
    }

    /// Runs a handler within the caller's deadline, and catches its panic.
    async fn guard<T>(
        &self,
        call: &Call,
        handler: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let caught = AssertUnwindSafe(handler).catch_unwind();
        let outcome = match call.limit() {
            None => caught.await,
            Some(limit) => self
                .inner
                .clock
                .timeout(limit, caught)
                .await
                .unwrap_or_else(|_| Ok(Err(Failure::too_late()))),
        };
        outcome.unwrap_or_else(|panic| Err(Failure::internal(panic_message(panic.as_ref()))))
    }

    fn log(&self, call: &Call, waited: Duration, line: &Line) {
        let Settings { clock, calls, overload, .. } = &*self.inner;
        let now = clock.now();
        log::line(*calls, overload, call, now, waited + now.since(call.arrived()), line);
    }
}

fn shown_request(method: &str, request: &impl Message) -> Option<DynamicMessage> {
    redact::wanted().then(|| redact::shown(method::input_of_ours(method), request)).flatten()
}

fn refuse_broken(broken: Vec<Violation>) -> Result<(), Failure> {
    if broken.is_empty() { Ok(()) } else { Err(Failure::Invalid(broken)) }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message"))
}

/// What the log says of an answer.
pub(crate) struct Line {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// What goes to the log only.
    pub(crate) cause: Option<String>,
}

impl Line {
    fn done() -> Self {
        Self { code: Code::Ok, reason: "OK".to_owned(), message: String::new(), cause: None }
    }

    /// Whether the call did what it was asked to.
    pub(crate) fn is_plain(&self) -> bool {
        self.code == Code::Ok && self.reason == "OK"
    }

    fn of(failure: &Failure, told: &Told) -> Self {
        let (code, cause) = match failure {
            Failure::Declined(_) => (Code::Ok, None),
            Failure::Unavailable(cause) | Failure::Internal(cause) => {
                (told.code, Some(causes(cause.as_ref())))
            }
            Failure::Invalid(_) | Failure::Refused { .. } | Failure::Overloaded { .. } => {
                (told.code, None)
            }
        };
        Self { code, reason: told.reason.clone(), message: told.message.clone(), cause }
    }
}

struct Answer<R> {
    line: Line,
    given: Result<tonic::Response<R>, Status>,
}

/// Turns what the handler came to into what the caller gets.
fn answer<R>(
    call: &Call,
    blank: impl FnOnce() -> R,
    fill: impl FnOnce(&mut R, ResultInfo) -> bool,
    outcome: Result<Reply<R>, Failure>,
) -> Answer<R> {
    let (failure, payload, trace_id, facts) = match outcome {
        Ok(Reply { payload, decline: None, trace_id, .. }) => {
            let trace_id = trace_id.unwrap_or_else(|| call.trace().id());
            let result = ResultInfo {
                success: true,
                code: "OK".to_owned(),
                message: String::new(),
                trace_id,
            };
            let mut response = payload;
            fill(&mut response, result);
            return Answer { line: Line::done(), given: Ok(tonic::Response::new(response)) };
        }
        Ok(Reply { payload, decline: Some(decline), trace_id, facts }) => {
            (Failure::Declined(decline), Some(payload), trace_id, facts)
        }
        Err(failure) => (failure, None, None, Vec::new()),
    };
    let trace_id = trace_id.unwrap_or_else(|| call.trace().id());
    let told = Told::of(&failure).with_facts(facts);
    let line = Line::of(&failure, &told);
    if call.wants_envelope() || matches!(failure, Failure::Declined(_)) {
        let mut response = payload.unwrap_or_else(blank);
        if fill(&mut response, told.result(&trace_id)) {
            return Answer { line, given: Ok(tonic::Response::new(response)) };
        }
    }
    // A response type without a result can only tell a decline by its status.
    Answer { line, given: Err(told.status(&trace_id)) }
}
