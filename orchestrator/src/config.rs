//! What an orchestrator is configured by, beside what every process is.

mod alarms;
mod authority;
mod definitions;
mod metadata;
mod sagas;
mod secret;

use std::{collections::BTreeMap, fmt, num::NonZero, time::Duration};

use facade::{
    config::{
        self, Connections, Database, Listen, Log, Problem, Requests, Responses, STOP_TIMEOUT,
        Telemetry,
    },
    dial::{Address, Peer},
};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        Error, IgnoredAny, MapAccess, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};
use store::retention::{Keep, KeepAnswers};

pub use self::{
    alarms::{Alarms, Endpoint, Webhook},
    authority::Authority,
    definitions::Definitions,
    metadata::Metadata,
    sagas::Sagas,
};
use crate::outbound::CallLimits;

/// How many sagas a node runs at once where it is not told otherwise: some seconds of work, and less than 100 MB.
pub const MAX_RUNNING: usize = 10_000;

/// The participants, by the full names of the services that they serve.
pub type Participants = BTreeMap<String, Participant>;

/// What the role `orchestrator` is configured by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// Where its journal is.
    pub database: Database,
    /// The services that sagas call, each by its full name.
    pub participants: Participants,
    /// The definitions that it serves and runs.
    pub definitions: Definitions,
    /// How much it takes on at once.
    pub limits: Limits,
    /// How long it keeps what.
    pub retention: Retention,
    /// What people are told of compensations that do not go well.
    pub alarms: Alarms,
    /// What it logs.
    pub log: Log,
    /// What it tells of its work beside its log.
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::on_loopback(7070),
            database: Database::default(),
            participants: Participants::new(),
            definitions: Definitions::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            alarms: Alarms::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl config::Config for Config {
    const MOVED_SETTINGS: &'static [(&'static str, &'static str)] = &[
        ("listen", "listen.grpc"),
        ("data", "database.folder"),
        ("bundles", "definitions.bundles"),
        ("sagas", "definitions.folder"),
        ("max_running", "limits.max_running"),
        ("keep_finished", "retention.keep_finished"),
        ("keep_keys", "retention.keep_keys"),
    ];

    fn problems(&self) -> Vec<Problem> {
        let Limits { sagas, connections, requests, responses, stop_timeout, .. } = &self.limits;
        let (sagas, connections) = (sagas.problems(), connections.problems(*stop_timeout));
        let bytes = [requests.problems(), responses.problems()].concat();
        let (participants, definitions) =
            (problems_of(&self.participants), self.definitions.problems());
        let alarms = self.alarms.problems();
        [self.log.problems(), participants, alarms, definitions, sagas, connections, bytes].concat()
    }
}

/// A service that sagas call. Where there is only an address to say, it may stand alone: `SERVICE: ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Participant {
    /// Where it listens: `HOST:PORT`, which may be written `dns:///HOST:PORT`, or `unix:/PATH`; several that serve the same
    /// with commas between. Calls are spread over all addresses of each name.
    #[schemars(with = "String")]
    pub address: Address,
    /// How many connections there are to each of its addresses; the next is made when all streams of those that are open are
    /// taken.
    #[schemars(with = "usize")]
    pub max_connections: NonZero<usize>,
    /// How many bytes of a response are taken from it. A step that is answered with more needs a person
    /// (ANSWER_TOO_LARGE): what is taken stands in the journal, and asking again would get the same.
    #[schemars(with = "usize")]
    pub max_response: NonZero<usize>,
    /// What goes with every call to it, and with what its reflection is asked, beside what the orchestrator sends itself: a text in quotes, or `{ file: PATH }` with
    /// the file that holds it, which is read again when it changes. Texts are shown and logged nowhere. A name that ends
    /// with `-bin` takes base64.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What it is called by in place of its address (`:authority`), for one that stands behind a proxy.
    #[schemars(with = "Option<String>")]
    pub authority: Option<Authority>,
    /// How many calls are under way to it at once, 64 where it is left out; fewer at first, and as long as it pushes calls back
    /// or answers slowly. Further ones wait in line, and use up neither their time nor an attempt.
    #[schemars(with = "usize")]
    pub in_flight: NonZero<usize>,
    /// How many calls to it begin in a second, at once no more than a tenth of that; as many as there are where it is left
    /// out.
    #[schemars(with = "Option<u32>")]
    pub rate: Option<NonZero<u32>>,
}

