//! Fields whose names are words of CEL, such as `in` and `true`.
//!
//! The parser takes no such word for a name. So a word behind a dot is given an ending for it, and loses it again in what was
//! parsed. CEL's own way to write any name, in backticks, is read here too, as the parser does not know it.

use std::borrow::Cow;

use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op,
};

/// Words that are no name anywhere in CEL; it takes its other reserved words behind a dot.
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

/// What a name that the parser would not take ends with for it.
const ENDING: &str = "__a_field_of_this_name";

/// The text of an expression as the parser takes it.
pub(super) struct Readable<'s> {
    pub(super) text: Cow<'s, str>,
    /// Places of the text, in characters, and by how many it is shifted from there on.
    shifts: Vec<(usize, isize)>,
}

impl Readable<'_> {
    /// The character of the text as it was written that a character of this one stands for.
    pub(super) fn written(&self, at: usize) -> usize {
        let shift = self.shifts.iter().rev().find(|(from, _)| *from <= at);
        at.saturating_add_signed(shift.map_or(0, |(_, by)| -by))
    }
}

/// Gives names that the parser would not take an ending.
pub(super) fn readable(source: &str) -> Readable<'_> {
    let mut names = names(source);
    let Some(first) = names.next() else {
        return Readable { text: Cow::Borrowed(source), shifts: Vec::new() };
    };
    let (mut text, mut shifts) = (String::with_capacity(source.len() + ENDING.len()), Vec::new());
    let (mut from, mut shift) = (0, 0_isize);
    for name in std::iter::once(first).chain(names) {
        text.push_str(&source[from..name.from]);
        text.push_str(name.name);
        text.push_str(ENDING);
        from = name.to;
        let written = name.to - name.from;
        shift += isize::try_from(name.name.len() + ENDING.len()).unwrap_or_default()
            - isize::try_from(written).unwrap_or_default();
        shifts.push((text.chars().count(), shift));
    }
    text.push_str(&source[from..]);
    Readable { text: Cow::Owned(text), shifts }
}

/// A name behind a dot that the parser would not take; in bytes, backticks included.
struct Name<'s> {
    from: usize,
    to: usize,
    name: &'s str,
}

fn names(source: &str) -> impl Iterator<Item = Name<'_>> {
    let (mut at, mut is_behind_dot) = (0, false);
    std::iter::from_fn(move || {
        while let Some(first) = source[at..].chars().next() {
            let from = at;
            let rest = &source[from..];
            let is_name_wanted = std::mem::take(&mut is_behind_dot);
            match first {
                '"' | '\'' => at += text_length(source, from, first),
                '/' if rest.starts_with("//") => at += rest.find('\n').unwrap_or(rest.len()),
                '.' => {
                    at += 1;
                    is_behind_dot = true;
                }
                '`' if is_name_wanted => {
                    let name = rest[1..].split('`').next().unwrap_or_default();
                    at += (name.len() + 2).min(rest.len());
                    if is_identifier(name) && at == from + name.len() + 2 {
                        return Some(Name { from, to: at, name });
                    }
                }
                _ if is_word(first) => {
                    let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
                    at += name.len();
                    if is_name_wanted && WORDS.contains(&name) {
                        return Some(Name { from, to: at, name });
                    }
                }
                _ => {
                    at += first.len_utf8();
                    is_behind_dot = is_name_wanted && first.is_whitespace();
                }
            }
        }
        None
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The length of the text that begins with this quote, in bytes: `'…'`, `'''…'''`, and with `r` in front, where a backslash
/// is a character like any other.
fn text_length(source: &str, from: usize, quote: char) -> usize {
    let rest = &source[from..];
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let end = if rest.starts_with(&triple) { triple.as_str() } else { &triple[..1] };
    let before = source[..from].trim_end_matches(['b', 'B']);
    let is_raw =
        before.ends_with(['r', 'R']) && !before.trim_end_matches(['r', 'R']).ends_with(is_word);
    let (mut at, mut escaped) = (end.len(), false);
    for c in rest[end.len()..].chars() {
        if !escaped && rest[at..].starts_with(end) {
            return at + end.len();
        }
        escaped = c == '\\' && !escaped && !is_raw;
        at += c.len_utf8();
    }
    rest.len()
}

/// Takes the endings from the names again, and makes of `x['name']` what `x.name` is.
pub(super) fn restore(expr: &mut IdedExpr) {
    match &mut expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Select(select) => {
            if let Some(name) = select.field.strip_suffix(ENDING) {
                select.field = name.to_owned();
            }
            restore(&mut select.operand);
        }
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| restore(target));
            call.args.iter_mut().for_each(restore);
            if let Some(select) = selection(call) {
                expr.expr = select;
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(restore),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| restore_entry(&mut entry.expr)),
        Expr::Struct(made) => {
            made.entries.iter_mut().for_each(|entry| restore_entry(&mut entry.expr));
        }
        Expr::Comprehension(all) => {
            restore(&mut all.iter_range);
            restore(&mut all.accu_init);
            restore(&mut all.loop_cond);
            restore(&mut all.loop_step);
            restore(&mut all.result);
        }
    }
}

fn restore_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => restore(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            restore(&mut entry.key);
            restore(&mut entry.value);
        }
    }
}

/// An index by a text that is written out selects the field or the key of that name.
fn selection(call: &CallExpr) -> Option<Expr> {
    let (op::INDEX, [operand, index]) = (call.func_name.as_str(), call.args.as_slice()) else {
        return None;
    };
    let Expr::Literal(LiteralValue::String(name)) = &index.expr else { return None };
    let field = name.inner().to_owned();
    Some(Expr::Select(SelectExpr { operand: Box::new(operand.clone()), field, test: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> String {
        readable(source).text.replace(ENDING, "#")
    }

    #[test]
    fn a_word_is_a_name_behind_a_dot_and_nowhere_else() {
        assert_eq!(
            shown("a.in in [b. true, true, c.null.in]"),
            "a.in# in [b. true#, true, c.null#.in#]"
        );
        assert_eq!(shown("a.`in` + b.`package`"), "a.in# + b.package#");
        for unchanged in [
            "'a.in' + \"b.`in`\"",
            "'''it's a.in''' + r'\\' + 'x'",
            "'\\'.in'",
            "a.inner + in.x",
            "1.5 in a",
            "a.`in",
            "a.`x y`",
            "a // b.in",
            "`in`",
        ] {
            assert_eq!(shown(unchanged), unchanged);
        }
        assert_eq!(shown("r'\\'.in"), "r'\\'.in#");
    }

    #[test]
    fn a_place_in_what_the_parser_takes_is_one_in_what_was_written() {
        let source = "é.in + a.`in` + b";
        let readable = readable(source);
        for at in ["+ a", "+ b", "b"] {
            let place = |text: &str| text[..text.rfind(at).unwrap()].chars().count();
            assert_eq!(readable.written(place(&readable.text)), place(source), "{at}");
        }
    }
}
