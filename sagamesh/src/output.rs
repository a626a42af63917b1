//! Results on standard output: tables for a person, or the API's own messages as JSON.
//!
//! What comes from a server is text of strangers: a key or a reason could set the terminal's title, clear it, or forge a
//! row. So a message is made [`showable`] before anything is taken from it, and JSON and errors escape what they write.

use anstyle::{AnsiColor, Style};
use prost::Name;
use prost_reflect::{DynamicMessage, SerializeOptions, Value};
use proto::{
    rules::is_unshowable,
    saga::v1::{SagaState, StepState},
};

use crate::error::{CommandError, CommandResult, UNEXPECTED};

/// Writes a message of ours as proto3 JSON, every field present. What is JSON itself, as a saga's output, is a value under the
/// field's name without `_json`.
pub(crate) fn json(message: &impl Name) -> CommandResult {
    anstream::println!("{}", with_content(&to_json(message)?));
    Ok(())
}

/// The fields whose texts are JSON.
const CONTENT: [&str; 6] = [
    "output_json",
    "input_json",
    "request_json",
    "response_json",
    "undo_request_json",
    "undo_response_json",
];

/// Each field stands on a line of its own, and a quote inside of a text is escaped, so nothing else looks like one of these.
/// The JSON is not read into values: its numbers would not all be the same then.
fn with_content(pretty: &str) -> String {
    let content = |line: &str| {
        let (key, text) = line.split_once("\": \"")?;
        let (margin, field) = key.split_once('"')?;
        let name = field.strip_suffix("_json").filter(|_| CONTENT.contains(&field))?;
        let comma = if text.ends_with(',') { "," } else { "" };
        let text = text.strip_suffix(',').unwrap_or(text);
        let json: String = serde_json::from_str(&format!("\"{text}")).ok()?;
        let json = if json.is_empty() { "null" } else { &json };
        serde_json::from_str::<serde::de::IgnoredAny>(json).ok()?;
        Some(escaped_json(&format!("{margin}\"{name}\": {}{comma}", json.replace('\n', " "))))
    };
    let lines = pretty.lines().map(|line| content(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

/// A text as a terminal may show it, on one line: what it would obey instead is escaped.
pub(crate) fn escaped(text: &str) -> String {
    escaped_but(text, |_| false)
}

/// As [`escaped`], of a text that has several lines.
pub(crate) fn escaped_lines(text: &str) -> String {
    escaped_but(text, |character| matches!(character, '\n' | '\t'))
}

fn escaped_but(text: &str, kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_unshowable(character) && !kept(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

/// The message with every text in it escaped, at any depth.
pub(crate) fn showable<M: Name + Default>(message: &M) -> CommandResult<M> {
    let unexpected = |why: String| {
        CommandError::new(UNEXPECTED, format!("{} cannot be shown", M::full_name()))
            .with_reason(why)
    };
    let mut shown = dynamic(message).map_err(unexpected)?;
    escape(&mut shown);
    shown.transcode_to().map_err(|error| unexpected(error.to_string()))
}

fn escape(message: &mut DynamicMessage) {
    fn escape_in(value: &mut Value) {
        match value {
            Value::String(text) if text.contains(is_unshowable) => *text = escaped(text),
            Value::Message(inner) => escape(inner),
            Value::List(entries) => entries.iter_mut().for_each(escape_in),
            Value::Map(entries) => entries.values_mut().for_each(escape_in),
            _ => {}
        }
    }
    message.fields_mut().for_each(|(_, value)| escape_in(value));
}

/// A text field of a message of ours; empty where it has none of that name.
pub(crate) fn text_field(message: &impl Name, field: &str) -> String {
    let found = dynamic(message).ok().and_then(|message| {
        message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned))
    });
    found.unwrap_or_default()
}

fn dynamic<M: Name>(message: &M) -> Result<DynamicMessage, String> {
    let descriptor = proto::descriptors().get_message_by_name(&M::full_name());
    let descriptor = descriptor.ok_or_else(|| "it is not described".to_owned())?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| error.to_string())
}

fn to_json<M: Name>(message: &M) -> CommandResult<String> {
    let unexpected = |why: String| {
        CommandError::new(UNEXPECTED, format!("{} cannot be written as JSON", M::full_name()))
            .with_reason(why)
    };
    let message = dynamic(message).map_err(unexpected)?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut text);
    message
        .serialize_with_options(&mut serializer, &options)
        .map_err(|error| unexpected(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|error| unexpected(error.to_string()))?;
    Ok(escaped_json(&text))
}

/// JSON whose texts a terminal does not obey either: `serde_json` escapes control characters of ASCII alone.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match is_unshowable(character) && character != '\n' {
            // None of them is above U+FFFF.
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => escaped.push(character),
        }
    }
    escaped
}

/// Writes rows under their heads, each column as wide as it must be.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) {
    anstream::print!("{}", layout(heads, rows));
}

fn layout(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell));
        cells.chain(heads.get(column).map(|head| head.len())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(visible(cell)) + 2));
        }
        format!("{}\n", line.trim_end())
    };
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    std::iter::once(line(&heads)).chain(rows.iter().map(|row| line(row))).collect()
}

