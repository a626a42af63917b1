//! What is known of a call before its message is read, and how it ended when that is known.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use clock::Timer;
use http::uri::PathAndQuery;
use tonic::Extensions;

use crate::{Trace, end::End, layers::Identity};

/// Shared between the layers around every route, which wait for the answer, and whoever makes it.
#[derive(Debug)]
pub(crate) struct Context {
    path: PathAndQuery,
    identity: Identity,
    trace: Trace,
    timer: Timer,
    /// How long the caller waits, from when the call arrived.
    pub(crate) limit: Option<Duration>,
    end: OnceLock<End>,
}

impl Context {
    pub(crate) fn new(path: PathAndQuery, identity: Identity, trace: Trace, timer: Timer) -> Self {
        Self { path, identity, trace, timer, limit: None, end: OnceLock::new() }
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

    pub(crate) fn elapsed(&self) -> Duration {
        self.timer.elapsed()
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
