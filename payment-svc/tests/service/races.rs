//! Many at once: the books add up whoever comes first.

use proto::payment::v1::PaymentState;
use stage::{CONCURRENT_CALLERS, code_or_status, concurrently, count, race_undoes};

use crate::till::{Till, charge, refund, step, top_up, undo};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_for_the_last_money_exactly_those_succeed_that_there_is_money_for() {
    let till = Till::open().await;
    till.has("ann", 52).await;
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = till.client();
        async move {
            let order_no = format!("O-{number}");
            code_or_status(client.charge(step(&order_no, charge("ann", &order_no, 5))).await)
        }
    }))
    .await;
    assert_eq!(
        (count(&codes, "OK"), count(&codes, "INSUFFICIENT_FUNDS")),
        (10, CONCURRENT_CALLERS - 10)
    );
    let balances = till.balances().await;
    assert_eq!((balances["wallet/ann"], balances["shop/EUR"], balances["bank/EUR"]), (2, 50, -52));
    let payments = till.payments("ann").await;
    let paid = payments.iter().filter(|one| one.state() == PaymentState::Success).count();
    assert_eq!((payments.len(), paid), (CONCURRENT_CALLERS, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_of_one_charge_or_one_top_up_move_its_money_once() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let charged =
        concurrently(
            (0..CONCURRENT_CALLERS).map(|_| {
                let mut client = till.client();
                async move {
                    client.charge(step("s", charge("ann", "O-1", 20))).await.unwrap().into_inner()
                }
            }),
        );
    let filled = concurrently((0..CONCURRENT_CALLERS).map(|_| {
        let mut client = till.client();
        async move { client.top_up(top_up("1", "ann", 7)).await.unwrap().into_inner() }
    }));
    let (charged, filled) = futures::join!(charged, filled);
    assert!(charged.iter().all(|answer| answer == &charged[0]));
    assert!(filled.iter().all(|answer| answer == &filled[0]));
    assert_eq!((till.cents("ann").await, till.payments("ann").await.len()), (37, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_sagas_that_pay_for_one_order_one_does_and_of_many_refunds_one_does() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = till.client();
        async move {
            code_or_status(
                client.charge(step(&format!("s{number}"), charge("ann", "O-1", 5))).await,
            )
        }
    }))
    .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "ORDER_STATE")), (1, CONCURRENT_CALLERS - 1));

    let winner = codes.iter().position(|code| code == "OK").unwrap();
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = till.client();
        async move {
            // One of them is the undo of the saga that has paid.
            let saga = format!("s{number}");
            let undoes = number == winner;
            let request = refund("O-1");
            let request = if undoes { undo(&saga, request) } else { step(&saga, request) };
            code_or_status(client.refund(request).await)
        }
    }))
    .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "ORDER_STATE")), (1, CONCURRENT_CALLERS - 1));
    assert_eq!((till.cents("ann").await, till.balances().await["shop/EUR"]), (50, 0));
    assert_eq!(till.movements().await.len(), 2 * 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_races_its_undo_leaves_nothing_paid() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let codes = race_undoes(
        |saga| {
            let mut client = till.client();
            async move { code_or_status(client.charge(step(&saga, charge("ann", &saga, 5))).await) }
        },
        |saga| {
            let mut client = till.client();
            async move { code_or_status(client.refund(undo(&saga, refund(&saga))).await) }
        },
    )
    .await;
    let known = ["OK", "SUPERSEDED", "INSUFFICIENT_FUNDS"];
    assert!(codes.iter().all(|code| known.contains(&code.as_str())), "{codes:?}");
    assert_eq!((till.cents("ann").await, till.balances().await["bank/EUR"]), (50, -50));
}
