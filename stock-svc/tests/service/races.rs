//! Many at once: the books add up whoever comes first.

use stage::{CONCURRENT_CALLERS, code_or_status, concurrently, count, race_undoes};

use crate::shop::{Shop, freeze, step, undo, unfreeze};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_for_the_last_unit_exactly_one_gets_it() {
    let shop = Shop::open().await;
    shop.sells("tea", 1).await;
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = shop.client();
        async move {
            let order_no = format!("O-{number}");
            code_or_status(client.freeze(step(&order_no, freeze(&order_no, &[("tea", 1)]))).await)
        }
    }))
    .await;
    assert_eq!(
        (count(&codes, "OK"), count(&codes, "INSUFFICIENT_STOCK")),
        (1, CONCURRENT_CALLERS - 1)
    );
    assert_eq!(shop.units("tea").await, (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_orders_for_the_same_goods_in_any_order_of_lines_take_what_there_is() {
    let shop = Shop::open().await;
    shop.sells("tea", 40).await;
    shop.sells("cup", 50).await;
    let codes = concurrently((0..CONCURRENT_CALLERS).map(|number| {
        let mut client = shop.client();
        async move {
            let order_no = format!("O-{number}");
            let mut wanted = [("tea", 1), ("cup", 1)];
            if number % 2 == 0 {
                wanted.reverse();
            }
            code_or_status(client.freeze(step(&order_no, freeze(&order_no, &wanted))).await)
        }
    }))
    .await;
    assert_eq!(count(&codes, "OK"), 40);
    assert_eq!((shop.units("tea").await, shop.units("cup").await), ((0, 40, 0), (10, 40, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_of_one_freeze_take_its_units_once() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    let answers = concurrently((0..CONCURRENT_CALLERS).map(|_| {
        let mut client = shop.client();
        async move {
            let answer = client.freeze(step("s", freeze("O-1", &[("tea", 2)]))).await;
            answer.unwrap().into_inner()
        }
    }))
    .await;
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(shop.units("tea").await, (3, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_that_races_its_undo_leaves_nothing_frozen() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    let codes =
        race_undoes(
            |saga| {
                let mut client = shop.client();
                async move {
                    code_or_status(client.freeze(step(&saga, freeze(&saga, &[("tea", 1)]))).await)
                }
            },
            |saga| {
                let mut client = shop.client();
                async move { code_or_status(client.unfreeze(undo(&saga, unfreeze(&saga))).await) }
            },
        )
        .await;
    let known = ["OK", "SUPERSEDED", "INSUFFICIENT_STOCK"];
    assert!(codes.iter().all(|code| known.contains(&code.as_str())), "{codes:?}");
    assert_eq!(shop.units("tea").await, (5, 0, 0));
}
