//! What a process is configured by: one struct a concern, each with its defaults, its limits and the words for its
//! reference.
//!
//! Defaults are overridden by a file, that by the environment, that by flags ([`sources`]). Whatever is wrong is told by
//! the setting's name and where its value came from. Every role's config is made of the structs here and its own.

pub mod duration;
pub mod reference;
pub mod sources;
pub mod telemetry;

mod origins;

use std::{net::SocketAddr, num::NonZero, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::retention::KeepAnswers;

pub use origins::{Origin, Setting};
pub use sources::{Loaded, Sources};
pub use telemetry::Telemetry;

use crate::{
    CALLS_IN_FLIGHT,
    log::{self, Calls, Format},
};

/// How long a process may take to end where nothing is said.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// What a role is configured by.
pub trait Config: DeserializeOwned + Serialize + JsonSchema + Default {
    /// Settings of earlier versions that stand elsewhere now: old path and new path. They are still read.
    const MOVED_SETTINGS: &'static [(&'static str, &'static str)];

    /// What is wrong with the settings together, each by its path. What one value alone may be is checked when it is read.
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, for example `limits.max_running`.
    pub path: String,
    /// A sentence with the cure.
    pub message: String,
}

impl Problem {
    /// A problem of the setting at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The address for gRPC calls.
    #[schemars(with = "String")]
    pub grpc: SocketAddr,
    /// The address for `/livez`, `/readyz`, `/metrics` and gRPC health, over HTTP/1.1 and HTTP/2; none where it is left
    /// out. It asks nobody who they are: keep it away from clients.
    #[schemars(with = "Option<String>")]
    pub admin: Option<SocketAddr>,
}

impl Listen {
    /// On this port of the loopback interface.
    #[must_use]
    pub fn on_loopback(port: u16) -> Self {
        Self { grpc: SocketAddr::from(([127, 0, 0, 1], port)), admin: None }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::on_loopback(7071)
    }
}

/// Whom a listener lets connect, and for how long it waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// How many connections are open at once on a listener. One beyond them is closed at once, unless another has not said
    /// yet what it speaks, which is closed in its place. Fewer where the process may not have so many files open, which a
    /// warning tells at its start.
    #[schemars(with = "usize")]
    pub max: NonZero<usize>,
    /// How many of them may come from one address.
    #[schemars(with = "usize")]
    pub max_per_address: NonZero<usize>,
    /// How long a new connection may take to say that it speaks HTTP, and over HTTP/1.1 to send its headers.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub handshake_timeout: Duration,
    /// How long connections may finish what they have when the process stops.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub drain_timeout: Duration,
}

impl Connections {
    /// What is wrong with them in a process that has `stop_timeout` to end, where they stand at `limits.connections`.
    #[must_use]
    pub fn problems(&self, stop_timeout: Duration) -> Vec<Problem> {
        let too_long = || {
            let stop_timeout = clock::duration::text(stop_timeout);
            let why =
                format!("it must be shorter than limits.stop_timeout, which is {stop_timeout}");
            Problem::new("limits.connections.drain_timeout", why)
        };
        (self.drain_timeout >= stop_timeout).then(too_long).into_iter().collect()
    }
}

