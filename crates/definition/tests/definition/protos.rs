//! Descriptors of every kind: proto2, proto3 and editions, from sources and from sets, and what is told of those that do not
//! compile.

use std::path::{Path, PathBuf};

use definition::{Compiled, Descriptors, Draft, pool_of_set};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

pub(crate) fn described(source: &str) -> Descriptors {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "the.proto", source);
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&path, &[]).unwrap();
    descriptors
}

/// What is wrong with `main.proto` among these files.
fn fault(files: &[(&str, &str)], roots: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in files {
        write(folder.path(), name, source);
    }
    let path = folder.path().join(files[0].0);
    let roots: Vec<PathBuf> = roots.iter().map(|root| folder.path().join(root)).collect();
    let error = Descriptors::new().add_file(&path, &roots).unwrap_err();
    let told = error.into_problem(&path).to_string();
    let full = std::fs::canonicalize(folder.path()).unwrap();
    let told = told.replace(&format!("{}/", full.display()), "");
    told.replace(&format!("{}/", folder.path().display()), "")
}

fn field(message: &MessageDescriptor, name: &str) -> FieldDescriptor {
    message.get_field_by_name(name).unwrap()
}

const EDITION: &str = r#"// A comment: syntax = "proto2";
edition = "2023";
package ed.v1;
import "google/protobuf/go_features.proto";
option features.(pb.go).api_level = API_OPAQUE;
service Ed { rpc Do(All) returns (All); }
enum Closed {
  option features.enum_type = CLOSED;
  CLOSED_ONE = 1;
  CLOSED_TWO = 2;
}
message Inner { string id = 1; }
message All {
  int32 explicit = 1;
  int32 filled = 2 [default = 7, deprecated = true];
  bytes raw = 3 [default = "a\001;default = 3"];
  string must = 4 [features.field_presence = LEGACY_REQUIRED];
  repeated int32 packed = 5;
  repeated int32 expanded = 6 [features.repeated_field_encoding = EXPANDED];
  repeated string texts = 7;
  Inner plain = 8;
  Inner group = 9 [features.message_encoding = DELIMITED];
  map<string, Inner> entries = 10;
  oneof choice { string left = 11; Inner right = 12; }
  Closed closed = 13 [default = CLOSED_TWO];
  double real = 14 [default = -inf];
  extensions 100 to 199;
  message Nested {
    option features.message_encoding = DELIMITED;
    Inner inner = 1;
    map<string, Inner> entries = 2;
  }
}
extend All { int32 more = 100 [features.repeated_field_encoding = EXPANDED]; }
"#;

#[test]
fn the_features_of_an_edition_are_those_of_its_fields() {
    let descriptors = described(EDITION);
    let all = descriptors.message("ed.v1.All").unwrap();
    assert!(field(&all, "explicit").supports_presence());
    assert_eq!(field(&all, "filled").default_value(), Value::I32(7));
    let raw = bytes::Bytes::from_static(b"a\x01;default = 3");
    assert_eq!(field(&all, "raw").default_value(), Value::Bytes(raw));
    assert!(field(&all, "must").is_required());
    assert!(field(&all, "packed").is_packed());
    assert!(!field(&all, "expanded").is_packed());
    assert!(!field(&all, "plain").is_group());
    assert!(field(&all, "group").is_group());
    assert!(field(&all, "entries").is_map());
    assert_eq!(field(&all, "closed").default_value(), Value::EnumNumber(2));
    assert_eq!(field(&all, "real").default_value(), Value::F64(f64::NEG_INFINITY));
    let nested = descriptors.message("ed.v1.All.Nested").unwrap();
    assert!(field(&nested, "inner").is_group());
    let Kind::Message(entry) = field(&nested, "entries").kind() else { panic!() };
    assert!(entry.is_map_entry() && !entry.map_entry_value_field().is_group());
}

