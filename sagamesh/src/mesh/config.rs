//! What `sagamesh dev` is configured by: what the roles are, for all five of them at once.

use std::{net::SocketAddr, num::NonZero, time::Duration};

use facade::{
    CALLS_IN_FLIGHT,
    config::{
        self, Connections, Database, Log, Problem, Requests, Responses, STOP_TIMEOUT, Telemetry,
    },
};
use orchestrator::{
    MAX_RUNNING,
    config::{Definitions, Participants, Sagas, problems_of},
    retention::{Keep, KeepAnswers},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shop::SHOP;

/// The orchestrator's port where nothing is said.
pub(crate) const PORT_BASE: u16 = 7070;

/// What the whole mesh in one process is configured by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens, on loopback.
    pub listen: Listen,
    /// Where its data is.
    pub database: Database,
    /// Services outside this process, each by its full name. One of the shop's is called there then.
    pub participants: Participants,
    /// The definitions that it serves and runs.
    pub definitions: Definitions,
    /// How much it takes on at once.
    pub limits: Limits,
    /// How long it keeps what.
    pub retention: Retention,
    /// What it logs.
    pub log: Log,
    /// What it tells of its work beside its log.
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            database: Database { folder: "./sagamesh-data".into() },
            participants: Participants::new(),
            definitions: Definitions {
                bundles: vec![SHOP.name.to_owned()],
                ..Definitions::default()
            },
            limits: Limits::default(),
            retention: Retention::default(),
            log: Log {
                filter: "warn".to_owned(),
                calls: facade::log::Calls::All,
                ..Log::default()
            },
            telemetry: Telemetry::default(),
        }
    }
}

impl config::Config for Config {
    const MOVED_SETTINGS: &'static [(&'static str, &'static str)] = &[];

    fn problems(&self) -> Vec<Problem> {
        let Limits { sagas, connections, requests, responses, stop_timeout, .. } = &self.limits;
        let (sagas, connections) = (sagas.problems(), connections.problems(*stop_timeout));
        let bytes = [requests.problems(), responses.problems()].concat();
        let participants = problems_of(&self.participants);
        let definitions = self.definitions.problems();
        let mut problems =
            [self.log.problems(), participants, definitions, sagas, connections, bytes].concat();
        if self.listen.port_base > Listen::HIGHEST_BASE {
            problems.push(Problem::new(
                "listen.port_base",
                format!(
                    "it leaves no room for six ports: choose one up to {}",
                    Listen::HIGHEST_BASE
                ),
            ));
        }
        problems
    }
}

/// Where the mesh listens, on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The orchestrator's port; order, stock, points and payment are on the four that follow, health on the next or, where
    /// that is taken, on a free one. 0: free ports.
    pub port_base: u16,
    /// The address for `/livez`, `/readyz`, `/metrics` and gRPC health, where it is not to be beside the others.
    #[schemars(with = "Option<String>")]
    pub admin: Option<SocketAddr>,
}

impl Listen {
    const HIGHEST_BASE: u16 = u16::MAX - 5;
}

impl Default for Listen {
    fn default() -> Self {
        Self { port_base: PORT_BASE, admin: None }
    }
}

/// How much the mesh takes on at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many sagas run at once, those that wait for an instant or a person not counted; a start beyond them is refused,
    /// RESOURCE_EXHAUSTED.
    pub max_running: usize,
    /// How that is shared out, and what one saga may come to.
    pub sagas: Sagas,
    /// How many calls are in flight at once in each of the services; one beyond them is refused at once,
    /// RESOURCE_EXHAUSTED, and made again by its saga.
    #[schemars(with = "usize")]
    pub max_calls: NonZero<usize>,
    /// Connections, on each of the listeners.
    pub connections: Connections,
    /// What comes in, over all listeners.
    pub requests: Requests,
    /// What waits to go out, over all listeners.
    pub responses: Responses,
    /// How long the mesh may take to end when it is told to. What has not ended then is cut off, exit code 124; it goes on
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
            max_calls: CALLS_IN_FLIGHT,
            connections: Connections::default(),
            requests: Requests::default(),
            responses: Responses::default(),
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// How long the mesh keeps what.
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
    /// How long the services' inboxes keep answers, `24h` or more; for ever where it is left out. Longer than any saga may
    /// take, people included: a step of an older saga is refused until a person has looked (KEY_FORGOTTEN).
    #[schemars(with = "Option<String>")]
    pub keep_inbox: Option<KeepAnswers>,
}
