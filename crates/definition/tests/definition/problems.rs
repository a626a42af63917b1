//! What is wrong with a definition is said with its line, its column and a cure, all at once.

use std::path::Path;

use definition::{Descriptors, DescriptorsError, Draft, Undescribed, load};

use crate::cases::CASES;
use crate::shop::{PLACE, PROTO, descriptors, problems};

#[test]
fn the_sound_definition_has_no_problems() {
    assert_eq!(problems(PLACE), [""; 0]);
}

#[test]
fn every_rule_names_its_place_and_its_cure() {
    for (from, to, expected) in CASES {
        assert!(PLACE.contains(from), "{from}");
        assert_eq!(problems(&PLACE.replacen(from, to, 1)), *expected, "{from} -> {to}");
    }
}

#[test]
fn a_dozen_problems_of_one_file_come_at_once_in_its_order() {
    let source = r#"saga: Shop
version: 0
serves: shop.v1.Checkout/Place
key: request.points
deadlin: 30s
steps:
  - step: quote
    call: shop.v1.Stock/Qoute
    with: { lines: request.linse }
  - step: freeze
    after: [quotes]
    call: shop.v1.Stock/Freeze
    with: { order_no: quote.total, prority: 5 }
    timeout: soon
  - step: charge
    when: request.points
    call: shop.v1.Bank/Charge
    undo_with: { reason: saga.reason }
reply: { order_no: request.user_id + 1 }
"#;
    assert_eq!(
        problems(source),
        [
            "t.yaml:1:7: `Shop` is no name for a saga; write small letters, digits and dashes, at most 64, a letter first",
            "t.yaml:2:10: `0` is no version; write a whole number from 1 to 4294967295",
            "t.yaml:4:6: `key` wants string, got int; convert it: string(…)",
            "t.yaml:5:1: the definition has no key `deadlin`; did you mean `deadline`?",
            "t.yaml:8:25: no method `Qoute` in shop.v1.Stock; did you mean `Quote`?",
            "t.yaml:9:28: no field `linse` in shop.v1.PlaceRequest; did you mean `lines`?",
            "t.yaml:11:13: `freeze` comes after `quotes`, which is no step; did you mean `quote`?",
            "t.yaml:13:36: no field `prority` in shop.v1.FreezeRequest; did you mean `priority`?",
            "t.yaml:14:14: `timeout`: `soon` is not a duration; write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d",
            "t.yaml:16:11: `when` wants bool, got int; compare it with something, such as `… > 0`",
            "t.yaml:18:5: `undo_with` without `undo`; add `undo: package.Service/Method`, or remove it",
            "t.yaml:19:36: no `+` for (string, int); convert one side: string(…), int(…)",
        ]
    );
}

#[test]
fn a_duration_of_nothing_below_nothing_or_beyond_a_year_is_refused_wherever_it_stands() {
    let cure = "write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d";
    for (duration, what) in [
        ("0s", "a duration of nothing".to_owned()),
        ("0d", "a duration of nothing".to_owned()),
        ("-5s", "`-5s` is not a duration".to_owned()),
        ("367d", "`367d` is longer than a year".to_owned()),
        ("99999999999999999999h", "`99999999999999999999h` is not a duration".to_owned()),
        ("18446744073709551615d", "`18446744073709551615d` is longer than a year".to_owned()),
    ] {
        let source = format!(
            "saga: t\nversion: 1\ndeadline: {duration}\nsteps:\n- step: take\n  call: shop.v1.Everything/Take\n  \
             timeout: {duration}\n  retry: {{ base: {duration} }}\n  undo: shop.v1.Everything/Take\n  \
             undo_retry:\n    cap: {duration}\n    age: {duration}\n"
        );
        let places = [
            ("3:11", "deadline"),
            ("7:12", "timeout"),
            ("8:18", "base"),
            ("11:10", "cap"),
            ("12:10", "age"),
        ];
        let expected: Vec<String> = places
            .iter()
            .map(|(place, key)| format!("t.yaml:{place}: `{key}`: {what}; {cure}"))
            .collect();
        assert_eq!(problems(&source), expected, "{duration}");
    }
}

