//! What a handler may know of the call that it answers, beside its request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use clock::{Clock, Timer};
use http::{HeaderMap, HeaderName};
use participant::{
    Key,
    key::{SAGA_DIRECTION, SAGA_ID, SAGA_STEP},
};
use proto::facade::v1::Reason;
use tonic::{Request, metadata::MetadataMap, transport::server::TcpConnectInfo};

use crate::{
    Failure, Trace, deadline,
    trace::{TRACEPARENT, TRACESTATE},
};

static RESPONSE_MODE: HeaderName = HeaderName::from_static("x-response-mode");
const ENVELOPE: &str = "envelope";

/// The headers that say whose call it is, and how its caller wants a failure told.
pub(crate) static CONTEXT: [&HeaderName; 6] =
    [&TRACEPARENT, &TRACESTATE, &SAGA_ID, &SAGA_STEP, &SAGA_DIRECTION, &RESPONSE_MODE];

/// Who makes the call.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The address that it comes from; `None` for a call from within the process.
    pub peer: Option<SocketAddr>,
}

/// The context of one incoming call.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    caller: Caller,
    trace: Trace,
    /// Shared: a handler gets the call by value.
    came_with: Arc<CameWith>,
    timer: Timer,
    limit: Option<Duration>,
    envelope: bool,
}

#[derive(Debug)]
struct CameWith {
    metadata: MetadataMap,
    body: Bytes,
}

impl Call {
    /// Reads the call's context; `Err` names what is malformed in its metadata.
    pub(crate) fn read(
        method: &str,
        request: Request<Bytes>,
        clock: &Clock,
    ) -> (Self, Result<(), Failure>) {
        let (metadata, extensions, body) = request.into_parts();
        let (limit, sound) = match deadline::read(metadata.as_ref()) {
            Ok(limit) => (limit, Ok(())),
            Err(what) => (None, Err(Failure::new(Reason::InvalidRequest, what))),
        };
        let call = Self {
            method: method.to_owned(),
            caller: Caller {
                peer: extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr),
            },
            trace: Trace::from_metadata(&metadata),
            timer: clock.timer(),
            limit,
            envelope: metadata.as_ref().get(&RESPONSE_MODE).is_some_and(|mode| mode == ENVELOPE),
            came_with: Arc::new(CameWith { metadata, body }),
        };
        (call, sound)
    }

    /// `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The encoded request, in the bytes that came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.came_with.body
    }

    /// Who makes the call.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The call's place in its trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How long ago the call arrived.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    /// How long the handler may take; `None` where the caller sets no deadline.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.limit.map(deadline::usable)
    }

    /// Whether the caller wants failures as OK with a filled `ResultInfo`.
    pub(crate) fn wants_envelope(&self) -> bool {
        self.envelope
    }

    /// A header as text; empty where there is none.
    pub(crate) fn header(&self, name: &HeaderName) -> &str {
        let headers: &HeaderMap = self.came_with.metadata.as_ref();
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The saga that makes the call; empty outside a saga.
    #[must_use]
    pub fn saga_id(&self) -> &str {
        self.header(&SAGA_ID)
    }

    /// The key of this saga step, under which it takes effect at most once.
    ///
    /// # Errors
    /// INVALID_ARGUMENT `NOT_A_SAGA_STEP` where the saga metadata is missing or malformed.
    pub fn step_key(&self) -> Result<Key, Failure> {
        let not_a_step = |why: String| Failure::new(Reason::NotASagaStep, why);
        Key::from_metadata(&self.came_with.metadata).map_err(|error| not_a_step(error.to_string()))?.ok_or_else(|| {
            not_a_step(format!(
                "{} is a saga step: send the metadata saga-id, saga-step and saga-direction with it",
                self.method
            ))
        })
    }

    /// The key of a write outside a saga.
    #[must_use]
    pub fn request_key(&self, request_id: &str) -> Key {
        Key::request(self.method.trim_start_matches('/'), request_id)
    }
}
