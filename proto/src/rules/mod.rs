//! The rules that requests are validated by: stated once, as field options in the `.proto` files.
//!
//! [`violations`] checks a typed message through the `validator` attributes that `facade-build` makes of the rules;
//! [`dynamic_violations`] reads the same rules from the descriptor of a message that is known only at run time.
//! Both give the same violations for the same message.

mod bounds;
mod dynamic;
mod typed;

use validator::Validate;

pub use bounds::{Bounds, Excess};
pub use dynamic::dynamic_violations;
pub use typed::{currency, identifier, line, positive, unique, violations};

/// A typed message whose rules can be checked, with the messages inside it.
pub trait Checked: Validate {
    /// Shows each message directly inside this one, with its path from here.
    fn visit(&self, visit: &mut Visitor<'_>);
}

/// Is shown a message and its path.
pub type Visitor<'a> = dyn FnMut(&str, &dyn Checked) + 'a;

/// A field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The field's path in proto spelling, for example `lines[2].quantity`.
    pub path: String,
    /// What it must be. Never holds the value that was sent.
    pub message: String,
}

/// No message is looked into once this many violations are found: a request of a million bad lines must not cost more
/// than one of a hundred.
const MAX_VIOLATIONS: usize = 128;

const IDENTIFIER: &str = "must be 1 to 64 of A-Z a-z 0-9 . _ -";
const CURRENCY: &str = "must be an ISO 4217 code: three of A-Z";
/// What a text must be that is to be shown as it is.
pub const LINE: &str = "must be one line without control characters";
const POSITIVE: &str = "must be at least 1";

fn is_identifier(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether a text is one line, of characters that a terminal and a log show as they are.
#[must_use]
pub fn is_line(text: &str) -> bool {
    !text.chars().any(is_unshowable)
}

/// Whether a character moves a terminal's cursor, speaks to the terminal, or makes text read other than it is.
#[must_use]
pub fn is_unshowable(character: char) -> bool {
    // Separators of lines and paragraphs, marks and overrides of direction, and the byte order mark.
    let invisible = matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    character.is_control() || invisible
}

fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn double(first: usize, second: usize, field: &str) -> String {
    format!("entries {first} and {second} have the same {field}")
}

/// The first two entries that agree.
fn first_double<'a>(keys: impl Iterator<Item = &'a str>) -> Option<(usize, usize)> {
    let mut seen = std::collections::HashMap::new();
    keys.enumerate().find_map(|(index, key)| seen.insert(key, index).map(|first| (first, index)))
}
