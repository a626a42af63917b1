//! Clients of the five services, and how a shop is filled through them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Result;
use proto::{
    checkout::v1::checkout_service_client::CheckoutServiceClient,
    facade::v1::Money,
    order::v1::order_service_client::OrderServiceClient,
    payment::v1::{OpenWalletRequest, TopUpRequest, payment_service_client::PaymentServiceClient},
    points::v1::{EarnRequest, OpenAccountRequest, points_service_client::PointsServiceClient},
    saga::v1::{ListDefinitionsRequest, saga_service_client::SagaServiceClient},
    stock::v1::{AddStockRequest, UpsertProductRequest, stock_service_client::StockServiceClient},
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

/// How long an answer is waited for while a process starts.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// Clients of all five services. A clone shares the connections.
#[derive(Clone)]
pub struct Clients {
    pub checkout: CheckoutServiceClient<Channel>,
    pub sagas: SagaServiceClient<Channel>,
    pub orders: OrderServiceClient<Channel>,
    pub stock: StockServiceClient<Channel>,
    pub points: PointsServiceClient<Channel>,
    pub payments: PaymentServiceClient<Channel>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// Of the mesh on these ports. They connect when they are first asked.
    ///
    /// # Errors
    /// None that is known: the addresses are sound.
    pub fn at(port_base: u16) -> Result<Self> {
        Self::from(Ipv4Addr::LOCALHOST, port_base)
    }

    /// The same, from another address of this machine.
    ///
    /// # Errors
    /// None that is known: the addresses are sound.
    pub fn from(address: Ipv4Addr, port_base: u16) -> Result<Self> {
        let channel = |offset: u16| -> Result<Channel> {
            let url = format!("http://{}:{}", Ipv4Addr::LOCALHOST, port_base + offset);
            let endpoint = Endpoint::from_shared(url)?.tcp_nodelay(true);
            Ok(endpoint.local_address(Some(IpAddr::V4(address))).connect_lazy())
        };
        let orchestrator = channel(0)?;
        Ok(Self {
            checkout: CheckoutServiceClient::new(orchestrator.clone()),
            sagas: SagaServiceClient::new(orchestrator),
            orders: OrderServiceClient::new(channel(1)?),
            stock: StockServiceClient::new(channel(2)?),
            points: PointsServiceClient::new(channel(3)?),
            payments: PaymentServiceClient::new(channel(4)?),
        })
    }

    /// Whether the orchestrator answers.
    pub async fn answers(&self) -> bool {
        let mut request = Request::new(ListDefinitionsRequest::default());
        request.set_timeout(ANSWER_TIMEOUT);
        self.sagas.clone().list_definitions(request).await.is_ok()
    }

    /// Puts goods on sale, at so many cents.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn add_goods(&self, sku: &str, cents: i64, units: i64) -> Result<(), Status> {
        let (mut stock, request_id) = (self.stock.clone(), format!("goods-{sku}"));
        let product = UpsertProductRequest {
            request_id: request_id.clone(),
            sku: sku.to_owned(),
            title: format!("Fine {sku}"),
            price: euros(cents),
            on_sale: true,
        };
        stock.upsert_product(product).await?;
        let units = AddStockRequest { request_id, sku: sku.to_owned(), quantity: units };
        stock.add_stock(units).await?;
        Ok(())
    }

    /// Opens an account of points and a wallet, with so much in them.
    ///
    /// # Errors
    /// What the services answer.
    pub async fn add_member(&self, user_id: &str, points: i64, cents: i64) -> Result<(), Status> {
        let (request_id, user_id) = (format!("member-{user_id}"), user_id.to_owned());
        let (mut accounts, mut payments) = (self.points.clone(), self.payments.clone());
        let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
        accounts.open_account(open).await?;
        let earn = EarnRequest { request_id: request_id.clone(), user_id: user_id.clone(), points };
        accounts.earn(earn).await?;
        let open = OpenWalletRequest {
            request_id: request_id.clone(),
            user_id: user_id.clone(),
            currency: "EUR".to_owned(),
        };
        payments.open_wallet(open).await?;
        if cents > 0 {
            payments.top_up(TopUpRequest { request_id, user_id, amount: euros(cents) }).await?;
        }
        Ok(())
    }
}

fn euros(minor_units: i64) -> Option<Money> {
    Some(Money { currency: "EUR".to_owned(), minor_units })
}
