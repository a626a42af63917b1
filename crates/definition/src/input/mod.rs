//! What a definition without an `input` type uses of its JSON: shown to whoever starts a saga, and looked for before one
//! starts.
//!
//! An input is refused only for what every saga that succeeds evaluates: the condition of each step, and the request of
//! each step without one. What a step skips, an undo or the output may use is never asked for. Each value is put where the
//! step would put it, by the same code, so nothing is refused that could have worked.

mod check;
mod code;
mod place;
mod used;

use std::collections::BTreeMap;

use prost_reflect::Kind;

use super::compiled::CompiledStep;
use super::expression::{Expression, Form};
use super::path::{Path, Root, Segment};
use super::problem::Position;
use super::template::{FieldTemplate, Template};
use super::undo_with::UndoWith;
use code::{keys_of, surely, uses};
use place::Place;
use used::Used;

pub use check::InputProblem;

/// What is used of the input, worked out when the definition is compiled.
#[derive(Debug, Default)]
pub(super) struct InputUse {
    used: Used,
    /// By its keys and the kind of its place: each is looked at once.
    needs: BTreeMap<(Vec<String>, Option<String>), Need>,
}

/// One value that every saga that succeeds puts somewhere.
#[derive(Debug)]
struct Need {
    keys: Vec<String>,
    path: Path,
    place: Option<Place>,
    at: Position,
    step: String,
}

impl InputUse {
    /// What a step uses: what it sends is sure where nothing can skip it.
    pub(super) fn add_step(&mut self, name: &str, compiled: &CompiledStep) {
        let CompiledStep { when, with, metadata, undo_with, .. } = compiled;
        let mut step = StepUse { all: self, step: name, is_sure: true, is_secret: false };
        if let Some(when) = when {
            step.expression(when, Some(&Place::Whole(Kind::Bool)));
        }
        step.is_sure = when.is_none();
        step.template(with);
        metadata.expressions().for_each(|expression| step.expression(expression, None));
        step.is_sure = false;
        undo_with.iter().flat_map(UndoWith::templates).for_each(|undo| step.template(undo));
        for decline in [&compiled.declined_if, &compiled.undo_declined_if].into_iter().flatten() {
            decline.expressions().for_each(|expression| step.expression(expression, None));
        }
    }

    /// What is used beside the steps, and may be missing.
    pub(super) fn add_optional(&mut self, expression: &Expression) {
        StepUse { all: self, step: "", is_sure: false, is_secret: false }
            .expression(expression, None);
    }

    fn shape(&self) -> String {
        match (self.used.has_keys(), self.used.whole) {
            (false, true) => "a JSON object".to_owned(),
            (false, false) => "a JSON object, of which nothing is used".to_owned(),
            (true, _) => self.used.shape(),
        }
    }
}

/// What one step uses, while it is looked at.
struct StepUse<'u> {
    all: &'u mut InputUse,
    step: &'u str,
    is_sure: bool,
    /// It is put into a field that people are not shown.
    is_secret: bool,
}

impl StepUse<'_> {
    fn template(&mut self, template: &Template) {
        match template {
            Template::Whole(wanted, expression) => {
                let place = Place::Whole(Kind::Message(wanted.clone()));
                self.expression(expression, Some(&place));
            }
            Template::Packed(packed) => {
                let (content, kind) = packed.content();
                self.field_template(content, &kind);
            }
            Template::Fields(_, fields) => {
                for (field, field_template) in fields {
                    let place = Place::Field(field.clone());
                    let outer = self.is_secret;
                    self.is_secret |= place.is_secret();
                    match field_template {
                        FieldTemplate::Value(expression) => {
                            self.expression(expression, Some(&place));
                        }
                        other => self.field_template(other, &field.kind()),
                    }
                    self.is_secret = outer;
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
        let is_secret = self.is_secret;
        match expression.form() {
            Form::Path(path) => {
                let Some(keys) = keys_of(path) else { return };
                self.all.used.add(&keys, place.map(Place::kind), is_secret);
                if self.is_sure {
                    self.all.used.require(&keys);
                    self.need(keys, place.cloned(), at);
                }
            }
            Form::Code { code, slots } => {
                uses(code, slots, None, &mut |keys, kind| {
                    self.all.used.add(&keys, kind.map(str::to_owned), is_secret);
                });
                if self.is_sure {
                    for keys in surely(code, slots) {
                        self.all.used.require(&keys);
                        self.need(keys, None, at);
                    }
                }
            }
        }
    }

    fn need(&mut self, keys: Vec<String>, place: Option<Place>, at: Position) {
        let kind = place.as_ref().map(Place::kind);
        let (path, step) = (path_of(&keys), self.step);
        let need = |keys| Need { keys, path, place, at, step: step.to_owned() };
        self.all.needs.entry((keys.clone(), kind)).or_insert_with(|| need(keys));
    }
}

fn path_of(keys: &[String]) -> Path {
    Path { root: Root::Request, segments: keys.iter().cloned().map(Segment::Key).collect() }
}
