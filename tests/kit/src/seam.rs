//! The seam between the orchestrator and a participant: a service around the participant's own, in which the script's
//! faults happen.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use orchestrator::driver::Driver;
use prost::Message;
use proto::facade::v1::ResultInfo;
use saga::Direction;
use tonic::{
    Code, Status,
    body::Body,
    service::{AxumBody, Routes},
};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, ServiceExt};

use crate::{
    fault::{Effect, Fault},
    network::Refused,
    script::{Script, Slot},
};

/// What a scripted decline gives as its reason.
pub(crate) const DECLINED: &str = "SCRIPTED_DECLINE";
const SLOW_ANSWER: Duration = Duration::from_secs(2);
const PUSH_BACK: Duration = Duration::from_millis(50);

type Future =
    std::pin::Pin<Box<dyn std::future::Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Wraps participants. Knows the sagas' keys through the driver, which is there only after them.
#[derive(Clone)]
pub(crate) struct Seam {
    pub(crate) script: Script,
    pub(crate) clock: Clock,
    pub(crate) driver: Arc<OnceLock<Driver>>,
    held: Arc<Mutex<HashMap<Slot, (Parts, Bytes)>>>,
    keys: Arc<Mutex<HashMap<String, String>>>,
}

impl Seam {
    pub(crate) fn new(script: Script, clock: Clock) -> Self {
        Self { script, clock, driver: Arc::default(), held: Arc::default(), keys: Arc::default() }
    }

    /// The participant behind the seam.
    pub(crate) fn wrap(&self, participant: Routes) -> Routes {
        let scripted = Scripted { seam: self.clone(), participant };
        Routes::from(Routes::default().into_axum_router().fallback_service(scripted))
    }

    /// The key of the saga that makes the call; its id where nobody knows the key.
    async fn key(&self, saga_id: &str) -> String {
        let known = |keys: &Mutex<HashMap<String, String>>| {
            keys.lock().unwrap_or_else(PoisonError::into_inner).get(saga_id).cloned()
        };
        if let Some(key) = known(&self.keys) {
            return key;
        }
        let Some(driver) = self.driver.get() else { return saga_id.to_owned() };
        let found = driver.journal().find(saga_id).await.ok().flatten();
        let Some(listed) = found else { return saga_id.to_owned() };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(saga_id.to_owned()).or_insert(listed.header.key).clone()
    }
}

#[derive(Clone)]
struct Scripted {
    seam: Seam,
    participant: Routes,
}

impl Service<Request<AxumBody>> for Scripted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<AxumBody>) -> Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.pass(request).await) })
    }
}

