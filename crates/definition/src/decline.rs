//! When the response of an OK is a decline: `declined_if`, with its `reason` and `message`.
//!
//! For services that answer `OK` with a `status: REJECTED` where ours say so in a `result`. A step says it of its own
//! call and undo, or the definition once for a participant.

use saga::Reason;

use super::error::EvaluationError;
use super::expression::Expression;
use super::facts::Facts;
use super::overrides::is_reason;
use super::problem::Problems;
use super::read::Fields;
use super::scope::Scope;
use super::yaml::{Node, Text};

/// The keys that a decline is written with.
pub(super) const KEYS: [&str; 3] = ["declined_if", "reason", "message"];

/// A decline as it is written.
#[derive(Debug, Clone)]
pub(super) struct DeclineDraft {
    condition: Node,
    reason: Option<Text>,
    message: Option<Text>,
}

/// What the definition says once for a participant.
#[derive(Debug)]
pub(super) struct ParticipantDraft {
    /// The service's full name.
    pub(super) service: Text,
    pub(super) decline: Option<DeclineDraft>,
}

/// A condition over a response, under which it is a decline.
#[derive(Debug)]
pub(super) struct Decline {
    condition: Expression,
    reason: String,
    message: Option<Expression>,
}

impl DeclineDraft {
    /// Reads the decline of a step's call, or of a participant.
    pub(super) fn read(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let condition = fields.take("declined_if", problems);
        let (reason, message) = (fields.text("reason", problems), fields.text("message", problems));
        if fields.key_at("declined_if").is_none() {
            for key in ["reason", "message"] {
                if let Some(at) = fields.key_at(key) {
                    let cure =
                        "add `declined_if: …`, the condition over the response, or remove it";
                    problems.add(at, format!("`{key}` without `declined_if`"), cure);
                }
            }
        }
        if let Some(reason) = reason.filter(|reason| !is_reason(&reason.value)) {
            let cure = "write it like CARD_REJECTED: at most 63 capital letters, digits and underscores, a letter first";
            problems.add(reason.at, format!("`{}` is no reason", reason.value), cure);
        }
        let (reason, message) = (reason.cloned(), message.cloned());
        condition.cloned().map(|condition| Self { condition, reason, message })
    }

    /// Reads the decline of a step's undo.
    pub(super) fn read_undo(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let condition = fields.take("undo_declined_if", problems)?.clone();
        Some(Self { condition, reason: None, message: None })
    }

    /// Compiles it; every mistake becomes a problem.
    pub(super) fn compile(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Decline> {
        let condition =
            Expression::compile_condition("declined_if", &self.condition, scope, problems);
        let message = self
            .message
            .as_ref()
            .map(|message| Expression::compile_text("message", message, scope, problems));
        let refused = || proto::facade::v1::Reason::StepRefused.code().to_owned();
        Some(Decline {
            condition: condition?,
            reason: self.reason.as_ref().map_or_else(refused, |reason| reason.value.clone()),
            message: match message {
                Some(message) => Some(message?),
                None => None,
            },
        })
    }
}

impl ParticipantDraft {
    /// Reads the definition's `participants`.
    pub(super) fn read(fields: &Fields<'_>, problems: &mut Problems) -> Vec<Self> {
        let Some(entries) = fields.map("participants", "pkg.Service: { declined_if: … }", problems)
        else {
            return Vec::new();
        };
        let read = |(service, node): &(Text, Node)| {
            let fields = Fields::of(node, "a participant", &KEYS, problems)?;
            let decline = DeclineDraft::read(&fields, problems);
            Some(Self { service: service.clone(), decline })
        };
        entries.iter().filter_map(read).collect()
    }
}

impl Decline {
    /// The condition, and the message where there is one.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        std::iter::once(&self.condition).chain(&self.message)
    }

    /// Why the response that `facts` hold is a decline; `None` where it is none.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<Option<Reason>, EvaluationError> {
        let Self { condition, reason, message } = self;
        let declined = condition.to_bool(facts);
        if !declined.map_err(|failure| condition.fault(failure, file))? {
            return Ok(None);
        }
        let words = match message {
            Some(message) => {
                message.to_text(facts).map_err(|failure| message.fault(failure, file))?
            }
            None => {
                format!("the definition takes the response for a decline: {}", condition.source())
            }
        };
        Ok(Some(Reason::new(reason, words)))
    }
}
