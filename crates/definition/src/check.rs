//! Checks a draft against descriptors: every problem of the file at once, or a definition that is
//! sound.

use std::collections::BTreeSet;

use http::uri::PathAndQuery;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use saga::Direction;

use super::compiled::{Compiled, CompiledStep, Input, Target};
use super::decline::{Decline, ParticipantDraft};
use super::descriptors::Descriptors;
use super::draft::{Draft, MethodName, StepDraft};
use super::expression::Expression;
use super::input::InputUse;
use super::json;
use super::lower;
use super::metadata::Metadata;
use super::output::OutputTemplate;
use super::path::Root;
use super::problem::{Problem, Problems, did_you_mean};
use super::scope::{Name, Scope};
use super::template::Template;
use super::undo_with::{UndoDraft, UndoScopes, UndoWith};
use super::yaml::Text;

/// Names that mean something else in an expression, so that no step can have them.
const RESERVED: [&str; 38] = [
    "request",
    "saga",
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "type",
    "dyn",
    "null_type",
    "has",
    "size",
    "optional",
    "strings",
];

/// The methods of one step, as far as they were found.
struct Methods {
    call: Option<MethodDescriptor>,
    output: Option<MessageDescriptor>,
    undo: Option<MethodDescriptor>,
    lookup: Option<MethodDescriptor>,
}

/// The definition while it is checked.
struct Check<'c> {
    draft: &'c Draft,
    descriptors: &'c Descriptors,
    request: Option<MessageDescriptor>,
    methods: Vec<Methods>,
    /// For each step, which steps are surely over before it begins.
    before: Vec<Vec<bool>>,
}

impl Draft {
    /// Checks every name, path, type and expression against `descriptors`.
    ///
    /// # Errors
    /// All problems of the file, in its order; those that reading found among them.
    pub fn compile(mut self, descriptors: &Descriptors) -> Result<Compiled, Vec<Problem>> {
        let mut problems = std::mem::replace(&mut self.problems, Problems::new(&self.file));
        let services = self.services();
        let services = services.iter().map(String::as_str).chain(self.served_service());
        let input = self.input.as_ref().map(|name| name.value.as_str());
        let packed = self.packed_messages();
        let messages = input.into_iter().chain(packed.iter().map(String::as_str));
        let needed = descriptors.needed(services, messages);

        let mut missing = BTreeSet::new();
        let mut unary = |name: &MethodName, problems: &mut Problems| {
            unary(name, &needed, &mut missing, problems)
        };
        let serves = self.serves.as_ref().and_then(|name| unary(name, &mut problems));
        let (input, request) = input_of(&self, serves.as_ref(), &needed, &mut problems);
        let methods: Vec<Methods> =
            self.steps.iter().map(|step| methods(step, &mut unary, &mut problems)).collect();
        let check = Check {
            draft: &self,
            descriptors: &needed,
            request,
            methods,
            before: lower::ancestors(&self.steps),
        };
        for step in &self.steps {
            reserved(&step.name, &mut problems);
        }
        for participant in &self.participants {
            is_called(&participant.service, &self, &mut problems);
        }
        let key = check.key(&mut problems);
        let steps: Vec<Option<CompiledStep>> =
            (0..self.steps.len()).map(|index| check.step(index, &mut problems)).collect();
        let reply = check.reply(serves.as_ref(), &mut problems);
        let output = check.output(&mut problems);
        let request = check.request;
        let engine = lower::definition(&self, &mut problems);

        let steps: Option<Vec<CompiledStep>> = steps.into_iter().collect();
        match (engine, steps, request) {
            (Some(engine), Some(steps), Some(request)) if problems.is_empty() => Ok(Compiled {
                input_use: input_use(&input, &engine, &steps, output.as_ref()),
                file: self.file,
                source: self.source,
                hash: self.hash,
                name: self.name,
                version: self.version,
                engine,
                serves,
                input,
                request,
                key,
                steps,
                reply,
                output,
                descriptors: needed.encode(),
            }),
            _ => Err(problems.into_sorted()),
        }
    }
}

