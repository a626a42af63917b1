//! proto3 JSON that ends where there is no more room, and is well-formed all the same.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage, Value,
};

use super::{is_secret_extension, is_secret_field};

/// The package in which the `definition` crate keeps JSON, as `google.protobuf.Struct` does, but for numbers that a double
/// would not keep: these are texts in a field of their own.
const JSON: &str = "sagamesh.json.v1.";
const NUMBER_TEXT: &str = "number_text";
/// What stands in the place of a field marked `debug_redact`.
const REDACTED: &str = "\"[redacted]\"";
/// The key under which an object says what it does not show.
const NOT_SHOWN: &str = "[not shown]";
/// How deep messages are shown inside of each other. An `Any` in an `Any` is decoded here, beyond what decoding limits.
const MAX_DEPTH: usize = 100;
/// Larger messages in an `Any` are not decoded: a byte on the wire can become a hundred in memory.
const MAX_ANY_BYTES: usize = 64 << 10;
/// Whole numbers up to this are the same in every JSON reader.
const MAX_EXACT_INTEGER: u128 = 1 << 53;

/// Writes values as proto3 JSON, names of fields in proto spelling, into so many bytes; fields marked `debug_redact` are
/// hidden. What finds no room is left out, and a mark says so at its place.
#[derive(Debug)]
pub struct Writer {
    text: String,
    room: usize,
    depth: usize,
    is_cut: bool,
}

