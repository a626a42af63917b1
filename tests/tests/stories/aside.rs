//! Sagas that cannot be read or run: set aside with their bytes as they are, never in the way of the others, and taken
//! up again or closed by a person.

use std::{net::SocketAddr, time::Duration};

use proto::saga::v1::{
    Event, EventKind, GetSagaRequest, ResolveSagaRequest, RetrySagaRequest, Saga, SagaState,
    SkipStepRequest, WatchSagaRequest,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use stage::refused;
use tests::{
    Mesh, Wiring,
    shop::{code, order},
};
use tonic::Code;

const PAYMENT: &str = "sagamesh.payment.v1.PaymentService";

/// The journal's file, with nobody else at it.
pub(crate) async fn journal(folder: &tempfile::TempDir) -> SqliteConnection {
    let file = folder.path().join("data/orchestrator.db");
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap()
}

/// Changes the journal behind the orchestrator's back.
async fn tamper(folder: &tempfile::TempDir, statement: &'static str, saga_id: &str) {
    let mut connection = journal(folder).await;
    let changed = sqlx::query(statement).bind(saga_id).execute(&mut connection).await.unwrap();
    assert!(changed.rows_affected() > 0, "nothing was changed: {statement}");
    connection.close().await.unwrap();
}

fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// A mesh with orders that wait for a payment service that is down; the ids of their sagas.
async fn waiting<const N: usize>(tokens: [&str; N]) -> (Mesh, [String; N]) {
    let mesh = Wiring::default().with_participant(PAYMENT, nobody()).start().await;
    mesh.open_shop().await;
    for token in tokens {
        let mut request = tonic::Request::new(order(token, "ada", "tea", 1));
        request.set_timeout(Duration::from_millis(300));
        mesh.checkout().place_order(request).await.unwrap_err();
    }
    let running = mesh.sagas_in(&[SagaState::Running]).await;
    let ids = tokens.map(|token| {
        running.iter().find(|saga| saga.key == format!("ada/{token}")).unwrap().saga_id.clone()
    });
    (mesh, ids)
}

async fn get(mesh: &Mesh, saga_id: &str) -> Saga {
    let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
    mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap()
}

/// Waits until recovery has set the saga aside.
async fn set_aside(mesh: &Mesh, saga_id: &str) -> Saga {
    loop {
        let in_attention = mesh.sagas_in(&[SagaState::Attention]).await;
        if let Some(saga) = in_attention.into_iter().find(|saga| saga.saga_id == saga_id) {
            return saga;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_sets_that_saga_aside_with_its_bytes_and_the_others_go_on() {
    let (mesh, [damaged, sound]) = waiting(["damaged", "sound"]).await;
    let folder = mesh.stop().await;

    let mut connection = journal(&folder).await;
    let bytes: Vec<u8> =
        sqlx::query_scalar("select record from journal where saga_id = $1 and seq = 2")
            .bind(&damaged)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    sqlx::query("update event set record = x'ffff' where place = (select place from journal where saga_id = $1 and seq = 2)")
        .bind(&damaged)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    let mesh = Wiring::default().on(folder).start().await;
    assert_eq!(mesh.ended(&sound).await.state(), SagaState::Succeeded);
    set_aside(&mesh, &damaged).await;
    let saga = get(&mesh, &damaged).await;
    assert_eq!(saga.state(), SagaState::Attention);
    assert_eq!(saga.reason, "JOURNAL_UNREADABLE");
    assert!(saga.message.contains("record 2"), "{}", saga.message);
    assert_eq!(mesh.sagas_in(&[SagaState::Attention]).await.len(), 1);

    let skip = SkipStepRequest {
        saga_id: damaged.clone(),
        step: "charge_payment".to_owned(),
        reason: "?".to_owned(),
    };
    let skipped = mesh.sagas().skip_step(skip).await;
    let refusal = refused(skipped, Code::FailedPrecondition, "SAGA_STATE");
    assert!(refusal.message().contains("stands aside"), "{refusal:?}");
    let watch = WatchSagaRequest { saga_id: damaged.clone(), after_seq: 0 };
    let watched = mesh.sagas().watch_saga(watch).await.unwrap().into_inner().message().await;
    assert_eq!(watched.unwrap_err().code(), Code::DataLoss);
    let folder = mesh.stop().await;

    // A person restores the record; then a retry takes the saga up.
    let mut connection = journal(&folder).await;
    let kept: Vec<u8> =
        sqlx::query_scalar("select record from journal where saga_id = $1 and seq = 2")
            .bind(&damaged)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(kept, [0xff, 0xff], "the damaged bytes were not kept");
    sqlx::query("update event set record = $1 where place = (select place from journal where saga_id = $2 and seq = 2)")
        .bind(bytes)
        .bind(&damaged)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let mesh = Wiring::default().on(folder).start().await;
    let retry = RetrySagaRequest { saga_id: damaged.clone(), reason: "restored".to_owned() };
    let answer = mesh.sagas().retry_saga(retry).await.unwrap().into_inner();
    assert_eq!(code(answer.result.as_ref()), "OK");
    assert_eq!(mesh.ended(&damaged).await.state(), SagaState::Succeeded);
    let story: Vec<EventKind> = mesh.saga_events(&damaged).await.iter().map(Event::kind).collect();
    let taken_up = story.iter().rposition(|kind| *kind == EventKind::Recovered).unwrap();
    assert_eq!(story[taken_up + 1], EventKind::Retried, "{story:?}");
    assert_eq!(mesh.balances().await.tea, (98, 0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_saga_was_started_with_cannot_be_changed_unseen() {
    let (mesh, [saga_id]) = waiting(["t-1"]).await;
    let folder = mesh.stop().await;
    tamper(&folder, "update saga set request = request || x'00' where id = $1", &saga_id).await;
    let mesh = Wiring::default().on(folder).start().await;
    let saga = set_aside(&mesh, &saga_id).await;
    assert_eq!(saga.reason, "JOURNAL_UNREADABLE");
    assert!(saga.message.contains("what the saga was started with"), "{}", saga.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_close_a_saga_that_cannot_be_read_and_its_caller_is_told() {
    let (mesh, [saga_id]) = waiting(["t-1"]).await;
    let folder = mesh.stop().await;
    tamper(
        &folder,
        "delete from event where place = (select place from journal where saga_id = $1 and seq = 1)",
        &saga_id,
    )
    .await;

    let mesh = Wiring::default().on(folder).damaged().start().await;
    assert!(set_aside(&mesh, &saga_id).await.message.contains("record 1 is missing"));
    let close = ResolveSagaRequest { saga_id: saga_id.clone(), reason: "freed by hand".to_owned() };
    let closed = mesh.sagas().resolve_saga(close.clone()).await.unwrap().into_inner();
    assert_eq!(code(closed.result.as_ref()), "OK");
    let saga = closed.saga.unwrap();
    assert_eq!((saga.state(), saga.reason.as_str()), (SagaState::Resolved, "RESOLVED_BY_OPERATOR"));
    assert!(saga.message.contains("freed by hand"), "{}", saga.message);
    let again = mesh.sagas().resolve_saga(close).await;
    refused(again, Code::FailedPrecondition, "SAGA_STATE");
    let told = mesh.place(order("t-1", "ada", "tea", 1)).await;
    assert_eq!(
        (code(told.result.as_ref()).as_str(), told.saga_id),
        ("SAGA_STATE", saga_id.clone())
    );

    // It stays closed when the mesh is started again.
    let folder = mesh.stop().await;
    let mesh = Wiring::default().on(folder).damaged().start().await;
    assert_eq!(mesh.ended(&saga_id).await.state(), SagaState::Resolved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_whose_definition_is_not_known_needs_a_person_until_a_program_knows_it_again() {
    let sagas = tempfile::tempdir().unwrap();
    let definition = "saga: pay\nversion: 1\nsteps:\n  - step: look\n    \
                      call: sagamesh.payment.v1.PaymentService/GetWallet\n    \
                      with: { user_id: request.user_id }\n    retry: { attempts: 1000 }\n";
    std::fs::write(sagas.path().join("pay.yaml"), definition).unwrap();
    let folder = Wiring::default().with_sagas(sagas.path()).start().await.stop().await;
    let mesh = Wiring::default().on(folder).with_participant(PAYMENT, nobody()).start().await;
    mesh.open_shop().await;
    let start = proto::saga::v1::StartSagaRequest {
        definition: "pay".to_owned(),
        version: 0,
        key: "k".to_owned(),
        input_json: r#"{"user_id": "ada"}"#.to_owned(),
    };
    let saga_id = mesh.sagas().start_saga(start).await.unwrap().into_inner().saga_id;
    let folder = mesh.stop().await;

    let spoil =
        "update definition set source = 'spoilt ' || source where name = 'pay' and $1 <> ''";
    tamper(&folder, spoil, &saga_id).await;
    let mesh = Wiring::default().on(folder).start().await;
    let saga = set_aside(&mesh, &saga_id).await;
    assert_eq!(saga.reason, "DEFINITION_UNREADABLE");
    assert!(get(&mesh, &saga_id).await.next.contains("a person must decide"));
    let folder = mesh.stop().await;

    let mend = "update definition set source = substr(source, 8) where name = 'pay' and $1 <> ''";
    tamper(&folder, mend, &saga_id).await;
    let mesh = Wiring::default().on(folder).start().await;
    assert_eq!(mesh.ended(&saga_id).await.state(), SagaState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_an_ended_saga_that_was_cut_off_is_told_so_and_nobody_gets_an_answer_by_it()
{
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    let other = mesh.place_successfully(order("t-2", "ada", "tea", 1)).await;
    let folder = mesh.stop().await;
    let cut = "delete from event where place in
        (select place from journal where saga_id = $1 order by seq desc limit 2)";
    tamper(&folder, cut, &placed.saga_id).await;

    let mesh = Wiring::default().on(folder).damaged().start().await;
    let saga = get(&mesh, &placed.saga_id).await;
    assert_eq!(saga.reason, "JOURNAL_UNREADABLE");
    assert!(saga.message.contains("was cut off"), "{}", saga.message);
    assert!(!saga.next.contains("person has settled"), "{}", saga.next);
    assert!(saga.next.contains("backup"), "{}", saga.next);
    let refused = mesh.checkout().place_order(order("t-1", "ada", "tea", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused:?}");
    assert_eq!(mesh.place_successfully(order("t-2", "ada", "tea", 1)).await, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_was_deleted_is_missed_when_its_start_is_repeated_and_no_second_one_begins() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    let folder = mesh.stop().await;
    tamper(&folder, "delete from saga where id = $1", &placed.saga_id).await;

    let mesh = Wiring::default().on(folder).damaged().start().await;
    let refused = mesh.checkout().place_order(order("t-1", "ada", "tea", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused:?}");
    assert!(refused.message().contains(&placed.saga_id), "{refused:?}");
    assert_eq!(mesh.balances().await.tea.2, 1, "bought a second time");
    // The rows that are left of it hinder nothing.
    mesh.place_successfully(order("t-2", "ada", "tea", 1)).await;
}
