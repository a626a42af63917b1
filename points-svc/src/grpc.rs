//! The handlers: proto to domain and back, and nothing else.

mod wire;

use ::store::Database;
use clock::{Clock, Timestamp};
use facade::{Call, Facade, Failure, Inbox, Reply, page::Page};
use participant::Direction;
use proto::points::v1::{
    DeductRequest, DeductResponse, EarnRequest, EarnResponse, GetAccountRequest,
    GetAccountResponse, GetMemberRequest, GetMemberResponse, ListEntriesRequest,
    ListEntriesResponse, OpenAccountRequest, OpenAccountResponse, RefundRequest, RefundResponse,
    SetStandingRequest, SetStandingResponse,
};

use crate::{error::Error, handlers::points_service::PointsService, store};

/// The service on its database.
pub(crate) struct Service {
    database: Database,
    inbox: Inbox,
    clock: Clock,
}

impl Service {
    pub(crate) fn new(database: Database, facade: &Facade) -> Self {
        let (inbox, clock) = (facade.inbox(database.clone()), facade.clock().clone());
        Self { database, inbox, clock }
    }
}

impl PointsService for Service {
    async fn get_member(
        &self,
        call: Call,
        request: GetMemberRequest,
    ) -> Result<Reply<GetMemberResponse>, Failure> {
        call.step_key()?;
        let response = match store::member(&self.database, &request.user_id).await {
            Ok(member) => GetMemberResponse {
                result: None,
                found: true,
                suspended: member.suspended,
                balance: member.balance,
            },
            Err(Error::UserUnknown { .. }) => GetMemberResponse::default(),
            Err(error) => return Err(error.into()),
        };
        Ok(response.into())
    }

    async fn deduct(
        &self,
        call: Call,
        request: DeductRequest,
    ) -> Result<Reply<DeductResponse>, Failure> {
        let DeductRequest { user_id, order_no, points } = request;
        let at = self.clock.now();
        self.inbox
            .call(&call, move |connection| {
                let member = store::spend(connection, &user_id, &order_no, points, at)?;
                Ok(DeductResponse { result: None, balance: member.balance, order_no })
            })
            .await
    }

    async fn refund(
        &self,
        call: Call,
        request: RefundRequest,
    ) -> Result<Reply<RefundResponse>, Failure> {
        let (order_no, at) = (request.order_no, self.clock.now());
        match call.step_key()?.direction() {
            Direction::Forward => {
                self.inbox
                    .call(&call, move |connection| Ok(refund(connection, &order_no, at)?))
                    .await
            }
            Direction::Undo => {
                self.inbox
                    .undo(&call, move |connection, spent: DeductResponse| {
                        // The order is that of the call that is undone, not the one in the undo's own request.
                        Ok(refund(connection, &spent.order_no, at)?)
                    })
                    .await
            }
        }
    }

    async fn open_account(
        &self,
        call: Call,
        request: OpenAccountRequest,
    ) -> Result<Reply<OpenAccountResponse>, Failure> {
        let user_id = request.user_id;
        self.inbox
            .request_of(&call, &user_id.clone(), &request.request_id, move |connection| {
                let member = store::open(connection, &user_id)?;
                Ok(OpenAccountResponse { result: None, account: Some(member.into()) })
            })
            .await
    }

    async fn set_standing(
        &self,
        call: Call,
        request: SetStandingRequest,
    ) -> Result<Reply<SetStandingResponse>, Failure> {
        let (user_id, suspended) = (request.user_id, request.suspended);
        self.inbox
            .request_of(&call, &user_id.clone(), &request.request_id, move |connection| {
                let member = store::set_standing(connection, &user_id, suspended)?;
                Ok(SetStandingResponse { result: None, account: Some(member.into()) })
            })
            .await
    }

    async fn earn(&self, call: Call, request: EarnRequest) -> Result<Reply<EarnResponse>, Failure> {
        let (user_id, points, at) = (request.user_id, request.points, self.clock.now());
        self.inbox
            .request_of(&call, &user_id.clone(), &request.request_id, move |connection| {
                let member = store::earn(connection, &user_id, points, at)?;
                Ok(EarnResponse { result: None, account: Some(member.into()) })
            })
            .await
    }

    async fn get_account(
        &self,
        _call: Call,
        request: GetAccountRequest,
    ) -> Result<Reply<GetAccountResponse>, Failure> {
        let member = store::member(&self.database, &request.user_id).await?;
        Ok(GetAccountResponse { result: None, account: Some(member.into()) }.into())
    }

    async fn list_entries(
        &self,
        _call: Call,
        request: ListEntriesRequest,
    ) -> Result<Reply<ListEntriesResponse>, Failure> {
        let ListEntriesRequest { user_id, page_size, page_token } = request;
        let page = Page::<i64>::read(page_size, &page_token, &[&user_id])?;
        // An unknown user is an error, unlike a user without entries.
        store::member(&self.database, &user_id).await?;
        let after = page.cursor.unwrap_or_default();
        let found = store::entries(&self.database, &user_id, after, page.fetch()).await?;
        let (entries, next_page_token) = page.cut(found, |entry| (entry.seq, entry.into()));
        Ok(ListEntriesResponse { result: None, entries, next_page_token }.into())
    }
}

fn refund(
    connection: &store::Connection,
    order_no: &str,
    at: Timestamp,
) -> Result<RefundResponse, Error> {
    let (member, points) = store::refund(connection, order_no, at)?;
    Ok(RefundResponse { result: None, points, balance: member.balance })
}
