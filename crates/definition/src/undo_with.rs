//! What an undo is sent: one request, or one where the step's response came and another answer where it did not.
//!
//! The response of a call that timed out never comes, and the call may have taken effect all the same. So whatever
//! `when_known` takes from the response, `when_unknown` says what is done without it: another request, a person's
//! `attention`, or a `lookup` that asks the participant.

use bytes::Bytes;
use prost_reflect::MethodDescriptor;
use saga::{Reason, StepId};

use super::compiled::{Target, encoded};
use super::draft::{MethodName, method};
use super::error::EvaluationError;
use super::expression::Expression;
use super::facts::Facts;
use super::problem::{Problems, closest};
use super::read::Fields;
use super::scope::Scope;
use super::template::Template;
use super::yaml::{Kind, Node};

const KEYS: [&str; 2] = ["when_known", "when_unknown"];
const LOOKUP_KEYS: [&str; 3] = ["call", "with", "found"];
const FOUND_KEYS: [&str; 2] = ["lookup", "with"];
/// What stands for a request where a person has to settle the undo.
const ATTENTION: &str = "attention";

/// What `prepare_undo` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreparedUndo {
    /// The encoded request.
    Request(Bytes),
    /// The step's response never came, and its lookup is to be sent this first.
    Lookup(Bytes),
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
    Lookup(Box<Lookup>),
}

/// A reading call that finds out what a call came to.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: Target,
    with: Template,
    found: Option<Expression>,
    /// What the undo is sent when something was found.
    request: Template,
}

/// What is known of the step that an `undo_with` stands in.
pub(super) struct UndoDraft<'m> {
    pub(super) step: &'m str,
    /// The undo's method; `None` where it is not known.
    pub(super) method: Option<&'m MethodDescriptor>,
    /// That of the lookup.
    pub(super) lookup: Option<Target>,
}

/// What the expressions of an undo see.
pub(super) struct UndoScopes<'s> {
    /// With the step's own response.
    pub(super) known: Scope<'s>,
    /// Without it.
    pub(super) unknown: Scope<'s>,
    /// With what the lookup found in its place.
    pub(super) found: Scope<'s>,
    /// Over the lookup's response as it comes.
    pub(super) judging: Scope<'s>,
}

/// The method of the lookup that `undo_with` has; whatever is wrong with it is reported when it is compiled.
pub(super) fn lookup_call(undo_with: &Node) -> Option<MethodName> {
    let call = entry(entry(entry(undo_with, "when_unknown")?, "lookup")?, "call")?;
    MethodName::read(call.text()?)
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
}

impl UndoWith {
    /// What may be sent, in any case of it.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let unknown = match &self.when_unknown {
            None | Some(WhenUnknown::Attention) => vec![],
            Some(WhenUnknown::Request(request)) => vec![&**request],
            Some(WhenUnknown::Lookup(lookup)) => vec![&lookup.with, &lookup.request],
        };
        std::iter::once(&self.request).chain(unknown)
    }

    /// Compiles what a step says of its undo; every mistake becomes a problem. `None` where a method is not known.
    pub(super) fn compile(
        node: Option<&Node>,
        undo: UndoDraft<'_>,
        scopes: &UndoScopes<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(node) = node.filter(|node| has_key(node, &KEYS, undo.method)) else {
            let request = Template::request(node, undo.method, &scopes.unknown, problems)?;
            return Some(Self { request, when_unknown: None });
        };
        let fields = Fields::of(node, "`undo_with`", &KEYS, problems)?;
        both_or_neither(&fields, undo.step, problems);
        let known = fields.take("when_known", problems);
        let request = Template::request(known, undo.method, &scopes.known, problems);
        let when_unknown = match fields.take("when_unknown", problems) {
            Some(node) if is_attention(node, problems) => WhenUnknown::Attention,
            Some(node) if has_key(node, &["lookup"], undo.method) => {
                WhenUnknown::Lookup(Box::new(Lookup::compile(node, undo, scopes, problems)?))
            }
            node => {
                let request = Template::request(node, undo.method, &scopes.unknown, problems)?;
                WhenUnknown::Request(Box::new(request))
            }
        };
        Some(Self { request: request?, when_unknown: Some(when_unknown) })
    }

    /// Evaluates it for `step`.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub(super) fn prepare(
        &self,
        step: StepId,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<PreparedUndo, EvaluationError> {
        let build = |template: &Template| Ok(encoded(template.build(facts, file)?));
        match self.when_unknown.as_ref().filter(|_| !facts.has_response(step)) {
            None => build(&self.request).map(PreparedUndo::Request),
            Some(WhenUnknown::Attention) => Ok(PreparedUndo::Attention),
            Some(WhenUnknown::Request(request)) => build(request).map(PreparedUndo::Request),
            Some(WhenUnknown::Lookup(lookup)) => match facts.has_found(step) {
                true => build(&lookup.request).map(PreparedUndo::Request),
                false => build(&lookup.with).map(PreparedUndo::Lookup),
            },
        }
    }

    pub(super) fn lookup(&self) -> Option<&Lookup> {
        match &self.when_unknown {
            Some(WhenUnknown::Lookup(lookup)) => Some(lookup),
            _ => None,
        }
    }
}