#[test]
fn fields_without_presence_stand_beside_others_in_an_edition() {
    for (file, one) in [("", "[features.field_presence = IMPLICIT]"), ("IMPLICIT", "")] {
        let option = match file {
            "" => String::new(),
            presence => format!("option features.field_presence = {presence};"),
        };
        let other = if file.is_empty() { "" } else { "[features.field_presence = EXPLICIT]" };
        let source = format!(
            "edition='2023';{option} message M {{ int32 implicit = 1 {one}; int32 explicit = 2 {other}; \
             string must = 3 [features.field_presence = LEGACY_REQUIRED]; \
             oneof choice {{ string left = 4; }} E state = 5 {other}; }} enum E {{ E_ZERO = 0; }}"
        );
        let message = described(&source).message("M").unwrap();
        assert!(!field(&message, "implicit").supports_presence(), "{source}");
        assert!(field(&message, "explicit").supports_presence(), "{source}");
        assert!(field(&message, "state").supports_presence(), "{source}");
        assert!(field(&message, "must").is_required(), "{source}");
        assert_eq!(message.oneofs().filter(|oneof| !oneof.is_synthetic()).count(), 1);
        assert!(field(&message, "left").containing_oneof().unwrap().name() == "choice");
    }
}

#[test]
fn the_words_of_edition_2024_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "opts.proto",
        "syntax = \"proto2\"; import \"google/protobuf/descriptor.proto\"; extend google.protobuf.FieldOptions { optional string why = 50000; }",
    );
    let source = "edition = \"2024\";\npackage x;\nimport option \"opts.proto\";\n\
        option features.enforce_naming_style = STYLE_LEGACY;\n\
        option features.default_symbol_visibility = EXPORT_ALL;\n\
        export message Ask { string export = 1 [(why) = \"default = 1\"]; local message Inner { Inner local = 1; } Inner inner = 2; }\n\
        local enum State { STATE_ZERO = 0; }\n\
        service S { rpc Do(Ask) returns (Ask); }\n";
    let path = write(folder.path(), "main.proto", source);
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&path, &[]).unwrap();
    assert!(descriptors.method("x.S", "Do").is_ok());
    let ask = descriptors.message("x.Ask").unwrap();
    assert!(field(&ask, "export").options().extensions().next().is_some());
    assert!(descriptors.message("x.Ask.Inner").is_ok());
}

/// A set as protoc makes it: the file says which edition it is of, and its features stand in its options.
fn set_of_edition(edition: i32) -> Vec<u8> {
    let global = DescriptorPool::global();
    let file = global.get_message_by_name("google.protobuf.FileDescriptorProto").unwrap();
    let json = format!(
        r#"{{"name":"ed.proto","package":"ed","syntax":"editions","edition":{edition},
        "messageType":[{{"name":"M","field":[
          {{"name":"a","number":1,"type":"TYPE_INT32","label":"LABEL_OPTIONAL","jsonName":"a"}},
          {{"name":"b","number":2,"type":"TYPE_INT32","label":"LABEL_OPTIONAL","jsonName":"b",
            "options":{{"features":{{"fieldPresence":"IMPLICIT"}}}}}},
          {{"name":"c","number":3,"type":"TYPE_MESSAGE","typeName":".ed.M","label":"LABEL_OPTIONAL",
            "options":{{"features":{{"messageEncoding":"DELIMITED"}}}}}},
          {{"name":"d","number":4,"type":"TYPE_BOOL","label":"LABEL_REPEATED"}}]}}]}}"#
    );
    let mut json = serde_json::Deserializer::from_str(&json);
    let file = DynamicMessage::deserialize(file, &mut json).unwrap();
    let mut set = Vec::new();
    prost::encoding::bytes::encode(1, &file.encode_to_vec(), &mut set);
    set
}

#[test]
fn a_set_of_an_edition_is_read_as_its_sources_are() {
    for edition in [1000, 1001] {
        let pool = pool_of_set(&set_of_edition(edition)).unwrap();
        let message = pool.get_message_by_name("ed.M").unwrap();
        assert!(field(&message, "a").supports_presence());
        assert!(!field(&message, "b").supports_presence());
        assert!(field(&message, "c").is_group());
        assert!(field(&message, "d").is_packed());
        // What is stored beside a definition is read again by the same program.
        let mut descriptors = Descriptors::new();
        descriptors.add_pool(pool);
        let again = Descriptors::decode(&descriptors.encode()).unwrap();
        assert!(field(&again.message("ed.M").unwrap(), "a").supports_presence());
    }
    let error = pool_of_set(&set_of_edition(99_999)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ed.proto is of an edition that is not understood (number 99999); 2023 and 2024 are"
    );
}

