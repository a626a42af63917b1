//! Participants that take few calls at once: sagas wait in line for them, and lose nothing by it.

use std::{collections::HashSet, time::Duration};

use proto::saga::v1::{
    CancelSagaRequest, GetSagaRequest, Saga, SagaState, saga_service_client::SagaServiceClient,
};
use tests::{Mesh, Wiring};
use tonic::{server::NamedService, transport::Channel};

use crate::work::{Capacity, Work, all_succeed, job, mesh, start};

const ONCE_DEFINITION: &str = "\
saga: once
version: 1
deadline: 60s
descriptors: [work.proto]
steps:
  - step: work
    call: work.v1.Work/Do
    with: { id: request.id }
    timeout: 500ms
    retry: { attempts: 2, base: 10ms, cap: 10ms }
    undo: work.v1.Work/Undo
";

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sagas_at_once_succeed_with_a_participant_of_four_streams() {
    // They take five seconds, and each call has three.
    let job = Duration::from_millis(160);
    let work = Work::serve(Capacity { streams: 4, job, ..Capacity::default() }).await;
    let once = ONCE_DEFINITION.replace("timeout: 500ms", "timeout: 3s");
    let mesh = mesh(&once, |wiring| with(wiring, &work)).await;
    all_succeed(&mesh, 500).await;
    let calls = work.calls_of("/Do");
    let keys: HashSet<&str> = calls.iter().map(|call| call.key.as_str()).collect();
    assert_eq!((calls.len(), keys.len()), (500, 500), "one attempt each");
    assert!(work.calls_of("/Undo").is_empty());
    let most = work.counts().most;
    assert!((5..=16).contains(&most), "{most} at once, with 4 on each of 4 connections at most");
}

fn with(wiring: Wiring, work: &Work) -> Wiring {
    wiring.with_participant(Work::NAME, work.address)
}

/// A mesh whose four connections of one stream are taken by held calls, and a saga whose call is in line.
async fn crowded() -> (Mesh, Work, String) {
    let work = Work::serve(Capacity { streams: 1, answered: 0, ..Capacity::default() }).await;
    let once = ONCE_DEFINITION.replace("timeout: 500ms", "timeout: 60s");
    let mesh = mesh(&once, |wiring| with(wiring, &work)).await;
    for id in 'a'..='d' {
        start(&mesh, id).await;
    }
    work.arrived(4).await;
    let in_line = start(&mesh, 'z').await;
    (mesh, work, in_line)
}

fn was_called(work: &Work, id: char) -> bool {
    work.calls_of("/Do").iter().any(|call| call.job == job(id))
}

/// Waits until the call of a saga's only step has left the line without being made.
async fn left_the_line(mut sagas: SagaServiceClient<Channel>, saga_id: &str) -> Saga {
    loop {
        let get = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
        let saga = sagas.get_saga(get).await.unwrap().into_inner().saga.unwrap();
        if saga.steps[0].message.contains("in line when") {
            assert_eq!(saga.steps[0].reason, "NOT_SENT");
            return saga;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_line_is_not_made_any_more_when_its_saga_is_cancelled() {
    let (mesh, work, in_line) = crowded().await;
    let cancel = CancelSagaRequest { saga_id: in_line.clone(), reason: "changed".to_owned() };
    mesh.sagas().cancel_saga(cancel).await.unwrap();
    left_the_line(mesh.sagas(), &in_line).await;
    assert_eq!(mesh.ended(&in_line).await.state(), SagaState::Compensated, "nothing is to undo");
    work.leave.add_permits(100);
    assert!(!was_called(&work, 'z'), "the call was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_line_when_the_node_stops_is_made_by_the_next_node() {
    let (mesh, work, in_line) = crowded().await;
    let sagas = mesh.sagas();
    let stopped = tokio::spawn(mesh.stop());
    left_the_line(sagas, &in_line).await;
    work.leave.add_permits(100);
    let folder = stopped.await.unwrap();
    assert!(!was_called(&work, 'z'), "a node that stops makes no new call");

    let mesh =
        Wiring::default().on(folder).with_participant(Work::NAME, work.address).start().await;
    assert_eq!(mesh.ended(&in_line).await.state(), SagaState::Succeeded);
    assert!(work.calls_of("/Undo").is_empty());
}
