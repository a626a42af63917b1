//! Databases that were lost, exchanged, set back or cut: the mesh says which and by how much, and does not start. What a
//! crash leaves is none of these.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use clock::Clock;
use proto::checkout::v1::PlaceOrderRequest;
use sagamesh::mesh::{Config, Database, Listen, OnLoss, start_with};
use tempfile::TempDir;
use tests::{Mesh, Wiring, shop::order};

use crate::books;

const NAMES: [&str; 5] = ["orchestrator", "order", "stock", "points", "payment"];

const FRAME: u64 = 4096 + 24;

/// Copies the databases with their logs, as a crash would leave them.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in NAMES {
        for ending in ["db", "db-wal"] {
            let file = format!("{name}.{ending}");
            if from.join(&file).exists() {
                fs::copy(from.join(&file), to.path().join(&file)).unwrap();
            }
        }
    }
    to
}

fn replace(data: &Path, name: &str, from: Option<&Path>) {
    for ending in ["db", "db-wal", "db-shm"] {
        let file = format!("{name}.{ending}");
        let _ = fs::remove_file(data.join(&file));
        if let Some(from) = from.filter(|from| from.join(&file).exists()) {
            fs::copy(from.join(&file), data.join(&file)).unwrap();
        }
    }
}

fn log(data: &Path, name: &str) -> PathBuf {
    data.join(format!("{name}.db-wal"))
}

async fn start(data: &Path, on_loss: OnLoss) -> Result<sagamesh::mesh::Mesh, String> {
    let config = Config {
        listen: Listen { port_base: 0, ..Listen::default() },
        database: Database { folder: data.to_owned() },
        ..Config::default()
    };
    start_with(config, Clock::system(), on_loss).await
}

/// The mesh on these files does not start, twice, and says this of the database and of no other.
async fn assert_refused(data: &Path, name: &str, says: &str) {
    for _ in 0..2 {
        let refusal = start(data, OnLoss::Refuse).await.err();
        let refusal = refusal.unwrap_or_else(|| panic!("{name}.db: a mesh that {says} starts"));
        let file = data.canonicalize().unwrap().join(format!("{name}.db"));
        let begins = format!("  {} ", file.display());
        let told: Vec<&str> = refusal.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(told.len(), 1, "{name}: {refusal}");
        assert!(told[0].starts_with(&begins) && told[0].contains(says), "{name}: {refusal}");
        assert!(refusal.contains("--accept-loss"), "{refusal}");
    }
}

/// It runs until everything is as it was when it was opened.
async fn assert_starts(data: &Path, why: &str) {
    let mesh = start(data, OnLoss::Refuse).await.unwrap_or_else(|error| panic!("{why}: {error}"));
    mesh.run(async {}).await.unwrap();
}

/// The files of a shop that has placed some orders.
struct Files {
    /// Before the last of the orders.
    older: TempDir,
    /// As a crash leaves them right after the last order was answered.
    at_once: TempDir,
    /// As one leaves them a moment later, when the databases have noted each other.
    crashed: TempDir,
}

async fn shop() -> Files {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    place(&mesh, 0..3).await;
    let folder = mesh.stop().await;
    let older = copy(&folder.path().join("data"));
    let mesh = Wiring::default().on(folder).start().await;
    place(&mesh, 3..6).await;
    let at_once = copy(mesh.data());
    until_noted(mesh.data()).await;
    let crashed = copy(mesh.data());
    mesh.stop().await;
    Files { older, at_once, crashed }
}

async fn place(mesh: &Mesh, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let order = order(&format!("t-{number}"), "ada", "tea", 1);
        mesh.place_successfully(PlaceOrderRequest { points: 1, ..order }).await;
    }
}

