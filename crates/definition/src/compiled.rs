//! A definition that is sound: every name resolved, every expression compiled, immutable.

use std::num::NonZeroUsize;

use bytes::Bytes;
use http::{HeaderMap, uri::PathAndQuery};
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use saga::{Reason, StepId};

use super::assign;
use super::decline::Decline;
use super::error::{ErrorKind, EvaluationError, UnlocatedError};
use super::expression::Expression;
use super::facts::{Facts, Identity};
use super::input::InputUse;
use super::json::{self, InputError};
use super::metadata::Metadata;
use super::output::OutputTemplate;
use super::overrides::Overrides;
use super::template::Template;
use super::undo_with::{Lookup, PreparedUndo, UndoWith};

/// What a saga of this definition is started with.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A message of this type.
    Typed(MessageDescriptor),
    /// Any JSON object; its bytes are those of `json.proto`, which a `google.protobuf.Struct` is too.
    Json,
}

/// A method that a step calls.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service's full name.
    pub service: String,
    /// The method's own name.
    pub method: String,
    /// `/service/method`.
    pub path: PathAndQuery,
    /// What it takes and gives.
    pub descriptor: MethodDescriptor,
    /// The type of its response.
    pub output: MessageDescriptor,
}

/// One of the methods of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Its call.
    Call,
    /// Its undo.
    Undo,
    /// The reading call that finds out what its call came to.
    Lookup,
}

/// What `prepare_call` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// The step's `when` is false.
    Skip,
    /// The encoded request.
    Request(Bytes),
}

/// One step with everything that is needed to call and undo it.
#[derive(Debug)]
pub struct CompiledStep {
    /// The forward method.
    pub call: Target,
    /// Its compensation.
    pub undo: Option<Target>,
    /// What the definition says of answers, the step's own words first.
    pub answers: Overrides,
    /// How many bytes of a request the participant takes, where the definition says so.
    pub max_request: Option<NonZeroUsize>,
    pub(super) when: Option<Expression>,
    pub(super) with: Template,
    /// Of the call and of the undo.
    pub(super) metadata: Metadata,
    pub(super) declined_if: Option<Decline>,
    pub(super) undo_declined_if: Option<Decline>,
    /// The empty message where the file has no `undo_with`.
    pub(super) undo_with: Option<UndoWith>,
}

/// A definition, ready to run. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Compiled {
    pub(super) file: String,
    pub(super) source: String,
    pub(super) hash: String,
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) engine: saga::Definition,
    pub(super) serves: Option<MethodDescriptor>,
    pub(super) input: Input,
    /// The type of `request`: the input's, or that of a JSON object.
    pub(super) request: MessageDescriptor,
    pub(super) key: Option<Expression>,
    pub(super) steps: Vec<CompiledStep>,
    pub(super) reply: Option<Template>,
    pub(super) output: Option<OutputTemplate>,
    /// Nothing, where the input has a type.
    pub(super) input_use: InputUse,
    pub(super) descriptors: Vec<u8>,
}

impl CompiledStep {
    /// The method, where the step has it.
    #[must_use]
    pub fn target(&self, method: Method) -> Option<&Target> {
        match method {
            Method::Call => Some(&self.call),
            Method::Undo => self.undo.as_ref(),
            Method::Lookup => self.lookup().map(|lookup| &lookup.target),
        }
    }

    fn lookup(&self) -> Option<&Lookup> {
        self.undo_with.as_ref().and_then(UndoWith::lookup)
    }

    /// Whether metadata of its own go with its calls.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        !self.metadata.is_empty()
    }

    /// Whether the definition says what this method's responses mean.
    #[must_use]
    pub fn judges_responses(&self, method: Method) -> bool {
        match method {
            Method::Call => self.declined_if.is_some(),
            Method::Undo => self.undo_declined_if.is_some(),
            Method::Lookup => self.lookup().is_some_and(Lookup::judges),
        }
    }
}

impl Compiled {
    /// The saga's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// SHA-256 of the file's text in hexadecimal, which a saga is pinned to.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The file's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The name of the file that it was read from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the engine decides by.
    pub fn engine(&self) -> &saga::Definition {
        &self.engine
    }

    /// The unary method that the saga is, if it is one.
    pub fn serves(&self) -> Option<&MethodDescriptor> {
        self.serves.as_ref()
    }

    /// The type of what the journal has as the saga's request: the input's, or that of a JSON object.
    pub fn request_kind(&self) -> &MessageDescriptor {
        &self.request
    }

    /// Whether expressions make the output.
    pub fn has_output(&self) -> bool {
        self.output.is_some()
    }

    /// What a saga is started with.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The descriptors that this was compiled against, for `Descriptors::decode`: with them and
    /// [`Self::source`] it can be compiled again, whatever its participants say by then.
    pub fn descriptors(&self) -> &[u8] {
        &self.descriptors
    }

    /// The step of an id.
    ///
    /// # Panics
    /// When the id is not of this definition's engine.
    pub fn step(&self, step: StepId) -> &CompiledStep {
        &self.steps[usize::from(step.0)]
    }

