//! A YAML document as a tree in which every key and every value knows where it stands.
//!
//! Built from parser events, so that duplicate keys, anchors and tags can be refused with their
//! place, and so that a character inside an expression can be traced back to the file.
//! Aliases are refused altogether: a small file of them unfolds into a huge one.

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::problem::{Position, Problems};

/// Longest file that is read, in bytes. A definition of 256 steps is a tenth of it.
pub const MAX_SOURCE: usize = 512 * 1024;

/// A value of the document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(Text, Node)>),
}

/// A scalar as it was written.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) at: Position,
    pub(super) value: String,
    /// Written without quotes, so that `5` is a number and `true` a boolean.
    plain: bool,
    /// Where each character of `value` stands in the file; empty where that cannot be told.
    places: Vec<Position>,
}

/// What a scalar stands for, by YAML 1.2's core schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

impl Text {
    pub(super) fn literal(&self) -> Literal {
        if !self.plain {
            return Literal::Text;
        }
        match self.value.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Literal::Null,
            "true" | "True" | "TRUE" => Literal::Bool(true),
            "false" | "False" | "FALSE" => Literal::Bool(false),
            number => number_of(number).unwrap_or(Literal::Text),
        }
    }

    /// Where the character at `offset` of the value stands in the file.
    pub(super) fn place(&self, offset: usize) -> Position {
        let last = self.places.len().saturating_sub(1);
        self.places.get(offset.min(last)).copied().unwrap_or(self.at)
    }
}

impl Node {
    pub(super) fn text(&self) -> Option<&Text> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.text().is_some_and(|text| text.literal() == Literal::Null)
    }

    /// What kind of value it is, for a sentence.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Text(text) => match text.literal() {
                Literal::Null => "nothing",
                Literal::Bool(_) => "a boolean",
                Literal::Int(_) | Literal::Float(_) => "a number",
                Literal::Text => "a text",
            },
        }
    }
}

fn number_of(text: &str) -> Option<Literal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let int = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => i128::from_str_radix(hex, 16).ok(),
        (_, Some(octal)) => i128::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    };
    let float = || text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Literal::Float);
    int.map(Literal::Int).or_else(float)
}

/// Reads the one document of `source`. What cannot be read is a problem, and then there is no tree.
pub(super) fn parse(source: &str, problems: &mut Problems) -> Option<Node> {
    if source.len() > MAX_SOURCE {
        let what = format!("the file has {} bytes, more than {MAX_SOURCE}", source.len());
        problems.add(Position::START, what, "split it into several sagas");
        return None;
    }
    let mut tree = Tree { source, open: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str(source) {
        match event {
            Ok((event, span)) => tree.take(event, span, problems),
            Err(error) => {
                let what = format!("this is not YAML: {}", error.info());
                let cure =
                    "mend the indentation, or put an expression with brackets or `: ` in quotes";
                problems.add(position(error.marker()), what, cure);
                return None;
            }
        }
    }
    if tree.root.is_none() && problems.is_empty() {
        problems.add(Position::START, "the file is empty", "begin with `saga: the-name`");
    }
    tree.root
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A collection whose end has not been seen.
enum Open {
    List(Position, Vec<Node>),
    Map(Position, Vec<(Text, Node)>, Pending),
}

/// What a mapping waits for.
enum Pending {
    Key,
    Value(Text),
    /// The value of a key that is not a text, which was reported.
    Nothing,
}

struct Tree<'s> {
    source: &'s str,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, span: Span, problems: &mut Problems) {
        let at = position(&span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    let cure = "put each saga into a file of its own";
                    problems.add(at, "a second document begins here", cure);
                }
            }
            Event::Scalar(value, style, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some(), problems);
                let text = text_of(self.source, value.into_owned(), style, &span);
                self.put(Node { at, kind: Kind::Text(text) }, problems);
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some(), problems);
                self.open.push(Open::List(at, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some(), problems);
                self.open.push(Open::Map(at, Vec::new(), Pending::Key));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(at, items)) => {
                    self.put(Node { at, kind: Kind::List(items) }, problems);
                }
                Some(Open::Map(at, entries, _)) => {
                    self.put(Node { at, kind: Kind::Map(entries) }, problems);
                }
                None => {}
            },
            Event::Alias(_) => {
                problems.add(at, "aliases are not supported", "write the value out here");
                let text = Text { at, value: String::new(), plain: true, places: Vec::new() };
                self.put(Node { at, kind: Kind::Text(text) }, problems);
            }
            _ => {}
        }
    }

    fn put(&mut self, node: Node, problems: &mut Problems) {
        match self.open.last_mut() {
            None if self.documents <= 1 => self.root = Some(node),
            None => {}
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, pending)) => {
                *pending = match std::mem::replace(pending, Pending::Key) {
                    Pending::Key => key_of(node, entries, problems),
                    Pending::Value(key) => {
                        entries.push((key, node));
                        Pending::Key
                    }
                    Pending::Nothing => Pending::Key,
                }
            }
        }
    }
}