#[test]
fn groups_extensions_defaults_and_closed_enums_of_proto2_are_understood() {
    let descriptors = described(
        "syntax = \"proto2\"; package old; message Ask { required string who = 1; \
         optional group Body = 2 { optional int32 n = 1; } optional E e = 3 [default = TWO]; \
         extensions 10 to 20; repeated int32 list = 4; } enum E { ONE = 1; TWO = 2; } \
         extend Ask { optional string more = 10; } service Old { rpc Do(Ask) returns (Ask); }",
    );
    let compiled = Draft::parse(
        "t.yaml",
        "saga: t\nversion: 1\ninput: old.Ask\nsteps:\n- step: a\n  call: old.Old/Do\n  \
         with: { who: request.who, body: { n: request.body.n }, e: \"'ONE'\" }\n",
    )
    .unwrap()
    .compile(&descriptors)
    .unwrap();
    let request = compiled.request_from_json(r#"{"who":"ann","body":{"n":4}}"#).unwrap();
    let facts = compiled.facts(definition::Identity::default(), &request);
    let definition::Prepared::Request(sent) =
        compiled.prepare_call(saga::StepId(0), &facts).unwrap()
    else {
        panic!()
    };
    // A group is delimited by its own tags, 2 << 3 | 3 and 2 << 3 | 4.
    assert_eq!(&sent[..], b"\x0a\x03ann\x13\x08\x04\x14\x18\x01");
}

#[test]
fn a_proto_file_that_does_not_compile_says_file_line_and_reason() {
    let broken = "syntax = \"proto3\";\nmessage A { string id = 1 }\n";
    assert_eq!(
        fault(&[("main.proto", broken)], &[]),
        "main.proto:2:27: expected ';' or '[', but found '}'; mend the file"
    );
    let importing = "syntax = \"proto3\";\nimport \"sub/b.proto\";\nmessage A { B b = 1; }\n";
    assert_eq!(
        fault(&[("main.proto", importing), ("sub/b.proto", broken)], &[]),
        "sub/b.proto:2:27: expected ';' or '[', but found '}'; mend the file"
    );
    let unknown = "syntax = \"proto3\";\n\nmessage A {\n  Nope b = 1;\n}\n";
    let told = fault(&[("main.proto", unknown)], &[]);
    assert!(told.starts_with("main.proto:4:3: ") && told.contains("'Nope'"), "{told}");
    let edition = unknown.replace("syntax = \"proto3\"", "edition = \"2023\"");
    let told = fault(&[("main.proto", &edition)], &[]);
    assert!(told.starts_with("main.proto:4:3: ") && told.contains("'Nope'"), "{told}");
    let later = "\nedition = \"2031\";\nmessage A {}\n";
    assert_eq!(
        fault(&[("main.proto", later)], &[]),
        "main.proto:2:11: edition 2031 is not understood; write `edition = \"2023\";` or 2024, or `syntax = \"proto3\";`"
    );
    let text =
        std::str::from_utf8(b"syntax = \"proto3\"; // \xc3\xa4\nmessage \xc3\xa4 {}").unwrap();
    assert!(fault(&[("main.proto", text)], &[]).starts_with("main.proto:2:"));
}

#[test]
fn an_import_that_is_not_there_is_named_with_its_place_and_the_cure() {
    let source = "syntax = \"proto3\";\nimport \"google/api/annotations.proto\";\n";
    for source in [source.to_owned(), source.replace("syntax = \"proto3\"", "edition = \"2023\"")] {
        let told = fault(&[("main.proto", &source)], &[]);
        assert!(told.starts_with("main.proto:2:"), "{told}");
        assert!(
            told.contains("`google/api/annotations.proto` is imported, and there is none"),
            "{told}"
        );
        assert!(told.contains("(the repository googleapis) under `import_roots:`"), "{told}");
    }
    let deeper = "syntax = \"proto3\"; import \"a.proto\";";
    let a = "syntax = \"proto3\";\n\nimport \"b.proto\";";
    let told = fault(&[("main.proto", deeper), ("a.proto", a)], &[]);
    assert!(told.starts_with("a.proto:3:1: `b.proto` is imported"), "{told}");
    let dotted = "syntax = \"proto3\";\nimport \"../b.proto\";";
    let told = fault(&[("main.proto", dotted), ("b.proto", a)], &[]);
    assert!(told.starts_with("main.proto:2:8: an import is a path from a root: no `.`"), "{told}");
    let cycle = "syntax = \"proto3\"; import \"main.proto\";";
    let told = fault(&[("main.proto", deeper), ("a.proto", cycle)], &[]);
    assert!(told.contains("import cycle detected: main.proto -> a.proto -> main.proto"), "{told}");
    let told = fault(&[("main.proto", a), ("b.proto", a)], &["vendor"]);
    assert_eq!(
        told.split(" (os").next().unwrap(),
        "main.proto:1:1: vendor cannot be a root of imports: No such file or directory"
    );
}

#[test]
fn the_messages_of_a_status_come_along() {
    let source = r#"syntax = "proto3"; package s.v1;
import "google/rpc/status.proto";
import "google/rpc/error_details.proto";
message Ended { google.rpc.Status status = 1; google.rpc.RetryInfo retry = 2; }"#;
    let ended = described(source).message("s.v1.Ended").unwrap();
    let kind = field(&ended, "status").kind();
    let status = kind.as_message().unwrap();
    assert_eq!(status.full_name(), "google.rpc.Status");
    assert!(status.get_field_by_name("details").unwrap().is_list());
}

#[test]
fn imports_are_found_under_the_roots_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "vendor/common/word.proto",
        "syntax = \"proto3\"; package c; message Word {}",
    );
    let public =
        "syntax = \"proto3\"; import public \"common/word.proto\"; import weak \"unused.proto\";";
    write(folder.path(), "proto/all.proto", public);
    write(folder.path(), "proto/unused.proto", "syntax = \"proto3\";");
    let service =
        "edition = \"2023\"; import \"all.proto\"; service S { rpc Do(c.Word) returns (c.Word); }";
    let path = write(folder.path(), "proto/x/v1/s.proto", service);
    let mut descriptors = Descriptors::new();
    assert!(descriptors.add_file(&path, &[]).is_err());
    descriptors.add_file(&path, &[folder.path().join("vendor")]).unwrap();
    assert!(descriptors.method("S", "Do").is_ok());
    let draft = Draft::parse("t.yaml", "saga: t\nversion: 1\nimport_roots: [vendor]\nsteps: []\n");
    assert_eq!(draft.unwrap().import_roots().collect::<Vec<_>>(), ["vendor"]);
}

