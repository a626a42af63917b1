//! The handlers: proto to domain and back, and nothing else.

mod wire;

use std::sync::{Mutex, PoisonError};

use ::store::Database;
use clock::{Clock, Timestamp};
use facade::{Call, Facade, Failure, Inbox, Reply, page::Page};
use money::{Currency, Money};
use participant::Direction;
use proto::payment::v1::{
    ChargeRequest, ChargeResponse, GetPaymentRequest, GetPaymentResponse, GetWalletRequest,
    GetWalletResponse, ListPaymentsRequest, ListPaymentsResponse, OpenWalletRequest,
    OpenWalletResponse, RefundRequest, RefundResponse, TopUpRequest, TopUpResponse,
};
use uuid::{ContextV7, Uuid};

use crate::{
    gateway::Gateway,
    handlers::payment_service::PaymentService,
    pay,
    payment::{Payment, State},
    store,
};

/// The service on its database, with the gateway that moves the money.
pub(crate) struct Service<G> {
    database: Database,
    inbox: Inbox,
    clock: Clock,
    gateway: G,
}

/// Ids of one millisecond are in the order in which they were given.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// An id that tells when it was given.
fn new_id(now: Timestamp) -> Uuid {
    let context = IDS.lock().unwrap_or_else(PoisonError::into_inner);
    let nanos = u32::try_from(now.0 % 1_000 * 1_000_000).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(&*context, now.0 / 1_000, nanos))
}

impl<G: Gateway> Service<G> {
    pub(crate) fn new(database: Database, facade: &Facade, gateway: G) -> Self {
        let (inbox, clock) = (facade.inbox(database.clone()), facade.clock().clone());
        Self { database, inbox, clock, gateway }
    }

    fn new_payment(&self, request: ChargeRequest) -> Result<Payment, Failure> {
        let amount = wire::amount(request.amount.as_ref())?;
        let created_at = self.clock.now();
        Ok(Payment {
            payment_no: format!("P-{}", new_id(created_at).simple()),
            order_no: request.order_no,
            user_id: request.user_id,
            state: State::Processing,
            amount,
            refunded: Money::new(amount.currency, 0),
            failure: None,
            created_at,
        })
    }
}

impl<G: Gateway> PaymentService for Service<G> {
    async fn charge(
        &self,
        call: Call,
        request: ChargeRequest,
    ) -> Result<Reply<ChargeResponse>, Failure> {
        let (payment, gateway, at) =
            (self.new_payment(request)?, self.gateway.clone(), self.clock.now());
        self.inbox
            .call(&call, move |connection| {
                Ok(wire::charged(pay::charge(&gateway, connection, payment, at)?))
            })
            .await
    }

    async fn refund(
        &self,
        call: Call,
        request: RefundRequest,
    ) -> Result<Reply<RefundResponse>, Failure> {
        let (order_no, gateway, at) = (request.order_no, self.gateway.clone(), self.clock.now());
        match call.step_key()?.direction() {
            Direction::Forward => {
                self.inbox
                    .call(&call, move |connection| {
                        Ok(wire::refunded(pay::refund(&gateway, connection, &order_no, at)?))
                    })
                    .await
            }
            Direction::Undo => {
                self.inbox
                    .undo(&call, move |connection, charged: ChargeResponse| {
                        let payment_no = &charged.payment_no;
                        Ok(wire::refunded(pay::undo(&gateway, connection, payment_no, at)?))
                    })
                    .await
            }
        }
    }

    async fn open_wallet(
        &self,
        call: Call,
        request: OpenWalletRequest,
    ) -> Result<Reply<OpenWalletResponse>, Failure> {
        let user_id = request.user_id;
        let currency: Currency = request
            .currency
            .parse()
            .map_err(|error: money::Error| Failure::invalid("currency", error.to_string()))?;
        self.inbox
            .request_of(&call, &user_id.clone(), &request.request_id, move |connection| {
                let wallet = store::open_wallet(connection, &user_id, currency)?;
                Ok(OpenWalletResponse { result: None, wallet: Some(wallet.into()) })
            })
            .await
    }

    async fn top_up(
        &self,
        call: Call,
        request: TopUpRequest,
    ) -> Result<Reply<TopUpResponse>, Failure> {
        let (user_id, amount) = (request.user_id, wire::amount(request.amount.as_ref())?);
        let at = self.clock.now();
        let transaction_no = format!("top-up/{}", new_id(at).simple());
        self.inbox
            .request_of(&call, &user_id.clone(), &request.request_id, move |connection| {
                let wallet = store::top_up(connection, transaction_no, &user_id, amount, at)?;
                Ok(TopUpResponse { result: None, wallet: Some(wallet.into()) })
            })
            .await
    }

    async fn get_wallet(
        &self,
        _call: Call,
        request: GetWalletRequest,
    ) -> Result<Reply<GetWalletResponse>, Failure> {
        let wallet = store::wallet(&self.database, &request.user_id).await?;
        Ok(GetWalletResponse { result: None, wallet: Some(wallet.into()) }.into())
    }

    async fn get_payment(
        &self,
        _call: Call,
        request: GetPaymentRequest,
    ) -> Result<Reply<GetPaymentResponse>, Failure> {
        let payment = store::payment(&self.database, &request.payment_no).await?;
        Ok(GetPaymentResponse { result: None, payment: Some(payment.into()) }.into())
    }

    async fn list_payments(
        &self,
        _call: Call,
        request: ListPaymentsRequest,
    ) -> Result<Reply<ListPaymentsResponse>, Failure> {
        let ListPaymentsRequest { user_id, page_size, page_token } = request;
        let page = Page::<String>::read(page_size, &page_token, &[&user_id])?;
        // No number is empty, so the first page begins behind the empty number.
        let after = page.cursor.as_deref().unwrap_or_default();
        let found = store::payments(&self.database, &user_id, after, page.fetch()).await?;
        let (payments, next_page_token) =
            page.cut(found, |payment| (payment.payment_no.clone(), payment.into()));
        Ok(ListPaymentsResponse { result: None, payments, next_page_token }.into())
    }
}

#[cfg(test)]
mod tests;
