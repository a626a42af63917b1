//! What an undo is sent: one request, or one where the step's response came and another answer where it did not.
//!
//! The response of a call that timed out never comes, and the call may have taken effect all the same. So whatever
//! `when_known` takes from the response, `when_unknown` says what is done without it.

use bytes::Bytes;
use prost_reflect::MethodDescriptor;

use super::compiled::encoded;
use super::error::EvaluationError;
use super::facts::Facts;
use super::problem::{Problems, closest};
use super::read::Fields;
use super::scope::Scope;
use super::template::Template;
use super::yaml::{Kind, Node};

const KEYS: [&str; 2] = ["when_known", "when_unknown"];
/// What stands for a request where a person has to settle the undo.
const ATTENTION: &str = "attention";

/// What `prepare_undo` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreparedUndo {
    /// The encoded request.
    Request(Bytes),
    /// The step's response never came, and the definition leaves its undo to a person.
    Attention,
}

/// A compiled `undo_with`.
#[derive(Debug)]
pub(super) struct UndoWith {
    request: Template,
    /// Where the response never came; without it, the request is the same.
    when_unknown: Option<WhenUnknown>,
}

#[derive(Debug)]
enum WhenUnknown {
    Attention,
    Request(Box<Template>),
}

/// What the expressions of an undo see.
pub(super) struct UndoScopes<'s> {
    /// With the step's own response.
    pub(super) known: Scope<'s>,
    /// Without it.
    pub(super) unknown: Scope<'s>,
}

impl UndoWith {
    /// Compiles what step `name` says of its undo; every mistake becomes a problem. `None` where the method is not known.
    pub(super) fn compile(
        name: &str,
        node: Option<&Node>,
        method: Option<&MethodDescriptor>,
        scopes: &UndoScopes<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(node) = node.filter(|node| is_by_response(node, method)) else {
            let request = Template::request(node, method, &scopes.unknown, problems)?;
            return Some(Self { request, when_unknown: None });
        };
        let fields = Fields::of(node, "`undo_with`", &KEYS, problems)?;
        if let (None, Some(at)) = (fields.key_at("when_known"), fields.key_at("when_unknown")) {
            let cure = "add `when_known: { … }`, or write the fields below `undo_with` itself";
            problems.add(at, "`when_unknown` without `when_known`", cure);
        }
        if let (Some(at), None) = (fields.key_at("when_known"), fields.key_at("when_unknown")) {
            let what = format!(
                "what the undo sends where the response of `{name}` never came is not said"
            );
            let cure =
                "add `when_unknown: { … }`, or `when_unknown: attention` to leave it to a person";
            problems.add(at, what, cure);
        }
        let known = fields.take("when_known", problems);
        let request = Template::request(known, method, &scopes.known, problems);
        let when_unknown = match fields.take("when_unknown", problems) {
            Some(node) if is_attention(node, problems) => WhenUnknown::Attention,
            node => {
                let request = Template::request(node, method, &scopes.unknown, problems)?;
                WhenUnknown::Request(Box::new(request))
            }
        };
        Some(Self { request: request?, when_unknown: Some(when_unknown) })
    }

    /// Evaluates it. `is_known`: the step's response came, and `facts` hold it.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub(super) fn prepare(
        &self,
        is_known: bool,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<PreparedUndo, EvaluationError> {
        let template = match &self.when_unknown {
            Some(WhenUnknown::Attention) if !is_known => return Ok(PreparedUndo::Attention),
            Some(WhenUnknown::Request(request)) if !is_known => request.as_ref(),
            _ => &self.request,
        };
        Ok(PreparedUndo::Request(encoded(template.build(facts, file)?)))
    }
}

/// Whether the undo is left to a person; a mistyped word for that would be told as an unknown name.
fn is_attention(node: &Node, problems: &mut Problems) -> bool {
    let word = node.text().filter(|text| closest(&text.value, [ATTENTION]).is_some());
    if let Some(text) = word.filter(|text| text.value != ATTENTION) {
        let cure = format!("did you mean `{ATTENTION}`?");
        problems.add(text.at, format!("`{}` says nothing of an undo", text.value), cure);
    }
    word.is_some()
}

/// Whether it tells the two cases apart. A request that has fields of these names itself is built as ever.
fn is_by_response(node: &Node, method: Option<&MethodDescriptor>) -> bool {
    let Kind::Map(entries) = &node.kind else { return false };
    let is_field =
        |key: &str| method.is_some_and(|method| method.input().get_field_by_name(key).is_some());
    entries.iter().any(|(key, _)| KEYS.contains(&key.value.as_str()) && !is_field(&key.value))
}
