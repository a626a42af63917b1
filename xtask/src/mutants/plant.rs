//! A planted bug is a change of the source's text. All are made at once, in a copy of the source: each asks when it
//! runs whether its process has it, so that one build has every bug.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use anyhow::{Context, Result, ensure};

/// The environment variable that names the one bug that a process has.
pub(crate) const VARIABLE: &str = "SAGAMESH_PLANTED_BUG";
/// Stands in a replacement for the question whether the process has the bug.
const PLANTED: &str = "PLANTED";

/// A bug that can be planted.
pub(crate) struct Bug {
    /// What [`VARIABLE`] holds for it.
    pub(crate) name: &'static str,
    /// What is wrong.
    pub(crate) sentence: &'static str,
    pub(crate) edits: &'static [Edit],
}

/// A change of one file.
pub(crate) struct Edit {
    /// Its path in the repository.
    pub(crate) file: &'static str,
    /// The text that is replaced. It stands exactly once in the file.
    pub(crate) find: &'static str,
    /// What stands in its place, with [`PLANTED`] where it must know whether the process has the bug.
    pub(crate) replace: &'static str,
}

/// The text of each file that has a bug's place, with all bugs planted.
///
/// # Errors
/// Names every bug whose place is not found, or found twice.
pub(crate) fn plant(bugs: &[Bug], root: &Path) -> Result<BTreeMap<&'static str, String>> {
    let mut texts = BTreeMap::new();
    let mut lost = Vec::new();
    for bug in bugs {
        for edit in bug.edits {
            if let Err(error) = plant_one(bug, edit, root, &mut texts) {
                lost.push(format!("{error:#}"));
            }
        }
    }
    ensure!(
        lost.is_empty(),
        "these bugs have lost their place in the source; give each its new one in xtask/src/mutants/bugs.rs:\n{}",
        lost.join("\n")
    );
    Ok(texts)
}

fn plant_one(
    bug: &Bug,
    edit: &Edit,
    root: &Path,
    texts: &mut BTreeMap<&'static str, String>,
) -> Result<()> {
    let Edit { file, find, replace } = edit;
    let text = match texts.entry(file) {
        Entry::Occupied(text) => text.into_mut(),
        Entry::Vacant(place) => place.insert(
            std::fs::read_to_string(root.join(file))
                .with_context(|| format!("{}: {file} cannot be read", bug.name))?,
        ),
    };
    let places = text.matches(find).count();
    ensure!(places == 1, "{}: {file} has this {places} times, and not once: {find}", bug.name);
    *text = text.replacen(find, &replace.replace(PLANTED, &question(bug)), 1);
    Ok(())
}

/// An expression that is true in a process that has `bug`. It asks the environment once, for some places run often.
fn question(bug: &Bug) -> String {
    let name = bug.name;
    format!(
        "bool::from({{ static PLANTED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| \
         std::env::var_os(\"{VARIABLE}\").is_some_and(|bug| bug == \"{name}\")); *PLANTED }})"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::bugs::BUGS, Bug, Edit, PLANTED, plant};
    use crate::run::root;

    #[test]
    fn every_planted_bug_has_its_one_place_in_the_source() {
        plant(BUGS, &root()).unwrap_or_else(|error| panic!("{error:#}"));
    }

    #[test]
    fn no_edit_changes_a_process_that_does_not_have_its_bug() {
        let unasked = |bug: &&Bug| bug.edits.iter().any(|edit| !edit.replace.contains(PLANTED));
        let unasked: Vec<&str> = BUGS.iter().filter(unasked).map(|bug| bug.name).collect();
        assert!(unasked.is_empty(), "{unasked:?} never ask whether they are planted");
    }

    #[test]
    fn bugs_are_planted_side_by_side_and_each_asks_for_its_own_name() {
        let source = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("a.rs"), "one(); two();").unwrap();
        let one = Edit { file: "a.rs", find: "one();", replace: "if !PLANTED { one(); }" };
        let two = Edit { file: "a.rs", find: "two();", replace: "if !PLANTED { two(); }" };
        let bugs = [bug("One", vec![one]), bug("Two", vec![two])];
        let text = plant(&bugs, source.path()).unwrap().remove("a.rs").unwrap();
        assert!(text.starts_with("if !bool::from({ static PLANTED"), "{text}");
        let (first, second) = text.split_once(" one(); } ").unwrap();
        assert!(first.contains("== \"One\"") && second.contains("== \"Two\""), "{text}");
    }

    #[test]
    fn a_bug_whose_place_is_gone_or_is_not_the_only_one_is_named_with_its_file() {
        let source = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("a.rs"), "one(); one();").unwrap();
        let edit = |file, find| vec![Edit { file, find, replace: PLANTED }];
        let bugs = [
            bug("Gone", edit("a.rs", "two();")),
            bug("Double", edit("a.rs", "one();")),
            bug("NoFile", edit("b.rs", "one();")),
        ];
        let error = plant(&bugs, source.path()).unwrap_err().to_string();
        for expected in [
            "xtask/src/mutants/bugs.rs",
            "Gone: a.rs has this 0 times, and not once: two();",
            "Double: a.rs has this 2 times",
            "NoFile: b.rs cannot be read",
        ] {
            assert!(error.contains(expected), "{error}");
        }
    }

    fn bug(name: &'static str, edits: Vec<Edit>) -> Bug {
        Bug { name, sentence: "", edits: edits.leak() }
    }
}
