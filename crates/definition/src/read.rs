//! Reading a YAML tree field by field, noting what does not fit and going on.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clock::duration;
use saga::{Attempts, Retry};

use super::overrides::{self, Class, Overrides};
use super::problem::{Position, Problems, did_you_mean};
use super::size;
use super::yaml::{Kind, Literal, Node, Text};

/// The entries of a mapping whose keys are fixed.
pub(super) struct Fields<'n> {
    entries: BTreeMap<&'n str, (&'n Text, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// Reads `node` as a mapping with no other keys than `known`.
    pub(super) fn of(
        node: &'n Node,
        what: &str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let Kind::Map(given) = &node.kind else {
            let what = format!("{what} is {}, not a mapping", node.describe());
            problems.add(node.at, what, format!("write `{}: …`", known.first().unwrap_or(&"key")));
            return None;
        };
        let mut entries = BTreeMap::new();
        for (key, value) in given {
            if known.contains(&key.value.as_str()) {
                entries.insert(key.value.as_str(), (key, value));
            } else {
                let cure = did_you_mean(&key.value, known.iter().copied(), "remove it");
                problems.add(key.at, format!("{what} has no key `{}`", key.value), cure);
            }
        }
        Some(Self { entries })
    }

    /// The value under `key`; an empty one counts as absent and is a problem.
    pub(super) fn take(&self, key: &str, problems: &mut Problems) -> Option<&'n Node> {
        let (name, node) = self.entries.get(key)?;
        if node.is_null() {
            problems.add(name.at, format!("`{key}` is empty"), "give it a value or remove it");
            return None;
        }
        Some(node)
    }

    /// Where `key` itself stands.
    pub(super) fn key_at(&self, key: &str) -> Option<Position> {
        self.entries.get(key).map(|(name, _)| name.at)
    }

    /// The text under `key`; numbers and booleans are taken as they are written.
    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<&'n Text> {
        let node = self.take(key, problems)?;
        if node.text().is_none() {
            let what = format!("`{key}` is {}, not a text", node.describe());
            problems.add(node.at, what, format!("write `{key}: …` on one line"));
        }
        node.text()
    }

    /// The entries of a mapping whose keys are free.
    pub(super) fn map(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<&'n [(Text, Node)]> {
        let node = self.take(key, problems)?;
        let Kind::Map(entries) = &node.kind else {
            let what = format!("`{key}` is {}, not a mapping", node.describe());
            problems.add(node.at, what, format!("write `{key}: {{ {example} }}`"));
            return None;
        };
        Some(entries)
    }

    pub(super) fn duration(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        let text = self.text(key, problems)?;
        match duration::parse(&text.value) {
            Ok(duration) => Some(duration),
            Err(what) => {
                problems.add(text.at, format!("`{key}`: {what}"), duration::CURE);
                None
            }
        }
    }

    pub(super) fn size(&self, key: &str, problems: &mut Problems) -> Option<NonZeroUsize> {
        let text = self.text(key, problems)?;
        match size::parse(&text.value) {
            Ok(size) => Some(size),
            Err(what) => {
                problems.add(text.at, format!("`{key}`: {what}"), size::CURE);
                None
            }
        }
    }

    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> bool {
        let Some(node) = self.take(key, problems) else { return false };
        match node.text().map(Text::literal) {
            Some(Literal::Bool(value)) => value,
            _ => {
                let what = format!("`{key}` is {}, not a boolean", node.describe());
                problems.add(node.at, what, "write true or false");
                false
            }
        }
    }

    /// The texts of a list; none at all where one of them is none.
    pub(super) fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<Text>> {
        let node = self.take(key, problems)?;
        let Kind::List(items) = &node.kind else {
            let what = format!("`{key}` is {}, not a list", node.describe());
            let item = node.text().map_or("…", |text| text.value.as_str());
            problems.add(node.at, what, format!("write `{key}: [{item}]`"));
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) if !item.is_null() => texts.push(text.clone()),
                _ => {
                    let what = format!("an item of `{key}` is {}, not a text", item.describe());
                    problems.add(item.at, what, "write one name per item");
                }
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    pub(super) fn retry(&self, key: &str, default: Retry, problems: &mut Problems) -> Retry {
        const KEYS: [&str; 4] = ["attempts", "base", "cap", "age"];
        let fields = self.take(key, problems);
        let fields = fields.and_then(|node| Fields::of(node, &format!("`{key}`"), &KEYS, problems));
        let Some(fields) = fields else { return default };
        Retry {
            attempts: fields.attempts(problems).unwrap_or(default.attempts),
            base: fields.duration("base", problems).unwrap_or(default.base),
            cap: fields.duration("cap", problems).unwrap_or(default.cap),
            age_limit: fields.duration("age", problems).or(default.age_limit),
        }
    }

    fn attempts(&self, problems: &mut Problems) -> Option<Attempts> {
        let text = self.text("attempts", problems)?;
        if text.value == "unlimited" {
            return Some(Attempts::Unlimited);
        }
        let count = match text.literal() {
            Literal::Int(count) => u32::try_from(count).ok().and_then(NonZeroU32::new),
            _ => None,
        };
        if count.is_none() {
            let what = format!("`attempts` is `{}`", text.value);
            problems.add(text.at, what, "write a whole number from 1, or `unlimited`");
        }
        count.map(Attempts::Limited)
    }

    pub(super) fn answers(&self, problems: &mut Problems) -> Overrides {
        let mut overrides = Overrides::default();
        let entries = self.map("answers", "NOT_FOUND: done", problems).unwrap_or_default();
        for (name, value) in entries {
            if let Err((what, cure)) = overrides::check_name(&name.value) {
                problems.add(name.at, what, cure);
            }
            let class = value.text().map_or("", |text| text.value.as_str());
            match Class::named(class) {
                Ok(class) => overrides.set(&name.value, class),
                Err((what, cure)) => problems.add(value.at, what, cure),
            }
        }
        overrides
    }
}