impl Participant {
    /// A participant that is used as much as one is by default.
    #[must_use]
    pub fn at(address: Address) -> Self {
        let Peer { address, max_connections, max_response, authority: _ } = Peer::at(address);
        let CallLimits { in_flight, rate } = CallLimits::default();
        let metadata = Metadata::default();
        Self { address, max_connections, max_response, metadata, authority: None, in_flight, rate }
    }

    /// The way to it.
    #[must_use]
    pub fn peer(&self) -> Peer {
        let Self { address, max_connections, max_response, authority, .. } = self.clone();
        let authority = authority.map(|authority| authority.to_uri());
        Peer { address, max_connections, max_response, authority }
    }

    /// How much it may be called.
    #[must_use]
    pub fn call_limits(&self) -> CallLimits {
        let Self { in_flight, rate, .. } = *self;
        CallLimits { in_flight, rate }
    }
}

impl<'de> Deserialize<'de> for Participant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressOrSettings)
    }
}

/// A participant as its settings stand in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    address: Address,
    #[serde(default = "max_connections")]
    max_connections: NonZero<usize>,
    #[serde(default = "max_response")]
    max_response: NonZero<usize>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    authority: Option<Authority>,
    #[serde(default = "in_flight")]
    in_flight: NonZero<usize>,
    #[serde(default)]
    rate: Option<NonZero<u32>>,
    /// What `in_flight` was called.
    max_calls: Option<IgnoredAny>,
}

fn max_connections() -> NonZero<usize> {
    Peer::MAX_CONNECTIONS
}

fn max_response() -> NonZero<usize> {
    Peer::MAX_RESPONSE
}

fn in_flight() -> NonZero<usize> {
    CallLimits::IN_FLIGHT
}

struct AddressOrSettings;

impl<'de> Visitor<'de> for AddressOrSettings {
    type Value = Participant;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an address (HOST:PORT or unix:/PATH, several with commas between), or settings of which `address` is one")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Participant, E> {
        Address::deserialize(StrDeserializer::new(text)).map(Participant::at)
    }

    fn visit_map<A: MapAccess<'de>>(self, settings: A) -> Result<Participant, A::Error> {
        let settings = Settings::deserialize(MapAccessDeserializer::new(settings))?;
        let Settings { address, max_connections, max_response, metadata, authority, .. } = settings;
        let Settings { in_flight, rate, max_calls, .. } = settings;
        if max_calls.is_some() {
            return Err(A::Error::custom("max_calls is in_flight now: give that the same number"));
        }
        Ok(Participant {
            address,
            max_connections,
            max_response,
            metadata,
            authority,
            in_flight,
            rate,
        })
    }
}

/// What is wrong with the settings of participants, where they stand at `participants`.
#[must_use]
pub fn problems_of(participants: &Participants) -> Vec<Problem> {
    let problems = |(service, participant): (&String, &Participant)| {
        participant.metadata.problems(&format!("participants.{service}.metadata"))
    };
    participants.iter().flat_map(problems).collect()
}

/// How much an orchestrator takes on at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many sagas run at once, those that wait for an instant or a person not counted; a start beyond them is refused,
    /// RESOURCE_EXHAUSTED.
    pub max_running: usize,
    /// How that is shared out, and what one saga may come to.
    pub sagas: Sagas,
    /// Connections.
    pub connections: Connections,
    /// What comes in.
    pub requests: Requests,
    /// What waits to go out.
    pub responses: Responses,
    /// How long the process may take to end when it is told to. What has not ended then is cut off, exit code 124; it goes on
    /// at the next start.
    #[serde(with = "config::duration")]
    #[schemars(with = "String")]
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_running: MAX_RUNNING,
            sagas: Sagas::default(),
            connections: Connections::default(),
            requests: Requests::default(),
            responses: Responses::default(),
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// How long an orchestrator keeps what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How long sagas are kept after their end, for example `30d`; for ever where it is left out.
    #[schemars(with = "Option<String>")]
    pub keep_finished: Option<Keep>,
    /// How long the idempotency keys of sagas that were removed are kept, with how they ended, from the end of the saga;
    /// `24h` or more. A token that is repeated later starts another saga.
    #[schemars(with = "String")]
    pub keep_keys: KeepAnswers,
}
