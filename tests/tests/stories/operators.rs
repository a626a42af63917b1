//! What an operator can do with a saga, and what is refused with a reason.

use std::time::Duration;

use proto::saga::v1::{
    CancelSagaRequest, EventKind, GetSagaRequest, ListSagasRequest, PauseSagaRequest,
    ResolveSagaRequest, ResumeSagaRequest, RetrySagaRequest, Saga, SagaState, SkipStepRequest,
    WatchSagaRequest,
};
use stage::code_or_status;
use tests::{
    Mesh, Wiring,
    shop::{code, order},
};
use tonic::server::NamedService;

use crate::unavailable::Unavailable;

/// What is said of an order that the saga's state does not allow.
const SAGA_STATE: &str = "FailedPrecondition SAGA_STATE";

/// A mesh whose payment service carries nothing out, and a saga that waits for it.
pub(crate) async fn waiting_for_payment() -> (Mesh, String) {
    let wiring = Wiring::default();
    let mesh = wiring.with_participant(Unavailable::NAME, Unavailable::serve().await).start().await;
    mesh.open_shop().await;
    let mut checkout = mesh.checkout();
    let mut request = tonic::Request::new(order("t-1", "ada", "tea", 1));
    request.set_timeout(Duration::from_millis(400));
    checkout.place_order(request).await.unwrap_err();
    let saga = mesh.sagas_in(&[SagaState::Running]).await.remove(0);
    (mesh, saga.saga_id)
}

async fn get(mesh: &Mesh, saga_id: &str) -> Saga {
    let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
    mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap()
}

