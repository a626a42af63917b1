//! Many at once: the books add up whoever comes first.

use proto::points::v1::EntryKind;
use stage::{CONCURRENT_CALLERS, code_or_status, concurrently, count, race_undoes};

use crate::club::{Club, deduct, refund, step, undo};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_for_the_last_points_exactly_those_succeed_that_there_are_points_for() {
    let club = Club::open().await;
    club.has("ann", 52).await;
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = club.client();
        async move {
            let order_no = format!("O-{number}");
            code_or_status(client.deduct(step(&order_no, deduct("ann", &order_no, 5))).await)
        }
    }))
    .await;
    assert_eq!(
        (count(&codes, "OK"), count(&codes, "INSUFFICIENT_POINTS")),
        (10, CONCURRENT_CALLERS - 10)
    );
    assert_eq!(club.balance("ann").await, 2);
    assert_eq!(club.entries("ann").await.len(), 1 + 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_of_one_deduction_take_its_points_once() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let answers = concurrently((0..CONCURRENT_CALLERS).map(|_| {
        let mut client = club.client();
        async move {
            let answer = client.deduct(step("s", deduct("ann", "O-1", 20))).await;
            answer.unwrap().into_inner()
        }
    }))
    .await;
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(club.balance("ann").await, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_sagas_that_spend_on_one_order_one_does_and_of_many_refunds_one_does() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = club.client();
        async move {
            code_or_status(
                client.deduct(step(&format!("s{number}"), deduct("ann", "O-1", 5))).await,
            )
        }
    }))
    .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "ORDER_STATE")), (1, CONCURRENT_CALLERS - 1));

    let winner = codes.iter().position(|code| code == "OK").unwrap();
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = club.client();
        async move {
            // One of them is the undo of the saga that has spent them.
            let saga = format!("s{number}");
            let undoes = number == winner;
            let request = refund("O-1");
            let request = if undoes { undo(&saga, request) } else { step(&saga, request) };
            code_or_status(client.refund(request).await)
        }
    }))
    .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "ORDER_STATE")), (1, CONCURRENT_CALLERS - 1));
    let expected =
        [(EntryKind::Earn, 50, 50), (EntryKind::Spend, -5, 45), (EntryKind::Refund, 5, 50)];
    assert_eq!(club.movements("ann").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deduction_that_races_its_undo_leaves_nothing_spent() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let codes = race_undoes(
        |saga| {
            let mut client = club.client();
            async move { code_or_status(client.deduct(step(&saga, deduct("ann", &saga, 5))).await) }
        },
        |saga| {
            let mut client = club.client();
            async move { code_or_status(client.refund(undo(&saga, refund(&saga))).await) }
        },
    )
    .await;
    let known = ["OK", "SUPERSEDED", "INSUFFICIENT_POINTS"];
    assert!(codes.iter().all(|code| known.contains(&code.as_str())), "{codes:?}");
    assert_eq!(club.balance("ann").await, 50);
}
