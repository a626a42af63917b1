//! The real binary: killed, stopped, started twice, started wrongly, and asked by its own commands.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

mod backup;
mod bounded;
mod content;
mod definitions;
mod metrics;
mod roles;
mod shop;
mod telemetry;

use proto::{
    payment::v1::{GetWalletRequest, payment_service_client::PaymentServiceClient},
    stock::v1::{GetStockRequest, stock_service_client::StockServiceClient},
};

use crate::shop::Shop;

/// A `sagamesh dev` process; killed when the test ends, however it ends.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
    shop: Shop,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sagamesh(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagamesh"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Five free ports in a row: looked for, since the binary takes a base.
fn port_base() -> u16 {
    (0..200)
        .find_map(|_| {
            let first = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
            let base = first.local_addr().ok()?.port();
            let others: Option<Vec<_>> = (1..5)
                .map(|offset| {
                    std::net::TcpListener::bind(("127.0.0.1", base.checked_add(offset)?)).ok()
                })
                .collect();
            others.map(|_| base)
        })
        .expect("five free ports in a row")
}

fn dev(data: &Path, base: u16) -> Process {
    dev_with(data, base, &[])
}

fn dev_with(data: &Path, base: u16, arguments: &[&str]) -> Process {
    let mut child = sagamesh(&["dev", "--data"])
        .arg(data)
        .args(["--port-base", &base.to_string()])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.to_lowercase().contains("try next") {
        let read = output.read_line(&mut said).unwrap();
        assert!(read > 0, "it ended before it was ready: {said}");
    }
    Process { child, output, shop: Shop { base } }
}

fn signal(process: &Process, name: &str) {
    let status =
        Command::new("kill").args([name, &process.child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_kill_stands_and_what_was_under_way_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let base = port_base();
    let mut process = dev(folder.path(), base);
    process.shop.open().await;
    let mut acknowledged = Vec::new();
    let mut sent = 0;
    for round in 0..4 {
        let orders = (0..24).map(|number| {
            let (token, process) = (format!("t-{round}-{number}"), &process);
            async move { process.shop.place(&token).await.map(|answer| (token, answer)) }
        });
        let placing = futures::future::join_all(orders);
        let clock = clock::Clock::system();
        // The process is killed while orders are under way, a little later in each round.
        let answers = tokio::select! {
            answers = placing => answers,
            () = async {
                clock.sleep(std::time::Duration::from_millis(15 + 12 * round)).await;
                signal(&process, "-KILL");
                std::future::pending::<()>().await;
            } => unreachable!(),
        };
        sent += 24;
        acknowledged.extend(answers.into_iter().flatten());
        drop(process);
        process = dev(folder.path(), base);
    }
    for (token, first) in &acknowledged {
        assert_eq!(
            process.shop.place(token).await.as_ref(),
            Some(first),
            "the repeat of {token} differs"
        );
    }
    // Every order is asked for again, so each one is placed in the end, once.
    for round in 0..4 {
        for number in 0..24 {
            process.shop.place(&format!("t-{round}-{number}")).await.unwrap();
        }
    }
    assert_eq!(process.shop.unfinished().await, 0);
    let tea = StockServiceClient::new(process.shop.channel(2))
        .get_stock(GetStockRequest { sku: "tea".to_owned() })
        .await
        .unwrap()
        .into_inner()
        .stock
        .unwrap();
    assert_eq!((tea.available, tea.frozen, tea.sold), (100_000 - sent, 0, sent));
    let wallet = PaymentServiceClient::new(process.shop.channel(4))
        .get_wallet(GetWalletRequest { user_id: "ada".to_owned() })
        .await
        .unwrap()
        .into_inner()
        .wallet
        .unwrap();
    assert_eq!(wallet.balance.unwrap().minor_units, 100_000_000 - 100 * sent);
    println!("{} of {sent} orders were acknowledged before a kill", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_process_well_and_its_files_can_be_opened_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let base = port_base();
    let mut process = dev(folder.path(), base);
    signal(&process, "-TERM");
    let status = process.child.wait().unwrap();
    let mut rest = String::new();
    process.output.read_to_string(&mut rest).unwrap();
    assert!(status.success(), "{status}: {rest}");
    dev(folder.path(), base);
}

fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn a_port_that_is_taken_is_told_in_a_sentence_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output =
        sagamesh(&["dev", "--port-base", &port, "--data"]).arg(folder.path()).output().unwrap();
    let text = refused(&output);
    assert!(text.contains(&port) && text.contains("choose another port"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_made_is_told_in_a_sentence_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let output =
        sagamesh(&["dev", "--port-base", "0", "--data"]).arg(file.join("data")).output().unwrap();
    let text = refused(&output);
    assert!(text.contains("data folder"), "{text}");
}

#[test]
fn a_second_process_on_the_same_folder_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let _first = dev(folder.path(), port_base());
    let output =
        sagamesh(&["dev", "--port-base", "0", "--data"]).arg(folder.path()).output().unwrap();
    let text = refused(&output);
    assert!(text.contains("another process"), "{text}");
}

#[test]
fn a_decline_is_told_to_a_person_and_to_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let process = dev(folder.path(), port_base());
    let server = format!("http://127.0.0.1:{}", process.shop.base);
    let place = ["order", "place", "--user", "nobody", "--line", "tea=1", "--token", "t"];
    let output = sagamesh(&place).args(["-o", "json", "--server", &server]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let saga_id = shown["saga_id"].as_str().unwrap();
    assert_eq!(shown["result"]["success"], false);
    assert!(!saga_id.is_empty() && told.contains(saga_id), "{told}");
    assert!(told.contains(shown["result"]["trace_id"].as_str().unwrap()), "{told}");
}

/// What is not there exits 3, what its state does not allow 4; both say what, why, what to do, and the trace.
#[test]
fn a_status_is_told_to_a_person_and_to_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let process = dev(folder.path(), port_base());
    let server = format!("http://127.0.0.1:{}", process.shop.base);
    let place = ["order", "place", "--user", "nobody", "--line", "tea=1", "-o", "json"];
    let placed = sagamesh(&place).args(["--server", &server]).output().unwrap();
    let placed: serde_json::Value = serde_json::from_slice(&placed.stdout).unwrap();
    let ended = placed["saga_id"].as_str().unwrap();
    let refusals: [(&[&str], i32, &str); 7] = [
        (&["saga", "get", "x"], 3, "SAGA_UNKNOWN"),
        (&["saga", "watch", "x"], 3, "SAGA_UNKNOWN"),
        (&["saga", "definition", "x"], 3, "DEFINITION_UNKNOWN"),
        (&["saga", "start", "x", "--key", "k"], 3, "DEFINITION_UNKNOWN"),
        (&["order", "get", "O-x"], 3, "ORDER_UNKNOWN"),
        (&["saga", "cancel", ended, "--reason", "r"], 4, "SAGA_STATE"),
        (&["saga", "skip", ended, "nothing", "--reason", "r"], 3, "STEP_UNKNOWN"),
    ];
    for (arguments, exit_code, reason) in refusals {
        let output =
            sagamesh(arguments).args(["-o", "json", "--server", &server]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {told}");
        for part in ["error: the ", "why:  ", reason, "next: ", "trace "] {
            assert!(told.contains(part), "{arguments:?}: {part:?} is not in {told}");
        }
        // A stream of events has no response of its own.
        if arguments[1] != "watch" {
            let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let result = &shown["result"];
            assert_eq!((&result["success"], &result["code"]), (&false.into(), &reason.into()));
        }
    }
}

#[test]
fn a_command_that_says_too_little_is_refused_with_the_cure() {
    let output =
        sagamesh(&["order"]).env("SAGAMESH_SERVER", "http://127.0.0.1:1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("place, cancel or get"), "{told}");
    let output = sagamesh(&["stock", "--config", "/nowhere.yaml"]).output().unwrap();
    assert!(refused(&output).contains("--help shows what stands in it"));
}

#[test]
fn the_problems_of_a_definition_can_be_read_by_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.yaml");
    std::fs::write(&file, "saga: broken\nversion: none\nsteps: []\n").unwrap();
    let output = sagamesh(&["check", "-o", "json"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let problems: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let lines: Vec<u64> = problems.iter().filter_map(|one| one["line"].as_u64()).collect();
    assert_eq!(lines.len(), problems.len());
    assert!(lines.contains(&2) && problems.iter().all(|one| one["cure"] != ""), "{problems:?}");
}

/// The lock that counts is on the database.
#[cfg(target_os = "linux")]
#[test]
fn a_second_process_is_told_so_also_where_the_lock_files_were_removed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let _first = dev(folder.path(), port_base());
    for name in ["orchestrator", "order", "stock", "points", "payment"] {
        std::fs::remove_file(folder.path().join(format!("{name}.db.lock"))).unwrap();
    }
    for _ in 0..2 {
        let output =
            sagamesh(&["dev", "--port-base", "0", "--data"]).arg(folder.path()).output().unwrap();
        let text = refused(&output);
        assert!(text.contains("another process"), "{text}");
    }
}
