//! The frame of a process, whichever roles it has: its tasks by name, its listeners, whether it can take work, its
//! signals, and its one end.
//!
//! Tasks stand in stages, in the order in which they are needed: databases, then who listens, then what runs by itself.
//! The process ends when it is told to or when a task ends by itself, and always in the same way: nothing is ready any
//! more, then the stages are stopped from the last to the first, each when the one behind it has ended.

mod database;
mod files;
mod loss;
mod service;
mod signals;

use std::{net::SocketAddr, panic::AssertUnwindSafe};

use clock::Clock;
use futures::{FutureExt, future::select_all};
use metrics::Registry;
use store::Database;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::files::Needs;
pub use self::{
    loss::{OnLoss, join_databases, loss_sentences},
    service::{
        Instrumentation, add_services, open_database, prepare_folder, run_service, start_log,
    },
    signals::Signals,
};
use crate::{
    admin::{self, Role},
    budget::Budget,
    config::Connections,
    health::Health,
    listener::{self, Protocol, Share, Terms},
    measures::{
        ConnectionMeasures, declare, measure_calls_in_flight, measure_process, measure_readiness,
        measure_runtime,
    },
    readiness::Readiness,
    server::Service,
    wire::{causes, panic_text},
};

/// How a task came to its end.
type TaskResult = Result<(), String>;

/// A process that is being put together; [`Process::run`] runs it. Dropped, it drops its tasks.
pub struct Process {
    clock: Clock,
    connections: Connections,
    metrics: Registry,
    share: Share,
    hurry: CancellationToken,
    needs: Needs,
    /// The listeners that others than this machine reach, each by the setting of its address.
    reachable: Vec<(&'static str, SocketAddr)>,
    roles: Vec<Role>,
    admin: Option<TcpListener>,
    tasks: JoinSet<Ended>,
    stages: Vec<Stage>,
}

#[derive(Default)]
struct Stage {
    stop: CancellationToken,
    running: usize,
}

struct Ended {
    stage: usize,
    name: String,
    outcome: TaskResult,
}

impl Process {
    /// A process without roles and tasks, which measures nothing.
    #[must_use]
    pub fn new(clock: Clock, connections: Connections) -> Self {
        Self {
            clock,
            connections,
            metrics: Registry::off(),
            share: Share::default(),
            hurry: CancellationToken::new(),
            needs: Needs::default(),
            reachable: Vec::new(),
            roles: Vec::new(),
            admin: None,
            tasks: JoinSet::new(),
            stages: vec![Stage::default()],
        }
    }

    /// The same, measured by this registry, which its admin listener serves.
    #[must_use]
    pub fn measured_by(self, metrics: Registry) -> Self {
        declare(&metrics);
        measure_process(&metrics);
        measure_runtime(&metrics);
        Self { metrics, ..self }
    }

    /// What the process measures.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.metrics
    }

    /// Serves the admin endpoints on this listener once the process runs.
    pub fn serve_admin_on(&mut self, listener: TcpListener) {
        self.note("listen.admin", &listener);
        self.admin = Some(listener);
    }

    /// Keeps files for so many connections to others.
    pub fn reserve_outgoing(&mut self, connections: usize) {
        self.needs.outgoing += connections;
    }

    /// The clock that everything is timed by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Begins a stage: what is spawned from here on is stopped before what there is.
    pub fn stage(&mut self) {
        self.stages.push(Stage::default());
    }

