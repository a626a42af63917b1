//! Repeats: the same request again, in another trace.

use prost::Message;
use proto::Response;
use tonic::{Request, Status};

use crate::{body, result_of};

/// Sends a request twice, in two traces, and checks that the answers agree byte for byte; gives the first.
///
/// The service is anything with a method `client()`.
#[macro_export]
macro_rules! twice {
    ($service:expr, $method:ident, $request:expr) => {{
        let first = $service.client().$method($crate::traced("1", $request)).await;
        let second = $service.client().$method($crate::traced("2", $request)).await;
        $crate::assert_same_answer(first, second, stringify!($method))
    }};
}

/// Sends a request that is refused twice, in two traces, and checks that both statuses are this one, with the same details;
/// gives it.
#[macro_export]
macro_rules! refused_twice {
    ($service:expr, $method:ident, $request:expr, $code:expr, $reason:expr) => {{
        let first = $service.client().$method($crate::traced("1", $request)).await;
        let second = $service.client().$method($crate::traced("2", $request)).await;
        $crate::assert_same_refusal(
            $crate::refused(first, $code, $reason),
            $crate::refused(second, $code, $reason),
        )
    }};
}

/// Checks that both statuses are that of the first trace, byte for byte.
#[must_use]
pub fn assert_same_refusal(first: Status, second: Status) -> Status {
    assert_eq!((first.message(), first.details()), (second.message(), second.details()));
    assert_eq!(result_of(&first).trace_id, "1".repeat(32));
    first
}

/// The request in the trace whose id is this digit, again and again.
pub fn traced<Q>(digit: &str, mut request: Request<Q>) -> Request<Q> {
    let header = format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16));
    request.metadata_mut().insert("traceparent", header.parse().unwrap());
    request
}

/// Checks that both answers are those of the first trace, byte for byte.
pub fn assert_same_answer<R: Message + Response>(
    first: Result<tonic::Response<R>, Status>,
    second: Result<tonic::Response<R>, Status>,
    method: &str,
) -> R {
    let (first, second) = (body(first), body(second));
    assert_eq!(first.encode_to_vec(), second.encode_to_vec(), "{method}");
    assert_eq!(first.result().unwrap().trace_id, "1".repeat(32), "{method}");
    first
}