/// How wide a cell is on the screen, its colours left out.
fn visible(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}

pub(crate) fn paint(text: &str, color: AnsiColor) -> String {
    let style = Style::new().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}

/// A saga's state as a person reads it.
pub(crate) fn saga_state(state: SagaState) -> String {
    let name = state.as_str_name().trim_start_matches("SAGA_STATE_");
    paint(
        name,
        match state {
            SagaState::Succeeded | SagaState::Resolved => AnsiColor::Green,
            SagaState::Compensated | SagaState::Compensating | SagaState::Paused => {
                AnsiColor::Yellow
            }
            SagaState::Attention => AnsiColor::Red,
            SagaState::Running | SagaState::Unspecified => AnsiColor::Cyan,
        },
    )
}

/// A step's state as a person reads it.
pub(crate) fn step_state(state: StepState) -> String {
    let name = state.as_str_name().trim_start_matches("STEP_STATE_");
    paint(
        name,
        match state {
            StepState::Done => AnsiColor::Green,
            StepState::Declined | StepState::Stuck => AnsiColor::Red,
            StepState::Undone | StepState::Undoing | StepState::Unknown | StepState::NotSent => {
                AnsiColor::Yellow
            }
            _ => AnsiColor::BrightBlack,
        },
    )
}

/// An instant as `2026-11-21 05:10:43 UTC`; empty where there is none.
pub(crate) fn instant(timestamp: Option<&prost_types::Timestamp>) -> String {
    timestamp
        .map(|timestamp| timestamp.to_string().replacen('T', " ", 1))
        .map(|text| text.split(['.', 'Z']).next().unwrap_or_default().to_owned() + " UTC")
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proto::saga::v1::{GetSagaResponse, Saga, Step};

    use super::*;

    #[test]
    fn columns_line_up_whatever_their_colours() {
        let rows = vec![
            vec!["a".to_owned(), paint("DONE", AnsiColor::Green), "x".to_owned()],
            vec!["long".to_owned(), "NO".to_owned(), "y".to_owned()],
        ];
        let text = anstream::adapter::strip_str(&layout(&["id", "state", ""], &rows)).to_string();
        assert_eq!(text, "id    state\na     DONE   x\nlong  NO     y\n");
    }

    #[test]
    fn json_has_every_field_and_names_of_enums() {
        let mut response = GetSagaResponse { saga: Some(Saga::default()), result: None };
        response.saga.as_mut().unwrap().set_state(SagaState::Paused);
        let text = to_json(&response).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["saga"]["state"], "SAGA_STATE_PAUSED");
        assert_eq!(json["saga"]["saga_id"], "");
    }

    #[test]
    fn no_text_of_a_message_reaches_the_terminal_as_an_order_to_it() {
        let hostile = "a\u{1b}]0;title\u{7}\r\nb\u{9b}2J\u{202e}c\u{7f}";
        let saga = Saga {
            key: hostile.to_owned(),
            steps: vec![Step { message: hostile.to_owned(), ..Step::default() }],
            ..Saga::default()
        };
        let shown = showable(&saga).unwrap();
        let expected = "a\\u{1b}]0;title\\u{7}\\r\\nb\\u{9b}2J\\u{202e}c\\u{7f}";
        assert_eq!((shown.key.as_str(), shown.steps[0].message.as_str()), (expected, expected));

        let json = to_json(&saga).unwrap();
        assert!(
            !json.contains(|character| is_unshowable(character) && character != '\n'),
            "{json}"
        );
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["key"], hostile);
        assert_eq!(escaped_lines("a\n\tb\u{1b}"), "a\n\tb\\u{1b}");
    }

    #[test]
    fn content_is_a_value_of_the_json_and_its_numbers_are_exact() {
        let output_json = r#"{"n":0.30000000000000004,"big":"9007199254740993","e":1e+300}"#;
        let saga = Saga {
            output_json: output_json.to_owned(),
            input_json: "{\"hostile\": \"\u{9b}2J\"}".to_owned(),
            message: "\"output_json\": \"5\"".to_owned(),
            steps: vec![Step {
                request_json: "no JSON".to_owned(),
                response_json: "[1,\n2]".to_owned(),
                ..Step::default()
            }],
            ..Saga::default()
        };
        let text = with_content(&to_json(&saga).unwrap());
        assert!(text.contains(&format!("\"output\": {output_json},")), "{text}");
        assert!(!text.contains('\u{9b}'), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["input"]["hostile"], "\u{9b}2J");
        assert_eq!(read["message"], saga.message);
        assert_eq!(read["steps"][0]["request_json"], "no JSON");
        assert_eq!(read["steps"][0]["response"], serde_json::json!([1, 2]));
        assert_eq!(read["steps"][0]["undo_request"], serde_json::Value::Null);
    }

    #[test]
    fn an_instant_is_read_to_the_second() {
        let timestamp = prost_types::Timestamp { seconds: 1_795_237_843, nanos: 5_000_000 };
        assert!(instant(Some(&timestamp)).ends_with(":43 UTC"), "{}", instant(Some(&timestamp)));
        assert_eq!(instant(None), "");
    }
}
