//! Descriptors by reflection, of servers that are not as one would wish.

use clock::Clock;
use facade::dial::Address;
use orchestrator::outbound::reflection::{Failure, Server, describe};
use prost_reflect::DescriptorPool;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::participant::{Participant, SERVICE, Serving};

fn field(name: &str, number: i32, kind: Type, of: &str) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name: (!of.is_empty()).then(|| of.to_owned()),
        ..Default::default()
    }
}

fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.to_owned()), field, ..Default::default() }
}

fn file(name: &str, package: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some(package.to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: imports.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

/// The file of the service, whose one message has fields of these types.
pub(crate) fn work(imports: &[&str], types: &[&str]) -> FileDescriptorProto {
    let fields = types.iter().zip(1..).map(|(of, number)| {
        let kind = if of.ends_with("State") { Type::Enum } else { Type::Message };
        field(&format!("f{number}"), number, kind, of)
    });
    let job = ".work.v1.Job".to_owned();
    let method = MethodDescriptorProto {
        name: Some("Do".to_owned()),
        input_type: Some(job.clone()),
        output_type: Some(job),
        ..Default::default()
    };
    FileDescriptorProto {
        message_type: vec![message("Job", fields.collect())],
        service: vec![ServiceDescriptorProto {
            name: Some("Work".to_owned()),
            method: vec![method],
            ..Default::default()
        }],
        ..file("work.proto", "work.v1", imports)
    }
}

/// A file of messages with an enum; `Money` is inside of another message too.
fn common(name: &str, package: &str, messages: &[&str]) -> FileDescriptorProto {
    let messages = messages.iter().map(|name| DescriptorProto {
        nested_type: vec![message("Inner", vec![field("n", 1, Type::Int64, "")])],
        ..message(name, vec![field("units", 1, Type::Int64, "")])
    });
    FileDescriptorProto {
        message_type: messages.collect(),
        enum_type: vec![EnumDescriptorProto {
            name: Some("State".to_owned()),
            value: vec![EnumValueDescriptorProto {
                name: Some(format!("{}_ZERO", package.to_uppercase())),
                number: Some(0),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..file(name, package, &[])
    }
}

async fn described(files: Vec<FileDescriptorProto>) -> Result<DescriptorPool, Failure> {
    let address = Participant::with(files).serve(Serving::default()).await;
    describe(&Clock::system(), SERVICE, &[], &Server::at(address)).await
}

async fn failure(address: &str) -> Failure {
    let address: Address = address.parse().unwrap();
    describe(&Clock::system(), SERVICE, &[], &Server::at(address)).await.unwrap_err()
}

#[tokio::test]
async fn an_import_that_is_known_by_another_path_is_asked_for_by_its_types() {
    for sends_placeholders in [false, true] {
        for imported in ["protos/common/money.proto", "./money.proto", "../common/money.proto"] {
            let types = [".common.Money", ".common.Money.Inner", ".common.State"];
            let files =
                vec![work(&[imported], &types), common("common/money.proto", "common", &["Money"])];
            let participant = Participant::with(files);
            participant.0.lock().unwrap().sends_placeholders = sends_placeholders;
            let address = participant.serve(Serving::default()).await;
            let pool =
                describe(&Clock::system(), SERVICE, &[], &Server::at(address)).await.unwrap();
            let job = pool.get_message_by_name("work.v1.Job").unwrap();
            let inner = job.get_field_by_name("f2").unwrap().kind();
            assert_eq!(inner.as_message().unwrap().full_name(), "common.Money.Inner");
        }
    }
}

#[tokio::test]
async fn several_files_that_are_known_by_other_paths_are_put_together_again() {
    let mut money = common("common/money.proto", "common", &["Money"]);
    money.dependency = vec!["root/common/currency.proto".to_owned()];
    money.message_type[0].field.push(field("currency", 2, Type::Message, ".cur.Currency"));
    let currency = common("common/currency.proto", "cur", &["Currency"]);
    // One file imports all others for the service.
    let mut all = file("all.proto", "all", &["root/common/money.proto"]);
    all.public_dependency = vec![0];
    let files = vec![work(&["all.proto"], &[".common.Money"]), all, money, currency];
    let pool = described(files).await.unwrap();
    assert!(pool.get_message_by_name("cur.Currency").is_some());
}

#[tokio::test]
async fn files_that_import_each_other_are_refused_or_read_and_nothing_else() {
    let mut one = common("one.proto", "one", &["One"]);
    one.dependency = vec!["two.proto".to_owned()];
    let mut two = common("two.proto", "two", &["Two"]);
    two.dependency = vec!["one.proto".to_owned(), "two.proto".to_owned()];
    let files = vec![work(&["one.proto"], &[".one.One"]), one, two];
    if let Err(failure) = described(files).await {
        assert!(failure.cure.contains("`descriptors:`"), "{}", failure.cure);
    }
}

#[tokio::test]
async fn an_import_that_nothing_is_used_of_may_be_missing() {
    let types = [".google.protobuf.Timestamp"];
    let imports = ["google/protobuf/timestamp.proto", "google/api/annotations.proto"];
    assert!(described(vec![work(&imports, &types)]).await.is_ok());
}

#[tokio::test]
async fn an_import_that_is_not_there_at_all_is_named_with_who_imports_it() {
    let files = vec![work(&["protos/money.proto"], &[".common.Money"])];
    let Failure { what, cure, address } = described(files).await.unwrap_err();
    for part in ["work.proto imports protos/money.proto", "(File not found.)", "common.Money"] {
        assert!(what.contains(part), "{what}");
    }
    assert!(cure.contains("`descriptors:`") && address.is_none(), "{cure}");
}

#[tokio::test]
async fn a_service_that_reflection_does_not_know_is_told_with_those_that_it_knows() {
    let Failure { what, cure, .. } = described(Vec::new()).await.unwrap_err();
    assert!(what.contains("does not know it (File not found.)"), "{what}");
    assert!(cure.contains("it serves work.v1.Work"), "{cure}");
}

#[tokio::test]
async fn answers_that_are_compressed_are_read_up_to_a_limit() {
    let serving = Serving { compressed: true, ..Serving::default() };
    let participant = Participant::with(vec![work(&[], &[])]);
    let server = Server::at(participant.serve(serving).await);
    assert!(describe(&Clock::system(), SERVICE, &[], &server).await.is_ok());

    // A few kilobytes that become more than is taken.
    let mut large = work(&[], &[]);
    large.message_type.push(message(&"M".repeat(17 << 20), Vec::new()));
    participant.0.lock().unwrap().files = vec![large];
    let Failure { what, cure, .. } =
        describe(&Clock::system(), SERVICE, &[], &server).await.unwrap_err();
    assert!(what.contains("limit") && what.contains("16777216"), "{what}");
    assert!(cure.contains("`descriptors:`"), "{cure}");
}

#[tokio::test]
async fn each_cause_has_its_own_sentence_and_cure() {
    let serving = Serving { without_reflection: true, ..Serving::default() };
    let address = Participant::default().serve(serving).await.to_string();
    let told = failure(&address).await;
    assert!(told.what.ends_with("it serves no reflection"), "{}", told.what);
    assert!(told.cure.starts_with("start it with reflection on"), "{}", told.cure);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    for (address, what, cure) in [
        (closed, "nothing listens there (connection refused)", "start it, or correct its address"),
        ("no-such-host.invalid:1".to_owned(), "the name does not resolve", "check the host"),
        (answering(b"\x15\x03\x01\x00\x02\x02\x46").await, "it speaks TLS there", "https://"),
        (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, "it speaks HTTP/1", "gRPC server"),
    ] {
        let told = failure(&address).await;
        assert!(told.what.contains(what), "{}", told.what);
        assert!(told.cure.contains(cure), "{}", told.cure);
        assert!(told.address.is_some());
        assert!(!told.cure.contains("reflection on"), "{}", told.cure);
    }
}

/// A peer that answers whatever it is told with these bytes.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 16];
            // The caller may be gone.
            if stream.read_exact(&mut asked).await.is_ok() {
                let _ = stream.write_all(bytes).await;
            }
        }
    });
    address
}
