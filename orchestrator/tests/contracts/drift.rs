//! A participant's contract that has grown since a definition was registered.

use std::{fs, sync::Arc};

use bytes::Bytes;
use clock::Clock;
use facade::{Facade, dial::Address, log::Calls};
use orchestrator::{
    Config, Node,
    config::{Definitions, Participant as Configured},
    journal, node,
};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use proto::{
    facade::v1::ResultInfo,
    saga::v1::{
        DefinitionDriftRequest, DefinitionDriftResponse, GetSagaRequest, Saga, SagaState,
        StartSagaRequest, saga_service_client::SagaServiceClient,
    },
};
use tempfile::TempDir;
use tonic::{Code, service::Routes};

use crate::participant::{Participant, SERVICE, Serving};

const BEFORE: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Done); rpc Undo(Job) returns (Done); }
    message Job { string id = 1; int32 size = 2; }
    message Done { string id = 1; }
"#;

const AFTER: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Done); rpc Undo(Job) returns (Done); }
    message Job { string id = 1; int64 size = 2; }
    message Done { string id = 1; Result result = 15; string note = 3; }
    message Result { bool success = 1; string code = 2; string message = 3; }
"#;

const DEFINITION: &str = "saga: work
version: 1
descriptors: [work.proto]
steps:
  - step: first
    call: work.v1.Work/Do
    with: { id: saga.id }
    undo: work.v1.Work/Undo
";

fn files(source: &str) -> Vec<FileDescriptorProto> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("work.proto");
    fs::write(&path, source).unwrap();
    let mut descriptors = definition::Descriptors::new();
    descriptors.add_file(&path, &[]).unwrap();
    let service = descriptors.method(SERVICE, "Do").unwrap();
    let pool = service.parent_pool().encode_to_vec();
    FileDescriptorSet::decode(pool.as_slice()).unwrap().file
}

/// A response that says no in a field that was not there when the definition was registered.
fn declined() -> Bytes {
    let result = ResultInfo {
        success: false,
        code: "SOLD_OUT".to_owned(),
        message: "nothing is left".to_owned(),
        ..ResultInfo::default()
    };
    let mut answer = Vec::new();
    prost::encoding::string::encode(1, &"a-1".to_owned(), &mut answer);
    prost::encoding::message::encode(15, &result, &mut answer);
    answer.into()
}

struct Running {
    node: Node,
    _folder: TempDir,
}

impl Running {
    /// A node whose definition was checked against the contract of before.
    async fn node(address: Address) -> Self {
        Self::checked_against(BEFORE, address).await
    }

