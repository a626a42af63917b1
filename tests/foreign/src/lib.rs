//! A service of somebody else on the facade: its own contract and package, built by `facade-build`.

use facade::{Call, Decline, Failure, Reply, ResponseStream};
use futures::{StreamExt, stream};
use proto::facade::v1::Reason;

/// The library's messages.
#[expect(
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "facade-build, prost and tonic generate it"
)]
pub mod contracts {
    include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
}

/// What a library implements.
pub mod handlers {
    include!(concat!(env!("OUT_DIR"), "/handlers.rs"));
}

use contracts::library::v1::{BorrowRequest, BorrowResponse, WatchRequest, WatchResponse};

/// Lends everything to everybody but `nobody`.
pub struct Shelf;

impl handlers::library::Library for Shelf {
    async fn borrow(
        &self,
        call: Call,
        request: BorrowRequest,
    ) -> Result<Reply<BorrowResponse>, Failure> {
        let loan = format!("{}'s, in {}", request.reader, call.method());
        let lent = Reply::from(BorrowResponse { loan, result: None });
        Ok(match request.reader.as_str() {
            "nobody" => lent.declined(Decline::new(Reason::NothingToUndo, "nobody borrows")),
            _ => lent,
        })
    }

    /// One loan at once, and no other ever.
    async fn watch(
        &self,
        _: Call,
        request: WatchRequest,
    ) -> Result<ResponseStream<WatchResponse>, Failure> {
        let first = WatchResponse { loan: request.reader, result: None };
        Ok(stream::iter([Ok(first)]).chain(stream::pending()).boxed())
    }
}
