//! Repeats get the first answer, other requests under a used key are refused, and no call follows its undo.

use proto::stock::v1::UpsertProductRequest;
use stage::{assert_same_refusal, body, refused_twice, twice};
use tonic::{Code, Request};

use crate::shop::{Shop, add, code, confirm, freeze, restock, step, undo, unfreeze, upsert};

#[tokio::test]
async fn a_repeat_of_any_write_gets_the_first_answer_byte_for_byte() {
    let shop = Shop::open().await;
    twice!(shop, upsert_product, Request::new(upsert("1", "tea")));
    twice!(shop, add_stock, Request::new(add("1", "tea", 5)));
    twice!(shop, freeze, step("s1", freeze("O-1", &[("tea", 1)])));
    twice!(shop, confirm, step("s1", confirm("O-1")));
    twice!(shop, restock, step("s1", restock("O-1")));
    twice!(shop, freeze, step("s2", freeze("O-2", &[("tea", 2)])));
    twice!(shop, unfreeze, undo("s2", unfreeze("O-2")));
    assert_eq!(shop.units("tea").await, (5, 0, 0));
    assert_eq!(shop.flows("tea").await.len(), 6);
}

#[tokio::test]
async fn a_repeat_of_a_decline_gets_it_again_even_when_its_cause_is_gone() {
    let shop = Shop::open().await;
    shop.sells("tea", 1).await;
    let declined = twice!(shop, freeze, step("s1", freeze("O-1", &[("tea", 2)])));
    shop.client().add_stock(add("more", "tea", 9)).await.unwrap();
    let later = body(shop.client().freeze(step("s1", freeze("O-1", &[("tea", 2)]))).await);
    assert_eq!((code(&later), &later), ("INSUFFICIENT_STOCK", &declined));
    let (not_found, why) = (Code::NotFound, "SKU_UNKNOWN");
    let unknown = refused_twice!(shop, add_stock, Request::new(add("1", "pot", 1)), not_found, why);
    shop.sells("pot", 0).await;
    let later = shop.client().add_stock(add("1", "pot", 1)).await;
    let _ = assert_same_refusal(unknown, stage::refused(later, not_found, why));
    assert_eq!(shop.units("pot").await, (0, 0, 0));
    assert_eq!(shop.units("tea").await, (10, 0, 0));
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 1)]).await;
    let other = UpsertProductRequest { on_sale: false, ..upsert("tea-product", "tea") };
    let refusals = [
        shop.client().freeze(step("O-1", freeze("O-1", &[("tea", 2)]))).await.map(|_| ()),
        shop.client().add_stock(add("tea-units", "tea", 6)).await.map(|_| ()),
        shop.client().upsert_product(other).await.map(|_| ()),
    ];
    for refused in refusals {
        stage::refused(refused, Code::FailedPrecondition, "KEY_REUSED");
    }
    assert_eq!(shop.units("tea").await, (4, 1, 0));
}

#[tokio::test]
async fn a_freeze_that_comes_after_its_undo_takes_nothing() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    let nothing = twice!(shop, unfreeze, undo("s1", unfreeze("O-1")));
    assert_eq!((code(&nothing), nothing.lines.len()), ("OK", 0));
    let late = twice!(shop, freeze, step("s1", freeze("O-1", &[("tea", 1)])));
    assert_eq!(code(&late), "SUPERSEDED");
    assert_eq!(shop.units("tea").await, (5, 0, 0));
}

#[tokio::test]
async fn the_undo_of_a_declined_freeze_has_nothing_to_undo() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    assert_eq!(shop.freezes("O-1", &[("tea", 6)]).await, "INSUFFICIENT_STOCK");
    assert_eq!(shop.unfreezes("O-1").await, "OK");
    assert_eq!(shop.units("tea").await, (5, 0, 0));
}

#[tokio::test]
async fn an_undo_that_was_declined_succeeds_once_its_cause_is_mended() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 2)]).await;
    shop.confirms("O-1").await;
    assert_eq!(shop.unfreezes("O-1").await, "RESERVATION_UNKNOWN");
    shop.restocks("O-1").await;
    assert_eq!(shop.unfreezes("O-1").await, "RESERVATION_UNKNOWN");
    assert_eq!(shop.units("tea").await, (5, 0, 0), "what came back once does not come back twice");
}

/// The orchestrator reads DATA_LOSS as: a person must look. A decline would turn the saga back from what may have happened.
#[tokio::test]
async fn a_step_of_a_saga_whose_answers_are_not_kept_any_more_needs_a_person() {
    let shop = Shop::keeping_a_day().await;
    shop.sells("tea", 5).await;
    let (young, old) =
        ("018bcfe5-6800-7000-8000-000000000001", "018bc000-0000-7000-8000-000000000001");
    let frozen = shop.client().freeze(step(young, freeze("O-1", &[("tea", 1)]))).await;
    assert_eq!(code(frozen.unwrap().get_ref()), "OK");
    let refusals = [
        shop.client().freeze(step(old, freeze("O-2", &[("tea", 1)]))).await.map(|_| ()),
        shop.client().unfreeze(undo(old, unfreeze("O-2"))).await.map(|_| ()),
    ];
    for refused in refusals {
        stage::refused(refused, Code::DataLoss, "KEY_FORGOTTEN");
    }
    assert_eq!(shop.units("tea").await, (4, 1, 0));
}
