//! Plays cells on a mesh: starts the saga, lets go wrong what is planned, and sees how it ends.

use std::time::Duration;

use definition::Compiled;
use futures::{StreamExt, stream};
use proto::saga::v1::{
    RetrySagaRequest, Saga, SagaState, StartSagaRequest, WaitSagaRequest, WaitUntil,
    saga_service_client::SagaServiceClient,
};
use saga::{Direction, Status};
use tonic::{Code, service::Routes};

use crate::{
    cell::{Cell, CellOutcome, Report, every_fault},
    crash::{CrashPoint, Side},
    fault::{Fault, Planned, Times},
    mesh::Mesh,
};

/// Cells that are under way at once where none of them kills the mesh.
const CONCURRENT_SAGAS: usize = 24;
/// A saga that has not settled after so long in the mesh's time counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1200);

/// What a saga is started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// The definition's name.
    pub definition: String,
    /// The saga's key: where the definition makes its own, the same one.
    pub key: String,
    /// The request as JSON.
    pub input_json: String,
}

/// Plays every fault at every step of a definition, and a death before and after every append. `start` gives each saga,
/// by its number, what it is started with, and may prepare the services for it.
///
/// # Panics
/// When the mesh is dead, has no such definition, or refuses a start.
#[must_use]
pub fn fail_everywhere(
    mut mesh: Mesh,
    definition: &str,
    start: impl Fn(&Mesh, usize) -> Start,
) -> Report {
    let definition = mesh.definition(definition);
    // The first saga runs without a crash: it tells at how many appends the others can crash.
    let mut cells = vec![Cell::default()];
    let first = start(&mesh, 0);
    let mut report = mesh.play_together(&definition, cells.clone(), |_| first.clone());
    let appends = mesh.appends();
    cells.extend(
        every_fault(definition.engine()).into_iter().filter(|cell| can_decline(&definition, cell)),
    );
    let starts: Vec<Start> = (0..cells.len()).map(|number| start(&mesh, number)).collect();
    let faults = mesh.play_together(&definition, cells, |number| starts[number].clone());
    report.outcomes = faults.outcomes;
    for append in 1..=appends {
        for side in [Side::Before, Side::After] {
            let number = report.outcomes.len();
            let start = start(&mesh, number);
            let cell = Cell { faults: Vec::new(), crash: Some(CrashPoint { append, side }) };
            report.outcomes.push(mesh.play(&definition, number, cell, &start));
        }
    }
    report
}

/// Whether each call of the cell that is to be declined has a response that can say so, by a field `result`.
fn can_decline(definition: &Compiled, cell: &Cell) -> bool {
    let has_result = |planned: &Planned| {
        let step = definition.engine().find(&planned.step).map(|id| definition.step(id));
        let target = match planned.direction {
            Direction::Forward => step.map(|step| &step.call),
            Direction::Undo => step.and_then(|step| step.undo.as_ref()),
        };
        target.is_some_and(|target| target.output.get_field_by_name("result").is_some())
    };
    cell.faults.iter().all(|planned| planned.fault != Fault::Decline || has_result(planned))
}

impl Mesh {
    /// Plays cells that leave the mesh alive, many at once. `start` gives each, by its number, a saga of its own.
    ///
    /// # Panics
    /// When the mesh is dead or refuses a start.
    pub fn play_together(
        &self,
        definition: &Compiled,
        cells: Vec<Cell>,
        start: impl Fn(usize) -> Start,
    ) -> Report {
        let plays = cells.into_iter().enumerate().map(|(number, cell)| {
            let (start, sagas) = (start(number), self.sagas());
            async move {
                self.script().plan(&start.key, cell.faults.clone());
                let saga = start_and_wait(sagas, &start).await;
                self.judge(definition, number, cell, &start, saga, false).await
            }
        });
        let played = stream::iter(plays).buffer_unordered(CONCURRENT_SAGAS).collect();
        Report { outcomes: self.block_on(played) }
    }

    /// Plays one cell; where the mesh dies in it, it is started again on its files, and the saga asked for once more.
    ///
    /// # Panics
    /// When the mesh is dead before, does not start again, or refuses the start.
    pub fn play(
        &mut self,
        definition: &Compiled,
        number: usize,
        cell: Cell,
        start: &Start,
    ) -> CellOutcome {
        self.script().plan(&start.key, cell.faults.clone());
        self.crash_at(cell.crash);
        let (sagas, died) = (self.sagas(), self.died());
        let saga = self.block_on(async {
            tokio::select! {
                saga = start_and_wait(sagas, start) => Some(saga),
                () = died => None,
            }
        });
        // A saga may be seen as settled on disk while the mesh dies: the mesh counts as dead then.
        let died = self.disarm();
        let saga = match saga {
            Some(saga) if !died => saga,
            _ => {
                self.crash();
                self.restart();
                self.block_on(start_and_wait(self.sagas(), start))
            }
        };
        self.block_on(self.judge(definition, number, cell, start, saga, died))
    }

