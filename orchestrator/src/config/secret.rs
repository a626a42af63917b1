//! A setting that is shown nowhere, or stands in a file of its own.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Where a value comes from. One that stands in the config is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    Text(String),
    File(PathBuf),
}

impl Secret {
    /// The value, without a line's end behind it. A file is read.
    ///
    /// # Errors
    /// A sentence that does not tell the value.
    pub(crate) fn read(&self) -> Result<String, String> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read the file {}: {error}", path.display()))?,
        };
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => formatter.write_str("(hidden)"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(_) => serializer.serialize_str("(hidden)"),
            Self::File(path) => InFile { file: path.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrFile)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct InFile {
    file: PathBuf,
}

struct TextOrFile;

impl TextOrFile {
    const EXPECTED: &str = "a text in quotes, or `{ file: PATH }`";

    /// What is no text is not told: it may be a secret all the same.
    fn refuse<E: Error>(what: &str) -> Result<Secret, E> {
        Err(E::custom(format!("{what}, expected {}", Self::EXPECTED)))
    }
}

impl<'de> Visitor<'de> for TextOrFile {
    type Value = Secret;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(Self::EXPECTED)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Self::refuse("a boolean")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, settings: A) -> Result<Secret, A::Error> {
        let InFile { file } = InFile::deserialize(MapAccessDeserializer::new(settings))?;
        Ok(Secret::File(file))
    }
}