impl Scripted {
    async fn pass(&self, request: Request<AxumBody>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return Status::internal("the request's body broke").into_http();
        };
        let Some(slot) = self.slot(&parts.headers).await else {
            return self.forward(&parts, body).await.into_http();
        };
        let key = header(&parts.headers, "idempotency-key");
        self.seam.script.sent(&slot, key.unwrap_or_default());
        self.seam.script.called(header(&parts.headers, "saga-id").unwrap_or_default(), &slot);
        let fault = self.seam.script.next_fault(&slot);
        let answer = match fault {
            None => self.deliver(&slot, &parts, body).await.into_http(),
            Some(fault) => self.inject(fault, &slot, parts, body).await,
        };
        if slot.2 == Direction::Undo {
            self.deliver_late(&slot).await;
        }
        answer
    }

    async fn slot(&self, headers: &HeaderMap) -> Option<Slot> {
        let direction = match header(headers, "saga-direction")? {
            "undo" => Direction::Undo,
            _ => Direction::Forward,
        };
        let key = self.seam.key(header(headers, "saga-id")?).await;
        Some((key, header(headers, "saga-step")?.to_owned(), direction))
    }

    async fn inject(&self, fault: Fault, slot: &Slot, parts: Parts, body: Bytes) -> Response<Body> {
        match fault {
            Fault::Decline => Answer::of(&decided(false)).into_http(),
            Fault::DeclinedIf => Answer::of(&decided(true)).into_http(),
            Fault::Status(code) => Status::new(code, "as the script says").into_http(),
            Fault::PushBack => {
                let details = ErrorDetails::with_retry_info(Some(PUSH_BACK));
                Status::with_error_details(Code::ResourceExhausted, "not now", details).into_http()
            }
            Fault::TooLarge => {
                let words = "Received message larger than max (6000005 vs. 4194304)";
                Status::resource_exhausted(words).into_http()
            }
            Fault::TimeOutAfter => {
                self.deliver(slot, &parts, body).await;
                Status::deadline_exceeded("the answer came too late").into_http()
            }
            Fault::ResetAfter => {
                self.deliver(slot, &parts, body).await;
                Status::unavailable("the connection was reset").into_http()
            }
            Fault::Twice => {
                self.deliver(slot, &parts, body.clone()).await;
                self.deliver(slot, &parts, body).await.into_http()
            }
            Fault::Slow => {
                let answer = self.deliver(slot, &parts, body).await;
                self.seam.clock.sleep(SLOW_ANSWER).await;
                answer.into_http()
            }
            Fault::Garbage => {
                self.deliver(slot, &parts, body).await;
                Answer { message: Bytes::from_static(b"\xff\xff\xff"), status: None }.into_http()
            }
            Fault::NotSent => {
                let mut refused = Response::new(Body::empty());
                refused.extensions_mut().insert(Refused);
                refused
            }
            Fault::LateDelivery => {
                let mut held = self.seam.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.entry(slot.clone()).or_insert((parts, body));
                Status::unavailable("the call is still on its way").into_http()
            }
        }
    }

    /// Brings the participant a call of a saga, and holds its answer against the ones before.
    async fn deliver(&self, slot: &Slot, parts: &Parts, body: Bytes) -> Answer {
        let answer = self.forward(parts, body).await;
        if answer.status.is_none() {
            self.seam.script.answered(slot, &answer.message);
        }
        answer
    }

    /// Brings the call that was on its way when its step was undone.
    async fn deliver_late(&self, undo: &Slot) {
        let (key, step, _) = undo.clone();
        let call = (key, step, Direction::Forward);
        let held = self.seam.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
        let Some((parts, body)) = held else { return };
        let answer = self.forward(&parts, body).await;
        self.seam.script.check_late_call(&call, answer.refuses_late());
    }

    async fn forward(&self, parts: &Parts, body: Bytes) -> Answer {
        let request = Request::from_parts(parts.clone(), Body::new(Full::new(body)));
        match self.participant.clone().oneshot(request).await {
            Ok(response) => Answer::read(response).await,
            Err(impossible) => match impossible {},
        }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// An answer of a participant: a message, or a status that is not OK.
#[derive(Clone, Debug)]
struct Answer {
    message: Bytes,
    status: Option<Status>,
}

/// The part of every response that says how the business decided.
#[derive(Clone, PartialEq, Message)]
struct Decided {
    #[prost(message, optional, tag = "1")]
    result: Option<ResultInfo>,
}

fn decided(success: bool) -> Decided {
    let result = ResultInfo {
        success,
        code: DECLINED.to_owned(),
        message: "as the script says".to_owned(),
        ..ResultInfo::default()
    };
    Decided { result: Some(result) }
}

/// The prefix of a gRPC message: not compressed, and four bytes of length.
const PREFIX_BYTES: usize = 5;

impl Answer {
    fn of(message: &impl Message) -> Self {
        Self { message: message.encode_to_vec().into(), status: None }
    }

    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let broken = |what: &str| Self {
            message: Bytes::new(),
            status: Some(Status::internal(what.to_owned())),
        };
        let Ok(collected) = body.collect().await else { return broken("the answer's body broke") };
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = Status::from_header_map(&trailers)
            .or_else(|| Status::from_header_map(&parts.headers))
            .filter(|status| status.code() != Code::Ok);
        let bytes = collected.to_bytes();
        match (status, bytes.len()) {
            (Some(status), _) => Self { message: Bytes::new(), status: Some(status) },
            (None, length) if length < PREFIX_BYTES => broken("the answer has no message"),
            (None, _) => Self { message: bytes.slice(PREFIX_BYTES..), status: None },
        }
    }

    /// Whether the participant refused a call that came after its undo: by the inbox's reason, or, where responses have
    /// no `result`, by a status that says no.
    fn refuses_late(&self) -> bool {
        let status = self.status.as_ref().map(|status| Fault::Status(status.code()).effect());
        status == Some(Effect::Declined) || self.code() == "SUPERSEDED"
    }

    /// The reason in the message's `result`.
    fn code(&self) -> String {
        let decided = Decided::decode(self.message.clone()).unwrap_or_default();
        decided.result.map(|result| result.code).unwrap_or_default()
    }

    fn into_http(self) -> Response<Body> {
        if let Some(status) = self.status {
            return status.into_http();
        }
        let mut framed = Vec::with_capacity(PREFIX_BYTES + self.message.len());
        framed.push(0);
        framed.extend(u32::try_from(self.message.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend(&self.message);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let body =
            Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
        let mut response = Response::new(Body::new(body));
        let content = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, content);
        response
    }
}
