//! How long a log line may be: what is in it may come from anybody.

/// Bytes of a line.
const LINE_BYTES: usize = 16 << 10;
/// Bytes of a text in a JSON line that is cut.
const FIELD_BYTES: usize = 1 << 10;

/// The line, cut where it is too long. One of JSON is cut in its texts, so that it stays JSON.
pub(super) fn line(line: &[u8]) -> Vec<u8> {
    if line.len() <= LINE_BYTES {
        return line.to_vec();
    }
    json(line).unwrap_or_else(|| text(line))
}

fn json(line: &[u8]) -> Option<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(line).ok()?;
    cut_texts(&mut value);
    let mut cut = serde_json::to_vec(&value).ok()?;
    cut.push(b'\n');
    (cut.len() <= LINE_BYTES).then_some(cut)
}

fn cut_texts(value: &mut serde_json::Value) {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) if text.len() > FIELD_BYTES => {
            let kept = text.floor_char_boundary(FIELD_BYTES);
            let more = text.len() - kept;
            text.truncate(kept);
            text.push_str(&ending(more));
        }
        Object(fields) => fields.values_mut().for_each(cut_texts),
        Array(items) => items.iter_mut().for_each(cut_texts),
        _ => {}
    }
}

fn text(line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(&line[..LINE_BYTES]);
    let mut cut = text.into_owned();
    cut.push_str(&ending(line.len() - LINE_BYTES));
    cut.push('\n');
    cut.into_bytes()
}

fn ending(more: usize) -> String {
    format!("… ({more} bytes more)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_fits_is_left_as_it_is() {
        let fits = vec![b'x'; LINE_BYTES];
        assert_eq!(line(&fits), fits);
    }

    #[test]
    fn a_long_text_line_is_cut_and_says_how_much_is_missing() {
        let cut = String::from_utf8(line("é".repeat(LINE_BYTES).as_bytes())).unwrap();
        assert!(cut.len() < LINE_BYTES + 100, "{}", cut.len());
        assert!(cut.ends_with(&format!("… ({LINE_BYTES} bytes more)\n")), "{}", &cut[LINE_BYTES..]);
    }

    #[test]
    fn a_long_json_line_stays_json_with_its_other_fields() {
        let why = "é".repeat(LINE_BYTES);
        let long = serde_json::json!({"level": "WARN", "why": why, "span": {"method": why}});
        let cut = line(format!("{long}\n").as_bytes());
        assert_eq!(cut.iter().filter(|byte| **byte == b'\n').count(), 1);
        let cut: serde_json::Value = serde_json::from_slice(&cut).unwrap();
        assert_eq!(cut["level"], "WARN");
        let why = cut["why"].as_str().unwrap();
        assert!(why.len() < FIELD_BYTES + 100 && why.ends_with("bytes more)"), "{why}");
        assert!(cut["span"]["method"].as_str().unwrap().len() < FIELD_BYTES + 100);
    }

    #[test]
    fn json_with_too_many_fields_is_cut_as_text() {
        let long = serde_json::json!({"many": vec![1; LINE_BYTES]}).to_string();
        let cut = String::from_utf8(line(long.as_bytes())).unwrap();
        assert!(cut.len() < LINE_BYTES + 100 && cut.ends_with("bytes more)\n"));
    }
}
