use clock::Timestamp;
use facade::{log::Calls, server::Server};
use proto::order::v1::{Buyer, Item, QuotedItem, order_service_client::OrderServiceClient};
use stage::{body, code, database, euros, run_twice, step};

use super::*;
use crate::{SCHEMA, handlers::order_service};

fn tea() -> CreateOrderRequest {
    let (sku, price) = ("tea".to_owned(), Some(euros(350)));
    CreateOrderRequest {
        user_id: "ada".to_owned(),
        items: vec![Item { sku: sku.clone(), quantity: 1 }],
        points: 0,
        quotes: vec![QuotedItem { sku, found: true, on_sale: true, price, available: 9 }],
        buyer: Some(Buyer { found: true, suspended: false, points_balance: 0 }),
        submit_token: String::new(),
    }
}

fn numbers(connection: &store::Connection) -> Vec<String> {
    let numbers = connection.all("select order_no from orders", (), |row| row.get(0));
    numbers.map_err(|error: ::store::Error| error).unwrap()
}

#[tokio::test]
async fn an_order_has_the_same_number_when_its_work_is_run_again() {
    let (_folder, database) = database(SCHEMA).await;
    let facade = Facade::new(Clock::manual(Timestamp(1_000)).0, Calls::Notable);
    let mount = order_service::mount(Service::new(database.clone(), &facade));
    let (service, _health) = Server::new(facade).with(mount).build();
    let mut client = OrderServiceClient::new(service.in_process());

    let call = client.create_order(step("s1", tea()));
    let (created, [first, second]) = run_twice(&database, call, numbers).await;
    let created = body(created);
    assert_eq!((code(&created), &first), ("OK", &second));
    assert_eq!(first, [created.order_no]);
}
