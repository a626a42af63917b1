//! JSON inside a request, counted before it is parsed: a number of two characters becomes a value of dozens of bytes.

use proto::facade::v1::Reason;

use crate::{Call, Failure};

/// # Errors
/// OUT_OF_RANGE where the JSON in `field` has more members and entries than a message may have fields.
pub fn check(call: &Call, field: &str, json: &str) -> Result<(), Failure> {
    let max_fields = call.max_fields();
    if json.len() <= max_fields || values(json) <= max_fields {
        return Ok(());
    }
    let sentence = format!(
        "{field} has more than {max_fields} members and entries (limits.requests.max_fields)"
    );
    Err(Failure::new(Reason::MessageTooLarge, sentence))
}

/// How many values there are, of arrays and objects that are not empty at least one for each comma and opening.
fn values(json: &str) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_are_counted_and_what_stands_in_texts_is_not() {
        assert_eq!(values(r#"{"a": [1, 2, 3], "b": {}}"#), 6);
        assert_eq!(values(r#"{"a": "[1, {\"2\\\\\", 3"}"#), 1);
        assert_eq!(values(""), 0);
    }
}
