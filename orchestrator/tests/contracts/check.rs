//! What a check tells of descriptors: each cause once, where it is.

use std::{fs, path::Path};

use orchestrator::{
    check,
    config::{Participant as Configured, Participants},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    participant::{Participant, SERVICE, Serving},
    reflection::work,
};

/// Three calls of two services, and an input that one of them declares.
const DEFINITION: &str = "saga: two
version: 1
input: a.v1.Ask
steps:
  - step: first
    call: a.v1.A/Do
    undo: a.v1.A/Undo
  - step: second
    call: b.v1.B/Do
";

/// The problems of a definition in a folder, each as a line.
async fn problems(folder: &Path, source: &str, participants: &Participants) -> Vec<String> {
    let path = folder.join("two.yaml");
    fs::write(&path, source).unwrap();
    let problems = check::file(&path, participants, &[], &[]).await.unwrap_err();
    let shown = |problem: &definition::Problem| {
        problem.to_string().replace(&format!("{}/", folder.display()), "")
    };
    problems.iter().map(shown).collect()
}

#[tokio::test]
async fn an_address_at_which_nothing_listens_is_told_once_for_all_its_services() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let participant = Configured::at(address.parse().unwrap());
    let participants =
        ["a.v1.A", "b.v1.B"].map(|service| (service.to_owned(), participant.clone())).into();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        problems(folder.path(), DEFINITION, &participants).await,
        [format!(
            "two.yaml:6:11: a.v1.A at {address} cannot be described: nothing listens there (connection refused); start it, or correct its address"
        )]
    );
}

#[tokio::test]
async fn a_participant_that_asks_for_a_token_is_described_by_its_metadata_and_authority() {
    let participant = Participant::with(vec![work(&[], &[])]);
    participant.0.lock().unwrap().admits = Some(("work.internal", "Bearer geheim"));
    let address = participant.serve(Serving::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let (token, path) = (folder.path().join("token"), folder.path().join("work.yaml"));
    let source = "saga: work\nversion: 1\nsteps:\n  - step: do\n    call: work.v1.Work/Do\n    pivot: true\n";
    fs::write(&path, source).unwrap();
    let configured = |with: serde_json::Value| -> Participants {
        let mut settings = json!({ "address": address.to_string() });
        settings.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        [(SERVICE.to_owned(), serde_json::from_value(settings).unwrap())].into()
    };
    let checked = async |with| check::file(&path, &configured(with), &[], &[]).await;

    let refused = checked(json!({})).await.unwrap_err();
    let told = refused[0].to_string();
    assert!(told.contains("its reflection wants credentials: no token"), "{told}");
    assert!(told.contains("give them in the participant's `metadata`"), "{told}");
    let admitted =
        json!({ "authority": "work.internal", "metadata": { "authorization": { "file": token } } });
    let unread = checked(admitted.clone()).await.unwrap_err();
    assert!(unread[0].to_string().contains("authorization: cannot read the file"), "{unread:?}");
    fs::write(&token, "Bearer geheim\n").unwrap();
    checked(admitted).await.unwrap();
}

#[tokio::test]
async fn a_file_that_does_not_compile_is_told_once_at_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.proto"), "syntax = \"proto3\";\nmessage {\n").unwrap();
    let source = DEFINITION.replace("steps:", "descriptors: [a.proto]\nsteps:");
    let told = problems(folder.path(), &source, &Participants::default()).await;
    assert_eq!(told, ["a.proto:2:9: expected an identifier, but found '{'; mend the file"]);
}

#[tokio::test]
async fn services_that_nobody_describes_are_told_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let told = problems(folder.path(), DEFINITION, &Participants::default()).await;
    let places: Vec<&str> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["two.yaml:6:11", "two.yaml:9:11"], "{told:?}");
    assert!(told[0].contains("no participant is configured for a.v1.A; name its address with"));
}

#[tokio::test]
async fn roots_of_imports_are_relative_to_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("vendor/x/word.proto", "syntax = \"proto3\"; package x; message Word {}");
    let service = "edition = \"2023\"; package a.v1; import \"x/word.proto\"; message Ask {} \
                   service A { rpc Do(x.Word) returns (Ask); }";
    write("proto/a.proto", service);
    let source = "saga: one\nversion: 1\ninput: a.v1.Ask\ndescriptors: [proto/a.proto]\nsteps:\n- step: first\n  call: a.v1.A/Do\n";
    let none = Participants::default();
    let told = problems(folder.path(), source, &none).await;
    assert!(told[0].contains("a.proto:1:40: `x/word.proto` is imported"), "{told:?}");
    assert_eq!(told.len(), 1, "{told:?}");
    write("two.yaml", &source.replace("steps:", "import_roots: [vendor]\nsteps:"));
    let path = folder.path().join("two.yaml");
    check::file(&path, &none, &[], &[]).await.unwrap();
    write("two.yaml", source);
    check::file(&path, &none, &[], &[folder.path().join("vendor")]).await.unwrap();
}