#[test]
fn two_fields_of_one_oneof_and_wrong_literals_are_refused() {
    let take = |with: &str| {
        problems(&format!(
            "saga: t\nversion: 1\nsteps:\n- step: take\n  call: shop.v1.Everything/Take\n  with: {with}\n"
        ))
    };
    assert_eq!(
        take("{ real: 9007199254740993 }"),
        ["t.yaml:6:17: `real` wants double, got int; convert it: double(…)"]
    );
    assert_eq!(
        take("{ left: \"'a'\", right: 1 }"),
        ["t.yaml:6:24: `left` and `right` are both of `choice`; set one of them"]
    );
    assert_eq!(
        take("{ state: \"request.paid ? 'STATE_PAID' : 'STATE_OPENED'\" }"),
        ["t.yaml:6:19: no value `STATE_OPENED` in shop.v1.State; did you mean `STATE_OPEN`?"]
    );
    assert_eq!(
        take("{ at: \"'today'\" }"),
        [
            "t.yaml:6:16: `today` is no Timestamp, such as `2026-01-31T12:00:00Z`; write it in the form of proto3 JSON"
        ]
    );
    assert_eq!(
        take("{ prices: { a: { currency: \"'EUR'\" } } }"),
        ["t.yaml:6:21: `a` is no key of `prices`; its keys are of type int32"]
    );
    assert_eq!(
        take("{ mood: request.state, state: shop.v1.Mood.MOOD_GLAD }"),
        [
            "t.yaml:6:39: wants shop.v1.State, got shop.v1.Mood; wrap it in int(…) if the numbers agree"
        ],
        "what comes from JSON is only known at run time"
    );
    assert_eq!(
        take("{ big: 99999999999999999999, flag: }"),
        [
            "t.yaml:6:16: `99999999999999999999` does not fit into 64 bits; write a smaller number",
            "t.yaml:6:42: an expression is missing; write one or remove the line"
        ]
    );
}

#[test]
fn an_expression_that_is_too_long_or_too_deep_is_refused() {
    let with = |expression: &str| {
        problems(&format!(
            "saga: t\nversion: 1\nsteps:\n- step: take\n  call: shop.v1.Everything/Take\n  with: {{ big: {expression} }}\n"
        ))
    };
    assert_eq!(
        with(&vec!["1"; 300].join(" + ")),
        ["t.yaml:6:16: an expression is nested too deep; use a list or split it"]
    );
    assert_eq!(
        with(&"1".repeat(9_000).replace("11", "1 +")),
        ["t.yaml:6:16: an expression of more than 8192 bytes; let the participant compute it"]
    );
    assert_eq!(with(&format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000))).len(), 1);
}

#[test]
fn a_saga_has_some_steps_but_not_too_many() {
    let saga = |steps: &str| problems(&format!("saga: t\nversion: 1\nsteps:{steps}\n"));
    assert_eq!(saga(" []"), ["t.yaml:3:1: the saga has no steps; add `- step: the_name`"]);
    assert_eq!(saga(""), ["t.yaml:3:1: `steps` is empty; give it a value or remove it"]);
    let steps: Vec<String> =
        (0..257).map(|n| format!("\n- step: s{n}\n  call: shop.v1.Everything/Take")).collect();
    assert_eq!(
        saga(&steps.concat()),
        ["t.yaml:3:1: 257 steps are more than 256; split the saga, or let a participant do more"]
    );
}

#[test]
fn a_service_that_could_not_be_described_says_why() {
    let mut descriptors = descriptors();
    let why = Undescribed::Because {
        why: "nothing listens at 127.0.0.1:7071".to_owned(),
        cure: "start it".to_owned(),
    };
    descriptors.undescribed("other.v1.Ledger", why);
    // Its undo too: one cause is told once.
    let source = PLACE.replace("shop.v1.Stock/", "other.v1.Ledger/");
    let draft = Draft::parse("t.yaml", &source).unwrap();
    assert_eq!(
        draft.services().into_iter().collect::<Vec<_>>(),
        ["other.v1.Ledger", "shop.v1.Bank"]
    );
    assert_eq!(draft.served_service(), Some("shop.v1.Checkout"));
    let problems = draft.compile(&descriptors).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["t.yaml:7:11: nothing listens at 127.0.0.1:7071; start it"]);
}

#[test]
fn a_field_that_proto2_requires_must_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.proto");
    let proto = "syntax = \"proto2\"; package old; message Ask { required string who = 1; optional string why = 2; } service Old { rpc Do(Ask) returns (Ask); }";
    std::fs::write(&path, proto).unwrap();
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&path, &[]).unwrap();
    let source =
        "saga: t\nversion: 1\nsteps:\n- step: a\n  call: old.Old/Do\n  with: { why: \"'x'\" }\n";
    let problems = Draft::parse("t.yaml", source).unwrap().compile(&descriptors).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "t.yaml:6:9: required field `who` of old.Ask is not set; add `who: …`"
    );
}

