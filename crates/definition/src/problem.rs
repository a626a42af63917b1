//! What is wrong with a definition: where, what, and what to do about it.
//!
//! A problem always carries a cure. All problems of a file are reported at once, in the order of
//! the file, so that nobody mends a definition one run at a time.

use std::fmt;

/// A place in a definition file; lines and columns count characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The first character of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// One thing that is wrong with a definition file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file as it was named by the caller.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do about it; never empty.
    pub cure: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, column, what, cure } = self;
        write!(f, "{file}:{line}:{column}: {what}; {cure}")
    }
}

impl std::error::Error for Problem {}

/// Gathers the problems of one file, so that a check can go on after the first.
#[derive(Debug)]
pub(super) struct Problems {
    file: String,
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Position, what: impl Into<String>, cure: impl Into<String>) {
        let Position { line, column } = at;
        let (what, cure) = (what.into(), cure.into());
        self.found.push(Problem { file: self.file.clone(), line, column, what, cure });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[Problem] {
        &self.found
    }

    /// All problems in the order of the file, none twice.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| (problem.line, problem.column));
        self.found.dedup();
        self.found
    }
}

/// The name that was probably meant, when one is close enough to be no guess.
pub(super) fn closest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 4);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// A cure: the closest of `names`, else all of them when they are few.
pub(super) fn did_you_mean<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    const MAX_LISTED_NAMES: usize = 16;
    let names: Vec<&str> = names.into_iter().collect();
    match closest(wrong, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() || names.len() > MAX_LISTED_NAMES => otherwise.to_owned(),
        None => {
            let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("there is {}", listed.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(closest("totl", ["total", "order_no"]), Some("total"));
        assert_eq!(closest("x", ["total", "order_no"]), None);
        assert_eq!(did_you_mean("x", ["total", "paid"], "none"), "there is `total`, `paid`");
        assert_eq!(did_you_mean("x", [], "declare it"), "declare it");
    }

    #[test]
    fn a_problem_reads_like_a_compiler_message() {
        let mut problems = Problems::new("a.yaml");
        problems.add(Position { line: 3, column: 2 }, "late", "mend it");
        problems.add(Position { line: 1, column: 9 }, "no field `totl`", "did you mean `total`?");
        let lines: Vec<String> = problems.into_sorted().iter().map(Problem::to_string).collect();
        assert_eq!(
            lines,
            ["a.yaml:1:9: no field `totl`; did you mean `total`?", "a.yaml:3:2: late; mend it"]
        );
    }
}
