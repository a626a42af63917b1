//! A small shop behind the ports of a mesh.

use std::net::SocketAddr;

use proto::{
    checkout::v1::{Line, PlaceOrderRequest, checkout_service_client::CheckoutServiceClient},
    facade::v1::Money,
    payment::v1::{OpenWalletRequest, TopUpRequest, payment_service_client::PaymentServiceClient},
    points::v1::{OpenAccountRequest, points_service_client::PointsServiceClient},
    saga::v1::{ListSagasRequest, SagaState, saga_service_client::SagaServiceClient},
    stock::v1::{AddStockRequest, UpsertProductRequest, stock_service_client::StockServiceClient},
};
use tonic::transport::{Channel, Endpoint};

/// The shop of the mesh whose orchestrator is on this port, and its services on the four that follow.
#[derive(Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) base: u16,
}

impl Shop {
    pub(crate) fn channel(&self, offset: u16) -> Channel {
        let address = SocketAddr::from(([127, 0, 0, 1], self.base + offset));
        Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
    }

    /// Puts tea on sale: two transactions of the stock's.
    pub(crate) async fn add_tea(&self) {
        let (request_id, sku) = ("r".to_owned(), "tea".to_owned());
        let price = Some(Money { currency: "EUR".to_owned(), minor_units: 100 });
        let mut stock = StockServiceClient::new(self.channel(2));
        let product = UpsertProductRequest {
            request_id: request_id.clone(),
            sku: sku.clone(),
            title: "Tea".to_owned(),
            price,
            on_sale: true,
        };
        stock.upsert_product(product).await.unwrap();
        stock.add_stock(AddStockRequest { request_id, sku, quantity: 100_000 }).await.unwrap();
    }

    pub(crate) async fn open(&self) {
        self.add_tea().await;
        let (request_id, user_id) = ("r".to_owned(), "ada".to_owned());
        let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
        PointsServiceClient::new(self.channel(3)).open_account(open).await.unwrap();
        let mut payments = PaymentServiceClient::new(self.channel(4));
        let currency = "EUR".to_owned();
        let open = OpenWalletRequest {
            request_id: request_id.clone(),
            user_id: user_id.clone(),
            currency: currency.clone(),
        };
        payments.open_wallet(open).await.unwrap();
        let amount = Some(Money { currency, minor_units: 100_000_000 });
        payments.top_up(TopUpRequest { request_id, user_id, amount }).await.unwrap();
    }

    /// Places an order; `None` where the answer did not come.
    pub(crate) async fn place(&self, token: &str) -> Option<(String, String)> {
        let request = PlaceOrderRequest {
            submit_token: token.to_owned(),
            user_id: "ada".to_owned(),
            lines: vec![Line { sku: "tea".to_owned(), quantity: 1 }],
            points: 0,
        };
        let answer = CheckoutServiceClient::new(self.channel(0))
            .place_order(request)
            .await
            .ok()?
            .into_inner();
        assert!(answer.result.unwrap().success);
        Some((answer.saga_id, answer.order_no))
    }

    pub(crate) async fn unfinished(&self) -> usize {
        let states = [SagaState::Running, SagaState::Compensating, SagaState::Attention];
        let request = ListSagasRequest {
            states: states.into_iter().map(i32::from).collect(),
            page_size: 1000,
            ..ListSagasRequest::default()
        };
        let mut sagas = SagaServiceClient::new(self.channel(0));
        sagas.list_sagas(request).await.unwrap().into_inner().sagas.len()
    }
}
