//! What is used of a value of the input, and how a person is told.

/// The names of what JSON itself is wanted for.
pub(super) const ANY: &str = "any";
pub(super) const OBJECT: &str = "object";

/// What is used of one value.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Every saga that succeeds needs it.
    pub(super) required: bool,
    /// It is used as a whole, beside what is used of it.
    pub(super) whole: bool,
    kinds: Vec<String>,
    /// In the order in which the file uses them.
    pub(super) keys: Vec<(String, Used)>,
}

impl Used {
    fn at(&mut self, keys: &[String]) -> &mut Used {
        let Some((key, rest)) = keys.split_first() else { return self };
        let index = match self.keys.iter().position(|(known, _)| known == key) {
            Some(index) => index,
            None => {
                self.keys.push((key.clone(), Used::default()));
                self.keys.len() - 1
            }
        };
        self.keys[index].1.at(rest)
    }

    /// Notes a use of the value itself.
    pub(super) fn use_of(&mut self, keys: &[String], is_sure: bool, kind: Option<String>) {
        let used = self.at(keys);
        used.whole = true;
        if let Some(kind) = kind.filter(|kind| !used.kinds.contains(kind)) {
            used.kinds.push(kind);
        }
        (0..=keys.len()).for_each(|end| self.use_of_part(&keys[..end], is_sure));
    }

    /// Notes that the value, or something in it, is used.
    pub(super) fn use_of_part(&mut self, keys: &[String], is_sure: bool) {
        self.at(keys).required |= is_sure;
    }

    pub(super) fn shape(&self) -> String {
        if self.keys.is_empty() {
            return if self.kinds.is_empty() { ANY.to_owned() } else { self.kinds.join(" and ") };
        }
        let mut keys: Vec<String> = self
            .keys
            .iter()
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
                let found = self.keys.iter().find(|(known, _)| known == key);
                found.map_or_else(|| ANY.to_owned(), |(_, used)| used.shape_of(rest))
            }
        }
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
