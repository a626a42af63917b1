//! Who makes the call, in which step of which saga, and how it wants a failure told.

use http::HeaderName;
use participant::SagaMetadata;
use tonic::transport::server::TcpConnectInfo;

use super::Head;
use crate::Caller;

static RESPONSE_MODE: HeaderName = HeaderName::from_static("x-response-mode");
const ENVELOPE: &str = "envelope";

/// The caller, the saga's step, and how the caller wants failures.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    pub(crate) saga: SagaMetadata,
    /// Failures are told as OK with a filled `ResultInfo`.
    pub(crate) envelope: bool,
}

pub(super) fn before(head: &Head<'_>) -> Identity {
    let connection = head.extensions.get::<TcpConnectInfo>();
    Identity {
        caller: Caller { peer: connection.and_then(TcpConnectInfo::remote_addr) },
        saga: SagaMetadata::of(head.headers),
        envelope: head.headers.get(&RESPONSE_MODE).is_some_and(|mode| mode == ENVELOPE),
    }
}
