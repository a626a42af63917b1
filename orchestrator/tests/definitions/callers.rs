//! RegisterDefinition and CheckDefinition.

use std::num::NonZero;

use proto::{
    facade::v1::Reason,
    saga::v1::{
        CheckDefinitionRequest, DefinitionState, GetDefinitionRequest, RegisterDefinitionRequest,
    },
};
use stage::concurrently;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::test_node::{TestNode, Wiring, definition, described};

fn register(node: &TestNode, source: &str) -> RegisterDefinitionRequest {
    let descriptor_sets = described(node.folder()).sets();
    RegisterDefinitionRequest {
        source: source.to_owned(),
        file: "mine.yaml".to_owned(),
        descriptor_sets,
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_registered_once_and_another_content_is_refused_with_the_next_version() {
    let node = Wiring::new().start().await;
    let source = definition("work", 1);
    let request = register(&node, &source);
    let first = node.sagas().register_definition(request.clone()).await.unwrap().into_inner();
    let registered = first.definition.unwrap();
    assert_eq!(
        (first.already_registered, registered.state()),
        (false, DefinitionState::Registered)
    );
    let again = node.sagas().register_definition(request).await.unwrap().into_inner();
    assert_eq!((again.already_registered, again.definition.as_ref()), (true, Some(&registered)));
    node.start("work", 1, "k").await.unwrap();

    let other = register(&node, &(source.clone() + "# changed\n"));
    let refused = node.sagas().register_definition(other).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "ALREADY_EXISTS")
    );
    assert!(refused.message().contains("give this one the version 2"), "{refused:?}");
    let get = GetDefinitionRequest { name: "work".to_owned(), version: 0 };
    let kept = node.sagas().get_definition(get).await.unwrap().into_inner().definition.unwrap();
    assert_eq!((kept.source, kept.file.as_str()), (source, "mine.yaml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_register_one_version_at_once_one_content_wins_and_everybody_else_is_told() {
    let node = Wiring::new().start().await;
    let sources: Vec<String> =
        (0..4).map(|number| format!("{}# {number}\n", definition("work", 1))).collect();
    let requests = (0..32).map(|number| {
        let (mut sagas, request) = (node.sagas(), register(&node, &sources[number % 4]));
        async move { sagas.register_definition(request).await }
    });
    let answers = concurrently(requests).await;
    let new = answers.iter().flatten().filter(|one| !one.get_ref().already_registered).count();
    assert_eq!(new, 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 8);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    }
    assert_eq!(node.listed().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_a_source_is_told_with_its_place_and_nothing_is_registered() {
    let node = Wiring::new().start().await;
    let source =
        definition("work", 1).replace("Work/Do", "Work/Dou").replace("version: 1", "version: x");
    let request = register(&node, &source);
    let refused = node.sagas().register_definition(request.clone()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|broken| broken.field.as_str()).collect();
    assert_eq!(fields, ["source:2:10", "source:5:24"], "{violations:?}");
    assert!(violations[1].description.contains("did you mean `Do`?"), "{violations:?}");

    let RegisterDefinitionRequest { source, file, descriptor_sets } = request;
    let check = CheckDefinitionRequest { source, file, descriptor_sets };
    let checked = node.sagas().check_definition(check).await.unwrap().into_inner();
    let told = checked.definition.unwrap();
    assert_eq!((told.state(), told.problems.len()), (DefinitionState::Refused, 2));
    let problem = &told.problems[1];
    assert_eq!((problem.file.as_str(), problem.line, problem.column), ("mine.yaml", 5, 24));
    assert!(node.listed().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_registering_would_and_registers_nothing() {
    let node = Wiring::new().start().await;
    let check = async |source: String| {
        let RegisterDefinitionRequest { source, file, descriptor_sets } = register(&node, &source);
        let check = CheckDefinitionRequest { source, file, descriptor_sets };
        node.sagas().check_definition(check).await.unwrap().into_inner()
    };
    let sound = check(definition("work", 1)).await;
    assert!(!sound.already_registered);
    assert_eq!(sound.definition.unwrap().state(), DefinitionState::Registered);
    assert!(node.listed().await.is_empty());

    node.sagas().register_definition(register(&node, &definition("work", 1))).await.unwrap();
    assert!(check(definition("work", 1)).await.already_registered);
    let taken = check(definition("work", 1) + "# changed\n").await.definition.unwrap();
    assert_eq!(taken.state(), DefinitionState::Refused);
    assert_eq!(taken.problems[0].cure, "give this one the version 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_definition_is_refused_and_no_file_of_the_node_is_read_for_a_caller() {
    let node = Wiring::new().start().await;
    let sets = described(node.folder()).sets();
    let sound = definition("work", 1);
    let path = node.folder().join("sagas/work.proto");
    let reads = format!("descriptors: [\"{}\"]\n{sound}", path.display());
    let service = sound.replace("work.v1.Work", "other.v1.Work");
    for (source, descriptor_sets, told) in [
        (String::new(), sets.clone(), "the file is empty"),
        ("[]".to_owned(), sets.clone(), "source:1:1"),
        ("a: *b".to_owned(), sets.clone(), "source:1:"),
        (format!("{}{sound}", "#".repeat(600_000)), sets.clone(), "more than 524288"),
        (service.clone(), vec![vec![0xff; 100]], "descriptor set 1"),
        (reads.replace("work.v1.Work", "other.v1.Work"), Vec::new(), "it was not sent"),
    ] {
        let request = RegisterDefinitionRequest { source, file: String::new(), descriptor_sets };
        let refused = node.sagas().register_definition(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{told}: {refused:?}");
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    for request in [
        RegisterDefinitionRequest { file: "a\nb".to_owned(), ..register(&node, &sound) },
        RegisterDefinitionRequest {
            descriptor_sets: vec![Vec::new(); 65],
            ..register(&node, &sound)
        },
    ] {
        let refused = node.sagas().register_definition(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    assert!(node.listed().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_definitions_are_registered_than_may_be() {
    let mut wiring = Wiring::new();
    wiring.config.max_registered = NonZero::new(2).unwrap();
    let node = wiring.start().await;
    for version in 1..=2 {
        node.sagas()
            .register_definition(register(&node, &definition("work", version)))
            .await
            .unwrap();
    }
    let refused = node.sagas().register_definition(register(&node, &definition("work", 3))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), Reason::DefinitionsFull.code());
    assert!(refused.message().contains("definitions.max_registered"), "{refused:?}");
    node.sagas().register_definition(register(&node, &definition("work", 2))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_has_registered_is_run_by_this_one() {
    let node = Wiring::new().start().await;
    node.sagas().register_definition(register(&node, &definition("work", 1))).await.unwrap();
    let mut other = node.journal.definitions(0).await.unwrap().pop().unwrap();
    other.source = definition("other", 1);
    other.hash = definition::Draft::parse("other.yaml", &other.source).unwrap().hash();
    other.name = "other".to_owned();
    node.journal.register(other).await.unwrap();
    node.wait(async || node.start("other", 0, "k").await.ok()).await;
}
