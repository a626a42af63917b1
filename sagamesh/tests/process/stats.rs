//! Undos that are stuck: counted by the command line and the API, and told by the webhook.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Output,
};

use serde_json::Value;

use crate::{dev_with, port_base, sagamesh};

// Nobody sells what the second step looks up, so the saga turns back; the undo of the first is refused for the same reason,
// and needs a person.
const STUCK: &str = "\
saga: stuck
version: 1
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: '\"tea\"' }
    undo: sagamesh.stock.v1.StockService/GetProduct
    undo_with: { sku: '\"nothing\"' }
  - step: refuse
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: '\"nothing\"' }
";

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The body of the next request that comes, which is answered.
fn next_post(listener: &TcpListener) -> Value {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    loop {
        let text = said(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("POST /hooks/s3cr3t HTTP/1.1"), "{head}");
            if let Ok(body) = serde_json::from_str(body) {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
                return body;
            }
        }
        let mut more = [0; 1024];
        let read = stream.read(&mut more).unwrap();
        assert!(read > 0, "the request is cut off: {text}");
        request.extend(&more[..read]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn undos_that_are_stuck_are_told_by_the_webhook_and_counted_by_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("sagas")).unwrap();
    std::fs::write(folder.path().join("sagas/stuck.yaml"), STUCK).unwrap();
    let webhook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/s3cr3t", webhook.local_addr().unwrap());
    std::fs::write(path("webhook"), url).unwrap();
    let settings = format!("alarms:\n  webhook: {{ file: {} }}\n  interval: 1s\n", path("webhook"));
    std::fs::write(path("dev.yaml"), settings).unwrap();
    let (sagas, config) = (path("sagas"), path("dev.yaml"));
    let process = dev_with(
        &folder.path().join("data"),
        port_base(),
        &["--sagas", &sagas, "--config", &config],
    );
    process.shop.add_tea().await;
    let server = format!("127.0.0.1:{}", process.shop.base);
    let run = |arguments: &[&str]| -> Output {
        sagamesh(arguments).args(["--server", &server]).output().unwrap()
    };
    let stats = |more: &[&str]| -> Value {
        let output = run(&[&["saga", "stats", "-o", "json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };

    let none = stats(&[]);
    assert_eq!((&none["total"], &none["success_rate"]), (&0.into(), &Value::Null));
    for key in ["a", "b", "c"] {
        let output = run(&["saga", "start", "stuck", "--wait", "--key", key, "--input", "{}"]);
        assert_eq!(output.status.code(), Some(11), "it needs a person: {}", said(&output.stderr));
    }
    let posted = next_post(&webhook);
    assert_eq!(
        (&posted["alarm"], &posted["state"]),
        (&"compensation_stuck".into(), &"firing".into())
    );
    assert!(posted["definitions"]["stuck"].as_u64().is_some_and(|stuck| stuck > 0), "{posted}");
    assert_eq!(stats(&["--last", "10m"])["manual"], 3);
    assert_eq!(stats(&["--definition", "place-order"])["total"], 0);

    let listed = run(&["saga", "list", "--state", "attention", "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let id = |index: usize| listed["sagas"][index]["saga_id"].as_str().unwrap().to_owned();
    let skipped = run(&["saga", "skip", &id(0), "look", "--reason", "undone by hand"]);
    assert_eq!(skipped.status.code(), Some(0), "{}", said(&skipped.stderr));
    let waited = run(&["saga", "wait", &id(0)]);
    assert_eq!(waited.status.code(), Some(10), "it is COMPENSATED: {}", said(&waited.stderr));
    for index in [1, 2] {
        let resolved = run(&["saga", "resolve", &id(index), "--reason", "settled"]);
        assert_eq!(resolved.status.code(), Some(0), "{}", said(&resolved.stderr));
    }
    let over = next_post(&webhook);
    assert_eq!(
        (&over["alarm"], &over["state"]),
        (&"compensation_stuck".into(), &"resolved".into())
    );
    assert_eq!(over["since"], posted["since"]);
    let last = stats(&["--definition", "stuck"]);
    assert_eq!(
        (&last["total"], &last["failed"], &last["manual"]),
        (&3.into(), &3.into(), &0.into())
    );
    assert_eq!(last["success_rate"], 0.0);
    assert!(last["slowest"]["saga_id"].as_str().is_some_and(|saga| !saga.is_empty()), "{last}");
    assert_eq!(last["oldest_running"], Value::Null);

    let shown = said(&run(&["saga", "stats"]).stdout);
    for line in
        ["total           3", "failed          3", "success         0.0 %", "oldest running  -"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let unknown = run(&["saga", "stats", "--definition", "none"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", said(&unknown.stderr));
    assert!(said(&unknown.stderr).contains("DEFINITION_UNKNOWN"));
    let instants = ["--from", "2026-11-29T00:00:00Z", "--to", "2026-11-28T00:00:00Z"];
    let backward = run(&[&["saga", "stats"], &instants[..]].concat());
    assert_eq!(backward.status.code(), Some(2), "{}", said(&backward.stderr));
    for usage in [&["--last", "1h", "--from", "2026-11-28T00:00:00Z"][..], &["--last", "soon"]] {
        let refused = run(&[&["saga", "stats"], usage].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused.stderr));
    }
    let shown = sagamesh(&["config", "show", "dev", "--config", &config]).output().unwrap();
    assert!(!said(&shown.stdout).contains("s3cr3t"), "{}", said(&shown.stdout));
}
