//! What the saga steps do to units, and when they decline.

use std::time::Duration;

use proto::stock::v1::{FlowKind, QuoteRequest, UpsertProductRequest};

use crate::shop::{
    Shop, add, code, confirm, euros, freeze, lines, message, restock, step, undo, unfreeze, upsert,
};

#[tokio::test]
async fn a_quote_says_what_the_catalogue_has_in_the_order_asked() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    let cup =
        UpsertProductRequest { price: Some(euros(900)), on_sale: false, ..upsert("c", "cup") };
    shop.client().upsert_product(cup).await.unwrap();
    let request = QuoteRequest { lines: lines(&[("tea", 1), ("pot", 1), ("cup", 9)]) };
    let answer = shop.client().quote(step("s", request)).await.unwrap().into_inner();
    assert_eq!(code(&answer), "OK");

    let [tea, pot, cup] = answer.lines.try_into().unwrap();
    assert_eq!((tea.sku.as_str(), tea.found, tea.on_sale, tea.available), ("tea", true, true, 5));
    assert_eq!(tea.price, Some(euros(350)));
    assert_eq!((pot.sku.as_str(), pot.found, pot.on_sale, pot.price), ("pot", false, false, None));
    assert_eq!((cup.sku.as_str(), cup.found, cup.on_sale, cup.available), ("cup", true, false, 0));
}

#[tokio::test]
async fn a_repeated_quote_reads_again() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    for available in [5, 3] {
        let request = QuoteRequest { lines: lines(&[("tea", 1)]) };
        let answer = shop.client().quote(step("s", request)).await.unwrap().into_inner();
        assert_eq!(answer.lines[0].available, available);
        shop.freezes(&format!("O-{available}"), &[("tea", 2)]).await;
    }
}

#[tokio::test]
async fn an_orders_units_are_frozen_sold_and_come_back() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.sells("cup", 9).await;

    let wanted = [("tea", 2), ("cup", 1)];
    let frozen = shop.client().freeze(step("s1", freeze("O-1", &wanted))).await.unwrap();
    assert_eq!(frozen.get_ref().order_no, "O-1");
    assert_eq!(frozen.get_ref().lines, lines(&wanted));
    assert_eq!((shop.units("tea").await, shop.units("cup").await), ((3, 2, 0), (8, 1, 0)));

    let sold = shop.client().confirm(step("s1", confirm("O-1"))).await.unwrap();
    assert_eq!(sold.get_ref().lines, lines(&[("cup", 1), ("tea", 2)]));
    assert_eq!((shop.units("tea").await, shop.units("cup").await), ((3, 0, 2), (8, 0, 1)));

    let back = shop.client().restock(step("s2", restock("O-1"))).await.unwrap();
    assert_eq!(back.get_ref().lines, lines(&[("cup", 1), ("tea", 2)]));
    assert_eq!((shop.units("tea").await, shop.units("cup").await), ((5, 0, 0), (9, 0, 0)));
}

#[tokio::test]
async fn an_undone_freeze_makes_its_units_available_again() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 2)]).await;
    let released = shop.client().unfreeze(undo("O-1", unfreeze("O-1"))).await.unwrap();
    assert_eq!(released.get_ref().lines, lines(&[("tea", 2)]));
    assert_eq!(shop.units("tea").await, (5, 0, 0));
}

#[tokio::test]
async fn an_undo_goes_by_what_its_call_froze_and_not_by_the_order_it_names() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 2)]).await;
    shop.freezes("O-2", &[("tea", 1)]).await;
    shop.client().unfreeze(undo("O-1", unfreeze("O-2"))).await.unwrap();
    assert_eq!(shop.units("tea").await, (4, 1, 0));
    assert_eq!(shop.confirms("O-2").await, "OK");
}

#[tokio::test]
async fn every_change_has_a_flow_record() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 2)]).await;
    shop.advance(Duration::from_millis(1_900));
    shop.confirms("O-1").await;
    shop.restocks("O-1").await;
    shop.freezes("O-2", &[("tea", 1)]).await;
    shop.unfreezes("O-2").await;

    let flows = shop.flows("tea").await;
    let code_or_status: Vec<_> =
        flows.iter().map(|flow| (flow.kind(), flow.quantity, flow.order_no.as_str())).collect();
    let expected = [
        (FlowKind::Add, 5, ""),
        (FlowKind::Freeze, 2, "O-1"),
        (FlowKind::Confirm, 2, "O-1"),
        (FlowKind::Restock, 2, "O-1"),
        (FlowKind::Freeze, 1, "O-2"),
        (FlowKind::Unfreeze, 1, "O-2"),
    ];
    assert_eq!(code_or_status, expected);
    assert!(flows.is_sorted_by_key(|flow| flow.seq));
    let at = |index: usize| flows[index].at.map(|at| (at.seconds, at.nanos)).unwrap();
    assert_eq!((at(0), at(2)), ((1_700_000_000, 123_000_000), (1_700_000_002, 23_000_000)));
}

