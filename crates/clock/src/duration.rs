//! Durations as a definition and the settings write them: a whole number and a unit, `500ms`, `30s`, `2m`, `1h`, `1d`.

use std::time::Duration;

/// Longest duration: a year. Anything longer is a slip of the unit.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Reads a duration.
///
/// # Errors
/// What is wrong with it; [`CURE`] says how it is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is not a duration")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a duration"))?;
    let duration = number.checked_mul(per_unit).map(Duration::from_millis);
    match duration {
        Some(Duration::ZERO) => Err("a duration of nothing".to_owned()),
        Some(duration) if duration <= MAX_DURATION => Ok(duration),
        _ => Err(format!("`{text}` is longer than a year")),
    }
}

/// A duration as it is read again: in the largest unit that it is a whole number of, and what is below a millisecond left
/// out.
#[must_use]
pub fn text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let whole =
        units.into_iter().find(|(per_unit, _)| millis > 0 && millis.is_multiple_of(*per_unit));
    let (per_unit, unit) = whole.unwrap_or((1, "ms"));
    format!("{}{unit}", millis / per_unit)
}

/// How a duration is written, for a cure.
pub const CURE: &str = "write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(parse("1d"), Ok(Duration::from_secs(86_400)));
    }

    #[test]
    fn a_duration_is_written_as_it_is_read_again() {
        for written in ["500ms", "90s", "2m", "36h", "1d", "7d", "90001ms"] {
            assert_eq!(text(parse(written).unwrap()), written);
        }
        assert_eq!(text(Duration::from_secs(86_400)), "1d");
        assert_eq!(text(Duration::ZERO), "0ms");
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in ["", "30", "s", "1.5s", "-1s", "30 s", "0s", "9999d", "99999999999999999999s"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