    async fn judge(
        &self,
        definition: &Compiled,
        number: usize,
        cell: Cell,
        start: &Start,
        saga: Saga,
        died: bool,
    ) -> CellOutcome {
        let first = status(saga.state());
        let allowed = cell.allowed(definition.engine());
        let mut wrong = Vec::new();
        if !allowed.contains(&first) {
            let allowed: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
            wrong.push(format!(
                "it should be {} and is {}: {} {}",
                allowed.join(" or "),
                first.as_str(),
                saga.reason,
                saga.message
            ));
        }
        let mut last = first;
        if first == Status::Attention {
            if saga.reason.is_empty() {
                wrong.push("it needs a person and does not say why".to_owned());
            }
            // The faults are mended, and a person retries the saga. A participant that never answered still does not.
            self.script().heal(&start.key);
            let never = cell.faults.iter().filter(|planned| planned.times == Times::Always);
            self.script().plan(&start.key, never.cloned());
            last = status(retry(self.sagas(), &saga.saga_id).await.state());
            if !matches!(last, Status::Succeeded | Status::Compensated) {
                wrong.push(format!("mended and retried, it is {}", last.as_str()));
            }
            let turned = saga.steps.iter().any(|step| step.undo_attempts > 0);
            if turned && last != Status::Compensated {
                wrong.push(format!("it had turned back, and is {}", last.as_str()));
            }
        }
        let seen = self.script().seen(&start.key);
        wrong.extend(seen.wrong.iter().cloned());
        let idle = |planned: &&Planned| {
            let same = |other: &&Planned| {
                (&other.step, other.direction) == (&planned.step, planned.direction)
            };
            let wanted = cell.faults.iter().filter(same).count();
            let injected = seen.injected.get(&(planned.step.clone(), planned.direction));
            injected.copied().unwrap_or_default() < u32::try_from(wanted).unwrap_or(u32::MAX)
        };
        // The mesh may die before any of the faults.
        if !died {
            for Planned { step, direction, .. } in
                cell.certain(definition.engine()).into_iter().filter(idle)
            {
                wrong.push(format!("the fault of {step} ({}) never happened", direction.as_str()));
            }
            if !cell.faults.is_empty() && cell.faults.iter().all(|planned| idle(&planned)) {
                wrong.push("no fault ever happened".to_owned());
            }
        }
        CellOutcome { number, cell, first, last, seen, died, wrong }
    }
}

/// Starts the saga, or finds the one that was started under the key, and waits until it stands.
async fn start_and_wait(mut sagas: SagaServiceClient<Routes>, start: &Start) -> Saga {
    let Start { definition, key, input_json } = start.clone();
    let request = StartSagaRequest { definition, version: 0, key, input_json };
    let started = sagas.start_saga(request).await.expect("the saga is started").into_inner();
    wait_until_settled(sagas, &started.saga_id).await
}

/// Waits until the saga has ended or needs a person.
async fn wait_until_settled(mut sagas: SagaServiceClient<Routes>, saga_id: &str) -> Saga {
    const WAIT_STEP: Duration = Duration::from_millis(500);
    let mut waited = Duration::ZERO;
    loop {
        let timeout = prost_types::Duration::try_from(WAIT_STEP).ok();
        let until = WaitUntil::Settled.into();
        let request = WaitSagaRequest { saga_id: saga_id.to_owned(), timeout, until };
        let waited_for = sagas.wait_saga(request).await.expect("the saga is waited for");
        let saga = waited_for.into_inner().saga.expect("the saga is there");
        let moving = matches!(saga.state(), SagaState::Running | SagaState::Compensating);
        waited += WAIT_STEP;
        if !moving || waited > STUCK_AFTER {
            return saga;
        }
    }
}

async fn retry(mut sagas: SagaServiceClient<Routes>, saga_id: &str) -> Saga {
    let request =
        RetrySagaRequest { saga_id: saga_id.to_owned(), reason: "it is mended".to_owned() };
    // After a death its journal shows that it needs a person before a task has taken it up.
    while let Err(refused) = sagas.retry_saga(request.clone()).await {
        assert_eq!(refused.code(), Code::Unavailable, "the saga is retried: {refused}");
        tokio::task::yield_now().await;
    }
    wait_until_settled(sagas, saga_id).await
}

fn status(state: SagaState) -> Status {
    match state {
        SagaState::Running | SagaState::Unspecified => Status::Running,
        SagaState::Compensating => Status::Compensating,
        SagaState::Succeeded => Status::Succeeded,
        SagaState::Compensated => Status::Compensated,
        SagaState::Attention => Status::Attention,
        SagaState::Paused => Status::Paused,
        SagaState::Resolved => Status::Resolved,
    }
}