#[tokio::test]
async fn a_freeze_takes_all_lines_or_none_and_names_the_first_that_fails() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.sells("cup", 1).await;

    for (order_no, wanted, reason, sentence) in [
        ("O-1", [("tea", 1), ("cup", 2)], "INSUFFICIENT_STOCK", "cup: 2 asked for, 1 available"),
        ("O-2", [("tea", 1), ("pot", 1)], "SKU_UNKNOWN", "no product has the SKU pot"),
        ("O-3", [("tea", 6), ("pot", 1)], "SKU_UNKNOWN", "no product has the SKU pot"),
        ("O-4", [("tea", 6), ("cup", 2)], "INSUFFICIENT_STOCK", "cup: 2 asked for, 1 available"),
    ] {
        let declined = shop.client().freeze(step(order_no, freeze(order_no, &wanted))).await;
        let declined = declined.unwrap().into_inner();
        assert_eq!((code(&declined), message(&declined)), (reason, sentence));
        assert!(declined.order_no.is_empty() && declined.lines.is_empty());
        assert_eq!(shop.confirms(order_no).await, "RESERVATION_UNKNOWN");
    }
    assert_eq!((shop.units("tea").await, shop.units("cup").await), ((5, 0, 0), (1, 0, 0)));
    assert_eq!(shop.flows("tea").await.len(), 1);
}

#[tokio::test]
async fn an_order_reserves_stock_once_whatever_key_asks() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 1)]).await;
    let again = shop.client().freeze(step("another", freeze("O-1", &[("tea", 1)]))).await.unwrap();
    assert_eq!(code(again.get_ref()), "ORDER_STATE");
    assert!(message(again.get_ref()).contains("already reserved for the order O-1"));
    assert_eq!(shop.units("tea").await, (4, 1, 0));

    shop.unfreezes("O-1").await;
    let late = shop.client().freeze(step("third", freeze("O-1", &[("tea", 1)]))).await.unwrap();
    assert_eq!(code(late.get_ref()), "ORDER_STATE");
    assert_eq!(shop.units("tea").await, (5, 0, 0));
}

#[tokio::test]
async fn a_reservation_only_moves_from_the_state_that_the_step_takes() {
    let shop = Shop::open().await;
    shop.sells("tea", 9).await;
    for order_no in ["frozen", "sold", "released", "restocked"] {
        shop.freezes(order_no, &[("tea", 1)]).await;
    }
    shop.confirms("sold").await;
    shop.unfreezes("released").await;
    shop.confirms("restocked").await;
    shop.restocks("restocked").await;
    let before = shop.units("tea").await;

    for (order_no, steps) in [
        ("none", "confirm restock"),
        ("frozen", "restock"),
        ("sold", "confirm"),
        ("released", "confirm restock"),
        ("restocked", "confirm restock"),
    ] {
        for name in steps.split(' ') {
            let saga = format!("late-{order_no}");
            let (code_or_status, sentence) = if name == "confirm" {
                let answer = shop.client().confirm(step(&saga, confirm(order_no))).await.unwrap();
                (code(answer.get_ref()).to_owned(), message(answer.get_ref()).to_owned())
            } else {
                let answer = shop.client().restock(step(&saga, restock(order_no))).await.unwrap();
                (code(answer.get_ref()).to_owned(), message(answer.get_ref()).to_owned())
            };
            assert_eq!(code_or_status, "RESERVATION_UNKNOWN", "{name} of {order_no}");
            let state =
                if order_no == "none" { "no stock".to_owned() } else { order_no.to_uppercase() };
            assert!(sentence.contains(&state), "{name} of {order_no}: {sentence}");
        }
    }
    assert_eq!(shop.units("tea").await, before);
}

#[tokio::test]
async fn an_undo_of_units_that_are_sold_goes_to_a_person() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 2)]).await;
    shop.confirms("O-1").await;
    let refused = shop.client().unfreeze(undo("O-1", unfreeze("O-1"))).await.unwrap();
    assert_eq!(code(refused.get_ref()), "RESERVATION_UNKNOWN");
    let sentence = "the stock of the order O-1 is SOLD, and must be FROZEN for this";
    assert_eq!(message(refused.get_ref()), sentence);
    assert_eq!(shop.units("tea").await, (3, 0, 2));
}

#[tokio::test]
async fn a_reservation_holds_the_largest_order_and_gives_all_of_it_back() {
    let shop = Shop::open().await;
    let skus: Vec<String> = (0..100).map(|number| format!("sku-{number}")).collect();
    for sku in &skus {
        shop.sells(sku, 0).await;
        shop.client().add_stock(add(sku, sku, 1_000_000)).await.unwrap();
    }
    let wanted: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 1_000_000)).collect();
    assert_eq!(shop.freezes("O-1", &wanted).await, "OK");
    assert_eq!(shop.freezes("O-2", &[("sku-50", 1)]).await, "INSUFFICIENT_STOCK");
    assert_eq!(shop.unfreezes("O-1").await, "OK");
    for sku in &skus {
        assert_eq!(shop.units(sku).await, (1_000_000, 0, 0));
    }
}
