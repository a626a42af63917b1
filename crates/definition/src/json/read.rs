//! Reads a text of JSON.
//!
//! `serde_json` would make a double of each number before anybody sees it, and keep the last of two members of one name.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, MapKey, Value};

use super::{InputError, KINDS, NUMBER_TEXT, Number, message};

/// How much of a number is told, in characters.
const MAX_TOLD: usize = 40;

type Read<T> = Result<T, InputError>;

/// The object that `text` is, arrays and objects standing in each other no deeper than `max_depth`.
///
/// # Errors
/// Where it is no JSON object, is deeper, has a name twice in one, or a number that would not be kept as it is written.
pub(crate) fn object(text: &str, max_depth: usize) -> Read<DynamicMessage> {
    let mut reader = Reader { text, at: 0, path: String::new(), max_depth };
    reader.skip_space();
    if !reader.rest().starts_with('{') {
        return Err(reader.expected("an object: `{ \"name\": value }`"));
    }
    let object = reader.object(0)?;
    reader.skip_space();
    if reader.rest().is_empty() { Ok(object) } else { Err(reader.expected("the end")) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Where in the JSON this stands.
    path: String,
    max_depth: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Read<DynamicMessage> {
        let (kind, value) = match self.rest().as_bytes().first() {
            Some(b'{') => ("struct_value", Value::Message(self.object(depth)?)),
            Some(b'[') => ("list_value", Value::Message(self.array(depth)?)),
            Some(b'"') => ("string_value", Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if self.take("true") => ("bool_value", Value::Bool(true)),
            _ if self.take("false") => ("bool_value", Value::Bool(false)),
            _ if self.take("null") => ("null_value", Value::I32(0)),
            _ => return Err(self.expected("a value")),
        };
        Ok(message(&KINDS.value, kind, value))
    }

    fn object(&mut self, depth: usize) -> Read<DynamicMessage> {
        let mut members = HashMap::new();
        self.entries('{', '}', depth, |reader, _| {
            if !reader.rest().starts_with('"') {
                return Err(reader.expected("a name in double quotes"));
            }
            let name = reader.string()?;
            reader.skip_space();
            if !reader.take(":") {
                return Err(reader.expected("`:`"));
            }
            reader.skip_space();
            if !reader.path.is_empty() {
                reader.path.push('.');
            }
            reader.path.push_str(&name);
            let value = Value::Message(reader.value(depth + 1)?);
            match members.insert(MapKey::String(name), value) {
                None => Ok(()),
                Some(_) => Err(reader.wrong("is given twice; keep one of them")),
            }
        })?;
        Ok(message(&KINDS.object, "fields", Value::Map(members)))
    }

    fn array(&mut self, depth: usize) -> Read<DynamicMessage> {
        let mut items = Vec::new();
        self.entries('[', ']', depth, |reader, index| {
            reader.path.push_str(&format!("[{index}]"));
            items.push(Value::Message(reader.value(depth + 1)?));
            Ok(())
        })?;
        Ok(message(&KINDS.array, "values", Value::List(items)))
    }

    /// What stands between two brackets, with commas between.
    fn entries(
        &mut self,
        open: char,
        close: char,
        depth: usize,
        mut entry: impl FnMut(&mut Self, usize) -> Read<()>,
    ) -> Read<()> {
        if depth >= self.max_depth {
            let what = format!("is nested deeper than {} levels; flatten it", self.max_depth);
            return Err(self.wrong(&what));
        }
        self.at += open.len_utf8();
        self.skip_space();
        if self.take(close.encode_utf8(&mut [0; 4])) {
            return Ok(());
        }
        let path = self.path.len();
        for index in 0.. {
            entry(self, index)?;
            self.path.truncate(path);
            self.skip_space();
            if self.take(close.encode_utf8(&mut [0; 4])) {
                break;
            }
            if !self.take(",") {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
            self.skip_space();
        }
        Ok(())
    }

    fn number(&mut self) -> Read<(&'static str, Value)> {
        let rest = self.rest();
        let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let text = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        if !Number::is_written_as(text) {
            return Err(self.expected("a number"));
        }
        self.at += text.len();
        let Some(number) = Number::parse(text) else {
            let told: String = text.chars().take(MAX_TOLD).collect();
            let more = if told.len() < text.len() { "…" } else { "" };
            return Err(self.wrong(&format!(
                "{told}{more} is no number that 64 bits or a double hold as it is written; write it as a string, or \
                 with fewer digits"
            )));
        };
        Ok(match number.plain_double(text) {
            Some(double) => ("number_value", Value::F64(double)),
            None => (NUMBER_TEXT, Value::String(text.to_owned())),
        })
    }

    /// `serde_json` reads what stands between the quotes.
    fn string(&mut self) -> Read<String> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some(end) = end else { return Err(self.expected("the end of a string")) };
        let quoted = &rest[..end + 2];
        let read = serde_json::from_str(quoted).map_err(|_| {
            self.expected("a string without control characters and with the escapes of JSON")
        })?;
        self.at += quoted.len();
        Ok(read)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn wrong(&self, what: &str) -> InputError {
        InputError { path: self.path.clone(), what: what.to_owned() }
    }

    fn expected(&self, what: &str) -> InputError {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let found = match self.rest().chars().next() {
            Some(found) if found.is_control() => format!("`{}`", found.escape_debug()),
            Some(found) => format!("`{found}`"),
            None => "the end".to_owned(),
        };
        let what = format!("line {line}, column {column}: {what} is expected, not {found}");
        InputError { path: self.path.clone(), what }
    }
}

#[cfg(test)]
mod tests;
