//! A definition as it stands in its file: the YAML is understood, the names in it are not.
//!
//! Reading goes on after a mistake: what is wrong is kept in the draft and reported together with
//! what [`Draft::compile`] finds, so that a file's problems all come at once.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use saga::Retry;
use sha2::{Digest, Sha256};

use super::decline::{DeclineDraft, ParticipantDraft};
use super::overrides::Overrides;
use super::packed;
use super::problem::{Position, Problem, Problems};
use super::read::Fields;
use super::undo_with;
use super::yaml::{self, Kind, Literal, Node, Text};

/// How long a saga may take before it turns back, where its definition does not say.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// How long one attempt may take, where its step does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest name of a saga, in characters.
const MAX_NAME: usize = 64;

const KEYS: [&str; 14] = [
    "saga",
    "version",
    "serves",
    "input",
    "key",
    "deadline",
    "descriptors",
    "answers",
    "steps",
    "reply",
    "output",
    "participants",
    "max_request",
    "import_roots",
];
const STEP_KEYS: [&str; 18] = [
    "step",
    "after",
    "when",
    "call",
    "with",
    "timeout",
    "retry",
    "undo",
    "undo_with",
    "undo_retry",
    "pivot",
    "answers",
    "declined_if",
    "reason",
    "message",
    "undo_declined_if",
    "metadata",
    "max_request",
];

/// A name of the form `pkg.Service/Method`.
#[derive(Debug, Clone)]
pub(super) struct MethodName {
    pub(super) at: Position,
    pub(super) service: String,
    pub(super) method: String,
}

impl MethodName {
    /// Where the part behind the slash stands.
    pub(super) fn method_at(&self) -> Position {
        Position { column: self.at.column + self.service.chars().count() + 1, ..self.at }
    }
}

/// One step as it is written.
#[derive(Debug)]
pub(super) struct StepDraft {
    pub(super) name: Text,
    pub(super) after: Option<Vec<Text>>,
    pub(super) when: Option<Node>,
    pub(super) call: Option<MethodName>,
    pub(super) with: Option<Node>,
    pub(super) timeout: Duration,
    pub(super) retry: Retry,
    pub(super) retry_at: Position,
    pub(super) undo: Option<MethodName>,
    pub(super) undo_with: Option<Node>,
    /// The reading call in `undo_with`.
    pub(super) lookup: Option<MethodName>,
    pub(super) undo_retry: Retry,
    pub(super) undo_retry_at: Position,
    pub(super) pivot: bool,
    pub(super) pivot_at: Position,
    pub(super) answers: Overrides,
    pub(super) declined_if: Option<DeclineDraft>,
    pub(super) undo_declined_if: Option<DeclineDraft>,
    pub(super) metadata: Option<Node>,
    pub(super) max_request: Option<NonZeroUsize>,
}

/// One YAML file, read but not yet checked against descriptors.
#[derive(Debug)]
pub struct Draft {
    pub(super) file: String,
    pub(super) source: String,
    pub(super) hash: String,
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) serves: Option<MethodName>,
    pub(super) input: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) deadline: Duration,
    pub(super) descriptors: Vec<Text>,
    pub(super) answers: Overrides,
    pub(super) steps: Vec<StepDraft>,
    pub(super) steps_at: Position,
    /// Whether all of `steps` could be read as steps.
    pub(super) steps_readable: bool,
    pub(super) reply: Option<Node>,
    pub(super) output: Option<Node>,
    pub(super) participants: Vec<ParticipantDraft>,
    /// For steps that do not say themselves.
    pub(super) max_request: Option<NonZeroUsize>,
    pub(super) import_roots: Vec<Text>,
    pub(super) problems: Problems,
}

impl Draft {
    /// Reads a definition. `file` is the name that problems are reported under.
    ///
    /// # Errors
    /// Only what leaves nothing to check further: no YAML, or no mapping. Any other problem is kept
    /// and comes out of [`Draft::compile`] with the rest; [`Draft::problems`] shows them early.
    pub fn parse(file: &str, source: &str) -> Result<Draft, Vec<Problem>> {
        let mut problems = Problems::new(file);
        let Some(root) = yaml::parse(source, &mut problems) else {
            return Err(problems.into_sorted());
        };
        let Some(fields) = Fields::of(&root, "the definition", &KEYS, &mut problems) else {
            return Err(problems.into_sorted());
        };
        let p = &mut problems;
        let (steps, steps_at, steps_readable) = steps(&fields, root.at, p);
        let draft = Draft {
            file: file.to_owned(),
            source: source.to_owned(),
            hash: hash(source),
            name: saga_name(&fields, root.at, p),
            version: version(&fields, root.at, p),
            serves: method(&fields, "serves", p),
            input: fields.text("input", p).cloned(),
            key: fields.text("key", p).cloned(),
            deadline: fields.duration("deadline", p).unwrap_or(DEFAULT_DEADLINE),
            descriptors: fields.texts("descriptors", p).unwrap_or_default(),
            answers: fields.answers(p),
            steps,
            steps_at,
            steps_readable,
            reply: fields.take("reply", p).cloned(),
            output: fields.take("output", p).cloned(),
            participants: ParticipantDraft::read(&fields, p),
            max_request: fields.size("max_request", p),
            import_roots: fields.texts("import_roots", p).unwrap_or_default(),
            problems: Problems::new(file),
        };
        draft.check_served(&fields, p);
        Ok(Draft { problems, ..draft })
    }

