//! `sagamesh definition`, against the real binary.

use std::{path::Path, process::Output};

use crate::{dev, port_base, sagamesh};

const LOOK: &str = "\
saga: look
version: 1
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: request.sku }
";

/// Runs a verb; gives its exit code, and what it writes on standard output and on standard error.
fn definition(folder: &Path, base: u16, arguments: &[&str]) -> (Option<i32>, String, String) {
    let server = format!("http://127.0.0.1:{base}");
    let Output { status, stdout, stderr } = sagamesh(&["definition", "--server", &server])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_definition_goes_from_its_file_to_the_archive_by_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let base = port_base();
    let _mesh = dev(&folder.path().join("data"), base);
    let run = |arguments: &[&str]| definition(folder.path(), base, arguments);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("look.yaml", LOOK);

    assert_eq!(run(&["diff", "look.yaml"]).0, Some(3), "nothing is registered");
    let (code, said, _) = run(&["check", "look.yaml", "--node"]);
    assert_eq!(code, Some(0));
    assert_eq!(said, "look.yaml: look version 1 is sound, and can be registered\n");
    let (code, said, why) = run(&["register", "look.yaml"]);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.contains("REGISTERED") && said.trim_end().ends_with("no"), "{said}");
    assert!(run(&["register", "look.yaml"]).1.trim_end().ends_with("yes"));
    let (_, said, _) = run(&["list"]);
    assert!(said.lines().any(|line| line.starts_with("look ")), "{said}");
    assert_eq!(run(&["get", "look"]).1, LOOK);
    assert_eq!(
        run(&["diff", "look.yaml"]).1,
        "look.yaml is what is registered as look version 1\n"
    );

    write("look.yaml", &LOOK.replace("step: look", "step: peek"));
    let (code, said, _) = run(&["diff", "look.yaml"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("-  - step: look\n+  - step: peek\n"), "{said}");
    let (code, said, _) = run(&["register", "look.yaml"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("look.yaml:2:1: ") && said.contains("the version 2"), "{said}");

    let (code, said, _) = run(&["archive", "look"]);
    assert!(code == Some(0) && said.contains("ARCHIVED"), "{said}");
    let input = r#"{"sku": "tea"}"#;
    let start = ["saga", "start", "look", "--key", "k", "--input", input, "--server"];
    let server = format!("http://127.0.0.1:{base}");
    let refused = sagamesh(&start).arg(&server).output().unwrap();
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("DEFINITION_ARCHIVED"));
    assert!(run(&["unarchive", "look"]).1.contains("REGISTERED"));
    assert!(sagamesh(&start).arg(&server).output().unwrap().status.success());
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place_and_none_of_the_others_is_registered() {
    let folder = tempfile::tempdir().unwrap();
    let base = port_base();
    let _mesh = dev(&folder.path().join("data"), base);
    let run = |arguments: &[&str]| definition(folder.path(), base, arguments);
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    write("look.yaml", LOOK.as_bytes());
    write("typo.yaml", LOOK.replace("GetProduct", "GetProdukt").as_bytes());
    write("no-text.yaml", b"\xff");
    write("no-proto.yaml", format!("descriptors: [gone.proto]\n{LOOK}").as_bytes());
    std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    for verb in ["check", "register"] {
        let node: &[&str] = if verb == "check" { &["--node"] } else { &[] };
        for (file, told) in [
            ("typo.yaml", "typo.yaml:5:42: no method `GetProdukt`"),
            ("no-text.yaml", "no-text.yaml:1:1: byte 1 is no UTF-8"),
            ("no-proto.yaml", "gone.proto:1:1: cannot read gone.proto"),
            ("folder.yaml", "folder.yaml:1:1: this is no regular file"),
            ("gone.yaml", "gone.yaml:1:1: cannot read it"),
        ] {
            let (code, said, why) = run(&[&[verb, "look.yaml", file], node].concat());
            assert_eq!(code, Some(1), "{said}{why}");
            assert!(said.contains(told), "{said}");
            assert!(why.contains("2 files have 1 problem"), "{why}");
        }
        let (code, said, _) = run(&[&[verb, "typo.yaml", "-o", "json"], node].concat());
        let problems: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &problems[0]["line"]), (Some(1), &5.into()), "{said}");
    }
    assert!(!run(&["list"]).1.contains("look "));

    for (arguments, code) in [
        (&["register"][..], 2),
        (&["check"], 2),
        (&["check", "look.yaml", "--node", "--participant", "a.v1.B=h:1"], 2),
        (&["diff"], 2),
        (&["diff", "gone.yaml"], 1),
        (&["get", "nobody"], 3),
        (&["get", "look", "--version", "x"], 2),
        (&["archive", "nobody"], 3),
        (&["archive", "no name"], 2),
        (&["unarchive", "nobody"], 3),
    ] {
        let (got, said, why) = run(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {said}{why}");
    }
}

#[test]
fn a_node_that_does_not_answer_is_told_by_every_verb_that_asks_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("look.yaml"), LOOK).unwrap();
    let base = port_base();
    for arguments in [
        &["list"][..],
        &["get", "look"],
        &["check", "look.yaml", "--node"],
        &["register", "look.yaml"],
        &["diff", "look.yaml"],
        &["archive", "look"],
    ] {
        let (code, _, why) = definition(folder.path(), base, arguments);
        assert_eq!(code, Some(6), "{arguments:?}: {why}");
        assert!(why.contains("nothing answers at"), "{why}");
    }
    let (code, said, _) = definition(folder.path(), base, &["check", "look.yaml"]);
    assert_eq!((code, said.contains("is sound")), (Some(0), true), "{said}");
}
