//! What the commands show of a saga's input, its output and its payloads.

use std::process::Output;

use serde_json::{Value, json};

use crate::{Process, dev_with, port_base, sagamesh};

const LOOK: &str = "\
saga: look
version: 1
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: request.sku }
output: { title: look.product.title, price: look.product.price.minor_units, big: request.big }
";

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(process: &Process, arguments: &[&str]) -> Output {
    let server = format!("127.0.0.1:{}", process.shop.base);
    sagamesh(arguments).args(["--server", &server]).output().unwrap()
}

fn start(process: &Process, key: &str, input: &Value, more: &[&str]) -> Output {
    let input = input.to_string();
    let start = ["saga", "start", "look", "--wait", "--key", key, "--input", input.as_str()];
    run(process, &[&start, more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_show_what_a_saga_came_to_and_refuse_an_input_that_can_never_do() {
    let folder = tempfile::tempdir().unwrap();
    let sagas = folder.path().join("sagas");
    std::fs::create_dir(&sagas).unwrap();
    let file = sagas.join("look.yaml");
    std::fs::write(&file, LOOK).unwrap();
    let sagas = sagas.to_str().unwrap().to_owned();
    let process = dev_with(&folder.path().join("data"), port_base(), &["--sagas", &sagas]);
    process.shop.add_tea().await;

    let refused = start(&process, "bad", &json!({"skew": "tea"}), &[]);
    let why = said(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(
        why.contains("input_json.sku") && why.contains("step `look` uses it as string"),
        "{why}"
    );

    let started = start(&process, "k", &json!({"sku": "tea", "big": "x\u{9b}"}), &["-o", "json"]);
    assert_eq!(started.status.code(), Some(0), "{}", said(&started.stderr));
    let saga: Value = serde_json::from_slice(&started.stdout).unwrap();
    assert_eq!(saga["output"], json!({"title": "Tea", "price": "100", "big": "x\u{9b}"}));
    let saga_id = saga["saga_id"].as_str().unwrap();

    let waited = said(&run(&process, &["saga", "wait", saga_id]).stdout);
    assert!(waited.contains(r#"output      {"title":"Tea","price":"100","big":"#), "{waited}");
    assert!(!waited.contains('\u{9b}') && !waited.contains("PAYLOAD"), "{waited}");

    let shown = said(&run(&process, &["saga", "get", saga_id, "--payloads"]).stdout);
    assert!(shown.contains("look  sent     {\"sku\":\"tea\"}"), "{shown}");
    assert!(shown.contains("look  got      {\"result\":{"), "{shown}");
    let shown = run(&process, &["saga", "get", saga_id, "--payloads", "-o", "json"]).stdout;
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["steps"][0]["request"], json!({"sku": "tea"}));
    assert_eq!(shown["input"]["sku"], "tea");

    let definition = run(&process, &["saga", "definition", "look"]);
    assert_eq!(said(&definition.stdout), LOOK);
    assert_eq!(said(&definition.stderr), "input: { sku: string, big?: any }\n");
    let stock = format!("sagamesh.stock.v1.StockService=127.0.0.1:{}", process.shop.base + 2);
    let checked = run(&process, &["check", file.to_str().unwrap(), "--participant", &stock]);
    assert!(
        said(&checked.stdout).ends_with("\ninput: { sku: string, big?: any }\n"),
        "{checked:?}"
    );
}