impl Writer {
    /// A writer of `room` bytes; the marks of what is cut, and what closes the brackets, come on top.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { text: String::new(), room, depth: 0, is_cut: false }
    }

    /// What was written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Whether something was left out for want of room.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Writes a message.
    pub fn message(&mut self, message: &DynamicMessage) {
        if self.depth >= MAX_DEPTH {
            self.is_cut = true;
            return self.mark("cut: nested too deep");
        }
        self.depth += 1;
        self.message_here(message);
        self.depth -= 1;
    }

    /// Writes a value; `of` is the enum whose values its numbers are, where they are.
    pub fn value(&mut self, value: &Value, of: Option<&EnumDescriptor>) {
        match value {
            Value::Bool(value) => self.raw(if *value { "true" } else { "false" }),
            Value::I32(value) => self.raw(value),
            Value::U32(value) => self.raw(value),
            Value::I64(value) => self.text(&value.to_string()),
            Value::U64(value) => self.text(&value.to_string()),
            Value::F32(value) => self.float(f64::from(*value), value),
            Value::F64(value) => self.float(*value, value),
            Value::String(value) => self.text(value),
            Value::Bytes(value) => self.bytes(value),
            Value::EnumNumber(number) => self.enum_value(*number, of),
            Value::Message(message) => self.message(message),
            Value::List(items) => self.list(items.iter(), |json, item| json.value(item, of)),
            Value::Map(entries) => {
                let mut entries: Vec<(&MapKey, &Value)> = entries.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                let entries = entries.into_iter().map(|(key, value)| (key_text(key), value));
                self.object(entries, |json, value| json.value(value, of));
            }
        }
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        match text.split_at(self.fitting(text)) {
            (text, "") => self.quoted(text),
            (beginning, rest) => {
                self.is_cut = true;
                self.quoted(&format!("{beginning}[cut: {} more bytes]", rest.len()));
            }
        }
    }

    /// Writes bytes, as base64.
    pub fn bytes(&mut self, bytes: &[u8]) {
        // A part that makes no whole number of base64's groups would not be what the bytes begin with.
        let shown = bytes.len().min(self.left() / 4 * 3);
        let mut text = STANDARD.encode(&bytes[..shown]);
        if shown < bytes.len() {
            self.is_cut = true;
            let _ = write!(text, "[cut: {} more bytes]", bytes.len() - shown);
        }
        self.quoted(&text);
    }

    /// Writes a whole number: as a number where every JSON reader keeps it exactly, else as a text.
    pub fn integer(&mut self, number: i128) {
        match number.unsigned_abs() <= MAX_EXACT_INTEGER {
            true => self.raw(number),
            false => self.text(&number.to_string()),
        }
    }

    /// Writes a floating point number.
    pub fn double(&mut self, number: f64) {
        self.float(number, &number);
    }

    /// Writes a list, each item by `write`.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        let mut left = items.len();
        self.raw('[');
        for (item, first) in items.zip(first_of_many()) {
            self.raw(if first { "" } else { "," });
            if self.left() == 0 {
                self.is_cut = true;
                self.mark(&format!("cut: {left} more items"));
                break;
            }
            write(self, item);
            left -= 1;
        }
        self.raw(']');
    }

    /// Writes an object, each value by `write`.
    pub fn object<N: AsRef<str>, T>(
        &mut self,
        entries: impl IntoIterator<Item = (N, T), IntoIter: ExactSizeIterator>,
        write: impl Fn(&mut Self, T),
    ) {
        let entries = entries.into_iter();
        let mut left = entries.len();
        self.raw('{');
        for ((name, value), first) in entries.zip(first_of_many()) {
            self.raw(if first { "" } else { "," });
            if self.left() <= name.as_ref().len() {
                self.is_cut = true;
                self.not_shown(&format!("cut: {left} more fields"));
                break;
            }
            self.key(name.as_ref());
            write(self, value);
            left -= 1;
        }
        self.raw('}');
    }

    fn message_here(&mut self, message: &DynamicMessage) {
        let kind = message.descriptor();
        let field = |name: &str| message.get_field_by_name(name);
        let inside = |json: &mut Self, name: &str| match field(name) {
            Some(inside) => json.value(&inside, None),
            None => json.null(),
        };
        let name = kind.full_name();
        match name.strip_prefix("google.protobuf.").or_else(|| name.strip_prefix(JSON)) {
            Some("Any") => self.any(message),
            Some(
                "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
                | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue",
            ) => inside(self, "value"),
            Some("Struct" | "Object") => inside(self, "fields"),
            Some("ListValue" | "Array") => inside(self, "values"),
            Some("Value") => self.json_value(message),
            Some("Timestamp" | "Duration" | "FieldMask") => match serde_json::to_string(message) {
                Ok(text) => self.raw(text),
                // Out of the range that the form of a text has.
                Err(_) => self.fields(None, message),
            },
            _ => self.fields(None, message),
        }
    }

    fn json_value(&mut self, message: &DynamicMessage) {
        let Some((field, value)) = message.fields().next() else { return self.null() };
        match (field.name(), value) {
            ("null_value", _) => self.null(),
            (NUMBER_TEXT, Value::String(number)) if is_number(number) => self.raw(number),
            (_, value) => self.value(value, None),
        }
    }

    /// Writes what is set, behind the name of the message's type, where that is to be told.
    fn fields(&mut self, type_url: Option<&str>, message: &DynamicMessage) {
        enum Shown<'m> {
            Type(&'m str),
            Secret,
            Value(&'m Value, Option<EnumDescriptor>),
            Unknown(usize),
        }
        let mut shown: Vec<(String, Shown<'_>)> = Vec::new();
        if let Some(type_url) = type_url {
            shown.push(("@type".to_owned(), Shown::Type(type_url)));
        }
        let value = |secret: bool, value, kind: &Kind| match secret {
            true => Shown::Secret,
            false => Shown::Value(value, enum_of(kind)),
        };
        shown.extend(message.fields().map(|(field, found)| {
            (field.name().to_owned(), value(is_secret_field(&field), found, &item_kind(&field)))
        }));
        shown.extend(message.extensions().map(|(extension, found)| {
            let name = format!("[{}]", extension.full_name());
            (name, value(is_secret_extension(&extension), found, &extension.kind()))
        }));
        let unknown = message.unknown_fields().count();
        if unknown > 0 {
            shown.push((NOT_SHOWN.to_owned(), Shown::Unknown(unknown)));
        }
        self.object(shown, |json, shown| match shown {
            Shown::Type(type_url) => json.text(type_url),
            Shown::Secret => json.raw(REDACTED),
            Shown::Value(value, of) => json.value(value, of.as_ref()),
            Shown::Unknown(count) => {
                json.text(&format!("{count} fields that the descriptors do not know"));
            }
        });
    }

    fn any(&mut self, any: &DynamicMessage) {
        let text = |name: &str| any.get_field_by_name(name).map(|value| value.into_owned());
        let Some(Value::String(type_url)) = text("type_url") else { return self.null() };
        let Some(Value::Bytes(bytes)) = text("value") else { return self.null() };
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let kind = any.descriptor().parent_pool().get_message_by_name(name);
        let kind = kind.filter(|_| bytes.len() <= MAX_ANY_BYTES);
        let inside = kind.and_then(|kind| DynamicMessage::decode(kind, bytes.clone()).ok());
        match inside {
            // Such a message is no object in JSON.
            Some(inside) if name.starts_with("google.protobuf.") => {
                self.raw('{');
                self.key("@type");
                self.text(&type_url);
                self.raw(',');
                self.key("value");
                self.message(&inside);
                self.raw('}');
            }
            Some(inside) => self.fields(Some(&type_url), &inside),
            None => {
                self.raw('{');
                self.key("@type");
                self.text(&type_url);
                self.raw(',');
                let size = bytes.len();
                self.not_shown(&format!("{size} bytes that are too many, or of no known type"));
                self.raw('}');
            }
        }
    }

    fn enum_value(&mut self, number: i32, of: Option<&EnumDescriptor>) {
        match of.and_then(|of| of.get_value(number)) {
            Some(value) => self.quoted(value.name()),
            None => self.raw(number),
        }
    }

    /// A number whose shortest form is that of `written`.
    fn float(&mut self, number: f64, written: &impl serde::Serialize) {
        #[expect(clippy::cast_precision_loss, reason = "a power of two")]
        let whole = number.fract() == 0.0 && number.abs() <= MAX_EXACT_INTEGER as f64;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 2^53")]
        match () {
            () if number.is_nan() => self.raw("\"NaN\""),
            () if number.is_infinite() && number > 0.0 => self.raw("\"Infinity\""),
            () if number.is_infinite() => self.raw("\"-Infinity\""),
            () if whole && !(number == 0.0 && number.is_sign_negative()) => self.raw(number as i64),
            () => self.raw(serde_json::to_string(written).unwrap_or_default()),
        }
    }

    fn left(&self) -> usize {
        self.room.saturating_sub(self.text.len())
    }

    /// How many bytes of the text find room, once it is escaped.
    fn fitting(&self, text: &str) -> usize {
        let mut left = self.left();
        let fits = |(_, character): &(usize, char)| {
            let size = match character {
                '"' | '\\' => 2,
                '\0'..='\u{1f}' => 6,
                other => other.len_utf8(),
            };
            left.checked_sub(size).map(|rest| left = rest).is_some()
        };
        text.char_indices().take_while(fits).last().map_or(0, |(at, last)| at + last.len_utf8())
    }

    fn key(&mut self, name: &str) {
        self.quoted(name);
        self.raw(':');
    }

    fn mark(&mut self, what: &str) {
        self.quoted(&format!("[{what}]"));
    }

    fn not_shown(&mut self, what: &str) {
        self.quoted(NOT_SHOWN);
        self.raw(':');
        self.quoted(what);
    }

    fn quoted(&mut self, text: &str) {
        // A text is always JSON.
        self.raw(serde_json::to_string(text).unwrap_or_default());
    }

    fn raw(&mut self, written: impl std::fmt::Display) {
        // Writing into a text cannot fail.
        let _ = write!(self.text, "{written}");
    }
}

/// The enum whose values a field or an item of this kind has.
#[must_use]
pub fn enum_of(kind: &Kind) -> Option<EnumDescriptor> {
    kind.as_enum().cloned()
}

/// The kind of a field's value, of its items, or of the values of its entries.
fn item_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn first_of_many() -> impl Iterator<Item = bool> {
    std::iter::once(true).chain(std::iter::repeat(false))
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
