//! What a definition without an `input` type uses of its JSON: shown to whoever starts a saga, and looked for before one
//! starts.
//!
//! An input is refused only for what every saga that succeeds evaluates: the condition of each step, and the request of
//! each step without one. What a step skips, an undo or the output may use is never asked for. Each value is put where the
//! step would put it, by the same code, so nothing is refused that could have worked.

mod code;
mod used;

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind, Value};

use super::assign;
use super::compiled::{Compiled, Input};
use super::error::{ErrorKind, UnlocatedError};
use super::expression::{Expression, Form};
use super::facts::{Facts, Identity};
use super::meter;
use super::path::{Path, Root, Segment};
use super::problem::Position;
use super::template::{FieldTemplate, Template};
use super::types::{WellKnown, wrapped};
use code::{keys_of, surely, uses};
use used::{ANY, OBJECT, Used, written_path};

/// What is wrong with the input of a saga.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputProblem {
    /// Where in the input, for example `.address.street`.
    pub path: String,
    /// What is wrong, who needs it, and the cure.
    pub what: String,
}

/// What is used of the input, worked out when the definition is compiled.
#[derive(Debug, Default)]
pub(super) struct InputUse {
    used: Used,
    needs: Vec<Need>,
}

/// One value that every saga that succeeds puts somewhere.
#[derive(Debug)]
struct Need {
    keys: Vec<String>,
    place: Option<Place>,
    at: Position,
    step: String,
}

/// Where a value is put.
#[derive(Debug, Clone)]
enum Place {
    Field(FieldDescriptor),
    Item(Kind),
}

impl InputUse {
    /// What a step uses: what it sends is sure where nothing can skip it.
    pub(super) fn add_step(
        &mut self,
        name: &str,
        when: Option<&Expression>,
        with: &Template,
        undo_with: Option<&Template>,
    ) {
        let mut step = StepUse { all: self, step: name, is_sure: true };
        if let Some(when) = when {
            step.expression(when, Some(&Place::Item(Kind::Bool)));
        }
        step.is_sure = when.is_none();
        step.template(with);
        step.is_sure = false;
        if let Some(undo_with) = undo_with {
            step.template(undo_with);
        }
    }

    /// What is used beside the steps, and may be missing.
    pub(super) fn add_optional(&mut self, expression: &Expression) {
        StepUse { all: self, step: "", is_sure: false }.expression(expression, None);
    }

    fn shape(&self) -> String {
        match (self.used.keys.is_empty(), self.used.whole) {
            (true, true) => "a JSON object".to_owned(),
            (true, false) => "a JSON object, of which nothing is used".to_owned(),
            (false, _) => self.used.shape(),
        }
    }
}

/// What one step uses, while it is looked at.
struct StepUse<'u> {
    all: &'u mut InputUse,
    step: &'u str,
    is_sure: bool,
}

impl StepUse<'_> {
    fn template(&mut self, template: &Template) {
        match template {
            Template::Whole(wanted, expression) => {
                let place = Place::Item(Kind::Message(wanted.clone()));
                self.expression(expression, Some(&place));
            }
            Template::Fields(_, fields) => {
                for (field, field_template) in fields {
                    match field_template {
                        FieldTemplate::Value(expression) => {
                            self.expression(expression, Some(&Place::Field(field.clone())));
                        }
                        other => self.field_template(other, &field.kind()),
                    }
                }
            }
        }
    }

    fn field_template(&mut self, field_template: &FieldTemplate, kind: &Kind) {
        match field_template {
            FieldTemplate::Value(expression) => {
                self.expression(expression, Some(&Place::Item(kind.clone())));
            }
            FieldTemplate::Message(template) => self.template(template),
            FieldTemplate::List(kind, items) => {
                items.iter().for_each(|item| self.field_template(item, kind));
            }
            FieldTemplate::Map(kind, entries) => {
                entries.iter().for_each(|(_, entry)| self.field_template(entry, kind));
            }
        }
    }

    fn expression(&mut self, expression: &Expression, place: Option<&Place>) {
        let at = expression.at();
        match expression.form() {
            Form::Path(path) => {
                let Some(keys) = keys_of(path) else { return };
                self.all.used.use_of(&keys, self.is_sure, place.map(Place::kind));
                if self.is_sure {
                    self.need(keys, place.cloned(), at);
                }
            }
            Form::Code { code, slots } => {
                uses(code, slots, None, &mut |keys, kind| {
                    self.all.used.use_of(&keys, false, kind.map(str::to_owned));
                });
                if self.is_sure {
                    for keys in surely(code, slots) {
                        self.all.used.use_of_part(&keys, true);
                        self.need(keys, None, at);
                    }
                }
            }
        }
    }

    /// One need for each value and each place that it is put.
    fn need(&mut self, keys: Vec<String>, place: Option<Place>, at: Position) {
        let kind = |place: &Option<Place>| place.as_ref().map(Place::kind);
        let same = |need: &Need| need.keys == keys && kind(&need.place) == kind(&place);
        if !self.all.needs.iter().any(same) {
            self.all.needs.push(Need { keys, place, at, step: self.step.to_owned() });
        }
    }
}

