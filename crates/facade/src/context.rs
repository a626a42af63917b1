//! What is known of a call before its message is read, and how it ended when that is known.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use clock::Timer;
use http::uri::PathAndQuery;
use tonic::Extensions;

use crate::{
    Trace,
    budget::{Account, Budget, Lease},
    end::End,
    layers::{Identity, ServerSpan},
    request_body::Refused,
};

/// Shared between the layers around every route, which wait for the answer, and whoever makes it.
#[derive(Debug)]
pub(crate) struct Context {
    path: PathAndQuery,
    identity: Identity,
    trace: Trace,
    /// What is told of the call to the collector; none where its trace is not exported.
    span: ServerSpan,
    timer: Timer,
    /// How long the caller waits, from when the call arrived.
    pub(crate) limit: Option<Duration>,
    budget: Budget,
    /// Of the connection that the call came over; `None` for a call from within the process.
    account: Option<Arc<Account>>,
    /// What the request's message holds until the call is answered.
    request: OnceLock<Lease>,
    /// Why the request's body is not read on.
    refused: OnceLock<Refused>,
    end: OnceLock<End>,
}

impl Context {
    pub(crate) fn new(
        path: PathAndQuery,
        identity: Identity,
        (trace, span): (Trace, ServerSpan),
        timer: Timer,
        (budget, account): (Budget, Option<Arc<Account>>),
    ) -> Self {
        let (request, refused, end) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let limit = None;
        Self { path, identity, trace, span, timer, limit, budget, account, request, refused, end }
    }

    /// The context of the request with these extensions; `None` where it did not come in by [`crate::entry`].
    pub(crate) fn of(extensions: &Extensions) -> Option<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned()
    }

    /// `/package.Service/Method`.
    pub(crate) fn method(&self) -> &str {
        self.path.path()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(crate) fn span(&self) -> &ServerSpan {
        &self.span
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    /// The budget of the process.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// Keeps what the request's message holds for as long as there is the call.
    pub(crate) fn hold(&self, lease: Lease) {
        // Of a stream's messages the first.
        let _ = self.request.set(lease);
    }

    /// Says why the request's body is not read on.
    pub(crate) fn refuse(&self, refused: Refused) {
        let _ = self.refused.set(refused);
    }

    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.refused.get()
    }

    /// Says how the call ended, and with it that the answer was not made by tonic.
    pub(crate) fn ended(&self, end: End) {
        // A call is answered once, so this cannot fail.
        let _ = self.end.set(end);
    }

    /// `None` while nobody has answered, and where tonic did so by itself.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.get()
    }
}
