//! How long a caller waits: the `grpc-timeout` header, read and written.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The time that the caller gives; `None` where it sets no deadline.
///
/// # Errors
/// A sentence when the header is malformed: at most 8 digits and one of `H M S m u n`.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let Some(value) = headers.get(&GRPC_TIMEOUT) else { return Ok(None) };
    let malformed = || "grpc-timeout must be 1 to 8 digits and one of H M S m u n".to_owned();
    let text = value.to_str().map_err(|_| malformed())?;
    let split = text
        .len()
        .checked_sub(1)
        .filter(|split| text.is_char_boundary(*split))
        .ok_or_else(malformed)?;
    let (digits, unit) = text.split_at(split);
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let count: u64 = digits.parse().map_err(|_| malformed())?;
    match unit {
        "H" => Ok(Some(Duration::from_secs(count * 3600))),
        "M" => Ok(Some(Duration::from_secs(count * 60))),
        "S" => Ok(Some(Duration::from_secs(count))),
        "m" => Ok(Some(Duration::from_millis(count))),
        "u" => Ok(Some(Duration::from_micros(count))),
        "n" => Ok(Some(Duration::from_nanos(count))),
        _ => Err(malformed()),
    }
}

/// Tells the callee how long this call is waited for: in the finest unit that fits 8 digits.
pub(crate) fn write(limit: Duration, headers: &mut HeaderMap) {
    let fits = |count: u128| count < 100_000_000;
    let text = if fits(limit.as_micros()) {
        format!("{}u", limit.as_micros())
    } else if fits(limit.as_millis()) {
        format!("{}m", limit.as_millis())
    } else {
        format!("{}S", limit.as_secs().min(99_999_999))
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(&GRPC_TIMEOUT, value);
    }
}

/// What a handler may use of the caller's time: the rest carries the answer back, so that a caller learns why rather
/// than only that its time is up.
pub(crate) fn usable(limit: Duration) -> Duration {
    limit.saturating_sub(to_answer(limit))
}

/// When a call is answered at the latest, whatever it waits for: later than a handler's own time, and while there is
/// still time for the answer to arrive.
pub(crate) fn latest(limit: Duration) -> Duration {
    limit.saturating_sub(to_answer(limit) / 2)
}

fn to_answer(limit: Duration) -> Duration {
    (limit / 10).min(Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let written = [
            (Duration::from_micros(7), "7u"),
            (Duration::from_secs(30), "30000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_hours(200), "720000S"),
        ];
        for (limit, text) in written {
            let mut headers = HeaderMap::new();
            write(limit, &mut headers);
            assert_eq!(headers[&GRPC_TIMEOUT], text);
            assert_eq!(read(&headers), Ok(Some(limit)));
        }
        let mut headers = HeaderMap::new();
        write(Duration::MAX, &mut headers);
        assert_eq!(headers[&GRPC_TIMEOUT], "99999999S", "the longest that can be said");
    }

    #[test]
    fn every_unit_of_grpc_is_read() {
        let units = [
            ("2H", Duration::from_hours(2)),
            ("2M", Duration::from_mins(2)),
            ("2S", Duration::from_secs(2)),
            ("2m", Duration::from_millis(2)),
            ("2u", Duration::from_micros(2)),
            ("2n", Duration::from_nanos(2)),
            ("12345678n", Duration::from_nanos(12_345_678)),
        ];
        for (text, limit) in units {
            let mut headers = HeaderMap::new();
            headers.insert(&GRPC_TIMEOUT, HeaderValue::from_static(text));
            assert_eq!(read(&headers), Ok(Some(limit)), "{text}");
        }
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_tenth_of_the_time_is_left_to_answer_and_never_more_than_100_ms() {
        let ms = Duration::from_millis;
        for (limit, handler, last) in [(10_000, 9_900, 9_950), (1_000, 900, 950), (200, 180, 190)] {
            assert_eq!((usable(ms(limit)), latest(ms(limit))), (ms(handler), ms(last)));
        }
    }

    #[test]
    fn a_malformed_timeout_is_an_error_and_not_an_endless_call() {
        for text in ["", "S", "5", "5x", "123456789S", "-1S", "1.5S"] {
            let mut headers = HeaderMap::new();
            headers.insert(&GRPC_TIMEOUT, HeaderValue::from_static(text));
            assert!(read(&headers).is_err(), "{text:?}");
        }
    }
}