impl Place {
    fn kind(&self) -> String {
        match self {
            Place::Field(field) if field.is_map() => match field.kind() {
                Kind::Message(entry) => {
                    let key = kind_name(&entry.map_entry_key_field().kind());
                    let value = kind_name(&entry.map_entry_value_field().kind());
                    format!("{{{key}: {value}}}")
                }
                kind => kind_name(&kind),
            },
            Place::Field(field) if field.is_list() => format!("[{}]", kind_name(&field.kind())),
            Place::Field(field) => kind_name(&field.kind()),
            Place::Item(kind) => kind_name(kind),
        }
    }

    /// Puts the value there, as a step would.
    fn try_put(&self, value: &Value) -> Result<(), UnlocatedError> {
        match self {
            Place::Field(field) => assign::copy_to_field(value, field).map(|_| ()),
            Place::Item(kind) => assign::copy_to_item(value, kind).map(|_| ()),
        }
    }
}

/// A kind by its name in a `.proto`, a well-known message by what its JSON is.
fn kind_name(kind: &Kind) -> String {
    let Kind::Message(message) = kind else {
        return match kind {
            Kind::Enum(of) => of.full_name().to_owned(),
            scalar => format!("{scalar:?}").to_lowercase(),
        };
    };
    match WellKnown::of(message) {
        Some(WellKnown::Wrapper) => {
            wrapped(message).map_or_else(|| ANY.to_owned(), |field| kind_name(&field.kind()))
        }
        Some(WellKnown::Struct) => OBJECT.to_owned(),
        Some(WellKnown::Value) => ANY.to_owned(),
        Some(WellKnown::List) => "[any]".to_owned(),
        Some(WellKnown::Time) => message.name().to_owned(),
        None => message.full_name().to_owned(),
    }
}

impl Compiled {
    /// What a saga is started with, for a person: the name of a type, or what is used of the JSON, such as
    /// `{ order_no: string, note?: string }`. A key with a question mark may be missing.
    pub fn input_shape(&self) -> String {
        match self.input() {
            Input::Typed(kind) => kind.full_name().to_owned(),
            Input::Json => self.input_use.shape(),
        }
    }

    /// Everything because of which no saga with this request could succeed, as far as the request alone says so; nothing
    /// where the input has a type.
    pub fn check_input(&self, request: &[u8]) -> Vec<InputProblem> {
        let facts = self.facts(Identity::default(), request);
        let mut problems = BTreeSet::new();
        for need in &self.input_use.needs {
            match self.met(need, &facts) {
                Ok(None) => {}
                Ok(Some(problem)) => {
                    problems.insert(problem);
                }
                // A saga's own evaluations are counted one by one.
                Err(_) => break,
            }
        }
        let mut problems: Vec<InputProblem> = problems.into_iter().collect();
        problems.dedup_by(|next, kept| next.path == kept.path);
        problems
    }

    /// What is wrong about what is needed; an error where to look further takes too much.
    fn met(&self, need: &Need, facts: &Facts<'_>) -> Result<Option<InputProblem>, UnlocatedError> {
        let follow = |keys: &[String]| {
            let segments = keys.iter().cloned().map(Segment::Key).collect();
            facts.follow(&Path { root: Root::Request, segments }).map(|found| found.value)
        };
        let failure = match follow(&need.keys) {
            Ok(value) => {
                let Some(place) = &need.place else { return Ok(None) };
                facts.meter().charge(meter::of_value(&value))?;
                match place.try_put(&value) {
                    Ok(()) => return Ok(None),
                    Err(failure) => {
                        return Ok(Some(self.problem(
                            need,
                            need.keys.len(),
                            &place.kind(),
                            Some(&failure),
                        )));
                    }
                }
            }
            Err(failure) => failure,
        };
        if failure.is_final() || failure.kind == ErrorKind::Bytes {
            return Err(failure);
        }
        // The first key that is not there, or whose value has no keys.
        let there =
            (0..need.keys.len()).take_while(|end| follow(&need.keys[..=*end]).is_ok()).count();
        let is_missing = failure.kind == ErrorKind::MissingKey;
        let end = if is_missing { there + 1 } else { there };
        let wanted = self.input_use.used.shape_of(&need.keys[..end]);
        Ok(Some(self.problem(need, end, &wanted, (!is_missing).then_some(&failure))))
    }

    fn problem(
        &self,
        need: &Need,
        end: usize,
        wanted: &str,
        failure: Option<&UnlocatedError>,
    ) -> InputProblem {
        let Need { keys, at: Position { line, column }, step, .. } = need;
        let place = format!("{}:{line}:{column}", self.file);
        let what = match failure {
            None => {
                format!(
                    "is missing: step `{step}` uses it as {wanted} ({place}); add it to the input"
                )
            }
            Some(failure) => {
                // Other kinds of failures have the value in their words.
                let why = match failure.kind {
                    ErrorKind::Type => format!(": {}", failure.what),
                    _ => String::new(),
                };
                format!("must be {wanted} for step `{step}` ({place}){why}; change it in the input")
            }
        };
        InputProblem { path: written_path(&keys[..end]), what }
    }
}
