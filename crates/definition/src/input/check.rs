//! What an input is held against, before a saga starts.

use std::collections::BTreeSet;

use prost_reflect::DynamicMessage;

use super::used::written_path;
use super::{Need, path_of};
use crate::compiled::{Compiled, Input};
use crate::error::{ErrorKind, UnlocatedError};
use crate::facts::{Facts, Identity};
use crate::meter;
use crate::output::{Undecodable, decode_to_show};

/// Problems of an input that are told.
const MAX_PROBLEMS: usize = 128;

/// What is wrong with the input of a saga.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputProblem {
    /// Where in the input, for example `.address.street`.
    pub path: String,
    /// What is wrong, who needs it, and the cure.
    pub what: String,
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

    /// What a saga was started with, to be shown to a person: without what steps put into fields marked `debug_redact`.
    ///
    /// # Errors
    /// When it cannot be decoded, or has too many values.
    pub fn input_to_show(&self, request: &[u8]) -> Result<DynamicMessage, Undecodable> {
        let mut message = decode_to_show(&self.request, request)?;
        self.input_use.used.hide_secrets(&mut message);
        Ok(message)
    }

    /// Everything because of which no saga with this request could succeed, as far as the request alone says so; nothing
    /// where the input has a type.
    pub fn check_input(&self, request: &[u8]) -> Vec<InputProblem> {
        if self.input_use.needs.is_empty() {
            return Vec::new();
        }
        let facts = self.facts(Identity::default(), request);
        let mut problems = BTreeSet::new();
        for need in self.input_use.needs.values() {
            match self.met(need, &facts) {
                Ok(None) => {}
                Ok(Some(_)) if problems.len() >= MAX_PROBLEMS => break,
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
        let failure = match facts.follow(&need.path) {
            Ok(found) => {
                let Some(place) = &need.place else { return Ok(None) };
                facts.meter().charge(meter::of_value(&found.value))?;
                let put = place.try_put(&found.value);
                let problem = |failure| self.unfit(need, need.keys.len(), &place.kind(), &failure);
                return Ok(put.err().map(problem));
            }
            Err(failure) if failure.is_final() || failure.kind == ErrorKind::Bytes => {
                return Err(failure);
            }
            Err(failure) => failure,
        };
        // The first key that is not there, or whose value has no keys.
        let is_there = |end: &usize| facts.follow(&path_of(&need.keys[..=*end])).is_ok();
        let there = (0..need.keys.len()).take_while(is_there).count();
        let wanted = |end: usize| self.input_use.used.shape_of(&need.keys[..end]);
        Ok(Some(match failure.kind {
            ErrorKind::MissingKey => self.missing(need, there + 1, &wanted(there + 1)),
            _ => self.unfit(need, there, &wanted(there), &failure),
        }))
    }

    fn missing(&self, need: &Need, end: usize, wanted: &str) -> InputProblem {
        let (step, place) = (&need.step, self.place_of(need));
        let what =
            format!("is missing: step `{step}` uses it as {wanted} ({place}); add it to the input");
        InputProblem { path: written_path(&need.keys[..end]), what }
    }

    fn unfit(
        &self,
        need: &Need,
        end: usize,
        wanted: &str,
        failure: &UnlocatedError,
    ) -> InputProblem {
        let (step, place) = (&need.step, self.place_of(need));
        // Other kinds of failures have the value in their words.
        let why = match failure.kind {
            ErrorKind::Type if failure.path.is_empty() => format!(": {}", failure.what),
            ErrorKind::Type => format!(": {}: {}", failure.path, failure.what),
            _ => String::new(),
        };
        let what =
            format!("must be {wanted} for step `{step}` ({place}){why}; change it in the input");
        InputProblem { path: written_path(&need.keys[..end]), what }
    }

    fn place_of(&self, need: &Need) -> String {
        format!("{}:{}:{}", self.file, need.at.line, need.at.column)
    }
}