const WORDS_OF_CEL: &str = r#"
syntax = "proto3";
package r;
service Routes { rpc Plan(Route) returns (Route); }
message Route {
  string in = 1;
  string package = 2;
  bool true = 3;
  string null = 4;
  Route inner = 5;
  repeated Route all = 6;
}
"#;

fn route(with: &str) -> Result<Compiled, String> {
    let descriptors = described(WORDS_OF_CEL);
    let source = format!(
        "saga: t\nversion: 1\ninput: r.Route\nsteps:\n- step: a\n  call: r.Routes/Plan\n  with: {with}\n"
    );
    let compiled = Draft::parse("t.yaml", &source).unwrap().compile(&descriptors);
    compiled.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_field_whose_name_is_a_word_of_cel_is_reached() {
    for (read, sent) in [
        ("in: request.in", "\x0a\x01x"),
        ("in: \"request.`in`\"", "\x0a\x01x"),
        ("in: \"request['in']\"", "\x0a\x01x"),
        ("in: \"request.inner.inner['in'] + request['in']\"", "\x0a\x02yx"),
        ("in: \"request.all[0].in + request.all[0]['null']\"", "\x0a\x01z"),
        ("in: \"has(request.in) && !has(request.all[0].null) ? 'set' : ''\"", "\x0a\x03set"),
        ("\"null\": \"request.`package`\"", "\x22\x01p"),
        ("\"true\": request.true", "\x18\x01"),
        ("package: \"request.all.map(each, each.in)[0]\"", "\x12\x01z"),
        ("package: \"'x' in [request.in] ? 'in' : 'out'\"", "\x12\x02in"),
    ] {
        let compiled =
            route(&format!("{{ {read} }}")).unwrap_or_else(|why| panic!("{read}: {why}"));
        let request = r#"{"in":"x","package":"p","true":true,"inner":{"inner":{"in":"y"}},"all":[{"in":"z"}]}"#;
        let request = compiled.request_from_json(request).unwrap();
        let facts = compiled.facts(definition::Identity::default(), &request);
        let prepared = compiled.prepare_call(saga::StepId(0), &facts).unwrap();
        assert_eq!(
            prepared,
            definition::Prepared::Request(sent.as_bytes().to_vec().into()),
            "{read}"
        );
    }
}

#[test]
fn what_is_wrong_with_such_a_field_is_told_at_its_place() {
    let told = |with: &str| route(with).unwrap_err();
    assert!(told("{ in: request.in + request.totl }").starts_with("t.yaml:7:36: no field `totl`"));
    assert!(told("{ in: \"request['out']\" }").contains("no field `out` in r.Route"));
    let bad = told("{ in: \"request.`in\" }");
    assert!(bad.contains("is written x.`in` or x['in']"), "{bad}");
    let bad = told("{ in: \"request.in in\" }");
    assert!(bad.starts_with("t.yaml:7:"), "{bad}");
}

const PACKING: &str = r#"
syntax = "proto3";
package p;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
service Packs { rpc Send(Parcel) returns (Parcel); }
message Parcel { google.protobuf.Any one = 1; repeated google.protobuf.Any all = 2; string text = 3; Tea tea = 4; }
message Tea { string sort = 1; int32 grams = 2; google.protobuf.Any more = 3; }
"#;

/// A message that no file of the service imports.
const BESIDE: &str =
    "syntax = \"proto3\"; package q; message Note { string words = 1; string value = 2; }";

/// What is sent for a template, as JSON; `request` is of the same type.
fn sent(with: &str, request: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut descriptors = Descriptors::new();
    for (name, source) in [("p.proto", PACKING), ("q.proto", BESIDE)] {
        descriptors.add_file(&write(folder.path(), name, source), &[]).unwrap();
    }
    let source = format!(
        "saga: t\nversion: 1\ninput: p.Parcel\nsteps:\n- step: a\n  call: p.Packs/Send\n  with: {with}\n"
    );
    let compiled = Draft::parse("t.yaml", &source).unwrap().compile(&descriptors);
    let compiled = compiled
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<String>())?;
    // What is stored suffices to compile it again.
    let stored = Descriptors::decode(compiled.descriptors()).unwrap();
    let compiled = Draft::parse("t.yaml", &source).unwrap().compile(&stored).unwrap();
    let request = compiled.request_from_json(request).map_err(|error| error.to_string())?;
    let facts = compiled.facts(definition::Identity::default(), &request);
    match compiled.prepare_call(saga::StepId(0), &facts).map_err(|error| error.to_string())? {
        definition::Prepared::Request(bytes) => {
            let parcel = stored.message("p.Parcel").unwrap();
            let message = DynamicMessage::decode(parcel, bytes).unwrap();
            Ok(serde_json::to_string(&message).unwrap())
        }
        definition::Prepared::Skip => panic!(),
    }
}

