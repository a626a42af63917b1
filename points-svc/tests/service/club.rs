//! A points service on a database of its own, and how its callers speak to it.

use std::time::Duration;

use proto::points::v1::{
    DeductRequest, EarnRequest, Entry, EntryKind, GetAccountRequest, GetMemberRequest,
    ListEntriesRequest, OpenAccountRequest, RefundRequest, SetStandingRequest,
    points_service_client::PointsServiceClient,
};
use stage::{Open, ServiceUnderTest, code_or_status};
use tonic::{Request, service::Routes};

pub(crate) use stage::{code, message, paths, step};

pub(crate) type Client = PointsServiceClient<Routes>;

pub(crate) struct Club(ServiceUnderTest);

impl Club {
    pub(crate) async fn open() -> Self {
        let open: Open = |folder, facade| Box::pin(points_svc::open(folder, facade));
        Self(ServiceUnderTest::open("points.db", open).await)
    }

    /// The same club after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        Self(self.0.reopened().await)
    }

    pub(crate) fn client(&self) -> Client {
        PointsServiceClient::new(self.0.routes())
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.advance(duration);
    }

    /// Makes a user a member, with so many points.
    pub(crate) async fn has(&self, user_id: &str, points: i64) {
        let opened = self.client().open_account(open(&format!("{user_id}-opens"), user_id)).await;
        assert_eq!(code(opened.unwrap().get_ref()), "OK");
        if points > 0 {
            assert_eq!(self.earns(&format!("{user_id}-earns"), user_id, points).await, "OK");
        }
    }

    /// Adds points, and gives the code, or the status where it is not OK.
    pub(crate) async fn earns(&self, request_id: &str, user_id: &str, points: i64) -> String {
        let earned = self.client().earn(earn(request_id, user_id, points)).await;
        code_or_status(earned)
    }

    /// Deducts in a saga, and gives the code.
    pub(crate) async fn deducts(
        &self,
        saga: &str,
        user_id: &str,
        order_no: &str,
        points: i64,
    ) -> String {
        let request = deduct(user_id, order_no, points);
        let deducted = self.client().deduct(step(saga, request)).await;
        code(deducted.unwrap().get_ref()).to_owned()
    }

    /// Refunds as a step of the saga, and gives the code.
    pub(crate) async fn refunds(&self, saga: &str, order_no: &str) -> String {
        let refunded = self.client().refund(step(saga, refund(order_no))).await;
        code(refunded.unwrap().get_ref()).to_owned()
    }

    /// Undoes the deduction of the saga, and gives the code.
    pub(crate) async fn undoes(&self, saga: &str, order_no: &str) -> String {
        let undone = self.client().refund(undo(saga, refund(order_no))).await;
        code(undone.unwrap().get_ref()).to_owned()
    }

    pub(crate) async fn balance(&self, user_id: &str) -> i64 {
        let answer = self.client().get_account(account(user_id)).await;
        answer.unwrap().into_inner().account.unwrap().balance
    }

    /// The account's ledger, at most a thousand entries.
    pub(crate) async fn entries(&self, user_id: &str) -> Vec<Entry> {
        let request = ListEntriesRequest { page_size: 1000, ..list(user_id) };
        self.client().list_entries(request).await.unwrap().into_inner().entries
    }

    /// Kind, change, and balance after it, of each entry.
    pub(crate) async fn movements(&self, user_id: &str) -> Vec<(EntryKind, i64, i64)> {
        let code_or_status = |entry: &Entry| (entry.kind(), entry.change, entry.balance_after);
        self.entries(user_id).await.iter().map(code_or_status).collect()
    }
}

/// A saga's undo of its deduction.
pub(crate) fn undo(saga: &str, request: RefundRequest) -> Request<RefundRequest> {
    stage::undo(saga, stage::name_of::<DeductRequest>(), request)
}

pub(crate) fn member(user_id: &str) -> GetMemberRequest {
    GetMemberRequest { user_id: user_id.to_owned() }
}

pub(crate) fn deduct(user_id: &str, order_no: &str, points: i64) -> DeductRequest {
    DeductRequest { user_id: user_id.to_owned(), order_no: order_no.to_owned(), points }
}

pub(crate) fn refund(order_no: &str) -> RefundRequest {
    RefundRequest { order_no: order_no.to_owned(), reason: "declined elsewhere".to_owned() }
}

pub(crate) fn open(request_id: &str, user_id: &str) -> OpenAccountRequest {
    OpenAccountRequest { request_id: request_id.to_owned(), user_id: user_id.to_owned() }
}

pub(crate) fn standing(request_id: &str, user_id: &str, suspended: bool) -> SetStandingRequest {
    SetStandingRequest { request_id: request_id.to_owned(), user_id: user_id.to_owned(), suspended }
}

pub(crate) fn earn(request_id: &str, user_id: &str, points: i64) -> EarnRequest {
    EarnRequest { request_id: request_id.to_owned(), user_id: user_id.to_owned(), points }
}

pub(crate) fn account(user_id: &str) -> GetAccountRequest {
    GetAccountRequest { user_id: user_id.to_owned() }
}

/// The first page of an account's ledger.
pub(crate) fn list(user_id: &str) -> ListEntriesRequest {
    ListEntriesRequest { user_id: user_id.to_owned(), page_size: 0, page_token: String::new() }
}
