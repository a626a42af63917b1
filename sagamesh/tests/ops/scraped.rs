//! The whole of it, for real: five processes, Debian's Prometheus, and the files that are shipped.

use std::{collections::BTreeSet, path::PathBuf, process::Command, time::Duration};

use clock::Clock;
use live::Installation;

use crate::{
    dashboard::queries,
    prometheus::{Prometheus, wait_until},
    receiver::Receiver,
    shop::Shop,
    tools::{files, read, root, tool},
};

/// So that Prometheus has its turn on a small machine.
const BETWEEN_ORDERS: Duration = Duration::from_millis(20);

fn expression_of(title: &str) -> String {
    queries().into_iter().find(|query| query.panel == title).unwrap().expression
}

fn check_rules(prometheus: &Prometheus) {
    let data = prometheus.ask("/api/v1/rules").unwrap();
    let groups = data["groups"].as_array().unwrap().iter();
    for rule in groups.flat_map(|group| group["rules"].as_array().unwrap()) {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// A query that fails is a mistake, and so is one that gives nothing: what has not happened is exported as 0.
fn check_panels(prometheus: &Prometheus) {
    let mut wrong = Vec::new();
    for query in queries() {
        match prometheus.query(&query.expression) {
            Err(why) => wrong.push(format!("{}: {why}: {}", query.panel, query.expression)),
            Ok(result) if result.is_empty() => {
                wrong.push(format!("{}: no data: {}", query.panel, query.expression));
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The ids of traces that dots on the panels lead to.
fn exemplars(prometheus: &Prometheus, series: &str) -> BTreeSet<String> {
    let now = Clock::system().now().0 / 1000;
    let span = format!("start={}&end={}", now - 600, now + 60);
    let data = prometheus.ask(&format!("/api/v1/query_exemplars?query={series}&{span}")).unwrap();
    let series = data.as_array().unwrap().iter();
    let exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap());
    exemplars.map(|one| one["labels"]["trace_id"].as_str().unwrap().to_owned()).collect()
}

/// As a shell splits them: what stands between quotes is one word.
fn words(command: &str) -> Vec<&str> {
    let parts = command.split('\'').enumerate();
    let words = parts.map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect::<Vec<_>>().concat()
}

/// The commands of the runbooks are ones that the program knows.
fn check_commands(port_base: u16) {
    let runbooks: Vec<PathBuf> = files(&root().join("docs/runbooks"), "md");
    for line in runbooks.iter().map(|path| read(path)).collect::<String>().lines() {
        let Some(command) = line.strip_prefix("$ sagamesh saga ") else { continue };
        let output = Command::new(env!("CARGO_BIN_EXE_sagamesh"))
            .args(["--server", &format!("http://127.0.0.1:{port_base}"), "saga"])
            .args(words(command))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // No saga has the id that a runbook writes.
        let expected = if command.contains("SAGA_ID") { Some(3) } else { Some(0) };
        assert_eq!(output.status.code(), expected, "{line}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_orders_whose_undo_is_stuck_are_counted_and_alarmed_and_every_panel_has_data() {
    let program = match tool("prometheus") {
        Ok(program) => program,
        Err(missing) => return println!("!! SKIPPED: {missing}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_sagamesh"));
    let port_base = Installation::choose(binary, folder.path(), seed).unwrap().port_base();
    let shop = Shop::open(folder.path(), port_base).await;
    let receiver = Receiver::start();
    let (admins, address) = (&shop.admins, receiver.address);
    let prometheus = Prometheus::start(&program, folder.path(), admins, address).await;
    wait_until("all five are scraped", || (prometheus.number("sum(up)")? == 5.0).then_some(()))
        .await;

    for number in 0..3 {
        assert!(
            shop.place("poor", &format!("stuck-{number}"))
                .await
                .is_none_or(|a| !a.result.unwrap().success)
        );
    }
    let tile = expression_of("Need a person");
    wait_until("the tile shows 3", || (prometheus.number(&tile)? == 3.0).then_some(())).await;
    let (mut traces, clock) = (BTreeSet::new(), Clock::system());
    let place = async {
        for number in 0.. {
            let placed = shop.place("ada", &format!("order-{number}")).await.unwrap();
            traces.insert(placed.result.unwrap().trace_id);
            clock.sleep(BETWEEN_ORDERS).await;
        }
    };
    let alarmed = wait_until("the alert is told", || receiver.told("SagaNeedsPerson"));
    let alert = tokio::select! {
        alert = alarmed => alert,
        () = place => unreachable!("there is always another order"),
    };
    let text = "3 sagas of place-order stand in ATTENTION and wait for somebody to decide.";
    assert_eq!(alert["annotations"]["description"], text);

    check_rules(&prometheus);
    check_panels(&prometheus);
    check_commands(port_base);
    for series in ["saga_duration_seconds_bucket", "rpc_server_call_duration_seconds_bucket"] {
        let named = exemplars(&prometheus, series);
        assert!(!named.is_disjoint(&traces), "no exemplar of {series} is of an order: {named:?}");
    }
    println!("{} orders were placed beside the three that are stuck", traces.len());
}