    async fn checked_against(contract: &str, address: Address) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sagas = folder.path().join("sagas");
        fs::create_dir(&sagas).unwrap();
        fs::write(sagas.join("work.proto"), contract).unwrap();
        fs::write(sagas.join("work.yaml"), DEFINITION).unwrap();
        let config = Config {
            definitions: Definitions { folder: Some(sagas), ..Definitions::default() },
            participants: [(SERVICE.to_owned(), Configured::at(address))].into(),
            ..Config::default()
        };
        let clock = Clock::system();
        let facade = Facade::new(clock.clone(), Calls::Notable);
        let journal: journal::Shared =
            Arc::new(node::open_journal(&folder.path().join("data"), &clock).await.unwrap());
        let node = Node::with_journal(config, &[], Vec::new(), &facade, journal).await.unwrap();
        Self { node, _folder: folder }
    }

    fn sagas(&self) -> SagaServiceClient<Routes> {
        SagaServiceClient::new(self.node.service().in_process())
    }

    /// A saga that has come to its end.
    async fn ended(&self, key: &str) -> Saga {
        let start = StartSagaRequest {
            definition: "work".to_owned(),
            key: key.to_owned(),
            ..StartSagaRequest::default()
        };
        let saga_id = self.sagas().start_saga(start).await.unwrap().into_inner().saga_id;
        let end = [SagaState::Succeeded, SagaState::Compensated, SagaState::Attention];
        loop {
            let get = GetSagaRequest { saga_id: saga_id.clone(), ..GetSagaRequest::default() };
            let saga = self.sagas().get_saga(get).await.unwrap().into_inner().saga.unwrap();
            if end.contains(&saga.state()) {
                return saga;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn drift(&self) -> DefinitionDriftResponse {
        let request = DefinitionDriftRequest::default();
        self.sagas().definition_drift(request).await.unwrap().into_inner()
    }
}

fn changes(drift: &DefinitionDriftResponse) -> Vec<String> {
    let shown = drift.differences.iter().map(|one| {
        assert_eq!((one.definition.as_str(), one.version), ("work", 1));
        format!("{} {}: {}", one.method, one.message, one.change)
    });
    shown.collect()
}

#[tokio::test]
async fn a_decline_in_a_field_that_came_after_registration_is_a_decline() {
    let participant = Participant::with(files(AFTER));
    participant.0.lock().unwrap().answer = declined();
    let running = Running::node(participant.serve(Serving::default()).await).await;
    let saga = running.ended("k-1").await;
    assert_eq!(saga.state(), SagaState::Compensated, "{saga:?}");
    assert!(format!("{saga:?}").contains("SOLD_OUT"), "{saga:?}");
    // Declined on its one attempt, so there was nothing to undo.
    assert_eq!(participant.0.lock().unwrap().calls, ["forward"]);
}

#[tokio::test]
async fn a_decline_in_a_result_that_has_another_number_now_is_a_decline() {
    let participant = Participant::with(files(AFTER));
    participant.0.lock().unwrap().answer = declined();
    let before = AFTER.replace("result = 15", "result = 7");
    let address = participant.serve(Serving::default()).await;
    let running = Running::checked_against(&before, address).await;
    assert_eq!(running.ended("k-1").await.state(), SagaState::Compensated);
}

#[tokio::test]
async fn the_participant_is_asked_once_for_a_contract_that_explains_its_answers() {
    let participant = Participant::with(files(AFTER));
    participant.0.lock().unwrap().answer = declined();
    let running = Running::node(participant.serve(Serving::default()).await).await;
    for key in ["k-1", "k-2", "k-3"] {
        assert_eq!(running.ended(key).await.state(), SagaState::Compensated);
    }
    assert_eq!(participant.0.lock().unwrap().asked.len(), 1);
}

#[tokio::test]
async fn a_success_in_such_a_field_and_fields_that_decide_nothing_are_done() {
    let participant = Participant::with(files(AFTER));
    let running = Running::node(participant.serve(Serving::default()).await).await;
    let mut answer = Vec::new();
    let success = ResultInfo { success: true, ..ResultInfo::default() };
    prost::encoding::message::encode(15, &success, &mut answer);
    for (key, answer) in [("k-1", answer), ("k-2", b"\x1a\x01x".to_vec())] {
        participant.0.lock().unwrap().answer = answer.into();
        assert_eq!(running.ended(key).await.state(), SagaState::Succeeded);
    }
}

#[tokio::test]
async fn what_a_participant_does_not_describe_is_read_as_it_was_registered_and_not_asked_for_again()
{
    let participant = Participant::with(files(BEFORE));
    participant.0.lock().unwrap().answer = declined();
    let running = Running::node(participant.serve(Serving::default()).await).await;
    for key in ["k-1", "k-2", "k-3"] {
        assert_eq!(running.ended(key).await.state(), SagaState::Succeeded);
    }
    assert_eq!(participant.0.lock().unwrap().asked.len(), 1);

    let participant = Participant::default();
    participant.0.lock().unwrap().answer = declined();
    let serving = Serving { without_reflection: true, ..Serving::default() };
    let running = Running::node(participant.serve(serving).await).await;
    assert_eq!(running.ended("k-1").await.state(), SagaState::Succeeded);
    let drift = running.drift().await;
    assert!(drift.differences.is_empty());
    assert_eq!(drift.not_compared[0].service, SERVICE);
    assert!(drift.not_compared[0].why.contains("it serves no reflection"), "{drift:?}");
}

#[tokio::test]
async fn the_differences_are_listed_by_definition_method_and_field() {
    let participant = Participant::with(files(BEFORE));
    let running = Running::node(participant.serve(Serving::default()).await).await;
    assert_eq!(changes(&running.drift().await), [""; 0]);

    participant.0.lock().unwrap().files = files(AFTER);
    let expected = [
        "Do work.v1.Done: field note added: string = 3",
        "Do work.v1.Done: field result added: work.v1.Result = 15",
        "Do work.v1.Job: field size changed: int32 = 2 is now int64 = 2",
    ];
    let undo = expected.map(|change| change.replacen("Do ", "Undo ", 1));
    let expected: Vec<String> =
        expected.iter().map(|change| (*change).to_owned()).chain(undo).collect();
    assert_eq!(changes(&running.drift().await), expected);

    // As many pages as it takes give the same.
    let mut paged = Vec::new();
    let mut request = DefinitionDriftRequest { page_size: 2, ..DefinitionDriftRequest::default() };
    loop {
        let page = running.sagas().definition_drift(request.clone()).await.unwrap().into_inner();
        paged.extend(changes(&page));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, expected);

    let renamed =
        BEFORE.replace("rpc Undo", "rpc Redo").replace("returns (Done); rpc", "returns (Job); rpc");
    participant.0.lock().unwrap().files = files(&renamed);
    assert_eq!(
        changes(&running.drift().await),
        [
            "Do : changed: (work.v1.Job) returns (work.v1.Done) is now (work.v1.Job) returns (work.v1.Job)",
            "Undo : removed: (work.v1.Job) returns (work.v1.Done)",
        ]
    );
}

#[tokio::test]
async fn the_drift_of_a_definition_that_is_not_registered_is_not_found() {
    let participant = Participant::with(files(BEFORE));
    let running = Running::node(participant.serve(Serving::default()).await).await;
    let request = DefinitionDriftRequest { name: "nobody".to_owned(), ..Default::default() };
    let status = running.sagas().definition_drift(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let request = DefinitionDriftRequest { page_token: "x".to_owned(), ..Default::default() };
    let status = running.sagas().definition_drift(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
