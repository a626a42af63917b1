//! Metadata that go with every call to a participant, secrets among them.

use std::collections::BTreeMap;

use definition::metadata::{self, BadName};
use facade::config::Problem;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// The entries that go with every call to a participant, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Metadata(#[schemars(with = "BTreeMap<String, String>")] BTreeMap<String, Secret>);

impl Metadata {
    /// Whether nothing goes with the calls.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value comes from a file, which may change.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.0.values().any(|source| matches!(source, Secret::File(_)))
    }

    /// What is wrong with the entries, where they stand at `path`. Files are not read.
    #[must_use]
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let problem = |(name, source): (&String, &Secret)| {
            let why = match (metadata::name(name), source) {
                (Err(BadName { what, cure }), _) => format!("{what}: {cure}"),
                (Ok(name), Secret::Text(text)) => metadata::value(&name, text).err()?,
                (Ok(_), Secret::File(_)) => return None,
            };
            Some(Problem::new(format!("{path}.{name}"), why))
        };
        self.0.iter().filter_map(problem).collect()
    }

    /// The entries as they are sent; files are read, and the line's end behind a value is left out.
    ///
    /// # Errors
    /// A sentence that begins with the entry's name, and does not tell the value.
    pub fn read(&self) -> Result<HeaderMap, String> {
        let mut entries = HeaderMap::with_capacity(self.0.len());
        for (name, source) in &self.0 {
            let told = |why: String| format!("{name}: {why}");
            let key = metadata::name(name).map_err(|BadName { what, .. }| told(what))?;
            let text = source.read().map_err(told)?;
            let value = metadata::value(&key, &text).map_err(told)?;
            entries.insert(key, value);
            if metadata::size(&entries) > metadata::MAX_METADATA {
                let max = metadata::MAX_METADATA;
                return Err(told(format!("with this the metadata have more than {max} bytes")));
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use facade::config::Sources;
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn metadata(json: serde_json::Value) -> Metadata {
        serde_json::from_value(json).unwrap()
    }

    /// What a config file says of it that has these lines below `metadata`.
    fn loaded(lines: &str) -> Result<Vec<facade::config::Setting>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.yaml");
        let text = format!("participants:\n  a.v1.A:\n    address: a:1\n    metadata:\n{lines}");
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        Ok(sources.load(&Config::default())?.settings)
    }

    #[test]
    fn a_value_is_shown_nowhere_and_the_file_that_holds_one_is() {
        let settings =
            loaded("      authorization: { file: /run/token }\n      x-key: geheim\n").unwrap();
        let shown: Vec<_> = settings
            .iter()
            .filter(|setting| setting.path.contains("metadata"))
            .map(|setting| (setting.path.as_str(), setting.value.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("participants.a.v1.A.metadata.authorization.file", "/run/token"),
                ("participants.a.v1.A.metadata.x-key", "(hidden)"),
            ]
        );
        let metadata = metadata(json!({ "x-key": "geheim", "x-bin": "Z2VoZWlt" }));
        assert!(!format!("{metadata:?} {:?}", metadata.read().unwrap()).contains("eheim"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_the_settings_name_without_its_value() {
        let cases = [
            (
                "saga-id: geheim",
                "metadata.saga-id",
                "`saga-id` is written by the orchestrator or by gRPC: use a name of your own",
            ),
            (
                "X-Key: geheim",
                "metadata.X-Key",
                "`X-Key` is no name of metadata: write small letters",
            ),
            (
                "x-key: \"geheim\\u00e9\"",
                "metadata.x-key",
                "has a character at place 7 that is no printable ASCII",
            ),
            ("x-bin: geheim!", "metadata.x-bin", "the value of `x-bin` is no base64"),
            (
                "x-key: 31337",
                "metadata.x-key",
                "a number, expected a text in quotes, or `{ file: PATH }`",
            ),
            ("x-key: true", "metadata.x-key", "a boolean, expected a text in quotes"),
            (
                "x-key: { fil: /run/token }",
                "metadata.x-key",
                "unknown field `fil`, expected `file`",
            ),
        ];
        for (line, setting, why) in cases {
            let refused = loaded(&format!("      {line}\n")).unwrap_err();
            assert!(refused.contains(why) && refused.contains(setting), "{line}: {refused}");
            assert!(!refused.contains("geheim") && !refused.contains("31337"), "{refused}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_sent_is_told_by_its_entry() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let metadata = metadata(json!({ "authorization": { "file": file } }));
        let missing = metadata.read().unwrap_err();
        assert!(missing.starts_with("authorization: cannot read the file "), "{missing}");
        std::fs::write(&file, "one\ntwo\n").unwrap();
        let two_lines = metadata.read().unwrap_err();
        assert!(
            two_lines.contains("a character at place 4 that is no printable ASCII"),
            "{two_lines}"
        );
        std::fs::write(&file, "x".repeat(metadata::MAX_METADATA)).unwrap();
        let long = metadata.read().unwrap_err();
        assert_eq!(long, "authorization: with this the metadata have more than 8192 bytes");
        std::fs::write(&file, "one\r\n").unwrap();
        assert_eq!(metadata.read().unwrap()["authorization"], "one");
    }

    #[test]
    fn an_authority_is_a_host_with_or_without_a_port() {
        use crate::config::Authority;
        for sound in ["payments.internal", "payments:443", "[::1]:443"] {
            assert_eq!(sound.parse::<Authority>().unwrap().to_uri().as_str(), sound);
        }
        for (text, why) in
            [("", "empty"), ("a b", "invalid"), ("u@h", "it names a user"), ("h/p", "invalid")]
        {
            let refused = text.parse::<Authority>().unwrap_err();
            assert!(
                refused.contains(why) && refused.contains("write HOST or HOST:PORT"),
                "{refused}"
            );
        }
    }
}
