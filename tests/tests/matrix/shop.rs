//! The shop as the matrix plays in it: for each saga a SKU, a member and a wallet of its own.

use futures::future::join_all;
use kit::{Mesh, Wiring, books};
use proto::{
    facade::v1::Money,
    order::v1::{ListOrdersRequest, order_service_client::OrderServiceClient},
    payment::v1::{
        GetWalletRequest, OpenWalletRequest, TopUpRequest,
        payment_service_client::PaymentServiceClient,
    },
    points::v1::{
        EarnRequest, GetAccountRequest, OpenAccountRequest,
        points_service_client::PointsServiceClient,
    },
    stock::v1::{
        AddStockRequest, GetStockRequest, UpsertProductRequest,
        stock_service_client::StockServiceClient,
    },
};
use sagamesh::shop::SHOP;

pub(crate) const ORDER: &str = "sagamesh.order.v1.OrderService";
pub(crate) const STOCK: &str = "sagamesh.stock.v1.StockService";
pub(crate) const POINTS: &str = "sagamesh.points.v1.PointsService";
pub(crate) const PAYMENT: &str = "sagamesh.payment.v1.PaymentService";

pub(crate) const UNITS: i64 = 100;
pub(crate) const INITIAL_BALANCE: i64 = 1_000;
pub(crate) const PRICE: i64 = 50;

/// The units of a saga's own goods, and what its own accounts hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Balances {
    pub(crate) available: i64,
    pub(crate) frozen: i64,
    pub(crate) sold: i64,
    pub(crate) points: i64,
    pub(crate) money: i64,
}

/// Before anything was bought.
pub(crate) const BEFORE_ANY_SAGA: Balances = Balances {
    available: UNITS,
    frozen: 0,
    sold: 0,
    points: INITIAL_BALANCE,
    money: INITIAL_BALANCE,
};

/// The four services on the mesh.
pub(crate) fn wiring() -> Wiring {
    let services = Wiring::new()
        .service(order_svc::open)
        .service(stock_svc::open)
        .service(points_svc::open)
        .service(payment_svc::open);
    let files = SHOP.files.iter();
    files.fold(services, |wiring, (name, source)| wiring.file(name, &with_attempts(source)))
}

/// A call that is never answered is asked until its saga's deadline where no attempts are stated. Here it is given up after
/// some, as what follows is the same, and much sooner there.
fn with_attempts(definition: &str) -> String {
    let steps = definition.split_inclusive("\n").collect::<Vec<_>>();
    let is_step = |line: &&str| line.starts_with("  - step:");
    let blocks = steps.chunk_by(|_, next| !is_step(next));
    let block = |lines: &[&str]| {
        let has = |key: &str| lines.iter().any(|line| line.starts_with(key));
        let is_bound = !has("    undo:") || has("    retry:");
        let text = lines.concat();
        if is_bound {
            text
        } else {
            text.trim_end().to_owned() + "\n    retry: { attempts: 5 }\n\n"
        }
    };
    blocks.map(block).collect()
}

pub(crate) fn sku(number: usize) -> String {
    format!("sku-{number}")
}

pub(crate) fn user(number: usize) -> String {
    format!("user-{number}")
}

fn euros(minor_units: i64) -> Option<Money> {
    Some(Money { currency: "EUR".to_owned(), minor_units })
}

/// Goods and accounts for the sagas of these numbers.
pub(crate) fn furnish(mesh: &Mesh, numbers: impl IntoIterator<Item = usize>) {
    mesh.block_on(join_all(numbers.into_iter().map(|number| one(mesh, number))));
}

async fn one(mesh: &Mesh, number: usize) {
    let (sku, user_id, request_id) = (sku(number), user(number), format!("r-{number}"));
    let mut stock = StockServiceClient::new(mesh.service(STOCK));
    let product = UpsertProductRequest {
        request_id: request_id.clone(),
        sku: sku.clone(),
        title: "Goods".to_owned(),
        price: euros(PRICE),
        on_sale: true,
    };
    stock.upsert_product(product).await.unwrap();
    let units = AddStockRequest { request_id: request_id.clone(), sku, quantity: UNITS };
    stock.add_stock(units).await.unwrap();
    let mut points = PointsServiceClient::new(mesh.service(POINTS));
    let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
    points.open_account(open).await.unwrap();
    let earn = EarnRequest {
        request_id: request_id.clone(),
        user_id: user_id.clone(),
        points: INITIAL_BALANCE,
    };
    points.earn(earn).await.unwrap();
    let mut payments = PaymentServiceClient::new(mesh.service(PAYMENT));
    let open = OpenWalletRequest {
        request_id: request_id.clone(),
        user_id: user_id.clone(),
        currency: "EUR".to_owned(),
    };
    payments.open_wallet(open).await.unwrap();
    payments
        .top_up(TopUpRequest { request_id, user_id, amount: euros(INITIAL_BALANCE) })
        .await
        .unwrap();
}

/// What the saga of this number left.
pub(crate) fn balances(mesh: &Mesh, number: usize) -> Balances {
    let (sku, user_id) = (sku(number), user(number));
    mesh.block_on(async {
        let mut stock = StockServiceClient::new(mesh.service(STOCK));
        let units = stock.get_stock(GetStockRequest { sku }).await.unwrap().into_inner();
        let units = units.stock.unwrap();
        let mut points = PointsServiceClient::new(mesh.service(POINTS));
        let account = GetAccountRequest { user_id: user_id.clone() };
        let account = points.get_account(account).await.unwrap().into_inner().account.unwrap();
        let mut payments = PaymentServiceClient::new(mesh.service(PAYMENT));
        let wallet = GetWalletRequest { user_id };
        let wallet = payments.get_wallet(wallet).await.unwrap().into_inner().wallet.unwrap();
        Balances {
            available: units.available,
            frozen: units.frozen,
            sold: units.sold,
            points: account.balance,
            money: wallet.balance.unwrap().minor_units,
        }
    })
}

/// The number of the order that was placed under this number.
pub(crate) fn order_no(mesh: &Mesh, number: usize) -> String {
    let request = ListOrdersRequest { user_id: user(number), ..ListOrdersRequest::default() };
    let mut orders = OrderServiceClient::new(mesh.service(ORDER));
    let listed = mesh.block_on(orders.list_orders(request)).unwrap().into_inner().orders;
    listed.first().unwrap().order_no.clone()
}

/// The books add up, and no saga is left that moves or needs a person.
pub(crate) fn check_books(mesh: &Mesh) {
    let books = mesh.block_on(books::read(&mesh.data())).unwrap();
    books.assert_right();
    assert_eq!((books.unfinished, books.in_attention), (0, 0), "a saga is left over: {books:?}");
}
