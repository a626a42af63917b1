//! A backup of the running mesh, put back; and what is refused as none.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use clock::Clock;
use tempfile::TempDir;

use crate::{Process, dev, port_base, refused, sagamesh, signal};

const NAMES: [&str; 5] = ["orchestrator", "order", "stock", "points", "payment"];

/// What is said of a backup, and what was done to it.
type Damage = (&'static str, fn(&Path));

fn backup(data: &Path, to: &Path) -> Output {
    sagamesh(&["backup", "--data"]).arg(data).arg("--to").arg(to).output().unwrap()
}

fn restore(from: &Path, data: &Path) -> Output {
    sagamesh(&["restore", "--from"]).arg(from).arg("--data").arg(data).output().unwrap()
}

fn well(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{failed}");
    assert!(told.contains("the books are right"), "{told}");
    told
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A backup of a shop with a few orders, in a folder of its own.
async fn taken() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let process = dev(&folder.path().join("data"), port_base());
    process.shop.open().await;
    for number in 0..3 {
        process.shop.place(&format!("t-{number}")).await.unwrap();
    }
    let to = folder.path().join("backup");
    well(&backup(&folder.path().join("data"), &to));
    (folder, to)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_put_back_with_all_that_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = dev(&data, port_base());
    process.shop.open().await;
    let before = place(&process, "before", 24).await;
    assert_eq!(before.len(), 24);
    for round in 0..3 {
        let (to, restored) =
            (folder.path().join(format!("b{round}")), folder.path().join(format!("r{round}")));
        let taking = {
            let (data, to) = (data.clone(), to.clone());
            tokio::task::spawn_blocking(move || well(&backup(&data, &to)))
        };
        let label = format!("during-{round}");
        let (told, during) = tokio::join!(taking, place(&process, &label, 48));
        told.unwrap();
        assert_eq!(during.len(), 48, "an order was refused for the backup");
        well(&restore(&to, &restored));
        assert_eq!((mode(&to), mode(&to.join("order.db"))), (0o700, 0o600));
        assert_eq!((mode(&restored), mode(&restored.join("order.db"))), (0o700, 0o600));

        let again = dev(&restored, port_base());
        for (token, first) in &before {
            assert_eq!(again.shop.place(token).await.as_ref(), Some(first), "{token}");
        }
        settle(&again).await;
        // One that is taken of what was put back says whether the books are right.
        let third = folder.path().join(format!("t{round}"));
        well(&backup(&restored, &third));
    }
}

/// Places so many orders at once; gives those that were answered.
async fn place(process: &Process, label: &str, count: u32) -> Vec<(String, (String, String))> {
    let orders = (0..count).map(|number| {
        let token = format!("{label}-{number}");
        async move { process.shop.place(&token).await.map(|answer| (token, answer)) }
    });
    futures::future::join_all(orders).await.into_iter().flatten().collect()
}

/// Waits until every saga has ended.
async fn settle(process: &Process) {
    let clock = Clock::system();
    let settled = async {
        while process.shop.unfinished().await > 0 {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.timeout(Duration::from_secs(30), settled).await.expect("every saga ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_database_of_a_backup_among_newer_ones_keeps_the_mesh_from_starting() {
    let (folder, backup) = taken().await;
    let data = folder.path().join("data");
    let process = dev(&data, port_base());
    process.shop.place("after").await.unwrap();
    signal(&process, "-KILL");
    drop(process);
    for ending in ["db-wal", "db-shm"] {
        fs::remove_file(data.join(format!("payment.{ending}"))).unwrap();
    }
    fs::copy(backup.join("payment.db"), data.join("payment.db")).unwrap();
    let output = sagamesh(&["dev", "--port-base", "0", "--data"]).arg(&data).output().unwrap();
    let told = refused(&output);
    assert!(told.contains("payment.db went back by ") && told.contains("--accept-loss"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_whole_or_was_changed_is_not_put_back() {
    let (folder, whole) = taken().await;
    let data = folder.path().join("restored");
    let damage: [Damage; 6] = [
        ("no manifest.json", |backup| fs::remove_file(backup.join("manifest.json")).unwrap()),
        ("not whole", |backup| fs::remove_file(backup.join("stock.db")).unwrap()),
        ("damaged", |backup| {
            let mut bytes = fs::read(backup.join("stock.db")).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(backup.join("stock.db"), bytes).unwrap();
        }),
        ("damaged", |backup| {
            fs::copy(backup.join("order.db"), backup.join("stock.db")).unwrap();
        }),
        ("has no points.db", |backup| {
            let text = fs::read_to_string(backup.join("manifest.json")).unwrap();
            let text = text.replace("\"points\"", "\"../points\"");
            fs::write(backup.join("manifest.json"), text).unwrap();
        }),
        ("the form 2", |backup| {
            let text = fs::read_to_string(backup.join("manifest.json")).unwrap();
            let text = text.replace("\"format\": 1", "\"format\": 2");
            fs::write(backup.join("manifest.json"), text).unwrap();
        }),
    ];
    for (number, (why, damage)) in damage.into_iter().enumerate() {
        let backup = folder.path().join(format!("damaged-{number}"));
        fs::create_dir(&backup).unwrap();
        for file in fs::read_dir(&whole).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), backup.join(file.file_name())).unwrap();
        }
        damage(&backup);
        let told = refused(&restore(&backup, &data));
        assert!(told.contains(why), "{why}: {told}");
        assert!(!data.exists() || fs::read_dir(&data).unwrap().count() == 0, "something is left");
    }
    well(&restore(&whole, &data));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_backup_nor_a_restore_writes_over_anything() {
    let (folder, whole) = taken().await;
    let data = folder.path().join("data");
    let told = refused(&backup(&data, &whole));
    assert!(told.contains("is not empty"), "{told}");
    let told = refused(&restore(&whole, &data));
    assert!(told.contains("is not empty"), "{told}");
    let told = refused(&backup(&folder.path().join("nowhere"), &folder.path().join("new")));
    assert!(told.contains("there is no database") && told.contains("data folder"), "{told}");
    assert!(!folder.path().join("new").exists());
    // Nothing has happened to either.
    well(&restore(&whole, &folder.path().join("restored")));
    for name in NAMES {
        assert!(data.join(format!("{name}.db")).exists());
    }
}
