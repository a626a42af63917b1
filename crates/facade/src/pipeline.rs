//! The way of every call: context, validation, handler, answer, log line.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use clock::Clock;
use futures::FutureExt;
use prost::Message;
use prost_reflect::DynamicMessage;
use proto::{
    Response,
    facade::v1::ResultInfo,
    rules::{Checked, Violation, violations},
};
use store::{Database, retention::KeepAnswers};
use tonic::{Code, Status};
use tracing::Instrument;

use crate::{
    Answers, Call, Failure, Inbox, Reply,
    codec::{Filled, Received},
    log::{self, Calls},
    method, redact,
    reply::Payload,
    result,
    status::StatusDetails,
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
    /// Makes a response and its result what goes out; `false` where the type has no result.
    pub(crate) fill: F,
    /// What goes out as the log shows it.
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
    pub fn inbox(&self, database: Database) -> Inbox {
        let Settings { clock, keep_inbox, .. } = &*self.inner;
        Inbox::new(
            participant::Inbox::new(database, clock.clone())
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
        request: tonic::Request<Received<Q>>,
        handler: H,
    ) -> Result<tonic::Response<Filled<R>>, Status>
    where
        Q: Message + Checked,
        R: Message + Default + Response,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Reply<R>, Failure>> + Send,
    {
        let (request, message) = apart(request);
        let shape = Shape {
            blank: R::default,
            fill: |payload, result| (Filled::new(payload, result), true),
            show: |response: &Filled<R>| shown_response(method, response),
        };
        let asked = Asked {
            broken: violations(&message),
            shown: shown_request(method, request.get_ref()),
            waited: Duration::ZERO,
        };
        self.run(method, request, asked, shape, |call| handler(call, message)).await
    }

    /// Runs a handler; what is particular to its messages is in `asked` and `shape`. The request is the encoded one.
    pub(crate) async fn run<R, O, B, S, W, H, F>(
        &self,
        method: &str,
        request: tonic::Request<Bytes>,
        asked: Asked,
        shape: Shape<B, S, W>,
        handler: H,
    ) -> Result<tonic::Response<O>, Status>
    where
        B: FnOnce() -> R,
        S: FnOnce(Payload<R>, ResultInfo) -> (O, bool),
        W: FnOnce(&O) -> Option<DynamicMessage>,
        H: FnOnce(Call) -> F,
        F: Future<Output = Result<Reply<R>, Failure>> + Send,
    {
        let (call, sound) = Call::read(method, request, &self.inner.clock);
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
        request: tonic::Request<Received<Q>>,
        handler: H,
    ) -> Result<tonic::Response<Outgoing<R>>, Status>
    where
        Q: Message + Checked,
        R: Message + Default + Response + 'static,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Answers<R>, Failure>> + Send,
    {
        let (request, message) = apart(request);
        let shown = shown_request(method, request.get_ref());
        let (call, sound) = Call::read(method, request, &self.inner.clock);
        let span = log::span(&call);
        let show = {
            let span = span.clone();
            move |response: &Filled<R>| {
                if redact::wanted() {
                    span.in_scope(|| redact::log_response(shown_response(method, response)));
                }
            }
        };
        async {
            redact::log_request(shown);
            let opened = match sound.and(refuse_broken(violations(&message))) {
                Ok(()) => self.guard(&call, handler(call.clone(), message)).await,
                Err(failure) => Err(failure),
            };
            let trace_id = call.trace().id();
            let (line, given) = match opened {
                Ok(answers) => (Line::done(), Ok(Outgoing::carry(answers, trace_id, show))),
                Err(failure) => {
                    let details = StatusDetails::of(&failure);
                    let line = Line::of(&failure, &details);
                    if call.wants_envelope() {
                        let blank = Payload::Typed(R::default());
                        let response = Filled::new(blank, details.result(&trace_id));
                        show(&response);
                        (line, Ok(Outgoing::single(response)))
                    } else {
                        (line, Err(details.into_status(&trace_id)))
                    }
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
        log::line(*calls, overload, call, now, waited + call.elapsed(), line);
    }
}

/// The request in its bytes, and its message.
fn apart<Q>(request: tonic::Request<Received<Q>>) -> (tonic::Request<Bytes>, Q) {
    let (metadata, extensions, Received { message, bytes }) = request.into_parts();
    (tonic::Request::from_parts(metadata, extensions, bytes), message)
}

/// `None` where the log does not show messages: nothing is decoded then.
fn shown_request(method: &str, request: &[u8]) -> Option<DynamicMessage> {
    redact::wanted().then(|| redact::shown(method::input_of_ours(method), request)).flatten()
}

fn shown_response<R: Message + Response>(
    method: &str,
    response: &Filled<R>,
) -> Option<DynamicMessage> {
    redact::shown(method::output_of_ours(method), &response.bytes().ok()?)
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

    fn of(failure: &Failure, details: &StatusDetails) -> Self {
        let cause = match failure {
            Failure::Unavailable(cause) | Failure::Internal(cause) => Some(causes(cause.as_ref())),
            Failure::Invalid(_) | Failure::Refused { .. } | Failure::Overloaded { .. } => None,
        };
        Self { code: details.code, cause, ..Self::declined(details) }
    }

    /// The call was carried out, and the business said no.
    fn declined(details: &StatusDetails) -> Self {
        let (reason, message) = (details.reason.clone(), details.message.clone());
        Self { code: Code::Ok, reason, message, cause: None }
    }
}

struct Answer<O> {
    line: Line,
    given: Result<tonic::Response<O>, Status>,
}

/// Turns what the handler came to into what the caller gets.
fn answer<R, O>(
    call: &Call,
    blank: impl FnOnce() -> R,
    fill: impl FnOnce(Payload<R>, ResultInfo) -> (O, bool),
    outcome: Result<Reply<R>, Failure>,
) -> Answer<O> {
    let trace_of = |first: Option<String>| first.unwrap_or_else(|| call.trace().id());
    let (line, details, payload, trace_id) = match outcome {
        Ok(Reply { payload, decline: None, trace_id, .. }) => {
            let (response, _) = fill(payload, result::done(trace_of(trace_id)));
            return Answer { line: Line::done(), given: Ok(tonic::Response::new(response)) };
        }
        Ok(Reply { payload, decline: Some(decline), trace_id, facts }) => {
            let details = StatusDetails::of_decline(&decline).with_facts(facts);
            (Line::declined(&details), details, Some(payload), trace_of(trace_id))
        }
        Err(mut failure) => {
            let details = StatusDetails::of(&failure);
            let line = Line::of(&failure, &details);
            let blank = call.wants_envelope().then(|| Payload::Typed(blank()));
            (line, details, blank, trace_of(failure.take_trace_id()))
        }
    };
    // A response type without a result can say no only by its status.
    if let Some(payload) = payload
        && let (response, true) = fill(payload, details.result(&trace_id))
    {
        return Answer { line, given: Ok(tonic::Response::new(response)) };
    }
    Answer { line, given: Err(details.into_status(&trace_id)) }
}
