//! Sagas that ended long ago are removed. The orders that they placed are not theirs to remove, nor the tokens of those.

use std::{path::Path, time::Duration};

use clock::{Clock, ManualTime, Timestamp};
use proto::{
    checkout::v1::checkout_service_client::CheckoutServiceClient,
    points::v1::{OpenAccountRequest, points_service_client::PointsServiceClient},
    saga::v1::{GetSagaRequest, PauseSagaRequest, SagaState, StartSagaRequest},
};
use sagamesh::mesh::{Config, Database, Listen, Retention};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use stage::code_or_status;
use tests::{Mesh, Wiring, channel, shop::order};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Code, transport::Channel};

use crate::{aside::journal, operators::waiting_for_payment};

async fn is_known(mesh: &Mesh, saga_id: &str) -> bool {
    let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
    match code_or_status(mesh.sagas().get_saga(request).await).as_str() {
        "OK" => true,
        "NotFound SAGA_UNKNOWN" => false,
        other => panic!("{other}"),
    }
}

async fn is_removed(mesh: &Mesh, saga_id: &str) {
    let clock = Clock::system();
    let removed = async {
        while is_known(mesh, saga_id).await {
            clock.sleep(Duration::from_millis(5)).await;
        }
    };
    clock.timeout(Duration::from_secs(20), removed).await.expect("the saga is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_long_ago_is_removed_and_its_token_and_what_has_not_ended_stay() {
    let (mesh, waiting) = waiting_for_payment().await;
    let pause = PauseSagaRequest { saga_id: waiting.clone(), reason: "for a while".to_owned() };
    mesh.sagas().pause_saga(pause).await.unwrap();
    let folder = mesh.stop().await;

    let mesh = Wiring::default().on(folder).start().await;
    let placed = mesh.place_successfully(order("t-2", "ada", "tea", 1)).await;
    let folder = mesh.stop().await;

    let mesh = Wiring::default().on(folder).keeping_finished("1ms").start().await;
    is_removed(&mesh, &placed.saga_id).await;
    assert!(is_known(&mesh, &waiting).await);
    assert_eq!(mesh.order(&placed.order_no).await.saga_id, placed.saga_id);
    // Its token is kept: a repeat of the request gets the first answer, and nothing is bought again.
    let again = mesh.place_successfully(order("t-2", "ada", "tea", 1)).await;
    assert_eq!(again, placed);
    let refused = mesh.checkout().place_order(order("t-2", "ada", "tea", 2)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert_eq!(mesh.sagas_in(&[]).await.len(), 1, "a repeat has started a saga");
    assert_eq!(mesh.balances().await.tea.2, 1, "bought a second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_is_repeated_as_it_was_also_when_its_saga_is_no_longer_there() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let declined = mesh.place(order("t-1", "ada", "tea", 1_000)).await;
    assert!(!declined.result.as_ref().unwrap().success);
    let folder = mesh.stop().await;
    let mesh = Wiring::default().on(folder).keeping_finished("1ms").start().await;
    is_removed(&mesh, &declined.saga_id).await;
    assert_eq!(mesh.place(order("t-1", "ada", "tea", 1_000)).await, declined);
    let start = StartSagaRequest {
        definition: "place-order".to_owned(),
        version: 0,
        key: String::new(),
        input_json: r#"{"submit_token": "t-1", "user_id": "ada",
                        "lines": [{"sku": "tea", "quantity": 1000}]}"#
            .to_owned(),
    };
    let started = mesh.sagas().start_saga(start).await.unwrap().into_inner();
    assert_eq!((started.saga_id.as_str(), started.already_started), (&*declined.saga_id, true));
    assert_eq!(started.state(), SagaState::Compensated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_key_is_gone_buys_nothing_a_second_time() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    let folder = mesh.stop().await;
    let mut connection = journal(&folder).await;
    let forget = "delete from saga_key; delete from event; delete from saga";
    sqlx::raw_sql(forget).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let mesh = Wiring::default().on(folder).damaged().start().await;
    let again = mesh.place(order("t-1", "ada", "tea", 1)).await;
    let result = again.result.unwrap();
    assert_eq!(result.code, "ORDER_EXISTS", "{result:?}");
    assert!(result.message.contains(&placed.order_no), "{}", result.message);
    assert_eq!(mesh.balances().await.tea.2, 1, "bought a second time");
    mesh.place_successfully(order("t-2", "ada", "tea", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_answers_are_removed_when_they_are_older_than_the_config_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        listen: Listen { port_base: 0, ..Listen::default() },
        database: Database { folder: folder.path().to_owned() },
        retention: Retention { keep_inbox: Some("1d".parse().unwrap()), ..Retention::default() },
        ..Config::default()
    };
    let (clock, time) = Clock::manual(Timestamp(1_790_000_000_000));
    let mesh = sagamesh::mesh::start(config, clock).await.unwrap();
    let points = PointsServiceClient::new(channel(mesh.addresses().points));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(mesh.run(async { stopped.await.unwrap() }));
    let (request_id, user_id) = ("open-ada".to_owned(), "ada".to_owned());
    let opening = OpenAccountRequest { request_id, user_id };
    points.clone().open_account(opening).await.unwrap();
    let file = folder.path().join("points.db");
    assert_eq!(answers(&file).await, 1);
    time.advance(Duration::from_hours(24));
    let machine = Clock::system();
    let removed = async {
        while answers(&file).await > 0 {
            // Rows are removed with the next sweep, an hour after they are no longer answered by.
            time.advance(Duration::from_mins(10));
            machine.sleep(Duration::from_millis(5)).await;
        }
    };
    machine.timeout(Duration::from_secs(20), removed).await.expect("the answer is removed");
    stop.send(()).unwrap();
    // The work that is left under way ends by the mesh's own time limits.
    let stopped = async {
        while !serving.is_finished() {
            time.advance(Duration::from_secs(1));
            machine.sleep(Duration::from_millis(5)).await;
        }
    };
    machine.timeout(Duration::from_secs(20), stopped).await.expect("the mesh stops");
    serving.await.unwrap().unwrap();
}

/// A mesh with a clock of its own, until it is stopped.
struct Timed {
    time: ManualTime,
    checkout: CheckoutServiceClient<Channel>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), String>>,
}

impl Timed {
    async fn start(data: &Path, now: Timestamp) -> Self {
        let config = Config {
            listen: Listen { port_base: 0, ..Listen::default() },
            database: Database { folder: data.to_owned() },
            retention: Retention {
                keep_finished: Some("1h".parse().unwrap()),
                ..Retention::default()
            },
            ..Config::default()
        };
        let (clock, time) = Clock::manual(now);
        let mesh = sagamesh::mesh::start(config, clock).await.unwrap();
        let checkout = CheckoutServiceClient::new(channel(mesh.addresses().orchestrator));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(mesh.run(async { stopped.await.unwrap() }));
        Self { time, checkout, stop, serving }
    }

    async fn stop(self) {
        let Self { time, stop, serving, .. } = self;
        stop.send(()).unwrap();
        let machine = Clock::system();
        while !serving.is_finished() {
            time.advance(Duration::from_secs(1));
            machine.sleep(Duration::from_millis(5)).await;
        }
        serving.await.unwrap().unwrap();
    }

    /// Lets so much time pass, as often as what removes the old looks again.
    async fn pass(&self, duration: Duration) {
        const STEPS: u32 = 60;
        for _ in 0..STEPS {
            self.time.advance(duration / STEPS);
            Clock::system().sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn sagas(data: &Path) -> i64 {
    let options =
        SqliteConnectOptions::new().filename(data.join("orchestrator.db")).read_only(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query_scalar("select count(*) from saga").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_a_year_ahead_removes_nothing_until_it_has_been_so_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp(1_790_000_000_000);
    let mut mesh = Timed::start(folder.path(), now).await;
    // Nobody knows the user: the saga ends at once.
    assert!(mesh.checkout.place_order(order("t-1", "nobody", "tea", 1)).await.is_ok());
    mesh.stop().await;
    assert_eq!(sagas(folder.path()).await, 1);

    let year = now.after(Duration::from_hours(24 * 400));
    let mut mesh = Timed::start(folder.path(), year).await;
    assert!(mesh.checkout.place_order(order("t-2", "nobody", "tea", 1)).await.is_ok());
    mesh.pass(Duration::from_hours(12)).await;
    assert_eq!(sagas(folder.path()).await, 2, "removed at once");
    mesh.stop().await;
    // Started again, with records of the new time: still within the day.
    let mesh = Timed::start(folder.path(), year.after(Duration::from_hours(13))).await;
    mesh.pass(Duration::from_hours(10)).await;
    assert_eq!(sagas(folder.path()).await, 2, "removed after a start");
    mesh.pass(Duration::from_hours(3)).await;
    let machine = Clock::system();
    let removed = async {
        while sagas(folder.path()).await > 0 {
            mesh.pass(Duration::from_mins(1)).await;
        }
    };
    machine.timeout(Duration::from_secs(20), removed).await.expect("removed after a day");
    mesh.stop().await;
}

/// How many answers an inbox keeps.
async fn answers(file: &Path) -> i64 {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query_scalar("select count(*) from inbox").fetch_one(&mut connection).await.unwrap()
}
