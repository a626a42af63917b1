//! What is used of a value of the input, and how a person is told.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, MapKey, Value};

/// The names of what JSON itself is wanted for.
pub(super) const ANY: &str = "any";
pub(super) const OBJECT: &str = "object";
/// What stands in the place of a value that people are not shown.
const REDACTED: &str = "[redacted]";

/// What is used of one value.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Every saga that succeeds needs it.
    required: bool,
    /// It is used as a whole, beside what is used of it.
    pub(super) whole: bool,
    /// It goes into a field that people are not shown.
    secret: bool,
    kinds: Vec<String>,
    keys: BTreeMap<String, Used>,
    /// Where it stands among the keys of its object, in the order in which the file uses them.
    nth: usize,
}

impl Used {
    fn at(&mut self, keys: &[String]) -> &mut Used {
        let Some((key, rest)) = keys.split_first() else { return self };
        let nth = self.keys.len();
        let used = self.keys.entry(key.clone());
        used.or_insert_with(|| Used { nth, ..Used::default() }).at(rest)
    }

    /// Notes a use of the value that is found by these keys.
    pub(super) fn add(&mut self, keys: &[String], kind: Option<String>, is_secret: bool) {
        let used = self.at(keys);
        used.whole = true;
        used.secret |= is_secret;
        if let Some(kind) = kind.filter(|kind| !used.kinds.contains(kind)) {
            used.kinds.push(kind);
        }
    }

    /// Notes that every saga that succeeds needs the value, and so what it is in.
    pub(super) fn require(&mut self, keys: &[String]) {
        self.required = true;
        if let Some((key, rest)) = keys.split_first()
            && let Some(used) = self.keys.get_mut(key)
        {
            used.require(rest);
        }
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn shape(&self) -> String {
        if self.keys.is_empty() {
            return if self.kinds.is_empty() { ANY.to_owned() } else { self.kinds.join(" and ") };
        }
        let mut keys: Vec<(&String, &Used)> = self.keys.iter().collect();
        keys.sort_by_key(|(_, used)| used.nth);
        let mut keys: Vec<String> = keys
            .into_iter()
            .map(|(key, used)| {
                let sign = if used.required { "" } else { "?" };
                format!("{}{sign}: {}", written_key(key), used.shape())
            })
            .collect();
        if self.whole {
            keys.push("…".to_owned());
        }
        let object = format!("{{ {} }}", keys.join(", "));
        // An object is one already, and anything.
        let others = self.kinds.iter().filter(|kind| ![ANY, OBJECT].contains(&kind.as_str()));
        others.fold(object, |shape, kind| format!("{shape} and {kind}"))
    }

    /// The shape of the value that is found by these keys.
    pub(super) fn shape_of(&self, keys: &[String]) -> String {
        match keys.split_first() {
            None => self.shape(),
            Some((key, rest)) => {
                let found = self.keys.get(key);
                found.map_or_else(|| ANY.to_owned(), |used| used.shape_of(rest))
            }
        }
    }

    /// Hides what goes into fields that people are not shown. `object` is a `google.protobuf.Struct`, or what holds a JSON
    /// object as one does.
    pub(super) fn hide_secrets(&self, object: &mut DynamicMessage) {
        if !self.has_secrets() {
            return;
        }
        let Some(Value::Map(fields)) = object.get_field_by_name_mut("fields") else { return };
        if self.secret {
            fields.values_mut().for_each(hide);
        }
        for (key, used) in &self.keys {
            let Some(value) = fields.get_mut(&MapKey::String(key.clone())) else { continue };
            if used.secret {
                hide(value);
            } else if let Value::Message(value) = value
                && value.has_field_by_name("struct_value")
                && let Some(Value::Message(inner)) = value.get_field_by_name_mut("struct_value")
            {
                used.hide_secrets(inner);
            }
        }
    }

    fn has_secrets(&self) -> bool {
        self.secret || self.keys.values().any(Used::has_secrets)
    }
}

fn hide(value: &mut Value) {
    if let Value::Message(value) = value {
        value.set_field_by_name("string_value", Value::String(REDACTED.to_owned()));
    }
}

fn written_key(key: &str) -> String {
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name { key.to_owned() } else { format!("{key:?}") }
}

/// The path of a value, as `.lines["a-b"]`.
pub(super) fn written_path(keys: &[String]) -> String {
    let written = keys.iter().map(|key| match written_key(key) {
        name if name == *key => format!(".{name}"),
        quoted => format!("[{quoted}]"),
    });
    written.collect()
}
