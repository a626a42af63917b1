//! What the saga steps do to points, and when they decline.

use std::time::Duration;

use proto::points::v1::{EntryKind, GetMemberResponse};

use crate::club::{Club, code, deduct, member, message, refund, standing, step, undo};

#[tokio::test]
async fn a_member_is_told_as_a_buyer_and_an_unknown_user_is_said_so() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let ask = async |user_id: &str| -> GetMemberResponse {
        let answer = club.client().get_member(step("s", member(user_id))).await;
        let answer = answer.unwrap().into_inner();
        assert_eq!(code(&answer), "OK");
        answer
    };
    let code_or_status =
        |answer: &GetMemberResponse| (answer.found, answer.suspended, answer.balance);
    assert_eq!(code_or_status(&ask("ann").await), (true, false, 50));
    assert_eq!(code_or_status(&ask("bob").await), (false, false, 0));

    club.client().set_standing(standing("1", "ann", true)).await.unwrap();
    club.deducts("s", "ann", "O-1", 20).await;
    assert_eq!(code_or_status(&ask("ann").await), (true, true, 30), "a repeat reads again");
}

#[tokio::test]
async fn an_orders_points_are_spent_and_come_back() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let spent = club.client().deduct(step("s1", deduct("ann", "O-1", 20))).await.unwrap();
    assert_eq!((code(spent.get_ref()), spent.get_ref().balance), ("OK", 30));
    assert_eq!(club.balance("ann").await, 30);

    let back = club.client().refund(step("s2", refund("O-1"))).await.unwrap().into_inner();
    assert_eq!((code(&back), back.points, back.balance), ("OK", 20, 50));
    assert_eq!(club.balance("ann").await, 50);
}

#[tokio::test]
async fn an_undone_deduction_gives_its_points_back() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s1", "ann", "O-1", 50).await;
    let back = club.client().refund(undo("s1", refund("O-1"))).await.unwrap().into_inner();
    assert_eq!((code(&back), back.points, back.balance), ("OK", 50, 50));
    assert_eq!(club.balance("ann").await, 50);
}

#[tokio::test]
async fn every_change_has_an_entry_in_the_ledger() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.has("bob", 9).await;
    club.advance(Duration::from_millis(1_900));
    club.deducts("s1", "ann", "O-1", 20).await;
    club.refunds("s2", "O-1").await;
    club.deducts("s3", "ann", "O-3", 1).await;
    club.undoes("s3", "O-3").await;

    let entries = club.entries("ann").await;
    let code_or_status: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind(), entry.change, entry.balance_after, entry.order_no.as_str()))
        .collect();
    let expected = [
        (EntryKind::Earn, 50, 50, ""),
        (EntryKind::Spend, -20, 30, "O-1"),
        (EntryKind::Refund, 20, 50, "O-1"),
        (EntryKind::Spend, -1, 49, "O-3"),
        (EntryKind::Refund, 1, 50, "O-3"),
    ];
    assert_eq!(code_or_status, expected);
    assert!(entries.iter().all(|entry| entry.user_id == "ann"));
    assert!(entries.is_sorted_by(|one, next| one.seq < next.seq));
    let at = |index: usize| entries[index].at.map(|at| (at.seconds, at.nanos)).unwrap();
    assert_eq!((at(0), at(1)), ((1_700_000_000, 123_000_000), (1_700_000_002, 23_000_000)));
    assert_eq!(club.movements("bob").await, [(EntryKind::Earn, 9, 9)]);
}

#[tokio::test]
async fn a_deduction_that_cannot_be_says_why_and_takes_nothing() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    for (saga, user_id, points, reason, sentence) in [
        ("s1", "ann", 51, "INSUFFICIENT_POINTS", "51 points asked for, 50 there"),
        ("s2", "bob", 1, "USER_UNKNOWN", "no member has the id bob"),
    ] {
        let request = deduct(user_id, "O-1", points);
        let declined = club.client().deduct(step(saga, request)).await.unwrap().into_inner();
        assert_eq!((code(&declined), message(&declined)), (reason, sentence));
        assert_eq!(declined.balance, 0);
    }
    assert_eq!(club.movements("ann").await, [(EntryKind::Earn, 50, 50)]);
    assert_eq!(club.deducts("s3", "ann", "O-1", 50).await, "OK", "a decline leaves the order free");
}

#[tokio::test]
async fn an_order_spends_points_once_whatever_key_asks() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.has("bob", 50).await;
    club.deducts("s1", "ann", "O-1", 20).await;
    let again = club.client().deduct(step("s2", deduct("bob", "O-1", 5))).await.unwrap();
    assert_eq!(code(again.get_ref()), "ORDER_STATE");
    let sentence = "the order O-1 has spent points already, by another call";
    assert_eq!(message(again.get_ref()), sentence);

    club.undoes("s1", "O-1").await;
    assert_eq!(club.deducts("s3", "ann", "O-1", 20).await, "ORDER_STATE", "not after a refund");
    assert_eq!((club.balance("ann").await, club.balance("bob").await), (50, 50));
}

#[tokio::test]
async fn an_order_gets_its_points_back_once_whatever_key_asks() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s1", "ann", "O-1", 20).await;
    club.deducts("s2", "ann", "O-2", 5).await;
    assert_eq!(club.refunds("c1", "O-1").await, "OK");
    assert_eq!(club.undoes("s2", "O-2").await, "OK");

    let again = club.client().refund(step("c2", refund("O-1"))).await.unwrap().into_inner();
    assert_eq!((code(&again), again.points), ("ORDER_STATE", 0));
    assert_eq!(message(&again), "the points of the order O-1 were given back already");
    assert_eq!(club.undoes("s1", "O-1").await, "ORDER_STATE", "an undo behind a refund");
    assert_eq!(club.refunds("c3", "O-2").await, "ORDER_STATE", "a refund behind an undo");
    assert_eq!(club.balance("ann").await, 50);
}

#[tokio::test]
async fn an_order_that_has_spent_nothing_has_nothing_to_get_back() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s1", "ann", "O-1", 51).await;
    for order_no in ["O-1", "O-9"] {
        let answer = club.client().refund(step(order_no, refund(order_no))).await.unwrap();
        assert_eq!(code(answer.get_ref()), "ORDER_UNKNOWN");
        let sentence = format!("the order {order_no} has spent no points");
        assert_eq!(message(answer.get_ref()), sentence);
    }
    assert_eq!(club.balance("ann").await, 50);
}