    /// Facts without any response yet; they decode what is asked for, once.
    pub fn facts<'a>(&'a self, identity: Identity<'a>, request: &'a [u8]) -> Facts<'a> {
        let responses = self.steps.iter().map(|step| &step.call.output);
        Facts::new((&self.name, self.version), identity, (&self.request, request), responses)
    }

    /// The key that the definition's `key` gives a request; `None` without one.
    ///
    /// # Errors
    /// When the expression cannot be evaluated or gives an empty text.
    pub fn key(&self, request: &[u8]) -> Result<Option<String>, EvaluationError> {
        let Some(expression) = &self.key else { return Ok(None) };
        let facts = self.facts(Identity::default(), request);
        let key = expression.to_text(&facts).and_then(|key| match key.is_empty() {
            true => Err(UnlocatedError::new(ErrorKind::Conversion, "the key is empty")),
            false => Ok(key),
        });
        key.map(Some).map_err(|failure| expression.fault(failure, &self.file))
    }

    /// Evaluates `metadata` of a step: what goes with its call and with its undo. It comes to the same for every attempt of
    /// one of them, since nothing that it may see changes between them.
    ///
    /// # Errors
    /// When an expression cannot be evaluated or gives what cannot be sent; `prepare_call` and `prepare_undo` find that
    /// first.
    pub fn metadata(&self, step: StepId, facts: &Facts<'_>) -> Result<HeaderMap, EvaluationError> {
        self.step(step).metadata.build(facts, &self.file)
    }

    /// Evaluates `when` and `with` of a step.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub fn prepare_call(
        &self,
        step: StepId,
        facts: &Facts<'_>,
    ) -> Result<Prepared, EvaluationError> {
        let step = self.step(step);
        if let Some(when) = &step.when {
            let wanted = when.to_bool(facts);
            if !wanted.map_err(|failure| when.fault(failure, &self.file))? {
                return Ok(Prepared::Skip);
            }
        }
        let request = step.with.build(facts, &self.file)?;
        // What cannot be sent is found before anything is.
        step.metadata.build(facts, &self.file)?;
        Ok(Prepared::Request(encoded(request)))
    }

    /// Evaluates `undo_with` of a step; empty bytes for a step without an undo.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub fn prepare_undo(
        &self,
        step: StepId,
        facts: &Facts<'_>,
    ) -> Result<PreparedUndo, EvaluationError> {
        let CompiledStep { undo_with, metadata, .. } = self.step(step);
        match undo_with {
            Some(undo_with) => {
                let undo = undo_with.prepare(step, facts, &self.file)?;
                metadata.build(facts, &self.file)?;
                Ok(undo)
            }
            None => Ok(PreparedUndo::Request(Bytes::new())),
        }
    }

    /// Evaluates `declined_if` over the response of an OK: why it is a decline, and `None` where it is none. A lookup that has
    /// found nothing gives NOTHING_TO_UNDO. `request` is what the saga was started with.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub fn judge_response(
        &self,
        (step, method): (StepId, Method),
        request: &[u8],
        response: &[u8],
    ) -> Result<Option<Reason>, EvaluationError> {
        let step = self.step(step);
        let Some(target) = step.target(method) else { return Ok(None) };
        let facts = self.facts(Identity::default(), request).judging(&target.output, response);
        let decline = match method {
            Method::Call => &step.declined_if,
            Method::Undo => &step.undo_declined_if,
            Method::Lookup => {
                let lookup = step.lookup();
                return lookup.map_or(Ok(None), |lookup| lookup.judge(&facts, &self.file));
            }
        };
        decline.as_ref().map_or(Ok(None), |decline| decline.judge(&facts, &self.file))
    }

    /// Adds what the lookup of a step found.
    #[must_use]
    pub fn with_found<'a>(&'a self, facts: Facts<'a>, step: StepId, found: &'a [u8]) -> Facts<'a> {
        match self.step(step).target(Method::Lookup) {
            Some(target) => facts.with_found(step, &target.output, found),
            None => facts,
        }
    }

    /// Evaluates `reply`: the encoded response of the served method; empty without one.
    ///
    /// # Errors
    /// When an expression cannot be evaluated.
    pub fn reply(&self, facts: &Facts<'_>) -> Result<Bytes, EvaluationError> {
        match &self.reply {
            Some(template) => Ok(encoded(template.build(facts, &self.file)?)),
            None => Ok(Bytes::new()),
        }
    }

    /// The encoded request of a saga that is started with JSON (proto3 JSON for a typed input). An empty text is the
    /// empty object. Objects with the same members are the same bytes, in whatever order they come; numbers that are
    /// written differently are other bytes where the input has no type.
    ///
    /// # Errors
    /// When it is no JSON object, or not one of the input's type, with the place.
    pub fn request_from_json(&self, json: &str) -> Result<Bytes, InputError> {
        let json = if json.trim().is_empty() { "{}" } else { json };
        match self.input {
            Input::Json => json::object(json, json::MAX_DEPTH).map(encoded),
            Input::Typed(_) => {
                let read = json::object(json, json::MAX_TYPED_DEPTH)?;
                assign::message_from_json(read, &self.request).map(encoded)
            }
        }
    }
}

/// The same request is the same bytes, whatever maps it holds: participants and the journal compare them.
pub(super) fn encoded(message: DynamicMessage) -> Bytes {
    proto::canonical::encode(message).into()
}