fn key_of(node: Node, entries: &[(Text, Node)], problems: &mut Problems) -> Pending {
    let at = node.at;
    match node.kind {
        Kind::Text(key) if entries.iter().any(|(other, _)| other.value == key.value) => {
            problems.add(at, format!("`{}` is given twice", key.value), "keep one of them");
            Pending::Nothing
        }
        Kind::Text(key) => Pending::Value(key),
        Kind::List(_) | Kind::Map(_) => {
            problems.add(at, "a key must be a text", "put the collection behind a key");
            Pending::Nothing
        }
    }
}

fn refuse_extras(at: Position, anchor: usize, tagged: bool, problems: &mut Problems) {
    if anchor != 0 {
        problems.add(at, "anchors are not supported", "remove the `&name`");
    }
    if tagged {
        problems.add(at, "tags are not supported", "remove the `!tag`");
    }
}

fn text_of(source: &str, value: String, style: ScalarStyle, span: &Span) -> Text {
    let raw = span
        .start
        .byte_offset()
        .zip(span.end.byte_offset())
        .and_then(|(start, end)| source.get(start..end))
        .unwrap_or_default();
    let places = places(&value, raw, style, position(&span.start));
    Text { at: position(&span.start), value, plain: style == ScalarStyle::Plain, places }
}

/// Aligns the characters of a scalar with the text it was written as. Folded lines and doubled
/// quotes are stepped over; where the two part (an escape such as `\n`), the rest stays unknown
/// and the scalar's own start has to do.
fn places(value: &str, raw: &str, style: ScalarStyle, start: Position) -> Vec<Position> {
    let mut at = start;
    let mut raw = raw.chars();
    let mut places = Vec::with_capacity(value.len());
    // The span of a block scalar begins with its text, that of a quoted one with its quote.
    let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    if quoted && raw.next().is_some() {
        at.column += 1;
    }
    let mut previous = ' ';
    for wanted in value.chars() {
        let mut found = at;
        for c in raw.by_ref() {
            let here = at;
            at = match c {
                '\n' => Position { line: at.line + 1, column: 1 },
                _ => Position { column: at.column + 1, ..at },
            };
            if c == wanted || (wanted.is_whitespace() && c.is_whitespace()) {
                found = here;
                break;
            }
            let skipped = c.is_whitespace()
                || (c == '\'' && previous == '\'' && style == ScalarStyle::SingleQuoted)
                || (c == '\\' && style == ScalarStyle::DoubleQuoted);
            if !skipped {
                return places;
            }
        }
        places.push(found);
        previous = wanted;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(source: &str) -> (Option<Node>, Vec<String>) {
        let mut problems = Problems::new("t.yaml");
        let node = parse(source, &mut problems);
        (node, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    fn entries(source: &str) -> Vec<(Text, Node)> {
        let (node, problems) = tree(source);
        assert_eq!(problems, [""; 0]);
        match node.unwrap().kind {
            Kind::Map(entries) => entries,
            other => panic!("a mapping, not {other:?}"),
        }
    }

    fn place(source: &str, offset: usize) -> (usize, usize) {
        let entries = entries(source);
        let place = entries[0].1.text().unwrap().place(offset);
        (place.line, place.column)
    }

    #[test]
    fn a_character_of_an_expression_is_found_in_the_file() {
        assert_eq!(place("k: a.b + c", 4), (1, 8), "plain");
        assert_eq!(place("k: \"a.b + c\"", 4), (1, 9), "double quotes");
        assert_eq!(place("k: 'x == ''y'' + z'", 9), (1, 16), "doubled quotes");
        assert_eq!(place("k: >-\n  a.b\n  + c", 4), (3, 3), "folded");
        assert_eq!(place("k: |\n  a.b\n  + c\n", 4), (3, 3), "literal");
        assert_eq!(place("ключ: \"ä + b\"", 4), (1, 12), "characters, not bytes");
        assert_eq!(place("k: \"a\\tb\"", 2), (1, 5), "an escape leaves the last known place");
    }

    #[test]
    fn scalars_are_numbers_and_booleans_only_without_quotes() {
        let source = "a: 5\nb: '5'\nc: true\nd: 1.5\ne:\nf: 1.2.3\ng: nan\nh: 0x10";
        let literals: Vec<Literal> =
            entries(source).iter().map(|(_, node)| node.text().unwrap().literal()).collect();
        assert_eq!(
            literals,
            [
                Literal::Int(5),
                Literal::Text,
                Literal::Bool(true),
                Literal::Float(1.5),
                Literal::Null,
                Literal::Text,
                Literal::Text,
                Literal::Int(16),
            ]
        );
    }

    #[test]
    fn what_would_be_misread_is_refused_with_its_place() {
        assert_eq!(tree("a: 1\na: 2").1, ["t.yaml:2:1: `a` is given twice; keep one of them"]);
        assert_eq!(
            tree("a: &x 1\nb: *x").1,
            [
                "t.yaml:1:7: anchors are not supported; remove the `&name`",
                "t.yaml:2:4: aliases are not supported; write the value out here"
            ]
        );
        assert_eq!(tree("a: !!str 1").1.len(), 1);
        assert_eq!(tree("a: 1\n---\nb: 2").1.len(), 1);
        assert_eq!(tree("").1, ["t.yaml:1:1: the file is empty; begin with `saga: the-name`"]);
        assert!(tree("a: [1, 2").1[0].contains("this is not YAML"));
    }
}
