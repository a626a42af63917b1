//! One attempt of a step's call or undo.

use std::time::Duration;

use bytes::Bytes;
use facade::Trace;
use participant::Key;
use planted::Bug;
use proto::facade::v1::Reason as Registered;
use saga::{Answer, Direction, Reason};
use tonic::metadata::{MetadataMap, MetadataValue};

use super::{Participants, answers};
use crate::definition::{Overrides, Target};

/// One attempt: what is sent where, and under which key.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The saga that makes it.
    pub saga_id: &'a str,
    /// The step.
    pub step: &'a str,
    /// Forward, or undo.
    pub direction: Direction,
    /// Which attempt of this direction it is, from 1. Never part of the key.
    pub number: u32,
    /// The method.
    pub target: &'a Target,
    /// The encoded request.
    pub request: Bytes,
    /// How long the answer is waited for.
    pub timeout: Duration,
    /// How the definition reads this participant's answers.
    pub overrides: &'a Overrides,
}

impl Attempt<'_> {
    /// Makes the attempt.
    pub async fn make(self, participants: &Participants, trace: &Trace) -> Answer {
        let participant = match participants.find(&self.target.service) {
            Some(participant) => participant,
            None => {
                let nobody = nobody(&self.target.service);
                return Answer::Unknown(Reason::new(Registered::Unavailable.code(), nobody));
            }
        };
        let metadata = match self.metadata() {
            Ok(metadata) => metadata,
            Err(why) => return Answer::Unusable(Reason::new(Registered::Internal.code(), why)),
        };
        let call = facade::caller::Outgoing {
            path: self.target.path.clone(),
            request: self.request,
            metadata,
            trace,
            limit: self.timeout,
            descriptor: &self.target.descriptor,
        };
        let said = participant.client().unary(call).await.map(tonic::Response::into_inner);
        answers::read(said, &self.target.output, self.direction, self.overrides)
    }

    fn metadata(&self) -> Result<MetadataMap, String> {
        let direction = match self.direction {
            Direction::Forward => participant::Direction::Forward,
            Direction::Undo => participant::Direction::Undo,
        };
        let mut key =
            Key::step(self.saga_id, self.step, direction).map_err(|error| error.to_string())?;
        if planted::is(Bug::FreshKeyPerRetry) {
            let saga_id = format!("{}-{}", self.saga_id, self.number);
            key = Key::step(&saga_id, self.step, direction).map_err(|error| error.to_string())?;
        }
        let mut metadata = MetadataMap::new();
        let mut insert = |name: &'static str, value: &str| {
            let value =
                MetadataValue::try_from(value).map_err(|error| format!("{name}: {error}"))?;
            metadata.insert(name, value);
            Ok::<(), String>(())
        };
        insert("saga-id", self.saga_id)?;
        insert("saga-step", self.step)?;
        insert("saga-direction", direction.as_str())?;
        insert("saga-attempt", &self.number.to_string())?;
        insert("idempotency-key", &key.to_string())?;
        Ok(metadata)
    }
}

/// What is wrong, and the cure, where no participant serves a service.
pub(crate) fn nobody(service: &str) -> String {
    format!(
        "no participant is configured for {service}: name its address with --participant {service}=ADDRESS"
    )
}