const TEA: &str = r#"{"one":{"@type":"type.googleapis.com/p.Tea","sort":"mint","grams":7}}"#;

#[test]
fn a_message_is_packed_by_its_type() {
    for (with, expected) in [
        (
            "{ one: { '@type': type.googleapis.com/p.Tea, sort: \"'mint'\", grams: 7 } }",
            TEA.to_owned(),
        ),
        ("{ one: { '@type': p.Tea, sort: request.text, grams: 7 } }", TEA.to_owned()),
        ("{ one: request.tea }", TEA.to_owned()),
        ("{ one: \"request.text == 'mint' ? request.tea : request.tea\" }", TEA.to_owned()),
        ("{ one: \"{'@type': 'p.Tea', 'sort': request.text, 'grams': 7}\" }", TEA.to_owned()),
        (
            "{ one: { '@type': x/google.protobuf.Duration, value: \"'1.5s'\" } }",
            r#"{"one":{"@type":"x/google.protobuf.Duration","value":"1.500s"}}"#.to_owned(),
        ),
        (
            "{ all: [ { '@type': p.Tea, more: { '@type': q.Note, words: \"'x'\" } } ] }",
            r#"{"all":[{"@type":"type.googleapis.com/p.Tea","more":{"@type":"type.googleapis.com/q.Note","words":"x"}}]}"#
                .to_owned(),
        ),
        (
            "{ one: { '@type': google.protobuf.Any, value: { '@type': p.Tea, sort: \"'x'\" } } }",
            r#"{"one":{"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"type.googleapis.com/p.Tea","sort":"x"}}}"#
                .to_owned(),
        ),
    ] {
        let request = r#"{"text":"mint","tea":{"sort":"mint","grams":7}}"#;
        assert_eq!(sent(with, request), Ok(expected), "{with}");
    }
}

