//! What a handler may know of the call that it answers, beside its request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use participant::Key;
use proto::facade::v1::Reason;

use crate::{Failure, Trace, context::Context, deadline};

/// Who makes the call.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The address that it comes from; `None` for a call from within the process.
    pub peer: Option<SocketAddr>,
}

/// The context of one incoming call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Call {
    context: Arc<Context>,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(context: Arc<Context>, body: Bytes) -> Self {
        Self { context, body }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.context.method()
    }

    /// The encoded request, in the bytes that came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Who makes the call.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.context.identity().caller
    }

    /// The call's place in its trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        self.context.trace()
    }

    /// How long ago the call arrived.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.context.elapsed()
    }

    /// How long the handler may take, from when the call arrived; `None` where the caller sets no deadline.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.context.limit.map(deadline::usable)
    }

    /// Whether the caller wants failures as OK with a filled `ResultInfo`.
    pub(crate) fn wants_envelope(&self) -> bool {
        self.context.identity().envelope
    }

    /// The saga that makes the call; empty outside a saga.
    #[must_use]
    pub fn saga_id(&self) -> &str {
        self.context.identity().saga.saga_id()
    }

    /// The key of this saga step, under which it takes effect at most once.
    ///
    /// # Errors
    /// INVALID_ARGUMENT `NOT_A_SAGA_STEP` where the saga metadata is missing or malformed.
    pub fn step_key(&self) -> Result<Key, Failure> {
        let not_a_step = |why: String| Failure::new(Reason::NotASagaStep, why);
        let key = self.context.identity().saga.key();
        key.map_err(|error| not_a_step(error.to_string()))?.ok_or_else(|| {
            not_a_step(format!(
                "{} is a saga step: send the metadata saga-id, saga-step and saga-direction with it",
                self.method()
            ))
        })
    }

    /// How many fields and entries a message may have in all.
    pub(crate) fn max_fields(&self) -> usize {
        self.context.budget().request_limits().max_fields.get()
    }

    /// Does what takes more than some milliseconds on a thread beside the event loop. A connection has one piece of such
    /// work done at a time; the next waits.
    ///
    /// # Errors
    /// INTERNAL where the work panics.
    pub async fn off_the_loop<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let account = self.context.account().map(Arc::as_ref);
        let permit = self.context.budget().heavy(account).await;
        let work = move || {
            let done = work();
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(Failure::internal)
    }

    /// The key of a write outside a saga.
    #[must_use]
    pub fn request_key(&self, request_id: &str) -> Key {
        Key::request(self.method().trim_start_matches('/'), request_id)
    }

    /// The key of a write outside a saga that speaks of a user.
    #[must_use]
    pub fn request_key_of(&self, user_id: &str, request_id: &str) -> Key {
        Key::request_of(self.method().trim_start_matches('/'), user_id, request_id)
    }
}