    /// Spawns a task into the last stage. It ends when its token is cancelled; when it ends earlier, well or not, the
    /// process does.
    pub fn spawn<F>(&mut self, name: impl Into<String>, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = TaskResult> + Send + 'static,
    {
        self.spawn_into(self.stages.len().saturating_sub(1), name.into(), work);
    }

    fn spawn_into<F>(
        &mut self,
        index: usize,
        name: String,
        work: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = TaskResult> + Send + 'static,
    {
        let stage = &mut self.stages[index];
        stage.running += 1;
        let work = AssertUnwindSafe(work(stage.stop.clone())).catch_unwind();
        self.tasks.spawn(async move {
            let outcome = work.await.unwrap_or_else(|panic| {
                Err(format!("{name} panicked: {}", panic_text(panic.as_ref())))
            });
            Ended { stage: index, name, outcome }
        });
    }

    /// Spawns work that goes on for as long as the stage does, and can be dropped at any moment.
    pub fn spawn_until_stop(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(name, async move |stop: CancellationToken| {
            stop.run_until_cancelled(work).await;
            Ok(())
        });
    }

    /// Keeps a database as long as the stage: the role is ready while it takes what is written, and it is closed at the
    /// end.
    pub fn keep(&mut self, role: &str, readiness: &Readiness, database: Database) {
        let (clock, part) = (self.clock.clone(), readiness.part("database"));
        part.ready();
        database.measured_by(&self.metrics, &self.clock);
        self.needs.databases += 1;
        self.spawn(format!("the database of {role}"), async move |stop: CancellationToken| {
            let mut closing = database.downgrade();
            tokio::select! {
                () = stop.cancelled() => {}
                () = closing.closed() => part.not_ready("it is closed"),
                () = database::watch(&database, &part, &clock) => {}
            }
            stop.cancelled().await;
            database.close().await;
            Ok(())
        });
    }

    /// Serves a role's gRPC server on this listener, and tells of the role's health as `readiness` has it.
    pub async fn serve(
        &mut self,
        role: &'static str,
        readiness: &Readiness,
        (service, health): (Service, Health),
        listener: TcpListener,
    ) {
        self.note("listen.grpc", &listener);
        let (readiness, role_health) = (readiness.clone(), health.clone());
        measure_readiness(&self.metrics, role, &readiness);
        measure_calls_in_flight(&self.metrics, role, service.in_flight());
        self.roles.push(Role { name: role, health: role_health, readiness: readiness.clone() });
        let part = readiness.part("listener");
        part.ready();
        health.set_ready(readiness.missing().is_empty()).await;
        let (mut changes, mut services) = (readiness.changes(), health.changes());
        self.spawn_until_stop(format!("the health of {role}"), async move {
            loop {
                // Their senders are held here, so neither ends.
                let _ = tokio::select! {
                    changed = changes.changed() => changed,
                    changed = services.changed() => changed,
                };
                health.set_ready(readiness.missing().is_empty()).await;
            }
        });
        let terms = self.terms(role);
        self.spawn(role, async move |stop: CancellationToken| {
            let address = listener.local_addr().map(|address| address.to_string());
            let terms = terms(service.budget().clone(), stop);
            let served =
                listener::serve(listener, service.in_process(), Protocol::Grpc, terms).await;
            served.map_err(|error| {
                let address = address.unwrap_or_default();
                format!("{role} no longer listens on {address}: {}; start it again", causes(&error))
            })
        });
    }

    /// Runs until `stop` completes or a task ends by itself, then to the end of every task.
    ///
    /// # Errors
    /// The first failure: which task, and why; a sentence with the cure where the process is allowed too few files.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), String> {
        if let Some(share) = files::share(&self.connections, self.needs)? {
            // Set here alone.
            let _ = self.share.set(share);
        }
        self.warn_of_strangers();
        self.start_admin().await;
        let ended = tokio::select! {
            () = stop => None,
            Some(ended) = self.tasks.join_next() => Some(ended),
        };
        let mut outcome = Ok(());
        if let Some(ended) = ended {
            outcome = self.ended(ended, true);
        }
        for Role { health, readiness, .. } in &self.roles {
            readiness.part("process").not_ready("it is stopping");
            // Health is set here too, because the task that follows readiness is stopped together with the listener.
            health.set_ready(false).await;
        }
        for stage in (0..self.stages.len()).rev() {
            self.stages[stage].stop.cancel();
            while self.stages[stage].running > 0 {
                let Some(ended) = self.tasks.join_next().await else { break };
                outcome = outcome.and(self.ended(ended, false));
            }
        }
        outcome
    }

    /// Runs until the process is told to stop by a signal, or by this token. It ends within the time that the signals leave
    /// it; what drains is cut off when three quarters of it have passed.
    ///
    /// # Errors
    /// As [`Process::run`].
    pub async fn run_until_signal(
        self,
        signals: Signals,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let (clock, hurry) = (self.clock.clone(), self.hurry.clone());
        let telling = async {
            signals.first().await;
            tracing::info!(
                "stopping: no new work, what runs may finish; a second signal ends the process at once"
            );
            stop.cancel();
            clock.sleep(signals.stop_timeout() * 3 / 4).await;
            hurry.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = self.run(stop.clone().cancelled_owned()) => ended,
            () = telling => Ok(()),
        }
    }

    /// What the listener of this name serves by, but for its budget and its stage.
    fn terms(&self, name: &str) -> impl FnOnce(Budget, CancellationToken) -> Terms + use<> {
        let measures = ConnectionMeasures::of(&self.metrics, name);
        let (clock, limits) = (self.clock.clone(), self.connections.clone());
        let (share, hurry) = (self.share.clone(), self.hurry.clone());
        |budget, stop| Terms { clock, limits, share, budget, measures, stop, hurry }
    }

    /// Notes a listener, whose address is this setting.
    fn note(&mut self, setting: &'static str, listener: &TcpListener) {
        self.needs.listeners += 1;
        let address = listener.local_addr().ok();
        let reachable = address.filter(|address| !address.ip().to_canonical().is_loopback());
        self.reachable.extend(reachable.map(|address| (setting, address)));
    }

    fn warn_of_strangers(&self) {
        if self.reachable.is_empty() {
            return;
        }
        let listeners: Vec<String> = self
            .reachable
            .iter()
            .map(|(setting, address)| format!("{setting} {address}"))
            .collect();
        tracing::warn!(
            "others than this machine reach {}: everything there is plaintext and asks nobody who they are, since there is no \
             TLS and no authentication yet. Listen on 127.0.0.1, or let only those through whom you trust",
            listeners.join(", ")
        );
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>, early: bool) -> TaskResult {
        // A task catches its own panics, and none is aborted while the process is there.
        let Ended { stage, name, outcome } = ended.map_err(|error| error.to_string())?;
        self.stages[stage].running -= 1;
        match outcome {
            Ok(()) if early => Err(format!("{name} ended by itself")),
            outcome => outcome,
        }
    }

    /// In the first stage: it answers as long as there is a process.
    async fn start_admin(&mut self) {
        let Some(listener) = self.admin.take() else { return };
        let (health, routes) = Health::new();
        let roles = self.roles.clone();
        let router = admin::router(roles.clone(), self.metrics.clone(), routes.routes());
        set_health(&roles, &health).await;
        let terms = self.terms("admin");
        let name = "the admin listener";
        self.spawn_into(0, name.to_owned(), async move |stop: CancellationToken| {
            let terms = terms(Budget::default(), stop);
            let serving = listener::serve(listener, router, Protocol::Any, terms);
            let mut changes: Vec<_> = roles
                .iter()
                .map(|Role { readiness, health, .. }| (readiness.changes(), health.changes()))
                .collect();
            let following = async {
                while !changes.is_empty() {
                    let change = changes.iter_mut().map(|(parts, services)| {
                        Box::pin(async {
                            let _ = tokio::select! {
                                changed = parts.changed() => changed,
                                changed = services.changed() => changed,
                            };
                        })
                    });
                    select_all(change).await;
                    set_health(&roles, &health).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                served = serving => served.map_err(|error| format!("{name}: {error}")),
                () = following => Ok(()),
            }
        });
    }
}

/// Says on the admin listener how each role stands, and all together.
async fn set_health(roles: &[Role], health: &Health) {
    health.set_ready(admin::missing(roles).is_empty()).await;
    for role in roles {
        for service in role.health.names() {
            health.set(&service, role.readiness.missing().is_empty()).await;
        }
    }
}
