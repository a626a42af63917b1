//! A participant on the facade that has as many calls in flight as it takes: the sagas that want one more wait.

use std::{num::NonZeroUsize, sync::Arc};

use clock::Clock;
use facade::{
    Call, Facade, Failure, Reply, config::Connections, dynamic::Handler, listener, log::Calls,
    process::Process, readiness::Readiness, server::Server,
};
use futures::future::BoxFuture;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use proto::saga::v1::{AnswerKind, Event, SagaState, StartSagaRequest, WatchSagaRequest};
use tests::{Mesh, Wiring};
use tokio::sync::Semaphore;

const WORK: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Job); }
    message Job { string id = 1; }
"#;
const ONCE_DEFINITION: &str = "\
saga: once
version: 1
descriptors: [work.proto]
steps:
  - step: work
    call: work.v1.Work/Do
    with: { id: request.id }
    pivot: true
    retry: { attempts: 1 }
";

/// Answers with the job itself, once there is leave to.
struct Worker {
    begun: Semaphore,
    leave: Semaphore,
}

struct Work(Arc<Worker>);

impl Handler for Work {
    fn handle(
        &self,
        _: Call,
        job: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let worker = Arc::clone(&self.0);
        Box::pin(async move {
            worker.begun.add_permits(1);
            worker.leave.acquire().await.unwrap().forget();
            Ok(job.into())
        })
    }
}

fn work(folder: &std::path::Path) -> MethodDescriptor {
    let mut compiler = protox::Compiler::new([folder]).unwrap();
    compiler.open_file("work.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let service = pool.get_service_by_name("work.v1.Work").unwrap();
    service.methods().next().unwrap()
}

async fn start(mesh: &Mesh, id: &str) -> String {
    let start = StartSagaRequest {
        definition: "once".to_owned(),
        version: 0,
        key: id.to_owned(),
        input_json: format!(r#"{{"id": "{id}"}}"#),
    };
    mesh.sagas().start_saga(start).await.unwrap().into_inner().saga_id
}

/// Waits for the record of a saga that tells this answer.
async fn answered(mesh: &Mesh, saga_id: &str, answer: AnswerKind) -> Event {
    let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
    let mut events = mesh.sagas().watch_saga(request).await.unwrap().into_inner();
    loop {
        let event = events.message().await.unwrap().unwrap().event.unwrap();
        if event.answer() == answer {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_whose_call_is_shed_waits_for_room_and_uses_up_no_attempt() {
    let sagas = tempfile::tempdir().unwrap();
    std::fs::write(sagas.path().join("work.proto"), WORK).unwrap();
    std::fs::write(sagas.path().join("once.yaml"), ONCE_DEFINITION).unwrap();
    let worker = Arc::new(Worker { begun: Semaphore::new(0), leave: Semaphore::new(0) });
    let facade = Facade::new(Clock::system(), Calls::Notable).shedding(NonZeroUsize::new(1));
    let mut participant = Server::new(facade);
    participant.serve(&work(sagas.path()), Arc::new(Work(Arc::clone(&worker))));
    let listener = listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = Process::new(Clock::system(), Connections::default());
    process.serve("work", &Readiness::default(), participant.build(), listener).await;
    let serving = tokio::spawn(process.run(std::future::pending()));
    let wiring = Wiring::default().with_sagas(sagas.path());
    let mesh = wiring.with_participant("work.v1.Work", address).start().await;

    let first = start(&mesh, "a").await;
    worker.begun.acquire().await.unwrap().forget();
    let second = start(&mesh, "b").await;
    let told = answered(&mesh, &second, AnswerKind::PushedBack).await;
    assert!(told.message.contains("calls are in flight"), "{told:?}");
    assert_eq!(worker.begun.available_permits(), 0, "the call that was shed began nothing");

    worker.leave.add_permits(2);
    for saga_id in [first, second] {
        assert_eq!(mesh.ended(&saga_id).await.state(), SagaState::Succeeded);
    }
    serving.abort();
}
