//! The text of a .proto file of an edition, written so that a compiler of proto3 reads it.
//!
//! Only the words change that proto3 has not: the lines stay where they are, so that what the compiler says is told with its
//! place in the file.

use std::ops::Range;

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FieldOptions, FileDescriptorProto, UninterpretedOption,
    uninterpreted_option::NamePart,
};

use super::editions::{EDITIONS, FEATURES};

/// What the option `default` is called for a compiler of proto3, which has none.
const DEFAULT: &str = "DEFAULT";

/// The text of a file of an edition.
pub(super) struct EditionSource {
    /// The edition's number.
    pub(super) edition: i32,
    /// The text in proto3.
    pub(super) proto3: String,
}

/// An edition that is not understood.
pub(super) struct UnknownEdition {
    pub(super) name: String,
    /// Where it stands, in bytes.
    pub(super) at: usize,
}

/// Reads the text of a .proto file; `None` where it is of no edition.
pub(super) fn read(source: &str) -> Result<Option<EditionSource>, UnknownEdition> {
    let tokens: Vec<Token<'_>> = Tokens { source, at: 0 }.collect();
    let [Token { text: "edition", at: start }, equals, name, end, ..] = tokens.as_slice() else {
        return Ok(None);
    };
    if equals.text != "=" || end.text != ";" {
        return Ok(None);
    }
    let year = name.text.trim_matches(['"', '\'']);
    let Some((_, edition)) = EDITIONS.iter().find(|(known, _)| *known == year) else {
        return Err(UnknownEdition { name: year.to_owned(), at: name.at });
    };
    let statement = *start..end.at + 1;
    let width = statement.len();
    let mut changes = vec![(statement, format!("{:width$}", "syntax=\"proto3\";"))];
    changes.extend(tokens.windows(4).filter_map(changed_word));
    Ok(Some(EditionSource { edition: *edition, proto3: replaced(source, &changes) }))
}

/// What is written in place of the second of these tokens, if anything is.
fn changed_word(tokens: &[Token<'_>]) -> Option<(Range<usize>, String)> {
    let [before, word, next, behind] = tokens else { return None };
    let range = word.at..word.at + word.text.len();
    let blank = || Some((range.clone(), " ".repeat(range.len())));
    let begins = matches!(before.text, ";" | "{" | "}");
    match (word.text, next.text) {
        ("default", "=") if matches!(before.text, "[" | ",") => Some((range, DEFAULT.to_owned())),
        ("export" | "local", "message" | "enum") if begins && behind.text != "=" => blank(),
        ("option", _) if before.text == "import" => blank(),
        // A compiler of proto3 knows no such identifier; as a text it is what a descriptor says.
        ("-", "inf" | "nan") if before.text == "=" => {
            Some((word.at..next.at + next.text.len(), format!("\"-{}\"", next.text)))
        }
        _ => None,
    }
}

fn replaced(source: &str, changes: &[(Range<usize>, String)]) -> String {
    let mut text = String::with_capacity(source.len());
    let mut from = 0;
    for (range, with) in changes {
        text.push_str(&source[from..range.start]);
        text.push_str(with);
        from = range.end;
    }
    text.push_str(&source[from..]);
    text
}

struct Token<'s> {
    text: &'s str,
    at: usize,
}

/// Words, texts and signs; no comments.
struct Tokens<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let rest = &self.source[self.at..];
            let first = rest.chars().next()?;
            let (is_token, length) = if rest.starts_with("//") {
                (false, rest.find('\n').unwrap_or(rest.len()))
            } else if rest.starts_with("/*") {
                (false, rest.find("*/").map_or(rest.len(), |end| end + 2))
            } else if first.is_whitespace() || first == '\u{feff}' {
                (false, first.len_utf8())
            } else if first == '"' || first == '\'' {
                (true, text_length(rest, first))
            } else if is_word(first) {
                (true, rest.find(|c| !is_word(c)).unwrap_or(rest.len()))
            } else {
                (true, first.len_utf8())
            };
            let at = self.at;
            self.at += length;
            if is_token {
                return Some(Token { text: &self.source[at..self.at], at });
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of a text with its quotes.
fn text_length(rest: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Gives the descriptor of an edition's text what was renamed, and takes from it the features that only generators of code
/// ask for: the compiler does not know them.
pub(super) fn mend(file: &mut FileDescriptorProto) {
    // proto2 has the fewest rules that an edition may break.
    file.syntax = None;
    if let Some(options) = &mut file.options {
        drop_features(&mut options.uninterpreted_option);
    }
    file.extension.iter_mut().for_each(mend_field);
    file.message_type.iter_mut().for_each(mend_message);
    let enums = file.enum_type.iter_mut().filter_map(|declared| declared.options.as_mut());
    enums.for_each(|options| drop_features(&mut options.uninterpreted_option));
    for service in &mut file.service {
        if let Some(options) = &mut service.options {
            drop_features(&mut options.uninterpreted_option);
        }
        let methods = service.method.iter_mut().filter_map(|method| method.options.as_mut());
        methods.for_each(|options| drop_features(&mut options.uninterpreted_option));
    }
}

fn mend_message(message: &mut DescriptorProto) {
    if let Some(options) = &mut message.options {
        drop_features(&mut options.uninterpreted_option);
    }
    message.field.iter_mut().for_each(mend_field);
    message.extension.iter_mut().for_each(mend_field);
    message.nested_type.iter_mut().for_each(mend_message);
    let enums = message.enum_type.iter_mut().filter_map(|declared| declared.options.as_mut());
    enums.for_each(|options| drop_features(&mut options.uninterpreted_option));
    let oneofs = message.oneof_decl.iter_mut().filter_map(|oneof| oneof.options.as_mut());
    oneofs.for_each(|options| drop_features(&mut options.uninterpreted_option));
}

fn mend_field(field: &mut FieldDescriptorProto) {
    let Some(FieldOptions { uninterpreted_option: options, .. }) = &mut field.options else {
        return;
    };
    drop_features(options);
    let is_default = |option: &UninterpretedOption| matches!(option.name.as_slice(), [name] if name.name_part == DEFAULT);
    if let Some(at) = options.iter().position(is_default) {
        field.default_value = default_value(&options.remove(at));
    }
}

/// The text of a default in a descriptor. What is not text on the wire is escaped as in C.
fn default_value(option: &UninterpretedOption) -> Option<String> {
    if let Some(text) = &option.string_value {
        let plain = String::from_utf8(text.clone());
        return Some(plain.unwrap_or_else(|_| text.escape_ascii().to_string()));
    }
    let number = option.positive_int_value.map(|number| number.to_string());
    let number = number.or(option.negative_int_value.map(|number| number.to_string()));
    number
        .or(option.double_value.map(|number| number.to_string()))
        .or(option.identifier_value.clone())
}

fn drop_features(options: &mut Vec<UninterpretedOption>) {
    let is_known =
        |part: &NamePart| !part.is_extension && FEATURES.contains(&part.name_part.as_str());
    options.retain(|option| match option.name.as_slice() {
        [features, feature, ..] if features.name_part == "features" => is_known(feature),
        _ => true,
    });
}
