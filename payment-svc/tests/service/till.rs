//! A payment service on a database of its own, and how its callers speak to it.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proto::{
    facade::v1::Money,
    payment::v1::{
        ChargeRequest, ChargeResponse, GetPaymentRequest, GetWalletRequest, ListPaymentsRequest,
        OpenWalletRequest, Payment, RefundRequest, TopUpRequest,
        payment_service_client::PaymentServiceClient,
    },
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use stage::{Open, ServiceUnderTest, code_or_status};
use tonic::{Request, Status, service::Routes};

pub(crate) use stage::{code, euros, message, paths, step};

pub(crate) type Client = PaymentServiceClient<Routes>;

pub(crate) struct Till(ServiceUnderTest);

/// One side of a transaction in the ledger.
pub(crate) struct Movement {
    pub(crate) transaction_no: String,
    pub(crate) account: String,
    pub(crate) amount: i64,
}

impl Till {
    pub(crate) async fn open() -> Self {
        let open: Open = |folder, facade| Box::pin(payment_svc::open(folder, facade));
        Self(ServiceUnderTest::open("payment.db", open).await)
    }

    /// The same till after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        Self(self.0.reopened().await)
    }

    pub(crate) fn client(&self) -> Client {
        PaymentServiceClient::new(self.0.routes())
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.advance(duration);
    }

    /// Opens a wallet in euros, with so many cents.
    pub(crate) async fn has(&self, user_id: &str, cents: i64) {
        let opened = self.client().open_wallet(open(&format!("{user_id}-opens"), user_id)).await;
        assert_eq!(code(opened.unwrap().get_ref()), "OK");
        if cents > 0 {
            assert_eq!(self.tops_up(&format!("{user_id}-fills"), user_id, cents).await, "OK");
        }
    }

    /// Puts euros into a wallet, and gives the code, or the status where it is not OK.
    pub(crate) async fn tops_up(&self, request_id: &str, user_id: &str, cents: i64) -> String {
        let filled = self.client().top_up(top_up(request_id, user_id, cents)).await;
        code_or_status(filled)
    }

    /// Charges in a saga.
    pub(crate) async fn charge(
        &self,
        saga: &str,
        user_id: &str,
        order_no: &str,
        cents: i64,
    ) -> ChargeResponse {
        let request = charge(user_id, order_no, cents);
        self.client().charge(step(saga, request)).await.unwrap().into_inner()
    }

    /// Charges in a saga, and gives the code.
    pub(crate) async fn charges(
        &self,
        saga: &str,
        user_id: &str,
        order_no: &str,
        cents: i64,
    ) -> String {
        code(&self.charge(saga, user_id, order_no, cents).await).to_owned()
    }

    /// Refunds as a step of the saga, and gives the code.
    pub(crate) async fn refunds(&self, saga: &str, order_no: &str) -> String {
        let refunded = self.client().refund(step(saga, refund(order_no))).await;
        code(refunded.unwrap().get_ref()).to_owned()
    }

    /// Undoes the charge of the saga, and gives the code.
    pub(crate) async fn undoes(&self, saga: &str, order_no: &str) -> String {
        let undone = self.client().refund(undo(saga, refund(order_no))).await;
        code(undone.unwrap().get_ref()).to_owned()
    }

    /// Cents in a wallet.
    pub(crate) async fn cents(&self, user_id: &str) -> i64 {
        let answer = self.client().get_wallet(wallet(user_id)).await;
        answer.unwrap().into_inner().wallet.unwrap().balance.unwrap().minor_units
    }

    pub(crate) async fn payment(&self, payment_no: &str) -> Payment {
        let request = GetPaymentRequest { payment_no: payment_no.to_owned() };
        self.client().get_payment(request).await.unwrap().into_inner().payment.unwrap()
    }

    /// The user's payments, at most a thousand.
    pub(crate) async fn payments(&self, user_id: &str) -> Vec<Payment> {
        let request = ListPaymentsRequest { page_size: 1000, ..list(user_id) };
        self.client().list_payments(request).await.unwrap().into_inner().payments
    }

    /// The whole ledger, which no method shows.
    pub(crate) async fn movements(&self) -> Vec<Movement> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("select transaction_no, account, amount from movement order by at, transaction_no, account")
                .fetch_all(&mut self.books().await)
                .await
                .unwrap();
        let movement =
            |(transaction_no, account, amount)| Movement { transaction_no, account, amount };
        rows.into_iter().map(movement).collect()
    }

    /// What every account holds, the shop's and the bank's too.
    pub(crate) async fn balances(&self) -> BTreeMap<String, i64> {
        let rows: Vec<(String, i64)> = sqlx::query_as("select id, balance from account")
            .fetch_all(&mut self.books().await)
            .await
            .unwrap();
        rows.into_iter().collect()
    }

    async fn books(&self) -> SqliteConnection {
        self.disk(true).await
    }

    /// A connection beside the service's own.
    pub(crate) async fn disk(&self, read_only: bool) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.0.file()).read_only(read_only);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Calls a method with bytes as they are.
    pub(crate) async fn raw(
        &self,
        path: &'static str,
        request: Request<Vec<u8>>,
    ) -> Result<Bytes, Status> {
        stage::raw(self.0.routes(), path, request).await
    }
}

/// A saga's undo of its charge.
pub(crate) fn undo(saga: &str, request: RefundRequest) -> Request<RefundRequest> {
    stage::undo(saga, stage::name_of::<ChargeRequest>(), request)
}

pub(crate) fn charge(user_id: &str, order_no: &str, cents: i64) -> ChargeRequest {
    ChargeRequest {
        user_id: user_id.to_owned(),
        order_no: order_no.to_owned(),
        amount: Some(euros(cents)),
    }
}

pub(crate) fn refund(order_no: &str) -> RefundRequest {
    RefundRequest { order_no: order_no.to_owned(), reason: "declined elsewhere".to_owned() }
}

pub(crate) fn open(request_id: &str, user_id: &str) -> OpenWalletRequest {
    OpenWalletRequest {
        request_id: request_id.to_owned(),
        user_id: user_id.to_owned(),
        currency: "EUR".to_owned(),
    }
}

pub(crate) fn top_up(request_id: &str, user_id: &str, cents: i64) -> TopUpRequest {
    TopUpRequest {
        request_id: request_id.to_owned(),
        user_id: user_id.to_owned(),
        amount: Some(euros(cents)),
    }
}

pub(crate) fn wallet(user_id: &str) -> GetWalletRequest {
    GetWalletRequest { user_id: user_id.to_owned() }
}

/// The first page of a user's payments.
pub(crate) fn list(user_id: &str) -> ListPaymentsRequest {
    ListPaymentsRequest { user_id: user_id.to_owned(), page_size: 0, page_token: String::new() }
}

pub(crate) fn dollars(minor_units: i64) -> Money {
    Money { currency: "USD".to_owned(), minor_units }
}