    /// The name of the saga; empty where the file gives none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version; 0 where the file gives none.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The content hash: SHA-256 of the source, in hex.
    pub fn hash(&self) -> String {
        hash(&self.source)
    }

    /// What reading alone found wrong, in no order.
    pub fn problems(&self) -> &[Problem] {
        self.problems.as_slice()
    }

    /// The full name of every service that is called, the served one not among them.
    pub fn services(&self) -> BTreeSet<String> {
        let methods = self.steps.iter().flat_map(|step| [&step.call, &step.undo, &step.lookup]);
        methods.flatten().map(|method| method.service.clone()).collect()
    }

    /// The service of the method that the saga is.
    pub fn served_service(&self) -> Option<&str> {
        self.serves.as_ref().map(|method| method.service.as_str())
    }

    /// The descriptor files that the definition names, relative to its own file.
    pub fn descriptor_files(&self) -> impl Iterator<Item = &str> {
        self.descriptors.iter().map(|file| file.value.as_str())
    }

    /// The folders that the imports of its .proto files begin at, relative to its own file.
    pub fn import_roots(&self) -> impl Iterator<Item = &str> {
        self.import_roots.iter().map(|folder| folder.value.as_str())
    }

    /// The full name of every message that is packed into an `Any` by its name, and need not be imported by any service.
    pub fn packed_messages(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let of_steps = self.steps.iter().flat_map(|step| [&step.with, &step.undo_with]);
        for node in of_steps.chain([&self.reply]).flatten() {
            packed_in(node, &mut names);
        }
        names
    }

    fn check_served(&self, fields: &Fields<'_>, problems: &mut Problems) {
        let at = |key| fields.key_at(key).unwrap_or(Position::START);
        match &self.serves {
            Some(serves) => {
                if self.key.is_none() && fields.key_at("key").is_none() {
                    let cure = "add `key: …`, the expression that tells two requests apart";
                    problems.add(serves.at, "a saga that serves a method needs a `key`", cure);
                }
                if fields.key_at("reply").is_none() {
                    let cure = "add `reply: { … }` with the fields of the response";
                    problems.add(serves.at, "a saga that serves a method needs a `reply`", cure);
                }
                for (key, cure) in [
                    ("input", "remove it; the input is the request of the served method"),
                    ("output", "remove it; the output is the `reply`"),
                ] {
                    if fields.key_at(key).is_some() {
                        problems.add(at(key), format!("`{key}` beside `serves`"), cure);
                    }
                }
            }
            None if fields.key_at("serves").is_some() => {}
            None => {
                for (key, cure) in [
                    ("key", "remove it; whoever starts the saga gives the key"),
                    ("reply", "remove it, or add `serves: pkg.Service/Method`"),
                ] {
                    if fields.key_at(key).is_some() {
                        problems.add(at(key), format!("`{key}` without `serves`"), cure);
                    }
                }
            }
        }
    }
}

fn packed_in(node: &Node, names: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Text(_) => {}
        Kind::List(items) => items.iter().for_each(|item| packed_in(item, names)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                match value.text() {
                    Some(text) if key.value == packed::TYPE_KEY => {
                        names.insert(packed::type_name(&text.value).to_owned());
                    }
                    _ => packed_in(value, names),
                }
            }
        }
    }
}

