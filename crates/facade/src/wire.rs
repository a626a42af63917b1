//! What every service's translation between domain and wire shares.
//!
//! Times that come in a message are read here and nowhere else: what others can write into these messages is more than what
//! their own conversions can take without a panic.

use std::{any::Any, error::Error, time::Duration};

use clock::Timestamp;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;

/// What a message may have in its `nanos`.
const NANOS: std::ops::RangeInclusive<i32> = 0..=999_999_999;
/// Ten thousand years: what the contract of `google.protobuf.Duration` allows.
const DURATION_SECONDS: std::ops::RangeInclusive<i64> = 0..=315_576_000_000;
/// The years 1 to 9999: what the contract of `google.protobuf.Timestamp` allows.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// An instant as messages carry it.
#[must_use]
pub fn instant(at: Timestamp) -> prost_types::Timestamp {
    let Timestamp(ms) = at;
    prost_types::Timestamp {
        seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(ms % 1000 * 1_000_000).unwrap_or_default(),
    }
}

/// A time span as a message carries it.
///
/// # Errors
/// What it must be, for [`crate::Failure::invalid`].
pub fn read_duration(message: &prost_types::Duration) -> Result<Duration, &'static str> {
    let whole = DURATION_SECONDS.contains(&message.seconds) && NANOS.contains(&message.nanos);
    let parts = (u64::try_from(message.seconds), u32::try_from(message.nanos));
    match parts {
        (Ok(seconds), Ok(nanos)) if whole => Ok(Duration::new(seconds, nanos)),
        _ => Err("must be from 0 to 10000 years, its nanos from 0 to 999999999"),
    }
}

/// An instant as a message carries it; the epoch for one before it, where nothing of ours is older.
///
/// # Errors
/// What it must be, for [`crate::Failure::invalid`].
pub fn read_instant(message: &prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    if !TIMESTAMP_SECONDS.contains(&message.seconds) || !NANOS.contains(&message.nanos) {
        return Err("must be in the years 1 to 9999, its nanos from 0 to 999999999");
    }
    let since_epoch = match (u64::try_from(message.seconds), u32::try_from(message.nanos)) {
        (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
        _ => Duration::ZERO,
    };
    Ok(Timestamp(0).after(since_epoch))
}

/// How long a status asks to be left alone (`google.rpc.RetryInfo`), where it says so in its contract's range.
#[must_use]
pub fn retry_delay(status: &Status) -> Option<Duration> {
    let details = pb::Status::decode(status.details()).ok()?.details;
    let info = details.iter().find(|any| any.type_url == tonic_types::RetryInfo::TYPE_URL)?;
    let info = pb::RetryInfo::decode(info.value.as_slice()).ok()?;
    read_duration(&info.retry_delay?).ok()
}

/// An error with all that caused it, in one line. `Display` never repeats its source here, so the whole story is only
/// told by the chain.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The status's name as gRPC spells it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn duration(seconds: i64, nanos: i32) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos }
    }

    fn timestamp(seconds: i64, nanos: i32) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos }
    }

    /// Where sums and negations leave their range, and everything between.
    fn seconds() -> impl Strategy<Value = i64> {
        let edges = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        let ends = [*TIMESTAMP_SECONDS.start(), *TIMESTAMP_SECONDS.end(), *DURATION_SECONDS.end()];
        let near = prop::sample::select(ends.to_vec()).prop_flat_map(|end| end - 2..=end + 2);
        prop_oneof![prop::sample::select(edges.to_vec()), near, any::<i64>(), 0..2_000_000_000_i64]
    }

    fn nanos() -> impl Strategy<Value = i32> {
        let edges = [i32::MIN, i32::MIN + 1, -1_000_000_000, -1, 0, 999_999_999, 1_000_000_000];
        prop_oneof![prop::sample::select(edges.to_vec()), Just(i32::MAX), any::<i32>(), NANOS]
    }

    fn asking(delay: prost_types::Duration) -> Status {
        let info = pb::RetryInfo { retry_delay: Some(delay) };
        let type_url = tonic_types::RetryInfo::TYPE_URL.to_owned();
        let details = vec![prost_types::Any { type_url, value: info.encode_to_vec() }];
        let status = pb::Status { details, ..pb::Status::default() };
        Status::with_details(Code::Unavailable, "later", status.encode_to_vec().into())
    }

    proptest! {
        #[test]
        fn a_duration_is_read_exactly_or_refused(seconds in seconds(), nanos in nanos()) {
            let valid = DURATION_SECONDS.contains(&seconds) && NANOS.contains(&nanos);
            let read = read_duration(&duration(seconds, nanos));
            prop_assert_eq!(read.is_ok(), valid);
            prop_assert_eq!(retry_delay(&asking(duration(seconds, nanos))), read.ok());
            if let Ok(read) = read {
                let exact = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
                prop_assert_eq!(i128::try_from(read.as_nanos()).unwrap(), exact);
            }
        }

        #[test]
        fn an_instant_is_read_to_the_millisecond_or_refused(seconds in seconds(), nanos in nanos()) {
            let valid = TIMESTAMP_SECONDS.contains(&seconds) && NANOS.contains(&nanos);
            let read = read_instant(&timestamp(seconds, nanos));
            prop_assert_eq!(read.is_ok(), valid);
            if let Ok(Timestamp(millis)) = read {
                let exact = i128::from(seconds) * 1_000 + i128::from(nanos / 1_000_000);
                prop_assert_eq!(i128::from(millis), exact.max(0));
                if seconds >= 0 {
                    let written = instant(Timestamp(millis));
                    prop_assert_eq!((written.seconds, written.nanos / 1_000_000), (seconds, nanos / 1_000_000));
                }
            }
        }
    }

    #[test]
    fn an_instant_before_the_epoch_is_the_epoch() {
        assert_eq!(read_instant(&timestamp(-1, 999_999_999)), Ok(Timestamp(0)));
        assert_eq!(read_instant(&timestamp(*TIMESTAMP_SECONDS.start(), 0)), Ok(Timestamp(0)));
    }

    #[test]
    fn a_status_that_asks_for_nothing_has_no_delay() {
        assert_eq!(retry_delay(&Status::unavailable("later")), None);
        let garbage = Status::with_details(Code::Unavailable, "later", b"\xff\xff"[..].into());
        assert_eq!(retry_delay(&garbage), None);
    }
}