impl Default for Connections {
    fn default() -> Self {
        const MAX: NonZero<usize> = NonZero::new(2_000).expect("it is not zero");
        const MAX_PER_ADDRESS: NonZero<usize> = NonZero::new(1_000).expect("it is not zero");
        Self {
            max: MAX,
            max_per_address: MAX_PER_ADDRESS,
            handshake_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// How much of requests a process takes in at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// How many bytes a message may have whose method's rules do not say how large it can be; another may have twice what
    /// its rules allow and 16 KiB. A larger one is refused at once, OUT_OF_RANGE.
    #[schemars(with = "usize")]
    pub max_size: NonZero<usize>,
    /// How many fields and entries a message may have in all, those of messages inside it included.
    #[schemars(with = "usize")]
    pub max_fields: NonZero<usize>,
    /// How many bytes of requests are held at once; a request beyond them is refused, RESOURCE_EXHAUSTED.
    #[schemars(with = "usize")]
    pub bytes: NonZero<usize>,
    /// How many of them may come over one connection.
    #[schemars(with = "usize")]
    pub bytes_per_connection: NonZero<usize>,
    /// How long a message may take to arrive, whatever the caller's deadline.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub body_timeout: Duration,
}

impl Default for Requests {
    fn default() -> Self {
        const MAX_SIZE: NonZero<usize> = NonZero::new(1 << 20).expect("it is not zero");
        const MAX_FIELDS: NonZero<usize> = NonZero::new(16_384).expect("it is not zero");
        Self {
            max_size: MAX_SIZE,
            max_fields: MAX_FIELDS,
            bytes: BYTES,
            bytes_per_connection: BYTES_PER_CONNECTION,
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Requests {
    /// What is wrong with it, where it stands at `limits.requests`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let of_connection = ("bytes_per_connection", self.bytes_per_connection);
        let message = too_large("requests", ("max_size", self.max_size), of_connection);
        let connection = too_large("requests", of_connection, ("bytes", self.bytes));
        message.into_iter().chain(connection).collect()
    }
}

/// How much of responses a process holds for callers that do not take them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Responses {
    /// How many bytes of responses are held at once until their callers take them. Beyond them a call is refused,
    /// RESOURCE_EXHAUSTED, and so is a response of more than 4 KiB that is ready.
    #[schemars(with = "usize")]
    pub bytes: NonZero<usize>,
    /// How many of them may be held for one connection.
    #[schemars(with = "usize")]
    pub bytes_per_connection: NonZero<usize>,
    /// After how long a connection is closed that takes nothing of the responses that wait for it.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub stall_timeout: Duration,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            bytes: BYTES,
            bytes_per_connection: BYTES_PER_CONNECTION,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

impl Responses {
    /// What is wrong with it, where it stands at `limits.responses`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let of_connection = ("bytes_per_connection", self.bytes_per_connection);
        too_large("responses", of_connection, ("bytes", self.bytes)).into_iter().collect()
    }
}

/// How many bytes are held at once, of requests and of responses each, in all and for one connection.
const BYTES: NonZero<usize> = NonZero::new(48 << 20).expect("it is not zero");
const BYTES_PER_CONNECTION: NonZero<usize> = NonZero::new(16 << 20).expect("it is not zero");

/// Of two settings of `limits.group`, the first must not be larger than the second, which it is a part of.
fn too_large(
    group: &str,
    (part, size): (&str, NonZero<usize>),
    (whole, limit): (&str, NonZero<usize>),
) -> Option<Problem> {
    let message = format!("it must be at most limits.{group}.{whole}, which is {limit}");
    (size > limit).then(|| Problem::new(format!("limits.{group}.{part}"), message))
}

/// Where a process keeps its data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// The folder of the SQLite files; made when it is missing.
    pub folder: PathBuf,
}

impl Default for Database {
    fn default() -> Self {
        Self { folder: "./data".into() }
    }
}

/// What a process logs, to standard error, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Format,
    /// In `tracing`'s notation, for example `info,orchestrator=debug`. Release builds have nothing below `debug`.
    pub filter: String,
    /// `all` calls get a line, or the `notable` ones: those that decline, fail or are slow.
    pub calls: Calls,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::default(), filter: "info".to_owned(), calls: Calls::default() }
    }
}

impl Log {
    /// What is wrong with it, where it stands at `log`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let filter = log::read_filter(&self.filter).err();
        filter.into_iter().map(|why| Problem::new("log.filter", why)).collect()
    }
}

/// What a service is configured by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Where it listens.
    pub listen: Listen,
    /// Where its data is.
    pub database: Database,
    /// How much it takes on at once.
    pub limits: Limits,
    /// How long it keeps what.
    pub retention: Retention,
    /// What it logs.
    pub log: Log,
    /// What it tells of its work beside its log.
    pub telemetry: Telemetry,
}

/// How much a service takes on at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many calls are in flight at once; one beyond them is refused at once, RESOURCE_EXHAUSTED. Health and reflection
    /// are always answered.
    #[schemars(with = "usize")]
    pub max_calls: NonZero<usize>,
    /// Connections.
    pub connections: Connections,
    /// What comes in.
    pub requests: Requests,
    /// What waits to go out.
    pub responses: Responses,
    /// How long the process may take to end when it is told to. What has not ended then is cut off, exit code 124; it goes on
    /// at the next start.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_calls: CALLS_IN_FLIGHT,
            connections: Connections::default(),
            requests: Requests::default(),
            responses: Responses::default(),
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// How long a service keeps what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How long the inbox keeps answers, 24h or more; for ever where it is left out. Longer than any saga may take, people
    /// included: a step of an older saga is refused until a person has looked (KEY_FORGOTTEN).
    #[schemars(with = "Option<String>")]
    pub keep_inbox: Option<KeepAnswers>,
}

impl Config for Service {
    const MOVED_SETTINGS: &'static [(&'static str, &'static str)] = &[
        ("listen", "listen.grpc"),
        ("data", "database.folder"),
        ("keep_inbox", "retention.keep_inbox"),
    ];

    fn problems(&self) -> Vec<Problem> {
        let Limits { connections, requests, responses, stop_timeout, .. } = &self.limits;
        let connections = connections.problems(*stop_timeout);
        [self.log.problems(), connections, requests.problems(), responses.problems()].concat()
    }
}
