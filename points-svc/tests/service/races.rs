//! Many at once: the books add up whoever comes first.

use proto::points::v1::EntryKind;
use stage::{MANY, at_once, count, race_undoes, told};

use crate::club::{Club, deduct, refund, step, undo};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_for_the_last_points_exactly_those_succeed_that_there_are_points_for() {
    let club = Club::open().await;
    club.has("ann", 52).await;
    let codes = at_once((0..MANY).map(|number| {
        let mut client = club.client();
        async move {
            let order_no = format!("O-{number}");
            told(client.deduct(step(&order_no, deduct("ann", &order_no, 5))).await)
        }
    }))
    .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "INSUFFICIENT_POINTS")), (10, MANY - 10));
    assert_eq!(club.balance("ann").await, 2);
    assert_eq!(club.entries("ann").await.len(), 1 + 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_of_one_deduction_take_its_points_once() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let answers = at_once((0..MANY).map(|_| {
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
    let codes =
        at_once((0..MANY).map(|number| {
            let mut client = club.client();
            async move {
                told(client.deduct(step(&format!("s{number}"), deduct("ann", "O-1", 5))).await)
            }
        }))
        .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "ORDER_STATE")), (1, MANY - 1));

    let winner = codes.iter().position(|code| code == "OK").unwrap();
    let codes = at_once((0..MANY).map(|number| {
        let mut client = club.client();
        async move {
            // One of them is the undo of the saga that has spent them.
            let saga = format!("s{number}");
            let undoes = number == winner;
            let request = refund("O-1");
            let request = if undoes { undo(&saga, request) } else { step(&saga, request) };
            told(client.refund(request).await)
        }
    }))
    .await;
    assert_eq!((count(&codes, "OK"), count(&codes, "ORDER_STATE")), (1, MANY - 1));
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
            async move { told(client.deduct(step(&saga, deduct("ann", &saga, 5))).await) }
        },
        |saga| {
            let mut client = club.client();
            async move { told(client.refund(undo(&saga, refund(&saga))).await) }
        },
    )
    .await;
    let known = ["OK", "SUPERSEDED", "INSUFFICIENT_POINTS"];
    assert!(codes.iter().all(|code| known.contains(&code.as_str())), "{codes:?}");
    assert_eq!(club.balance("ann").await, 50);
}