/// What is used of an input without a type.
fn input_use(
    input: &Input,
    engine: &saga::Definition,
    steps: &[CompiledStep],
    output: Option<&OutputTemplate>,
) -> InputUse {
    let mut used = InputUse::default();
    if let Input::Json = input {
        for (rules, step) in engine.steps().iter().zip(steps) {
            used.add_step(&rules.name, step);
        }
        let output = output.into_iter().flat_map(OutputTemplate::expressions);
        output.for_each(|expression| used.add_optional(expression));
    }
    used
}

fn reserved(name: &Text, problems: &mut Problems) {
    if RESERVED.contains(&name.value.as_str()) {
        let what = format!("`{}` means something else in expressions", name.value);
        problems.add(name.at, what, "give the step another name");
    }
}

/// Whether a step calls the participant of which something is said.
fn is_called(service: &Text, draft: &Draft, problems: &mut Problems) {
    let called = draft.services();
    if !called.contains(&service.value) {
        let cure = did_you_mean(&service.value, called.iter().map(String::as_str), "remove it");
        problems.add(service.at, format!("no step calls `{}`", service.value), cure);
    }
}

/// The method of a name, if it is there and not streaming. A service that is not there is told once, however many steps
/// call it.
fn unary(
    name: &MethodName,
    descriptors: &Descriptors,
    missing_services: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Option<MethodDescriptor> {
    match descriptors.method(&name.service, &name.method) {
        Ok(method) if method.is_client_streaming() || method.is_server_streaming() => {
            let what = format!("{}/{} is a streaming method", name.service, name.method);
            problems.add(
                name.at,
                what,
                "name a unary method; a step is one request and one response",
            );
            None
        }
        Ok(method) => Some(method),
        Err(missing) => {
            let at = if missing.service_known { name.method_at() } else { name.at };
            let is_new = missing.service_known || missing_services.insert(name.service.clone());
            if is_new {
                missing.report(at, problems);
            }
            None
        }
    }
}

fn methods(
    step: &StepDraft,
    unary: &mut impl FnMut(&MethodName, &mut Problems) -> Option<MethodDescriptor>,
    problems: &mut Problems,
) -> Methods {
    let call = step.call.as_ref().and_then(|name| unary(name, problems));
    let undo = step.undo.as_ref().and_then(|name| unary(name, problems));
    let lookup = step.lookup.as_ref().and_then(|name| unary(name, problems));
    Methods { output: call.as_ref().map(MethodDescriptor::output), call, undo, lookup }
}

fn input_of(
    draft: &Draft,
    serves: Option<&MethodDescriptor>,
    descriptors: &Descriptors,
    problems: &mut Problems,
) -> (Input, Option<MessageDescriptor>) {
    if let Some(method) = serves {
        return (Input::Typed(method.input()), Some(method.input()));
    }
    if draft.serves.is_some() {
        return (Input::Json, None);
    }
    match &draft.input {
        Some(name) => match descriptors.message(&name.value) {
            Ok(message) => (Input::Typed(message.clone()), Some(message)),
            Err(missing) => {
                missing.report(name.at, problems);
                (Input::Json, None)
            }
        },
        None => (Input::Json, Some(json::object_type())),
    }
}

/// Where an expression stands, which decides what it may see.
#[derive(Clone, Copy)]
enum ExpressionSite {
    Key,
    Call(usize),
    Undo(usize),
    /// An undo of a step whose response came.
    UndoKnown(usize),
    Reply,
    /// Over a response as it comes: that of this step's call, or whichever it is.
    Response(Option<usize>),
}

impl Check<'_> {
    fn step(&self, index: usize, problems: &mut Problems) -> Option<CompiledStep> {
        let draft = &self.draft.steps[index];
        let methods = &self.methods[index];
        let scope = self.scope(ExpressionSite::Call(index));
        let when = draft
            .when
            .as_ref()
            .map(|node| Expression::compile_condition("when", node, &scope, problems));
        let (with, call) = (draft.with.as_ref(), methods.call.as_ref());
        let with = Template::request(with, call, &scope, problems);
        let metadata = draft.metadata.as_ref();
        let metadata = metadata.map(|node| Metadata::compile(node, &scope, problems));
        let undo_with = self.undo_with(index, problems);
        let undo = match &draft.undo {
            Some(name) => Some(target(name, methods.undo.as_ref()?)?),
            None => None,
        };
        Some(CompiledStep {
            call: target(draft.call.as_ref()?, methods.call.as_ref()?)?,
            undo,
            answers: draft.answers.clone().over(&self.draft.answers),
            declined_if: self.decline(index, Direction::Forward, problems),
            undo_declined_if: self.decline(index, Direction::Undo, problems),
            max_request: draft.max_request.or(self.draft.max_request),
            when: match when {
                Some(compiled) => Some(compiled?),
                None => None,
            },
            with: with?,
            metadata: metadata.unwrap_or_default(),
            undo_with,
        })
    }

    fn undo_with(&self, index: usize, problems: &mut Problems) -> Option<UndoWith> {
        let (draft, methods) = (&self.draft.steps[index], &self.methods[index]);
        let found =
            |root| Name::Message(root, methods.lookup.as_ref().map(MethodDescriptor::output));
        let undo = || self.scope(ExpressionSite::Undo(index));
        let judging = self.scope(ExpressionSite::Response(None));
        let scopes = UndoScopes {
            known: self.scope(ExpressionSite::UndoKnown(index)),
            unknown: undo(),
            found: undo().over("lookup", found(Root::Found(index))),
            judging: judging.over("lookup", found(Root::Response)),
        };
        let lookup = draft.lookup.as_ref().zip(methods.lookup.as_ref());
        let lookup = lookup.and_then(|(name, method)| target(name, method));
        let undo = UndoDraft { step: &draft.name.value, method: methods.undo.as_ref(), lookup };
        UndoWith::compile(draft.undo_with.as_ref(), undo, &scopes, problems)
    }

    /// When the response of a step's method is a decline: what the step says of it, else what is said of its participant.
    fn decline(
        &self,
        index: usize,
        direction: Direction,
        problems: &mut Problems,
    ) -> Option<Decline> {
        let step = &self.draft.steps[index];
        let methods = &self.methods[index];
        let (own, name, method, site) = match direction {
            Direction::Forward => (&step.declined_if, &step.call, &methods.call, Some(index)),
            Direction::Undo => (&step.undo_declined_if, &step.undo, &methods.undo, None),
        };
        let service = &name.as_ref()?.service;
        let of_participant = || {
            let named = |known: &&ParticipantDraft| known.service.value == *service;
            Some((self.draft.participants.iter().find(named)?.decline.as_ref()?, None))
        };
        let (decline, site) = own.as_ref().map(|own| (own, site)).or_else(of_participant)?;
        let output = method.as_ref().map(MethodDescriptor::output);
        let scope = self
            .scope(ExpressionSite::Response(site))
            .over("response", Name::Message(Root::Response, output));
        decline.compile(&scope, problems)
    }

    fn key(&self, problems: &mut Problems) -> Option<Expression> {
        let text = self.draft.key.as_ref()?;
        Expression::compile_text("key", text, &self.scope(ExpressionSite::Key), problems)
    }

    fn reply(
        &self,
        serves: Option<&MethodDescriptor>,
        problems: &mut Problems,
    ) -> Option<Template> {
        let node = self.draft.reply.as_ref()?;
        let scope = self.scope(ExpressionSite::Reply);
        match serves {
            Some(method) => Some(Template::compile(node, &method.output(), &scope, problems)),
            None => {
                Template::check_expressions(node, &scope, problems);
                None
            }
        }
    }

    /// What a saga has come to may use what a reply may.
    fn output(&self, problems: &mut Problems) -> Option<OutputTemplate> {
        let node = self.draft.output.as_ref()?;
        OutputTemplate::compile(node, &self.scope(ExpressionSite::Reply), problems)
    }

    fn scope(&self, place: ExpressionSite) -> Scope<'_> {
        let mut scope = Scope::new(self.descriptors)
            .with("request", Name::Message(Root::Request, self.request.clone()));
        scope = match place {
            ExpressionSite::Key => {
                let cure = "use `request`".to_owned();
                scope.with("saga", Name::Hidden("there is no saga before its key".to_owned(), cure))
            }
            ExpressionSite::Response(_) => {
                let what = "`saga` is not seen where a response is judged".to_owned();
                scope.with("saga", Name::Hidden(what, "use `response` or `request`".to_owned()))
            }
            ExpressionSite::Call(_)
            | ExpressionSite::Undo(_)
            | ExpressionSite::UndoKnown(_)
            | ExpressionSite::Reply => scope.with("saga", Name::Saga),
        };
        let mut seen = BTreeSet::new();
        for (index, step) in self.draft.steps.iter().enumerate() {
            if seen.insert(&step.name.value) {
                scope = scope.with(&step.name.value, self.name_of_step(index, place));
            }
        }
        scope
    }

    fn knows_order(&self, index: usize) -> bool {
        let known = |name: &Text| self.draft.steps.iter().any(|step| step.name.value == name.value);
        self.draft.steps[index].after.as_ref().is_none_or(|names| names.iter().all(known))
    }

    /// What the name of step `index` stands for at `place`.
    fn name_of_step(&self, index: usize, place: ExpressionSite) -> Name {
        let message = || Name::Message(Root::Step(index), self.methods[index].output.clone());
        let name = &self.draft.steps[index].name.value;
        let hidden = |what: String, cure: String| Name::Hidden(what, cure);
        match place {
            ExpressionSite::Reply => message(),
            ExpressionSite::Key => hidden(
                format!("no step, so not `{name}` either, has run when the key is made"),
                "use `request`".to_owned(),
            ),
            ExpressionSite::Response(Some(at)) if at == index => {
                Name::Message(Root::Response, self.methods[index].output.clone())
            }
            ExpressionSite::Response(_) => hidden(
                format!("the response of `{name}` is not seen where another is judged"),
                "use `response` or `request`; what needs both belongs in a step's `when`"
                    .to_owned(),
            ),
            ExpressionSite::UndoKnown(at) if at == index => message(),
            ExpressionSite::Undo(at) if at == index => hidden(
                format!("the response of `{name}` may never have come when it is undone"),
                "use it under `when_known`, beside a `when_unknown`; or leave it out, where the \
                 participant finds what to undo by the saga id and the step in the metadata"
                    .to_owned(),
            ),
            ExpressionSite::Call(at) if at == index => hidden(
                format!("`{name}` cannot use its own response"),
                "use the response of a step before it".to_owned(),
            ),
            ExpressionSite::Call(at)
            | ExpressionSite::Undo(at)
            | ExpressionSite::UndoKnown(at)
                // Where `after` itself is wrong, that is the problem.
                if self.before[at][index] || !self.knows_order(at) =>
            {
                message()
            }
            ExpressionSite::Call(at)
            | ExpressionSite::Undo(at)
            | ExpressionSite::UndoKnown(at) => {
                let user = &self.draft.steps[at].name.value;
                let cure = if self.before[index][at] {
                    format!("`{name}` comes after `{user}`; turn them round")
                } else {
                    format!("add `{name}` to the `after` of `{user}`")
                };
                hidden(format!("`{name}` may not be done before `{user}`"), cure)
            }
        }
    }
}

fn target(name: &MethodName, descriptor: &MethodDescriptor) -> Option<Target> {
    let MethodName { service, method, .. } = name.clone();
    // Identifiers and a slash always make a path.
    let path = PathAndQuery::try_from(format!("/{service}/{method}")).ok()?;
    Some(Target {
        service,
        method,
        path,
        output: descriptor.output(),
        descriptor: descriptor.clone(),
    })
}