#[test]
fn a_descriptor_file_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let mut descriptors = Descriptors::new();
    let mut add = |path: &Path| descriptors.add_file(path, &[]).unwrap_err();

    assert!(matches!(add(&folder.path().join("none.binpb")), DescriptorsError::Read { .. }));
    assert!(matches!(add(&folder.path().join("none.proto")), DescriptorsError::Read { .. }));
    assert!(matches!(add(&file("a.proto", b"message {")), DescriptorsError::Proto { .. }));
    assert!(matches!(add(&file("a.binpb", b"\xff\xff")), DescriptorsError::NotASet(_)));

    let set = |syntax: &str, dependency: &[&str]| {
        use prost::Message as _;
        prost_types::FileDescriptorSet {
            file: vec![prost_types::FileDescriptorProto {
                name: Some("x.proto".to_owned()),
                syntax: Some(syntax.to_owned()),
                dependency: dependency.iter().map(|name| (*name).to_owned()).collect(),
                ..Default::default()
            }],
        }
        .encode_to_vec()
    };
    let unknown = add(&file("b.binpb", &set("proto4", &[])));
    assert_eq!(
        unknown.to_string(),
        "x.proto is written in `proto4`; proto2, proto3 and editions are understood"
    );
    let no_edition = add(&file("e.binpb", &set("editions", &[])));
    assert_eq!(
        no_edition.to_string(),
        "x.proto is of an edition that is not understood (number 0); 2023 and 2024 are"
    );
    let incomplete = add(&file("c.binpb", &set("proto3", &["y.proto"])));
    assert_eq!(
        incomplete.to_string(),
        "the descriptors are not complete: x.proto: imported file 'y.proto' has not been added"
    );
    assert!(descriptors.add_file(&file("d.binpb", &set("proto3", &[])), &[]).is_ok());
}

#[test]
fn imports_are_found_beside_a_proto_file_or_from_a_folder_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("old/v1");
    std::fs::create_dir_all(&package).unwrap();
    let word = "syntax = \"proto3\"; package old.v1; message Word {}";
    std::fs::write(package.join("word.proto"), word).unwrap();
    for import in ["word.proto", "v1/word.proto", "old/v1/word.proto"] {
        let service = format!(
            "syntax = \"proto3\"; package old.v1; import \"{import}\"; \
             service Old {{ rpc Do(Word) returns (Word); }}"
        );
        let path = package.join("old.proto");
        std::fs::write(&path, service).unwrap();
        let mut descriptors = Descriptors::new();
        descriptors.add_file(&path, &[]).unwrap();
        assert!(descriptors.method("old.v1.Old", "Do").is_ok(), "{import}");
    }
}

#[test]
fn a_descriptor_set_and_a_proto_file_describe_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let proto = folder.path().join("shop.proto");
    std::fs::write(&proto, PROTO).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file("shop.proto").unwrap();
    let set = folder.path().join("shop.binpb");
    std::fs::write(&set, compiler.encode_file_descriptor_set()).unwrap();
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&set, &[]).unwrap();
    assert!(Draft::parse("t.yaml", PLACE).unwrap().compile(&descriptors).is_ok());
}

#[test]
fn files_are_found_and_read_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.yaml", "a.yml", "notes.md"] {
        std::fs::write(folder.path().join(name), PLACE).unwrap();
    }
    let files = load::files(folder.path(), 10).unwrap();
    let names: Vec<_> = files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["a.yml", "b.yaml"]);
    assert_eq!(load::read(&files[0]).unwrap().name(), "place");
    let missing = load::read(&folder.path().join("c.yaml")).unwrap_err();
    assert!(missing[0].to_string().contains("c.yaml:1:1: cannot read it: "), "{}", missing[0]);
    assert!(load::files(&folder.path().join("none"), 10).is_err());
}

#[test]
fn what_a_definition_names_can_be_asked_before_it_is_checked() {
    let source = "saga: t\nversion: 3\ndescriptors: [shop.proto, bank.binpb]\nsteps: []\n";
    let draft = Draft::parse("t.yaml", source).unwrap();
    assert_eq!((draft.name(), draft.version()), ("t", 3));
    assert_eq!(draft.descriptor_files().collect::<Vec<_>>(), ["shop.proto", "bank.binpb"]);
    assert!(draft.problems().is_empty());
    assert_eq!(Draft::parse("t.yaml", "[]").unwrap_err().len(), 1);
}
