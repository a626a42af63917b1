//! Defaults, a file, the environment and flags, each over the one before.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    Config, Problem, Setting,
    origins::{Origin, Origins, join},
};

/// What the names of the variables begin with; a level deeper is `__` too: `SAGAMESH__LIMITS__MAX_RUNNING`.
const PREFIX: &str = "SAGAMESH__";
const LEVEL: &str = "__";
/// A variable whose name ends so names a file with the value: how secrets come.
const FILE: &str = "_FILE";

/// Where a config is read from, beside its defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A YAML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `SAGAMESH__` are left alone.
    pub variables: Vec<(String, String)>,
    /// Path, value and name of each flag.
    pub flags: Vec<(String, Value, String)>,
}

impl Sources {
    /// A file, where there is one, and this process's environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        Self { file, variables: std::env::vars_os().filter_map(ours).collect(), flags: Vec::new() }
    }

    /// Sets what a flag says, where it is given.
    #[must_use]
    pub fn with_flag(mut self, name: &str, path: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.flags.push((path.to_owned(), value.into(), name.to_owned()));
        }
        self
    }

    /// Reads a config over `defaults`.
    ///
    /// # Errors
    /// Sentences, one a line: which setting, where its value came from, what is wrong with it.
    pub fn load<C: Config>(&self, defaults: &C) -> Result<Loaded<C>, String> {
        let defaults = serde_json::to_value(defaults)
            .map_err(|error| format!("the defaults cannot be written: {error}"))?;
        let mut read = Read { tree: defaults, origins: Origins::default(), moved: Vec::new() };
        if let Some(path) = &self.file {
            read.file::<C>(path)?;
        }
        for (name, value) in &self.variables {
            read.variable(name, value)?;
        }
        for (path, value, name) in &self.flags {
            read.set(path, value.clone(), &Origin::Flag(name.clone()))?;
        }
        read.finish()
    }
}

/// A config, and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded<C> {
    /// The config; it is sound.
    pub config: C,
    /// Each setting with its origin.
    pub settings: Vec<Setting>,
    /// What is still read and should be changed, a sentence each.
    pub warnings: Vec<String>,
}

struct Read {
    tree: Value,
    origins: Origins,
    moved: Vec<String>,
}

impl Read {
    fn file<C: Config>(&mut self, path: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read the config file {}: {error}; name one that is there, --help shows what stands in it",
                path.display()
            )
        })?;
        let read: Option<Map<String, Value>> = serde_saphyr::from_str(&text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let origin = Origin::File(path.to_owned());
        for (name, value) in read.unwrap_or_default() {
            let moved =
                C::MOVED_SETTINGS.iter().find(|(old, _)| *old == name && !value.is_object());
            let now = moved.map_or(name.as_str(), |(_, now)| now);
            if moved.is_some() {
                self.moved.push(format!("{}: {name} is {now} now", path.display()));
            }
            self.set(now, value, &origin)?;
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(path) = name.strip_prefix(PREFIX) else { return Ok(()) };
        let path = path.to_lowercase().replace(LEVEL, ".");
        if let Some(path) = path.strip_suffix(&FILE.to_lowercase()) {
            let file = PathBuf::from(value);
            let secret = std::fs::read_to_string(&file).map_err(|error| {
                format!("{path} ({name}): cannot read the file {}: {error}", file.display())
            })?;
            let origin = Origin::SecretFile { variable: name.to_owned(), path: file };
            return self.set(path, Value::from(secret.trim_end_matches(['\r', '\n'])), &origin);
        }
        // The text is read as in a config file, so that numbers are numbers and lists can be written.
        let value: Value =
            serde_saphyr::from_str(value).map_err(|error| format!("{path} ({name}): {error}"))?;
        self.set(&path, value, &Origin::Variable(name.to_owned()))
    }

    /// Puts a value at `path`, into the group that is there.
    fn set(&mut self, path: &str, value: Value, origin: &Origin) -> Result<(), String> {
        self.origins.set(path, &value, origin);
        let mut place = &mut self.tree;
        let mut above = String::new();
        for name in path.split('.') {
            let Value::Object(group) = place else {
                return Err(format!("{path} ({origin}): {above} is a value, nothing stands in it"));
            };
            above = join(&above, name);
            place = group.entry(name).or_insert(Value::Object(Map::new()));
        }
        merge(place, value);
        Ok(())
    }

    fn finish<C: Config>(self) -> Result<Loaded<C>, String> {
        let Self { tree, origins, moved } = self;
        let told = |Problem { path, message }: Problem| match origins.of(&path) {
            Some(origin) => format!("{path} ({origin}): {message}"),
            None => format!("{path}: {message}"),
        };
        let config: C = serde_path_to_error::deserialize(&tree).map_err(|error| {
            told(Problem::new(error.path().to_string(), error.into_inner().to_string()))
        })?;
        let problems: Vec<String> = config.problems().into_iter().map(told).collect();
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        let read = serde_json::to_value(&config)
            .map_err(|error| format!("the config cannot be written: {error}"))?;
        Ok(Loaded { config, settings: origins.settings(&read, &tree), warnings: moved })
    }
}

/// Puts `value` over what is there. Nothing said of a group, as in `limits:`, leaves it as it is.
fn merge(place: &mut Value, value: Value) {
    match (place, value) {
        (Value::Object(group), Value::Object(settings)) => {
            for (name, value) in settings {
                merge(group.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Object(_), Value::Null) => {}
        (place, value) => *place = value,
    }
}