macro_rules! steer {
    ($mesh:expr, $method:ident, $request:ident, $saga_id:expr) => {{
        let request = $request { saga_id: $saga_id.to_owned(), reason: "by hand".to_owned() };
        let answer = $mesh.sagas().$method(request).await;
        let saga = answer.as_ref().ok().and_then(|response| response.get_ref().saga.clone());
        (code_or_status(answer), saga)
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_paused_resumed_and_cancelled_and_ends_undone() {
    let (mesh, saga_id) = waiting_for_payment().await;
    let (done, saga) = steer!(mesh, pause_saga, PauseSagaRequest, saga_id);
    assert_eq!(done, "OK");
    assert_eq!(saga.unwrap().state(), SagaState::Paused);
    assert!(get(&mesh, &saga_id).await.next.contains("resume"));

    assert_eq!(steer!(mesh, pause_saga, PauseSagaRequest, saga_id).0, SAGA_STATE);
    assert_eq!(steer!(mesh, retry_saga, RetrySagaRequest, saga_id).0, SAGA_STATE);
    let (done, saga) = steer!(mesh, resume_saga, ResumeSagaRequest, saga_id);
    assert_eq!(done, "OK");
    assert_eq!(saga.unwrap().state(), SagaState::Running);
    assert_eq!(steer!(mesh, resume_saga, ResumeSagaRequest, saga_id).0, SAGA_STATE);
    assert_eq!(steer!(mesh, resolve_saga, ResolveSagaRequest, saga_id).0, SAGA_STATE);

    // The charge may have landed, so its undo needs the payment service too.
    assert_eq!(steer!(mesh, cancel_saga, CancelSagaRequest, saga_id).0, "OK");
    assert_eq!(get(&mesh, &saga_id).await.state(), SagaState::Compensating);
    assert_eq!(get(&mesh, &saga_id).await.reason, "CANCELLED_BY_OPERATOR");
    assert_eq!(steer!(mesh, cancel_saga, CancelSagaRequest, saga_id).0, SAGA_STATE);

    steer!(mesh, pause_saga, PauseSagaRequest, saga_id);
    let skip = SkipStepRequest {
        saga_id: saga_id.clone(),
        step: "charge_payment".to_owned(),
        reason: "nothing was charged".to_owned(),
    };
    let skipped = mesh.sagas().skip_step(skip.clone()).await.unwrap().into_inner();
    assert_eq!(code(skipped.result.as_ref()), "OK", "{skipped:?}");
    assert_eq!(steer!(mesh, resume_saga, ResumeSagaRequest, saga_id).0, "OK");
    let ended = mesh.ended(&saga_id).await;
    assert_eq!(ended.state(), SagaState::Compensated, "{ended:?}");
    assert_eq!(mesh.balances().await.tea, (100, 0, 0));
    for answer in [
        steer!(mesh, cancel_saga, CancelSagaRequest, saga_id).0,
        steer!(mesh, retry_saga, RetrySagaRequest, saga_id).0,
        code_or_status(mesh.sagas().skip_step(skip).await),
    ] {
        assert_eq!(answer, SAGA_STATE, "a saga that has ended was steered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_saga_can_be_resolved_and_stays_so_over_a_restart() {
    let (mesh, saga_id) = waiting_for_payment().await;
    steer!(mesh, pause_saga, PauseSagaRequest, saga_id);
    let folder = mesh.stop().await;
    let mesh = Wiring::default().on(folder).start().await;
    assert_eq!(get(&mesh, &saga_id).await.state(), SagaState::Paused);
    let (done, saga) = steer!(mesh, resolve_saga, ResolveSagaRequest, saga_id);
    assert_eq!((done.as_str(), saga.unwrap().state()), ("OK", SagaState::Resolved));
    let folder = mesh.stop().await;
    let mesh = Wiring::default().on(folder).start().await;
    assert_eq!(get(&mesh, &saga_id).await.state(), SagaState::Resolved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_every_record_once_and_the_stream_ends_with_the_saga() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    let watch = |after_seq| WatchSagaRequest { saga_id: placed.saga_id.clone(), after_seq };
    let mut seen = Vec::new();
    let mut stream = mesh.sagas().watch_saga(watch(0)).await.unwrap().into_inner();
    while let Some(response) = stream.message().await.unwrap() {
        seen.push(response.event.unwrap());
    }
    assert!(seen.iter().map(|event| event.seq).eq(1..=u64::try_from(seen.len()).unwrap()));
    assert_eq!(seen.first().unwrap().kind(), EventKind::Started);
    assert_eq!(seen.last().unwrap().kind(), EventKind::Succeeded);

    let mut rest = mesh.sagas().watch_saga(watch(3)).await.unwrap().into_inner();
    assert_eq!(rest.message().await.unwrap().unwrap().event.unwrap().seq, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged_without_a_gap() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    for number in 0..7 {
        mesh.place_successfully(order(&format!("t-{number}"), "ada", "tea", 1)).await;
    }
    mesh.place(order("t-none", "nobody", "tea", 1)).await;
    let list = |page_token: String, states: Vec<SagaState>| ListSagasRequest {
        states: states.into_iter().map(i32::from).collect(),
        page_size: 3,
        page_token,
        ..ListSagasRequest::default()
    };
    let (mut keys, mut token) = (Vec::new(), String::new());
    loop {
        let page = mesh
            .sagas()
            .list_sagas(list(token, vec![SagaState::Succeeded]))
            .await
            .unwrap()
            .into_inner();
        keys.extend(page.sagas.into_iter().map(|saga| saga.key));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(keys, ["ada/t-6", "ada/t-5", "ada/t-4", "ada/t-3", "ada/t-2", "ada/t-1", "ada/t-0"]);
    let first =
        mesh.sagas().list_sagas(list(String::new(), Vec::new())).await.unwrap().into_inner();
    let other = list(first.next_page_token, vec![SagaState::Compensated]);
    assert_eq!(
        mesh.sagas().list_sagas(other).await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );
    let undone = mesh.sagas_in(&[SagaState::Compensated]).await;
    let why: Vec<&str> = undone.iter().map(|saga| saga.reason.as_str()).collect();
    assert_eq!(
        why,
        ["USER_UNKNOWN"],
        "a list says why, and each saga's message is there: {undone:?}"
    );
    assert!(undone[0].message.contains("nobody") && undone[0].steps.is_empty(), "{undone:?}");
}
