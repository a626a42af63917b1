//! The inbox as handlers use it: typed responses, the call's own key, bytes and trace.

use bytes::Bytes;
use participant::{Answered, Decision, Delivery, Key};
use prost::Message;
use proto::{Response, facade::v1::Reason};
use store::Connection;

use crate::{Call, Decline, Failure, Reply, measures::DeliveryMeasures, reply::Payload};

/// Makes a handler's work take effect at most once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    inbox: participant::Inbox,
    measures: DeliveryMeasures,
}

impl Inbox {
    pub(crate) fn new(inbox: participant::Inbox, measures: DeliveryMeasures) -> Self {
        Self { inbox, measures }
    }

    /// Answers a saga step's forward call. `work` may be run more than once, as
    /// [`participant::Inbox::call`] says.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the call is no forward saga step; FAILED_PRECONDITION `KEY_REUSED`; DATA_LOSS
    /// `KEY_FORGOTTEN`; UNAVAILABLE where the database failed.
    pub async fn call<R, W>(&self, call: &Call, work: W) -> Result<Reply<R>, Failure>
    where
        R: Message + Response + Default + 'static,
        W: FnOnce(&Connection) -> Result<R, participant::WorkError> + Clone + Send + 'static,
    {
        self.once(call, call.step_key()?, work).await.map(reply)
    }

    /// Answers a write outside a saga, under its `request_id`. What `work` declines is refused with the status of its
    /// reason, every time.
    ///
    /// # Errors
    /// The status of a decline; FAILED_PRECONDITION `KEY_REUSED`; UNAVAILABLE where the database failed.
    pub async fn request<R, W>(
        &self,
        call: &Call,
        request_id: &str,
        work: W,
    ) -> Result<Reply<R>, Failure>
    where
        R: Message + Response + Default + 'static,
        W: FnOnce(&Connection) -> Result<R, participant::WorkError> + Clone + Send + 'static,
    {
        self.requested(call, call.request_key(request_id), work).await
    }

    /// The same of a write that speaks of a user: under the user's `request_id`, which is nobody else's.
    ///
    /// # Errors
    /// As for [`Inbox::request`].
    pub async fn request_of<R, W>(
        &self,
        call: &Call,
        user_id: &str,
        request_id: &str,
        work: W,
    ) -> Result<Reply<R>, Failure>
    where
        R: Message + Response + Default + 'static,
        W: FnOnce(&Connection) -> Result<R, participant::WorkError> + Clone + Send + 'static,
    {
        self.requested(call, call.request_key_of(user_id, request_id), work).await
    }

    async fn requested<R, W>(&self, call: &Call, key: Key, work: W) -> Result<Reply<R>, Failure>
    where
        R: Message + Response + Default + 'static,
        W: FnOnce(&Connection) -> Result<R, participant::WorkError> + Clone + Send + 'static,
    {
        let answered = self.once(call, key, work).await?;
        match answered.outcome {
            Decision::Declined(decline) => {
                Err(Failure::from(Decline::from(decline)).first_given_in(answered.trace_id))
            }
            Decision::Done(_) | Decision::NothingToUndo => Ok(reply(answered)),
        }
    }

    /// Answers a saga step's undo: `work` gets the response that the forward call gave, and is not run where that
    /// call never took effect.
    ///
    /// # Errors
    /// As for [`Inbox::call`].
    pub async fn undo<C, R, W>(&self, call: &Call, work: W) -> Result<Reply<R>, Failure>
    where
        C: Message + Default,
        R: Message + Response + Default + 'static,
        W: FnOnce(&Connection, C) -> Result<R, participant::WorkError> + Clone + Send + 'static,
    {
        let trace_id = call.trace().id();
        let delivery = delivery(call, call.step_key()?, &trace_id);
        let answered = self.inbox.undo(delivery, move |connection, response| {
            Ok(stored(work(connection, C::decode(response)?)?))
        });
        let answered = answered.await;
        self.measures.came_to(call, &answered);
        answered.map(reply).map_err(Failure::from)
    }

    async fn once<R, W>(&self, call: &Call, key: Key, work: W) -> Result<Answered, Failure>
    where
        R: Message + Response + 'static,
        W: FnOnce(&Connection) -> Result<R, participant::WorkError> + Clone + Send + 'static,
    {
        let trace_id = call.trace().id();
        let answered = self
            .inbox
            .call(delivery(call, key, &trace_id), move |connection| Ok(stored(work(connection)?)));
        let answered = answered.await;
        self.measures.came_to(call, &answered);
        Ok(answered?)
    }
}

/// The bytes that came say which request it is. What this program would make of the message leaves out the fields that
/// only its caller knows; the next version of it would take the same request for another one.
fn delivery<'a>(call: &'a Call, key: Key, trace_id: &'a str) -> Delivery<'a> {
    let method = call.method().trim_start_matches('/');
    Delivery { key, method, request: call.body(), trace_id }
}

/// A response as it is stored: without a result, which the facade puts behind it.
fn stored<R: Message + Response>(mut response: R) -> Bytes {
    response.clear_result();
    response.encode_to_vec().into()
}

/// What a saga step is answered: its decline is an answer too. A repeat gets the first one, with the first trace id.
fn reply<R: Default>(answered: Answered) -> Reply<R> {
    let reply = match answered.outcome {
        Decision::Done(response) => Reply::of(Payload::Stored(response)),
        Decision::NothingToUndo => Reply::from(R::default()),
        Decision::Declined(decline) => Reply::from(R::default()).declined(decline.into()),
    };
    reply.first_given_in(answered.trace_id)
}

impl From<participant::Error> for Failure {
    fn from(error: participant::Error) -> Self {
        let message = error.to_string();
        match error {
            participant::Error::KeyReused { .. } => Self::new(Reason::KeyReused, message),
            // This is not a decline: the call may have taken effect, so the saga must not turn back by itself.
            participant::Error::Forgotten { .. } => Self::new(Reason::KeyForgotten, message),
            participant::Error::Direction { .. } => Self::new(Reason::NotASagaStep, message),
            participant::Error::Work(_) | participant::Error::Store(_) => Self::unavailable(error),
        }
    }
}

impl From<participant::Decline> for Decline {
    fn from(decline: participant::Decline) -> Self {
        Self { code: decline.reason, message: decline.message }
    }
}

/// A decline of a service's rules, inside the inbox's work.
impl From<Decline> for participant::WorkError {
    fn from(decline: Decline) -> Self {
        participant::Decline::new(decline.code, decline.message).into()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::{facade::v1::ResultInfo, points::v1::DeductResponse};

    use super::stored;

    #[test]
    fn a_response_is_stored_without_a_result() {
        let response = DeductResponse { balance: 7, ..DeductResponse::default() };
        let touched = DeductResponse { result: Some(ResultInfo::default()), ..response.clone() };
        assert_eq!(stored(touched), response.encode_to_vec());
    }
}
