//! A disk that fails: commits that do not happen, room that runs out, rows that come back damaged.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Command, time::Duration};

use clock::Clock;
use proto::{
    checkout::v1::PlaceOrderResponse,
    order::v1::OrderState,
    points::v1::OpenAccountRequest,
    saga::v1::{GetSagaRequest, SagaState},
};
use sagamesh::mesh::Addresses;
use sqlx::{Connection, Row};
use tests::{
    Mesh, Wiring, channel,
    shop::{TEA, code, order},
};
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{books, errand, panics, rpc, seed};

/// A commit that holds a row of this table fails, as it does where the disk has no room.
async fn fail_commits(data: &Path, database: &str, table: &str) {
    let mut connection = books::open(data, database).await;
    let statement = format!(
        "create table room (id integer primary key); \
         create table spilt (over integer references room (id) deferrable initially deferred); \
         create trigger no_room after insert on {table} begin insert into spilt values (1); end;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn make_room(data: &Path, database: &str) {
    let mut connection = books::open(data, database).await;
    sqlx::raw_sql("drop trigger no_room; drop table spilt; drop table room")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn rows(data: &Path, database: &str, table: &str) -> i64 {
    let mut connection = books::open(data, database).await;
    let query = format!("select count(*) from {table}");
    let count =
        sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

fn assert_refused(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(rpc::reason(status), "UNAVAILABLE", "{status:?}");
    assert!(!status.message().is_empty(), "nobody is told why");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_saga_is_acknowledged_that_the_journal_could_not_commit() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = (rows(mesh.data(), "orchestrator", "saga").await, mesh.balances().await);
    fail_commits(mesh.data(), "orchestrator", "event").await;
    for number in 0..10 {
        let refused =
            mesh.checkout().place_order(order(&format!("t{number}"), "ada", "tea", 1)).await;
        assert_refused(&refused.unwrap_err());
    }
    assert_eq!((rows(mesh.data(), "orchestrator", "saga").await, mesh.balances().await), before);
    make_room(mesh.data(), "orchestrator").await;
    // The same node goes on, and the same token can be used again.
    let placed = mesh.place_successfully(order("t0", "ada", "tea", 1)).await;
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Paid);
    books::assert_sound(mesh.data()).await;
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_whose_record_could_not_be_committed_goes_on_when_there_is_room() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    // It fails while the saga runs: the start is committed, the answers of its calls are not.
    fail_commits(mesh.data(), "stock", "inbox").await;
    let mut request = tonic::Request::new(order("t", "ada", "tea", 1));
    // A tenth of the time is reserved for the answer to arrive.
    request.set_timeout(Duration::from_millis(900));
    let late = mesh.checkout().place_order(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    assert!(late.message().contains("freeze_stock"), "{}", late.message());
    assert_eq!(mesh.balances().await.tea, (100, 0, 0), "what was not committed is not there");
    fail_commits(mesh.data(), "orchestrator", "event").await;
    Clock::system().sleep(Duration::from_millis(200)).await;
    make_room(mesh.data(), "stock").await;
    Clock::system().sleep(Duration::from_millis(300)).await;
    make_room(mesh.data(), "orchestrator").await;
    let placed = mesh.place_successfully(order("t", "ada", "tea", 1)).await;
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Paid);
    let now = mesh.balances().await;
    assert_eq!((now.tea, now.wallet), ((99, 0, 1), 10_000 - TEA));
    books::assert_sound(mesh.data()).await;
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_outside_a_saga_is_acknowledged_that_could_not_be_committed() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    for database in ["order", "stock", "points", "payment"] {
        fail_commits(mesh.data(), database, "inbox").await;
    }
    let user_id = || "ada".to_owned();
    let request_id = || "r-1".to_owned();
    let earn = || proto::points::v1::EarnRequest {
        request_id: request_id(),
        user_id: user_id(),
        points: 5,
    };
    let top_up = || proto::payment::v1::TopUpRequest {
        request_id: request_id(),
        user_id: user_id(),
        amount: tests::shop::euros(7),
    };
    let add = || proto::stock::v1::AddStockRequest {
        request_id: request_id(),
        sku: "tea".to_owned(),
        quantity: 3,
    };
    assert_refused(&mesh.points().earn(earn()).await.unwrap_err());
    assert_refused(&mesh.payments().top_up(top_up()).await.unwrap_err());
    assert_refused(&mesh.stock().add_stock(add()).await.unwrap_err());
    assert_eq!(mesh.balances().await, before);
    for database in ["order", "stock", "points", "payment"] {
        make_room(mesh.data(), database).await;
    }
    mesh.points().earn(earn()).await.unwrap();
    mesh.payments().top_up(top_up()).await.unwrap();
    mesh.stock().add_stock(add()).await.unwrap();
    let now = mesh.balances().await;
    assert_eq!(
        (now.points, now.wallet, now.tea.0),
        (before.points + 5, before.wallet + 7, before.tea.0 + 3)
    );
    books::assert_sound(mesh.data()).await;
    panics::none();
}

/// A small disk of its own; none where this user may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(folder.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    /// Takes all the room but `left` bytes.
    fn fill(&self, left: u64) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for piece in [1 << 16, 1 << 12, 1] {
            while std::io::Write::write_all(&mut filler, &vec![0; piece]).is_ok() {}
        }
        let taken = filler.metadata().unwrap().len();
        filler.set_len(taken - left).unwrap();
    }

    /// Gives so many of these bytes back.
    fn give_back(&self, bytes: u64) {
        let filler = std::fs::File::options().write(true).open(self.filler()).unwrap();
        filler.set_len(filler.metadata().unwrap().len() - bytes).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The mesh's files may still be open for a moment.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_the_disk_was_full_is_there_when_there_is_room_again() {
    panics::watch();
    let Some(disk) = SmallDisk::mount("64m") else {
        println!("disk: skipped, for this user may not mount a tmpfs");
        return;
    };
    let folder = tempfile::tempdir_in(disk.0.path()).unwrap();
    let mesh = Wiring::default().on(folder).start().await;
    mesh.add_goods("tea", TEA, 1_000_000).await;
    mesh.add_member("ada", 0, 1_000_000_000).await;
    disk.fill(2 << 20);
    let mut acknowledged: Vec<(String, PlaceOrderResponse)> = Vec::new();
    let mut refused = Vec::new();
    for number in 0..seed::times(2_000) {
        let token = format!("t{number}");
        let mut request = tonic::Request::new(order(&token, "ada", "tea", 1));
        request.set_timeout(Duration::from_millis(1_500));
        match mesh.checkout().place_order(request).await {
            Ok(answer) => acknowledged.push((token, answer.into_inner())),
            Err(status) => refused.push((token, status)),
        }
        if refused.len() >= 12 {
            break;
        }
    }
    println!("disk: {} orders acknowledged, {} refused", acknowledged.len(), refused.len());
    assert!(
        refused.len() >= 12 && acknowledged.len() >= 3,
        "the disk was not full, or never had room"
    );
    for (_, status) in &refused {
        let told = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
        assert!(told && !rpc::reason(status).is_empty(), "{status:?}");
    }
    assert!(refused.iter().any(|(_, status)| status.code() == Code::Unavailable), "{refused:?}");

    // The books are read at the stop, which takes a file of shared memory for each database.
    disk.give_back(2 << 20);
    let folder = mesh.stop().await;
    disk.free();
    let mesh = Wiring::default().on(folder).start().await;
    let mut sold = 0;
    for (token, first) in &acknowledged {
        let again = mesh.place(order(token, "ada", "tea", 1)).await;
        assert_eq!(again, *first, "the repeat differs");
        assert_eq!(mesh.order_state(&first.order_no).await, OrderState::Paid);
        sold += 1;
    }
    for (token, status) in &refused {
        let now = mesh.place(order(token, "ada", "tea", 1)).await;
        let code = code(now.result.as_ref());
        assert!(
            matches!(code.as_str(), "OK" | "DEADLINE_PASSED" | "STEP_UNANSWERED"),
            "{now:?} after {status:?}"
        );
        sold += i64::from(code == "OK");
    }
    let tea = mesh.units("tea").await;
    assert_eq!((tea.frozen, tea.sold), (0, sold));
    assert_eq!(mesh.wallet("ada").await, 1_000_000_000 - sold * TEA);
    books::assert_sound(mesh.data()).await;
    panics::none();
    drop(mesh.stop().await);
}

/// Waits until health at this address says whether what listens there can take work.
async fn wait_until_ready(address: SocketAddr, ready: bool) {
    let mut health = HealthClient::new(channel(address));
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    let mut said = health.watch(request).await.unwrap().into_inner();
    let wanted = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    while said.message().await.unwrap().unwrap().status() != wanted {}
}

async fn open_account(mesh: &Mesh, number: u32) -> Result<(), Status> {
    let (request_id, user_id) = (format!("open-{number}"), format!("u{number}"));
    mesh.points().open_account(OpenAccountRequest { request_id, user_id }).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_not_ready_while_its_disk_is_full_and_ready_again_by_itself() {
    let Some(disk) = SmallDisk::mount("64m") else {
        println!("disk: skipped, for this user may not mount a tmpfs");
        return;
    };
    let folder = tempfile::tempdir_in(disk.0.path()).unwrap();
    let mesh = Wiring::default().on(folder).start().await;
    let Addresses { orchestrator, points, admin, .. } = *mesh.addresses();
    wait_until_ready(admin, true).await;
    disk.fill(0);
    let mut number = 0;
    tokio::select! {
        ((), (), ()) = futures::future::join3(
            wait_until_ready(points, false),
            wait_until_ready(orchestrator, false),
            wait_until_ready(admin, false),
        ) => {}
        () = async {
            // The logs of the databases have some room left.
            loop {
                number += 1;
                let _ = open_account(&mesh, number).await;
                let _ = mesh.checkout().place_order(order(&number.to_string(), "eve", "tea", 1)).await;
            }
        } => {}
    }
    disk.free();
    // No call writes any more: each role must notice the full disk by its own probe.
    for address in [points, orchestrator, admin] {
        wait_until_ready(address, true).await;
    }
    open_account(&mesh, number + 1).await.unwrap();
    drop(mesh.stop().await);
}

/// A way to damage the journal of the saga `$1`; `$2` is another saga.
const DAMAGE: [(&str, &str); 14] = [
    (
        "a record cut short",
        "update event set record = substr(record, 1, length(record) - 1) where place = (select place from journal where saga_id = $1 and seq = 1) and $2 <> ''",
    ),
    (
        "a record emptied",
        "update event set record = x'' where place = (select place from journal where saga_id = $1 and seq = 2) and $2 <> ''",
    ),
    (
        "a record longer",
        "update event set record = record || x'00' where place = (select place from journal where saga_id = $1 and seq = 3) and $2 <> ''",
    ),
    (
        "a record as text",
        "update event set record = 'text' where place = (select place from journal where saga_id = $1 and seq = 1) and $2 <> ''",
    ),
    (
        "a link cut short",
        "update event set link = substr(link, 1, 15) where place = (select place from journal where saga_id = $1 and seq = 2) and $2 <> ''",
    ),
    (
        "a link changed",
        "update event set link = zeroblob(16) where place = (select place from journal where saga_id = $1 and seq = 2) and $2 <> ''",
    ),
    (
        "a time changed",
        "update event set at = at + 1 where place = (select place from journal where saga_id = $1 and seq = 2) and $2 <> ''",
    ),
    (
        "the first record missing",
        "delete from event where place = (select place from journal where saga_id = $1 and seq = 0) and $2 <> ''",
    ),
    (
        "a record missing",
        "delete from event where place = (select place from journal where saga_id = $1 and seq = 2) and $2 <> ''",
    ),
    (
        "all records missing",
        "delete from event where place in (select place from journal where saga_id = $1) and $2 <> ''",
    ),
    (
        "another saga's record",
        "update event set (record, link) = (select record, link from event where place = (select place from journal where saga_id = $2 and seq = 2)) where place = (select place from journal where saga_id = $1 and seq = 2)",
    ),
    (
        "records swapped",
        "update event set (record, link) = (select other.record, other.link from journal as other join journal as this on this.saga_id = other.saga_id and this.seq = 3 - other.seq where this.place = event.place) where place in (select place from journal where saga_id = $1 and seq in (1, 2)) and $2 <> ''",
    ),
    (
        "a record moved away",
        "update event set place = place + 998 where place = (select place from journal where saga_id = $1 and seq = 2) and $2 <> ''",
    ),
    ("another key", "update saga set key = key || '!' where id = $1 and $2 <> ''"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_damage_to_a_journal_sets_that_saga_aside_and_no_other() {
    panics::watch();
    let sagas = tempfile::tempdir().unwrap();
    errand::define(sagas.path());
    let mesh = Wiring::default().damaged().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    let waits = errand::order_that_waits(&mesh, "waits", "ada").await.order_no;
    let flips = seed::times(40);
    let mut ids = Vec::new();
    for number in 0..flips + DAMAGE.len() + 10 {
        let start = errand::start(&format!("k{number}"), &waits);
        ids.push(mesh.sagas().start_saga(start).await.unwrap().into_inner().saga_id);
    }
    Clock::system().sleep(Duration::from_millis(500)).await;
    let folder = mesh.stop().await;
    let data = folder.path().join("data");

    let mut damaged = BTreeMap::new();
    let mut connection = books::open(&data, "orchestrator").await;
    let other = ids.last().unwrap().clone();
    let mut left = ids.iter();
    for (what, statement) in DAMAGE {
        let id = left.next().unwrap();
        let done =
            sqlx::query(statement).bind(id).bind(&other).execute(&mut connection).await.unwrap();
        assert!(done.rows_affected() > 0, "{what} changed nothing");
        damaged.insert(id.clone(), what.to_owned());
    }
    for flip in 0..flips {
        let id = left.next().unwrap();
        let seq = i64::try_from(flip % 4).unwrap();
        let row = sqlx::query("select record from journal where saga_id = $1 and seq = $2")
            .bind(id)
            .bind(seq)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let mut record: Vec<u8> = row.get(0);
        let byte = flip * 7 % record.len();
        record[byte] ^= 1 << (flip % 8);
        sqlx::query("update event set record = $1 where place = (select place from journal where saga_id = $2 and seq = $3)")
            .bind(record)
            .bind(id)
            .bind(seq)
            .execute(&mut connection)
            .await
            .unwrap();
        damaged.insert(id.clone(), format!("byte {byte} of record {seq} flipped"));
    }
    connection.close().await.unwrap();
    let kept = records(&data, &damaged).await;

    let mesh = Wiring::default().damaged().on(folder).with_sagas(sagas.path()).start().await;
    let clock = Clock::system();
    let mut in_attention = Vec::new();
    for _ in 0..200 {
        in_attention = mesh.sagas_in(&[SagaState::Attention]).await;
        if in_attention.len() >= damaged.len() {
            break;
        }
        clock.sleep(Duration::from_millis(50)).await;
    }
    for saga in &in_attention {
        assert!(damaged.contains_key(&saga.saga_id), "a sound saga stands aside: {saga:?}");
        assert_eq!(saga.reason, "JOURNAL_UNREADABLE", "{saga:?}");
    }
    for (id, what) in &damaged {
        assert!(in_attention.iter().any(|saga| saga.saga_id == *id), "{what} was not seen");
    }
    println!("disk: {} sagas set aside", in_attention.len());
    for id in left {
        let request = GetSagaRequest { saga_id: id.clone(), include_payloads: false };
        let saga = mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap();
        assert_eq!(saga.state(), SagaState::Running, "{saga:?}");
    }
    assert_eq!(records(&data, &damaged).await, kept, "the damaged bytes were not kept");
    errand::end_all(&mesh).await;
    panics::none();
}

/// The rows of these sagas, as they are.
async fn records(data: &Path, of: &BTreeMap<String, String>) -> Vec<(String, i64, Vec<u8>)> {
    let mut connection = books::open(data, "orchestrator").await;
    let rows = sqlx::query("select saga_id, seq, cast(record as blob) from journal order by 1, 2")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let rows = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)));
    rows.filter(|(id, _, _): &(String, i64, Vec<u8>)| of.contains_key(id)).collect()
}