/// Waits until every database has noted how far all others are.
async fn until_noted(data: &Path) {
    let clock = Clock::system();
    let noted = async {
        while !is_noted(data).await {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.timeout(Duration::from_secs(20), noted).await.expect("the databases note each other");
}

async fn is_noted(data: &Path) -> bool {
    let mut stamps = Vec::new();
    for name in NAMES {
        let mut connection = books::open(data, name).await;
        let stamp: (String, i64, String) =
            sqlx::query_as("select id, transactions, noted from _stamp")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        stamps.push(stamp);
    }
    stamps.iter().all(|(id, transactions, _)| {
        let line = format!("{id} {transactions} ");
        let others = stamps.iter().filter(|(other, ..)| other != id);
        others.into_iter().all(|(.., noted)| noted.contains(&line))
    })
}

/// How many rows a database has that stand for an effect.
async fn effects(data: &Path, name: &str) -> i64 {
    let mut connection = books::open(data, name).await;
    let table = if name == "orchestrator" { "event" } else { "inbox" };
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_or_a_stop_leaves_is_no_loss() {
    let Files { older, at_once, crashed } = shop().await;
    for files in [&older, &at_once, &crashed] {
        // The second time on what the first has left.
        assert_starts(files.path(), "files that nobody has touched").await;
        assert_starts(files.path(), "files that nobody has touched").await;
    }
    let begun = tempfile::tempdir().unwrap();
    let facade = facade::Facade::new(Clock::system(), facade::log::Calls::Notable);
    let mount = order_svc::open(begun.path().to_owned(), facade).await.unwrap();
    for database in mount.databases() {
        database.close().await;
    }
    assert_starts(begun.path(), "a first start that was cut off").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_missing_or_empty_or_of_another_mesh_keeps_the_mesh_from_starting() {
    let crashed = shop().await.crashed;
    let other = shop().await.crashed;
    for name in NAMES {
        let removed = copy(crashed.path());
        replace(removed.path(), name, None);
        assert_refused(removed.path(), name, "is empty or was missing").await;

        let emptied = copy(crashed.path());
        File::create(emptied.path().join(format!("{name}.db"))).unwrap();
        assert_refused(emptied.path(), name, "is empty or was missing").await;

        let exchanged = copy(crashed.path());
        replace(exchanged.path(), name, Some(other.path()));
        assert_refused(exchanged.path(), name, "is another database").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_older_than_the_others_keeps_the_mesh_from_starting() {
    let Files { older, crashed, .. } = shop().await;
    for name in NAMES {
        let data = copy(crashed.path());
        replace(data.path(), name, Some(older.path()));
        assert_refused(data.path(), name, "went back by ").await;
        // The right file is put back.
        replace(data.path(), name, Some(crashed.path()));
        assert_starts(data.path(), "the right file").await;
    }
}

/// Wherever a log is cut, the mesh starts exactly where nothing of an effect is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_keeps_the_mesh_from_starting_wherever_an_effect_is_lost() {
    let Files { at_once, crashed, .. } = shop().await;
    for name in NAMES {
        cut_everywhere(crashed.path(), name).await;
    }
    // What a service has done for a saga is noted before the saga is answered.
    for name in &NAMES[1..] {
        cut_everywhere(at_once.path(), name).await;
    }
}

async fn cut_everywhere(files: &Path, name: &str) {
    let whole = fs::metadata(log(files, name)).unwrap().len();
    let all = effects(copy(files).path(), name).await;
    let shares = [0, whole / 4, whole / 2, whole - whole / 4];
    let ends = [8 * FRAME, 4 * FRAME, 2 * FRAME, 1].map(|end| whole - end);
    let mut lost = 0;
    for cut in shares.into_iter().chain(ends) {
        let data = copy(files);
        let file = OpenOptions::new().write(true).open(log(data.path(), name)).unwrap();
        file.set_len(cut).unwrap();
        match effects(data.path(), name).await < all {
            true => {
                lost += 1;
                assert_refused(data.path(), name, "went back by ").await;
            }
            false => assert_starts(data.path(), "nothing was lost").await,
        }
    }
    assert!(lost >= 5, "{name}: hardly a cut took something away");
}

/// Nobody has noted what all have lost; what was written down beside each file tells it.
#[tokio::test(flavor = "multi_thread")]
async fn five_logs_that_are_gone_keep_the_mesh_from_starting() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    place(&mesh, 0..3).await;
    let data = copy(mesh.data());
    for name in NAMES {
        let lock = format!("{name}.db.lock");
        fs::copy(mesh.data().join(&lock), data.path().join(&lock)).unwrap();
    }
    let intact = copy(data.path());
    for name in NAMES {
        fs::remove_file(log(data.path(), name)).unwrap();
    }
    let refusal = start(data.path(), OnLoss::Refuse).await.err().unwrap();
    for name in NAMES {
        assert!(refusal.contains(&format!("{name}.db went back by ")), "{name}: {refusal}");
    }
    let mesh = start(data.path(), OnLoss::Accept).await.unwrap();
    mesh.run(async {}).await.unwrap();
    assert_starts(data.path(), "an accepted loss").await;
    assert_starts(intact.path(), "nothing was lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_is_accepted_is_the_truth_from_then_on() {
    let Files { older, crashed, .. } = shop().await;
    for name in ["orchestrator", "payment"] {
        for from in [None, Some(older.path())] {
            let data = copy(crashed.path());
            replace(data.path(), name, from);
            assert!(start(data.path(), OnLoss::Refuse).await.is_err());
            let mesh = start(data.path(), OnLoss::Accept).await.unwrap();
            // A crash right after: what was accepted is on disk.
            let left = copy(data.path());
            mesh.run(async {}).await.unwrap();
            assert_starts(left.path(), "an accepted loss").await;
            assert_starts(data.path(), "an accepted loss").await;
        }
    }
}
