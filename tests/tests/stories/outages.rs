//! Participants that are down, and orchestrators that stop.

use std::{net::SocketAddr, time::Duration};

use proto::{
    order::v1::OrderState,
    saga::v1::{
        CancelSagaRequest, GetSagaRequest, SagaState, StepState, WaitSagaRequest, WatchSagaRequest,
    },
};
use sagamesh::mesh::{Config, Database, Listen};
use sqlx::Connection;
use tests::{
    Mesh, Wiring,
    shop::{TEA, order},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::aside::journal;

const PAYMENT: &str = "sagamesh.payment.v1.PaymentService";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_as_many_sagas_as_it_may_refuses_the_next_and_ends_those() {
    // It takes connections, and says nothing: the calls are under way. A saga that waits would not count.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let wiring = Wiring::default().with_participant(PAYMENT, address).running_at_most(2);
    let mesh = wiring.start().await;
    mesh.open_shop().await;
    for token in ["t-1", "t-2"] {
        let mut request = tonic::Request::new(order(token, "ada", "tea", 1));
        request.set_timeout(Duration::from_millis(300));
        let late = mesh.checkout().place_order(request).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    }
    let refused = mesh.checkout().place_order(order("t-3", "ada", "tea", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "OVERLOADED");
    assert!(details.retry_info().unwrap().retry_delay.is_some_and(|wait| !wait.is_zero()));
    let running = mesh.sagas_in(&[]).await;
    assert_eq!(running.len(), 2, "a refused start leaves nothing: {running:?}");

    for saga in &running {
        let saga_id = saga.saga_id.clone();
        let cancel = CancelSagaRequest { saga_id, reason: "to make room".to_owned() };
        mesh.sagas().cancel_saga(cancel).await.unwrap();
    }
    for saga in &running {
        let ended = mesh.ended(&saga.saga_id).await;
        assert_eq!(ended.state(), SagaState::Compensated, "what runs goes on, and is undone");
    }
}

/// An address at which nobody listens yet.
async fn free_address() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_learns_the_step_and_the_reason_and_the_saga_moves_when_the_participant_is_back() {
    let address = free_address().await;
    let mesh = Wiring::default().with_participant(PAYMENT, address).start().await;
    mesh.open_shop().await;

    // One attempt may be under way when the time is up, but not each time.
    let mut between = None;
    for _ in 0..10 {
        let mut request = tonic::Request::new(order("t-1", "ada", "tea", 1));
        request.set_timeout(Duration::from_millis(500));
        let late = mesh.checkout().place_order(request).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
        assert!(late.message().contains("charge_payment"), "{}", late.message());
        let saga_id = late.get_details_error_info().unwrap().metadata["saga_id"].clone();

        let get = GetSagaRequest { saga_id: saga_id.clone(), include_payloads: false };
        let saga = mesh.sagas().get_saga(get).await.unwrap().into_inner().saga.unwrap();
        assert_eq!(saga.state(), SagaState::Running);
        assert!(saga.next.contains("charge_payment"), "{}", saga.next);
        let charge = saga.steps.iter().find(|step| step.step == "charge_payment").unwrap();
        assert_eq!(charge.state(), StepState::NotSent);
        if late.message().contains("next in") && charge.next_attempt_at.is_some() {
            between = Some(saga_id);
            break;
        }
    }
    let saga_id = between.expect("the next attempt is told");
    assert_eq!(mesh.balances().await.tea, (99, 1, 0), "the stock stays frozen meanwhile");

    // The payment service of this mesh is now served at the address that was dead.
    let payment = mesh.addresses().payment;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut inbound, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut outbound = tokio::net::TcpStream::connect(payment).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await;
            });
        }
    });
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    assert_eq!(placed.saga_id, saga_id);
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Paid);
    assert_eq!(mesh.wallet("ada").await, 10_000 - TEA);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_goes_on_where_it_stood_when_the_mesh_is_started_again() {
    let mesh = Wiring::default().with_participant(PAYMENT, free_address().await).start().await;
    mesh.open_shop().await;
    let mut request = tonic::Request::new(order("t-1", "ada", "tea", 2));
    request.set_timeout(Duration::from_millis(300));
    mesh.checkout().place_order(request).await.unwrap_err();
    let folder = mesh.stop().await;

    let mesh = Wiring::default().on(folder).start().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 2)).await;
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Paid);
    assert_eq!(mesh.balances().await.tea, (98, 0, 2));
    assert_eq!(mesh.wallet("ada").await, 10_000 - 2 * TEA);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_saga_is_told_where_it_stands_when_the_mesh_stops() {
    let mesh = Wiring::default().with_participant(PAYMENT, free_address().await).start().await;
    mesh.open_shop().await;
    let (mut checkout, mut sagas) = (mesh.checkout(), mesh.sagas());
    let placing =
        tokio::spawn(async move { checkout.place_order(order("t-1", "ada", "tea", 1)).await });
    let saga_id = loop {
        let running = mesh.sagas_in(&[SagaState::Running]).await;
        if let Some(saga) = running.first() {
            break saga.saga_id.clone();
        }
        tokio::task::yield_now().await;
    };
    let watch = WatchSagaRequest { saga_id: saga_id.clone(), after_seq: 0 };
    let mut watched = mesh.sagas().watch_saga(watch).await.unwrap().into_inner();
    watched.message().await.unwrap().expect("the saga has begun");
    let wait = WaitSagaRequest { saga_id: saga_id.clone(), ..WaitSagaRequest::default() };
    let waiting = tokio::spawn(async move { sagas.wait_saga(wait).await });
    let _folder = mesh.stop().await;

    let told = placing.await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    assert!(told.message().contains("started again"), "{}", told.message());
    assert_eq!(told.get_details_error_info().unwrap().metadata["saga_id"], saga_id);
    // The wait may have been sent after the stop, and then has found no server.
    if let Ok(waited) = waiting.await.unwrap() {
        assert_eq!(waited.into_inner().saga.unwrap().state(), SagaState::Running);
    }
    let end = loop {
        match watched.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the saga has not ended"),
            Err(end) => break end,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    assert!(end.message().contains("watch again after record"), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_mesh_on_the_same_folder_is_refused_in_one_sentence() {
    let mesh = Mesh::start().await;
    let config = Config {
        listen: Listen { port_base: 0, ..Listen::default() },
        database: Database { folder: mesh.data().to_owned() },
        ..Config::default()
    };
    let refused = sagamesh::mesh::start(config, clock::Clock::system()).await;
    let why = refused.err().expect("the second mesh must not start");
    assert!(why.contains("another process"), "{why}");
    assert_eq!(why.lines().count(), 1, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_a_newer_program_is_refused_and_left_as_it_is() {
    let mesh = Mesh::start().await;
    let folder = mesh.stop().await;
    let mut connection = journal(&folder).await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         values (99, 'from the future', current_timestamp, true, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let refused = Wiring::default().on(folder).try_start().await;
    let why = refused.err().expect("a newer schema must be refused");
    assert!(why.contains("newer"), "{why}");
}
