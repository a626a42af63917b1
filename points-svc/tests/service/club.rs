//! A points service on a database of its own, and how its callers speak to it.

use std::{fs::File, time::Duration};

use clock::{Clock, Hands, Timestamp};
use facade::{Facade, log::Calls, server::Server};
use proto::{
    Response,
    points::v1::{
        DeductRequest, EarnRequest, Entry, EntryKind, GetAccountRequest, GetMemberRequest,
        ListEntriesRequest, OpenAccountRequest, RefundRequest, SetStandingRequest,
        points_service_client::PointsServiceClient,
    },
};
use tempfile::TempDir;
use tonic::{Request, Status, service::Routes};
use tonic_types::StatusExt;

pub(crate) type Client = PointsServiceClient<Routes>;

pub(crate) struct Club {
    folder: TempDir,
    clock: Clock,
    hands: Hands,
    client: Client,
}

impl Club {
    pub(crate) async fn open() -> Self {
        let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_123));
        let folder = tempfile::tempdir().unwrap();
        let client = serve(&folder, &clock).await;
        Self { folder, clock, hands, client }
    }

    /// The same club after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        let Self { folder, clock, hands, client } = self;
        drop(client);
        // The database is free when its lock is.
        let lock = File::open(folder.path().join("points.db.lock")).unwrap();
        tokio::task::spawn_blocking(move || lock.lock().unwrap()).await.unwrap();
        let client = serve(&folder, &clock).await;
        Self { folder, clock, hands, client }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.hands.advance(duration);
    }

    /// Makes a user a member, with so many points.
    pub(crate) async fn has(&self, user_id: &str, points: i64) {
        let opened = self.client().open_account(open(&format!("{user_id}-opens"), user_id)).await;
        assert_eq!(code(opened.unwrap().get_ref()), "OK");
        if points > 0 {
            assert_eq!(self.earns(&format!("{user_id}-earns"), user_id, points).await, "OK");
        }
    }

    /// Adds points, and gives the code.
    pub(crate) async fn earns(&self, request_id: &str, user_id: &str, points: i64) -> String {
        let earned = self.client().earn(earn(request_id, user_id, points)).await;
        code(earned.unwrap().get_ref()).to_owned()
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
        let told = |entry: &Entry| (entry.kind(), entry.change, entry.balance_after);
        self.entries(user_id).await.iter().map(told).collect()
    }
}

async fn serve(folder: &TempDir, clock: &Clock) -> Client {
    let facade = Facade::new(clock.clone(), Calls::Notable);
    let mount = points_svc::open(folder.path().to_owned(), facade.clone()).await.unwrap();
    let (service, _health) = Server::new(facade).with(mount).build();
    PointsServiceClient::new(service.in_process())
}

/// A saga's call of the step that is named after the request's type.
pub(crate) fn step<Q>(saga: &str, request: Q) -> Request<Q> {
    directed(saga, "forward", std::any::type_name::<Q>(), request)
}

/// A saga's undo of its deduction.
pub(crate) fn undo(saga: &str, request: RefundRequest) -> Request<RefundRequest> {
    directed(saga, "undo", std::any::type_name::<DeductRequest>(), request)
}

fn directed<Q>(saga: &str, direction: &str, name: &str, request: Q) -> Request<Q> {
    let name = name.rsplit("::").next().unwrap_or(name);
    let mut request = Request::new(request);
    for (key, value) in [("saga-id", saga), ("saga-step", name), ("saga-direction", direction)] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    request
}

/// The result's code.
pub(crate) fn code<R: Response>(response: &R) -> &str {
    &response.result().unwrap().code
}

/// The result's sentence.
pub(crate) fn message<R: Response>(response: &R) -> &str {
    &response.result().unwrap().message
}

/// The registered reason of a status that is not OK.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// The paths of the fields that break a rule.
pub(crate) fn paths(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
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
