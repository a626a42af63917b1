//! The whole of it, for real: five processes, Debian's Prometheus, and the files that are shipped.

use std::{path::PathBuf, process::Command};

use live::Installation;
use serde_json::Value;

use crate::{
    dashboard::queries,
    prometheus::{Prometheus, wait_until},
    shop::Shop,
    tools::{files, read, root, tool},
};

/// Panels that have nothing to show here, and why.
const EMPTY: [(&str, &str); 0] = [];

fn result_of(title: &str) -> String {
    queries().into_iter().find(|query| query.panel == title).unwrap().expression
}

fn fires(prometheus: &Prometheus, alert: &str) -> Option<()> {
    let data = prometheus.ask("/api/v1/alerts").ok()?;
    let mut alerts = data["alerts"].as_array()?.iter();
    let is_it = |one: &&Value| one["labels"]["alertname"] == alert && one["state"] == "firing";
    alerts.find(is_it).map(|_| ())
}

fn check_rules(prometheus: &Prometheus) {
    let data = prometheus.ask("/api/v1/rules").unwrap();
    let groups = data["groups"].as_array().unwrap().iter();
    for rule in groups.flat_map(|group| group["rules"].as_array().unwrap()) {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// A query that fails is a mistake; one that gives nothing is one too, unless it is listed.
fn check_panels(prometheus: &Prometheus) {
    let mut wrong = Vec::new();
    for query in queries() {
        let is_listed = EMPTY.iter().any(|(panel, _)| *panel == query.panel);
        match prometheus.query(&query.expression) {
            Err(why) => wrong.push(format!("{}: {why}: {}", query.panel, query.expression)),
            Ok(result) if result.is_empty() && !is_listed => {
                wrong.push(format!("{}: no data: {}", query.panel, query.expression));
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The commands of the runbooks are ones that the program knows.
fn check_commands(port_base: u16) {
    let runbooks: Vec<PathBuf> = files(&root().join("docs/runbooks"), "md");
    for line in runbooks.iter().map(|path| read(path)).collect::<String>().lines() {
        let Some(command) = line.strip_prefix("$ sagamesh saga ") else { continue };
        let words = command.replace('\'', "");
        let output = Command::new(env!("CARGO_BIN_EXE_sagamesh"))
            .args(["--server", &format!("http://127.0.0.1:{port_base}"), "saga"])
            .args(words.split(' '))
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
    let prometheus = Prometheus::start(&program, folder.path(), &shop.admins).await;
    wait_until("all five are scraped", || (prometheus.number("sum(up)")? == 5.0).then_some(()))
        .await;

    for number in 0..3 {
        assert!(
            shop.place("poor", &format!("stuck-{number}"))
                .await
                .is_none_or(|a| !a.result.unwrap().success)
        );
    }
    let tile = result_of("Need a person");
    wait_until("the tile shows 3", || (prometheus.number(&tile)? == 3.0).then_some(())).await;
    let mut placed = 0;
    let place = async {
        loop {
            shop.place("ada", &format!("order-{placed}")).await.unwrap();
            placed += 1;
        }
    };
    let alarmed = wait_until("the alert fires", || fires(&prometheus, "SagaNeedsPerson"));
    tokio::select! { () = alarmed => {}, () = place => {} }

    check_rules(&prometheus);
    check_panels(&prometheus);
    check_commands(port_base);
    println!("{placed} orders were placed beside the three that are stuck");
}
