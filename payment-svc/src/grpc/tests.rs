use clock::Timestamp;
use facade::{log::Calls, server::Server};
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use stage::{body, code, database, euros, run_twice, step};

use super::*;
use crate::{SCHEMA, handlers::payment_service, wallet::Wallets};

fn texts(connection: &::store::Connection, statement: &str) -> Vec<String> {
    let texts = connection.all(statement, (), |row| row.get(0));
    texts.map_err(|error: ::store::Error| error).unwrap()
}

#[tokio::test]
async fn what_is_booked_has_the_same_number_when_its_work_is_run_again() {
    let (_folder, database) = database(SCHEMA).await;
    let facade = Facade::new(Clock::manual(Timestamp(1_000)).0, Calls::Notable);
    let mount = payment_service::mount(Service::new(database.clone(), &facade, Wallets));
    let (service, _health) = Server::new(facade).with(mount).build();
    let mut client = PaymentServiceClient::new(service.in_process());
    let (request_id, user_id) = ("r".to_owned(), "ann".to_owned());
    let (currency, amount) = ("EUR".to_owned(), Some(euros(50)));
    let open = OpenWalletRequest { request_id: request_id.clone(), user_id, currency };
    body(client.open_wallet(open).await);

    let top_up = TopUpRequest { request_id, user_id: "ann".to_owned(), amount: amount.clone() };
    let transfers = |connection: &_| texts(connection, "select transaction_no from movement");
    let (topped_up, [first, second]) = run_twice(&database, client.top_up(top_up), transfers).await;
    assert_eq!((code(&body(topped_up)), &first), ("OK", &second));

    let (user_id, order_no) = ("ann".to_owned(), "O-1".to_owned());
    let charge = step("s1", ChargeRequest { user_id, order_no, amount });
    let payments = |connection: &_| texts(connection, "select payment_no from payment");
    let (charged, [first, second]) = run_twice(&database, client.charge(charge), payments).await;
    let charged = body(charged);
    assert_eq!((code(&charged), &first), ("OK", &second));
    assert_eq!(first, [charged.payment_no]);
}
