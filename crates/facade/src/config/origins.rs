//! Where each setting's value came from.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Serialize;
use serde_json::Value;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has set the value.
    Default,
    /// The config file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A file that an environment variable names: a secret.
    SecretFile {
        /// The variable, whose name ends with `_FILE`.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Variable(name) => formatter.write_str(name),
            Self::SecretFile { variable, path } => {
                write!(formatter, "{variable}, the file {}", path.display())
            }
            Self::Flag(name) => formatter.write_str(name),
        }
    }
}

/// One setting of a config, for a person to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// For example `limits.max_running`.
    pub path: String,
    /// As a config file would have it; `(hidden)` where it came from a file of its own.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// Where each value came from, by its path; what is not here is a default.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// All that stands at and below `path` came from `origin`.
    pub(super) fn set(&mut self, path: &str, value: &Value, origin: &Origin) {
        match value {
            Value::Object(settings) if !settings.is_empty() => {
                for (name, value) in settings {
                    self.set(&join(path, name), value, origin);
                }
            }
            _ => {
                self.0.retain(|known, _| !is_below(known, path));
                self.0.insert(path.to_owned(), origin.clone());
            }
        }
    }

    /// Where the value at `path` came from: it, the group that it is in, or what stands below it.
    pub(super) fn of(&self, path: &str) -> Option<&Origin> {
        let above = || self.0.iter().rev().find(|(known, _)| is_below(path, known));
        let below = || self.0.iter().find(|(known, _)| is_below(known, path));
        self.0.get(path).or_else(|| above().or_else(below).map(|(_, origin)| origin))
    }

    /// Every setting of a config that was read from `said`.
    pub(super) fn settings(&self, config: &Value, said: &Value) -> Vec<Setting> {
        let mut settings = Vec::new();
        self.walk("", config, said, &mut settings);
        settings
    }

    fn walk(&self, path: &str, value: &Value, said: &Value, settings: &mut Vec<Setting>) {
        if let Value::Object(inner) = value
            && !inner.is_empty()
        {
            for (name, value) in inner {
                match said {
                    Value::Object(said) => {
                        let said = said.get(name).unwrap_or(&Value::Null);
                        self.walk(&join(path, name), value, said, settings);
                    }
                    // A group of settings that was given one value instead of a table stands for the setting of that
                    // value.
                    one if one == value => {
                        settings.push(setting(join(path, name), value, self.exactly(path)));
                    }
                    _ => settings.push(setting(join(path, name), value, &Origin::Default)),
                }
            }
            return;
        }
        settings.push(setting(path.to_owned(), value, self.exactly(path)));
    }

    fn exactly(&self, path: &str) -> &Origin {
        self.0.get(path).unwrap_or(&Origin::Default)
    }
}

fn setting(path: String, value: &Value, origin: &Origin) -> Setting {
    let value = match (origin, value) {
        (Origin::SecretFile { .. }, _) => "(hidden)".to_owned(),
        (_, Value::Null) => "(not set)".to_owned(),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    };
    Setting { path, value, origin: origin.to_string() }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}
