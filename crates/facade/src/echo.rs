//! What is said again of text that came from outside: cut, so that nobody makes an answer or a log line as long as they
//! like. Whatever goes into a status, a violation or a field of the log passes here.

use std::borrow::Cow;

/// Bytes of a name, a path or a value.
pub const VALUE: usize = 256;
/// Bytes of a sentence. A status says it three times, in a header list of which many clients take 8 KiB.
pub const SENTENCE: usize = 512;
/// Bytes of an error with all that caused it, in the log.
pub(crate) const CAUSES: usize = 2048;

const ELLIPSIS: &str = "…";

/// The text, or as much of its beginning as fits into so many bytes with an ellipsis behind it. A limit is more than an
/// ellipsis has.
#[must_use]
pub fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let kept = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    Cow::Owned(format!("{}{ELLIPSIS}", &text[..kept]))
}

/// [`cut`] for a text that is one's own.
pub(crate) fn cut_owned(text: String, limit: usize) -> String {
    if text.len() <= limit { text } else { cut(&text, limit).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_at_a_character_and_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        assert_eq!(cut("ää ö", 6), "ä…", "no character is cut in two");
        let long = "💳".repeat(1_000);
        for limit in 3..40 {
            let cut = cut(&long, limit);
            assert!(cut.len() <= limit && cut.ends_with('…'), "{cut} for {limit}");
        }
    }
}
