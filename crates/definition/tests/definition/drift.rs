//! What is told of a contract that has changed since a definition was checked against it.

use definition::Draft;

use crate::protos::described;

const DEFINITION: &str =
    "saga: s\nversion: 1\nsteps:\n  - step: one\n    call: c.v1.C/Do\n    pivot: true\n";

const BEFORE: &str = r#"syntax = "proto3";
package c.v1;
service C { rpc Do(Job) returns (Job); }
enum State {
  option allow_alias = true;
  STATE_NEW = 0;
  STATE_OLD = 1;
  STATE_AGED = 1;
  STATE_GONE = 2;
}
message Job {
  string id = 1;
  int32 size = 2;
  string note = 3;
  State state = 4;
  map<string, Inner> parts = 5;
  Job next = 6;
}
message Inner { State state = 1; string left = 2; }
"#;

/// The differences when these are replaced.
fn differences(replaced: &[(&str, &str)]) -> Vec<String> {
    let draft = Draft::parse("d.yaml", DEFINITION).unwrap();
    let compiled = draft.compile(&described(BEFORE)).unwrap();
    let mut now = BEFORE.to_owned();
    for (from, to) in replaced {
        assert!(now.contains(from), "{from}");
        now = now.replace(from, to);
    }
    let job = described(&now).message("c.v1.Job").unwrap();
    let found = compiled.drift("c.v1.C", job.parent_pool()).into_iter();
    found.map(|one| format!("{}: {}", one.message, one.change)).collect()
}

#[test]
fn a_contract_that_is_as_it_was_has_no_differences() {
    assert_eq!(differences(&[]), [""; 0]);
}

#[test]
fn values_of_enums_that_came_went_or_have_another_number_are_told() {
    assert_eq!(
        differences(&[
            ("  STATE_GONE = 2;\n", "  STATE_COME = 7;\n"),
            ("  STATE_AGED = 1;\n", "  STATE_AGED = 3;\n  STATE_ELDER = 1;\n"),
        ]),
        [
            "c.v1.State: value STATE_COME added: 7",
            "c.v1.State: value STATE_ELDER added: 1",
            "c.v1.State: value STATE_GONE removed: 2",
            "c.v1.State: value STATE_AGED changed: 1 is now 3",
        ]
    );
}

#[test]
fn fields_with_another_type_number_or_name_are_told() {
    assert_eq!(
        differences(&[
            ("int32 size = 2;", "repeated int64 size = 2;"),
            ("string note = 3;", "string note = 8;"),
            ("State state = 4;", "int32 state = 4;"),
            ("string left = 2;", "string right = 2;"),
        ]),
        [
            "c.v1.Inner: field left changed: string = 2 is now right string = 2",
            "c.v1.Job: field note changed: string = 3 is now string = 8",
            "c.v1.Job: field size changed: int32 = 2 is now repeated int64 = 2",
            "c.v1.Job: field state changed: c.v1.State = 4 is now int32 = 4",
        ]
    );
}

#[test]
fn a_field_whose_number_another_has_now_is_told_with_both() {
    assert_eq!(
        differences(&[("string id = 1;", "string key = 1; string id = 9;")]),
        [
            "c.v1.Job: field id added: string = 9",
            "c.v1.Job: field id changed: string = 1 is now key string = 1",
        ]
    );
}