#[test]
fn the_fields_of_what_an_any_holds_are_read() {
    let note = r#"{"one":{"@type":"type.googleapis.com/q.Note","words":"hi"},"all":[{"@type":"type.googleapis.com/p.Tea","grams":3}]}"#;
    for (with, expected) in [
        ("{ text: request.one.words }", r#"{"text":"hi"}"#),
        ("{ text: request.one.type_url }", r#"{"text":"type.googleapis.com/q.Note"}"#),
        (
            "{ text: \"has(request.one.words) ? request.one.words + '!' : ''\" }",
            r#"{"text":"hi!"}"#,
        ),
        ("{ tea: { grams: \"request.all[0].grams + 1\" } }", r#"{"tea":{"grams":4}}"#),
        ("{ tea: \"request.all[0]\" }", r#"{"tea":{"grams":3}}"#),
        ("{ one: request.one }", r#"{"one":{"@type":"type.googleapis.com/q.Note","words":"hi"}}"#),
        ("{ all: request.all }", r#"{"all":[{"@type":"type.googleapis.com/p.Tea","grams":3}]}"#),
    ] {
        assert_eq!(sent(with, note).as_deref(), Ok(expected), "{with}");
    }
    let nested =
        r#"{"one":{"@type":"x/google.protobuf.Any","value":{"@type":"x/q.Note","words":"in"}}}"#;
    assert_eq!(sent("{ text: request.one.words }", nested).as_deref(), Ok(r#"{"text":"in"}"#));
}

#[test]
fn what_cannot_be_packed_or_read_says_why() {
    let told = |with: &str, request: &str| sent(with, request).unwrap_err();
    let bad = told("{ one: { '@type': x/p.Coffee } }", "{}");
    assert!(bad.starts_with("t.yaml:7:") && bad.contains("no message `p.Coffee`"), "{bad}");
    let bad = told("{ one: { '@type': p.Tea, sorte: \"'x'\" } }", "{}");
    assert!(bad.contains("no field `sorte` in p.Tea; did you mean `sort`?"), "{bad}");
    let bad = told("{ one: { '@type': google.protobuf.Duration, seconds: 1 } }", "{}");
    assert!(bad.contains("is packed as one value; write it under `value`"), "{bad}");
    let bad = told("{ one: { '@type': [1] } }", "{}");
    assert!(bad.contains("`@type` is a list, not a text"), "{bad}");
    assert!(told("{ one: 1 }", "{}").contains("`one` wants google.protobuf.Any, got int"));
    let bad = told("{ text: request.one.words }", "{}");
    assert!(bad.contains("it holds nothing"), "{bad}");
    let bad = told("{ text: request.one.sort }", r#"{"one":{"@type":"x/q.Note"}}"#);
    assert!(bad.contains("no key `sort`"), "{bad}");
}

#[test]
fn packed_messages_that_are_not_what_they_say_or_too_much_are_not_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&write(folder.path(), "p.proto", PACKING), &[]).unwrap();
    let source = "saga: t\nversion: 1\ninput: p.Parcel\nsteps:\n- step: a\n  call: p.Packs/Send\n  with: { text: request.one.sort }\n";
    let compiled = Draft::parse("t.yaml", source).unwrap().compile(&descriptors).unwrap();
    let told = |url: &str, value: &[u8]| {
        let (mut any, mut request) = (Vec::new(), Vec::new());
        prost::encoding::string::encode(1, &url.to_owned(), &mut any);
        prost::encoding::bytes::encode(2, &value.to_vec(), &mut any);
        prost::encoding::bytes::encode(1, &any, &mut request);
        let facts = compiled.facts(definition::Identity::default(), &request);
        compiled.prepare_call(saga::StepId(0), &facts).unwrap_err().to_string()
    };
    assert!(told("x/p.Coffee", b"").contains("it holds p.Coffee, which nothing describes"));
    assert!(told("x/p.Tea", b"\xff").contains("it holds no p.Tea"));
    let many = [0x12, 0x00].repeat(300_000);
    let bad = told("x/p.Parcel", &many);
    assert!(bad.contains("more than") || bad.contains("300000 values"), "{bad}");
    let mut deep = Vec::new();
    for _ in 0..1_000 {
        let mut any = Vec::new();
        prost::encoding::string::encode(1, &"x/google.protobuf.Any".to_owned(), &mut any);
        prost::encoding::bytes::encode(2, &deep, &mut any);
        deep = any;
    }
    let bad = told("x/google.protobuf.Any", &deep);
    assert!(bad.contains("16 messages are packed inside of each other"), "{bad}");
}
