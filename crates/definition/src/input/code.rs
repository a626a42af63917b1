//! Which values of the input an expression uses, and which it cannot do without.

use std::collections::BTreeSet;

use cel::common::ast::LiteralValue;
use cel::common::ast::operators as op;

use crate::code::Code;
use crate::path::{Path, Root, Segment};
use crate::typecheck::Slot;

/// Longer paths are not looked at: a definition of a moderate size must not take long to compile.
const MAX_KEYS: usize = 32;

/// Paths that are surely followed, each with all paths above it.
pub(super) type Paths = BTreeSet<Vec<String>>;

/// The keys that a path of the input follows.
pub(super) fn keys_of(path: &Path) -> Option<Vec<String>> {
    let key = |segment: &Segment| match segment {
        Segment::Key(key) => Some(key.clone()),
        Segment::Field(_) => None,
    };
    let is_looked_at = path.root == Root::Request && path.segments.len() <= MAX_KEYS;
    is_looked_at.then(|| path.segments.iter().map(key).collect())?
}

/// The keys of a value of the input: a path, or an index by a literal of one.
fn keys_of_code(code: &Code, slots: &[Slot]) -> Option<Vec<String>> {
    let below = |of: &Code, key: &str| {
        let mut keys = keys_of_code(of, slots)?;
        keys.push(key.to_owned());
        (keys.len() <= MAX_KEYS).then_some(keys)
    };
    match code {
        Code::Slot(index) => match slots.get(*index)? {
            Slot::Value(path) => keys_of(path),
            Slot::Has(_) => None,
        },
        Code::Select(of, key) => below(of, key),
        Code::Operator(name, operands) if name == op::INDEX => match operands.as_slice() {
            [of, Code::Literal(LiteralValue::String(key))] => below(of, key.inner()),
            _ => None,
        },
        _ => None,
    }
}

/// Calls `found` with every value of the input that is used anywhere, and the kind that its place wants.
pub(super) fn uses(
    code: &Code,
    slots: &[Slot],
    kind: Option<&'static str>,
    found: &mut dyn FnMut(Vec<String>, Option<&'static str>),
) {
    if let Some(keys) = keys_of_code(code, slots) {
        return found(keys, kind);
    }
    let mut each = |parts: &[&Code], kind: Option<&'static str>| {
        parts.iter().for_each(|part| uses(part, slots, kind, found));
    };
    match code {
        Code::Slot(index) => {
            if let Some(Slot::Has(path)) = slots.get(*index)
                && let Some(keys) = keys_of(path)
            {
                found(keys, None);
            }
        }
        Code::Literal(_) | Code::Local(_) => {}
        Code::Select(of, _) => each(&[of], None),
        Code::If(parts) => {
            let [condition, yes, no] = &**parts;
            each(&[condition], Some("bool"));
            each(&[yes, no], kind);
        }
        Code::And(sides) | Code::Or(sides) => each(&[&sides[0], &sides[1]], Some("bool")),
        Code::Operator(name, operands) => {
            let kind = match name.as_str() {
                op::LOGICAL_NOT => Some("bool"),
                op::INDEX | op::IN => None,
                _ => operands.iter().find_map(literal_kind),
            };
            each(&operands.iter().collect::<Vec<_>>(), kind);
        }
        Code::Method(method, items) => {
            // All other methods are those of texts.
            let kind = (!["size", "join"].contains(&method.name.as_str())).then_some("string");
            items.iter().take(1).for_each(|target| each(&[target], kind));
            each(&items.iter().skip(1).collect::<Vec<_>>(), None);
        }
        Code::List(items) | Code::Function(_, items) => {
            each(&items.iter().collect::<Vec<_>>(), None);
        }
        Code::Map(entries) => {
            entries.iter().for_each(|(key, value)| each(&[key, value], None));
        }
        Code::Loop(repeat) => {
            each(&[&repeat.over], None);
            each(&repeat.body.codes(), None);
        }
    }
}

fn literal_kind(code: &Code) -> Option<&'static str> {
    match code {
        Code::Literal(LiteralValue::String(_)) => Some("string"),
        Code::Literal(LiteralValue::Boolean(_)) => Some("bool"),
        Code::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => {
            Some("number")
        }
        _ => None,
    }
}

/// The paths without which the code comes to nothing, whatever else there is.
pub(super) fn surely(code: &Code, slots: &[Slot]) -> Paths {
    if let Some(keys) = keys_of_code(code, slots) {
        return (1..=keys.len()).map(|end| keys[..end].to_vec()).collect();
    }
    let all = |codes: &[Code]| codes.iter().flat_map(|code| surely(code, slots)).collect();
    let both = |one: &Code, other: &Code| &surely(one, slots) & &surely(other, slots);
    match code {
        Code::Literal(_) | Code::Slot(_) | Code::Local(_) => Paths::new(),
        Code::Select(of, _) => surely(of, slots),
        Code::If(parts) => {
            let [condition, yes, no] = &**parts;
            &surely(condition, slots) | &both(yes, no)
        }
        // The side that decides does so whatever is wrong with the other.
        Code::And(sides) | Code::Or(sides) => both(&sides[0], &sides[1]),
        Code::List(codes) | Code::Operator(_, codes) | Code::Function(_, codes) => all(codes),
        Code::Method(_, codes) => all(codes),
        Code::Map(entries) => entries
            .iter()
            .flat_map(|(key, value)| [surely(key, slots), surely(value, slots)])
            .flatten()
            .collect(),
        // There may be nothing to go through.
        Code::Loop(repeat) => surely(&repeat.over, slots),
    }
}