impl Lookup {
    fn compile(
        node: &Node,
        undo: UndoDraft<'_>,
        scopes: &UndoScopes<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let fields = Fields::of(node, "`when_unknown`", &FOUND_KEYS, problems)?;
        if fields.key_at("with").is_none() {
            let what = "what the undo is sent when the lookup has found something is not said";
            problems.add(
                node.at,
                what,
                "add `with: { … }` beside `lookup`, which sees its response as `lookup`",
            );
        }
        let request = fields.take("with", problems);
        let request = Template::request(request, undo.method, &scopes.found, problems);
        let lookup = fields.take("lookup", problems)?;
        let fields = Fields::of(lookup, "`lookup`", &LOOKUP_KEYS, problems)?;
        if fields.key_at("call").is_none() {
            problems.add(
                lookup.at,
                "the lookup calls nothing",
                "add `call: package.Service/Method`",
            );
        }
        // It was read with the step; this reports where it is none.
        method(&fields, "call", problems);
        let descriptor = undo.lookup.as_ref().map(|target| &target.descriptor);
        let with = fields.take("with", problems);
        let with = Template::request(with, descriptor, &scopes.unknown, problems);
        let found = fields
            .take("found", problems)
            .map(|found| Expression::compile_condition("found", found, &scopes.judging, problems));
        let found = match found {
            Some(found) => Some(found?),
            None => None,
        };
        Some(Self { with: with?, found, request: request?, target: undo.lookup? })
    }

    /// Whether something is said of its responses.
    pub(super) fn judges(&self) -> bool {
        self.found.is_some()
    }

    /// NOTHING_TO_UNDO, where the response that `facts` hold says so.
    ///
    /// # Errors
    /// When the expression cannot be evaluated.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<Option<Reason>, EvaluationError> {
        let Some(found) = &self.found else { return Ok(None) };
        let is_found = found.to_bool(facts).map_err(|failure| found.fault(failure, file))?;
        let code = proto::facade::v1::Reason::NothingToUndo.code();
        Ok((!is_found).then(|| Reason::new(code, "the lookup has found nothing")))
    }
}

/// Whoever uses the response says what is done without it, and the other way round.
fn both_or_neither(fields: &Fields<'_>, step: &str, problems: &mut Problems) {
    match (fields.key_at("when_known"), fields.key_at("when_unknown")) {
        (None, Some(at)) => {
            let cure = "add `when_known: { … }`, or write the fields below `undo_with` itself";
            problems.add(at, "`when_unknown` without `when_known`", cure);
        }
        (Some(at), None) => {
            let what = format!(
                "what the undo sends where the response of `{step}` never came is not said"
            );
            let cure =
                "add `when_unknown: { … }`, or `when_unknown: attention` to leave it to a person";
            problems.add(at, what, cure);
        }
        _ => {}
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

/// Whether a mapping has one of our keys. A request that has fields of these names itself is built as ever.
fn has_key(node: &Node, keys: &[&str], method: Option<&MethodDescriptor>) -> bool {
    let Kind::Map(entries) = &node.kind else { return false };
    let is_field =
        |key: &str| method.is_some_and(|method| method.input().get_field_by_name(key).is_some());
    entries.iter().any(|(key, _)| keys.contains(&key.value.as_str()) && !is_field(&key.value))
}