fn hash(source: &str) -> String {
    Sha256::digest(source.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn saga_name(fields: &Fields<'_>, root: Position, problems: &mut Problems) -> String {
    let cure = "write small letters, digits and dashes, at most 64, a letter first";
    if fields.key_at("saga").is_none() {
        problems.add(root, "the saga has no name", "add `saga: the-name`");
    }
    let Some(text) = fields.text("saga", problems) else { return String::new() };
    let name = &text.value;
    let fits = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        problems.add(text.at, format!("`{name}` is no name for a saga"), cure);
    }
    name.clone()
}

fn version(fields: &Fields<'_>, root: Position, problems: &mut Problems) -> u32 {
    if fields.key_at("version").is_none() {
        problems.add(root, "the saga has no version", "add `version: 1`");
    }
    let Some(text) = fields.text("version", problems) else { return 0 };
    let version = match text.literal() {
        Literal::Int(version) => u32::try_from(version).unwrap_or(0),
        _ => 0,
    };
    if version == 0 {
        let cure = "write a whole number from 1 to 4294967295";
        problems.add(text.at, format!("`{}` is no version", text.value), cure);
    }
    version
}

impl MethodName {
    /// Reads `package.Service/Method`.
    pub(super) fn read(text: &Text) -> Option<Self> {
        let identifier = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let (service, method) = text.value.split_once('/')?;
        let is_name = service.split('.').all(identifier) && identifier(method);
        let (service, method) = (service.to_owned(), method.to_owned());
        is_name.then(|| Self { at: text.place(0), service, method })
    }
}

/// The method under `key`.
pub(super) fn method(
    fields: &Fields<'_>,
    key: &str,
    problems: &mut Problems,
) -> Option<MethodName> {
    let text = fields.text(key, problems)?;
    let name = MethodName::read(text);
    if name.is_none() {
        let what = format!("`{}` is no method", text.value);
        problems.add(text.at, what, "write `package.Service/Method`");
    }
    name
}

fn steps(
    fields: &Fields<'_>,
    root: Position,
    problems: &mut Problems,
) -> (Vec<StepDraft>, Position, bool) {
    let at = fields.key_at("steps").unwrap_or(root);
    match fields.take("steps", problems).map(|node| &node.kind) {
        Some(Kind::List(items)) if items.len() > saga::Definition::STEPS_MAX => {
            // The steps are not read: a list of problems in each of thousands helps nobody, and takes minutes to find.
            let what =
                format!("{} steps are more than {}", items.len(), saga::Definition::STEPS_MAX);
            problems.add(at, what, "split the saga, or let a participant do more");
            (Vec::new(), at, false)
        }
        Some(Kind::List(items)) => {
            let steps: Vec<_> = items.iter().filter_map(|item| step(item, problems)).collect();
            let readable = steps.len() == items.len();
            (steps, at, readable)
        }
        Some(_) => {
            problems.add(at, "`steps` is not a list", "begin each step with `- step: the_name`");
            (Vec::new(), at, false)
        }
        None => (Vec::new(), at, fields.key_at("steps").is_none()),
    }
}

fn step(node: &Node, problems: &mut Problems) -> Option<StepDraft> {
    let fields = Fields::of(node, "a step", &STEP_KEYS, problems)?;
    let p = problems;
    if fields.key_at("step").is_none() {
        p.add(node.at, "a step has no name", "begin it with `step: the_name`");
    }
    let name = fields.text("step", p)?.clone();
    if fields.key_at("call").is_none() {
        let cure = "add `call: package.Service/Method`";
        p.add(name.at, format!("step `{}` calls nothing", name.value), cure);
    }
    if fields.key_at("undo").is_none() {
        for key in ["undo_with", "undo_retry", "undo_declined_if"] {
            if let Some(at) = fields.key_at(key) {
                let cure = "add `undo: package.Service/Method`, or remove it";
                p.add(at, format!("`{key}` without `undo`"), cure);
            }
        }
    }
    Some(StepDraft {
        after: fields.texts("after", p),
        when: fields.take("when", p).cloned(),
        call: method(&fields, "call", p),
        with: fields.take("with", p).cloned(),
        timeout: fields.duration("timeout", p).unwrap_or(DEFAULT_TIMEOUT),
        retry: fields.retry("retry", Retry::call_default(), p),
        retry_at: fields.key_at("retry").unwrap_or(name.at),
        undo: method(&fields, "undo", p),
        undo_with: fields.take("undo_with", p).cloned(),
        lookup: fields.take("undo_with", &mut Problems::new("")).and_then(undo_with::lookup_call),
        undo_retry: fields.retry("undo_retry", Retry::undo_default(), p),
        undo_retry_at: fields.key_at("undo_retry").unwrap_or(name.at),
        pivot: fields.boolean("pivot", p),
        pivot_at: fields.key_at("pivot").unwrap_or(name.at),
        answers: fields.answers(p),
        declined_if: DeclineDraft::read(&fields, p),
        undo_declined_if: DeclineDraft::read_undo(&fields, p),
        metadata: fields.take("metadata", p).cloned(),
        max_request: fields.size("max_request", p),
        name,
    })
}
