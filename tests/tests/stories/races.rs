//! Many at once: on the last unit, under one token, and cancels against the placing that they cancel.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use proto::{order::v1::OrderState, saga::v1::SagaState};
use tests::{
    Mesh,
    shop::{TEA, cancel, code, order},
};

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_who_race_for_the_last_units_exactly_that_many_win() {
    let mesh = Mesh::start().await;
    mesh.add_goods("last", 100, 3).await;
    for user in 0..64 {
        mesh.add_member(&format!("u{user}"), 0, 1_000).await;
    }
    let racers = (0..64).map(|user| {
        let request = order("race", &format!("u{user}"), "last", 1);
        let mesh = &mesh;
        async move { mesh.place(request).await }
    });
    let answers = join_all(racers).await;
    let codes: Vec<String> = answers.iter().map(|answer| code(answer.result.as_ref())).collect();
    assert_eq!(codes.iter().filter(|code| *code == "OK").count(), 3, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| *code == "INSUFFICIENT_STOCK").count(), 61, "{codes:?}");

    let last = mesh.units("last").await;
    assert_eq!((last.available, last.frozen, last.sold), (0, 0, 3));
    let mut paid = 0;
    for user in 0..64 {
        paid += 1_000 - mesh.wallet(&format!("u{user}")).await;
    }
    assert_eq!(paid, 300);
    assert!(
        mesh.sagas_in(&[SagaState::Running, SagaState::Compensating, SagaState::Attention])
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_from_thirty_two_clients_at_once_places_one_order() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let answers = join_all((0..32).map(|_| mesh.place(order("t-1", "ada", "tea", 2)))).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(code(answers[0].result.as_ref()), "OK");
    assert_eq!(mesh.balances().await.tea, (98, 0, 2));
    assert_eq!(mesh.wallet("ada").await, 10_000 - 2 * TEA);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_cancels_at_once_one_refunds_and_the_others_are_declined() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 5)).await;
    let cancels =
        (0..16).map(|number| mesh.cancel(cancel(&format!("c-{number}"), "ada", &placed.order_no)));
    let answers = join_all(cancels).await;
    let codes: Vec<String> = answers.iter().map(|answer| code(answer.result.as_ref())).collect();
    assert_eq!(codes.iter().filter(|code| *code == "OK").count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| code == "OK" || code == "ORDER_STATE"), "{codes:?}");
    assert_eq!(mesh.balances().await, before);
}

/// The order that a saga has created, as soon as it has.
async fn order_of(mesh: &Mesh, user: &str) -> String {
    let clock = clock::Clock::system();
    loop {
        let request =
            proto::order::v1::ListOrdersRequest { user_id: user.to_owned(), ..Default::default() };
        let orders = mesh.orders().list_orders(request).await.unwrap().into_inner().orders;
        if let Some(order) = orders.first() {
            return order.order_no.clone();
        }
        clock.sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_races_the_placing_undoes_everything_once_whichever_comes_first() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let mut endings = BTreeSet::new();
    let clock = clock::Clock::system();
    for round in 0..24_u64 {
        let user = format!("racer{round}");
        mesh.add_member(&user, 100, 10_000).await;
        let mut request = order("t", &user, "tea", 1);
        request.points = 10;
        let placing = mesh.place(request);
        let cancelling = async {
            let order_no = order_of(&mesh, &user).await;
            // A little later in each round, so that the cancel meets every step of the placing.
            clock.sleep(Duration::from_millis(round / 2)).await;
            (mesh.cancel(cancel("c", &user, &order_no)).await, order_no)
        };
        let (placed, (cancelled, order_no)) = tokio::join!(placing, cancelling);
        assert_eq!(code(cancelled.result.as_ref()), "OK", "{cancelled:?} after {placed:?}");
        let state = mesh.order_state(&order_no).await;
        match state {
            OrderState::Cancelled => {
                assert_eq!(code(placed.result.as_ref()), "CANCELLED_BY_OPERATOR", "{placed:?}");
                assert_eq!(cancelled.state, "ORDER_STATE_CANCELLED");
            }
            OrderState::Refunded => {
                assert_eq!(code(placed.result.as_ref()), "OK", "{placed:?}");
                assert_eq!(cancelled.state, "ORDER_STATE_REFUNDED");
            }
            other => panic!("the order ended {other:?}: {placed:?}, {cancelled:?}"),
        }
        assert_eq!(mesh.wallet(&user).await, 10_000);
        assert_eq!(mesh.points_of(&user).await, 100);
        endings.insert(state.as_str_name());
    }
    assert_eq!(mesh.balances().await, before);
    println!("endings met: {endings:?}");
}
