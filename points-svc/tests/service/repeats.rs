//! Repeats get the first answer, other requests under a used key are refused, and no call follows its undo.

use stage::{assert_same_refusal, body, refused_twice, traced, twice};
use tonic::{Code, Request};

use crate::club::{Club, code, deduct, earn, open, refund, standing, step, undo};

#[tokio::test]
async fn a_repeat_of_any_write_gets_the_first_answer_byte_for_byte() {
    let club = Club::open().await;
    twice!(club, open_account, Request::new(open("1", "ann")));
    twice!(club, earn, Request::new(earn("1", "ann", 50)));
    twice!(club, set_standing, Request::new(standing("1", "ann", true)));
    twice!(club, deduct, step("s1", deduct("ann", "O-1", 20)));
    twice!(club, refund, step("c1", refund("O-1")));
    twice!(club, deduct, step("s2", deduct("ann", "O-2", 30)));
    twice!(club, refund, undo("s2", refund("O-2")));
    assert_eq!((club.balance("ann").await, club.entries("ann").await.len()), (50, 5));
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_although_the_account_has_changed_since() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let first = body(club.client().deduct(step("s1", deduct("ann", "O-1", 20))).await);
    club.earns("more", "ann", 100).await;
    club.undoes("s1", "O-1").await;
    let later = body(club.client().deduct(step("s1", deduct("ann", "O-1", 20))).await);
    assert_eq!((later.balance, &later), (30, &first));
    assert_eq!(club.balance("ann").await, 150);
}

#[tokio::test]
async fn a_repeat_of_a_decline_gets_it_again_even_when_its_cause_is_gone() {
    let club = Club::open().await;
    club.has("ann", 1).await;
    let poor = twice!(club, deduct, step("s1", deduct("ann", "O-1", 2)));
    let early = twice!(club, refund, step("c2", refund("O-2")));
    let (not_found, why) = (Code::NotFound, "USER_UNKNOWN");
    let request = || Request::new(earn("1", "bob", 1));
    let stranger = refused_twice!(club, earn, request(), not_found, why);
    club.has("bob", 0).await;
    club.earns("more", "ann", 9).await;
    club.deducts("s2", "ann", "O-2", 1).await;

    let later = body(club.client().deduct(step("s1", deduct("ann", "O-1", 2))).await);
    assert_eq!((code(&later), &later), ("INSUFFICIENT_POINTS", &poor));
    let later = body(club.client().refund(step("c2", refund("O-2"))).await);
    assert_eq!((code(&later), &later), ("ORDER_UNKNOWN", &early));
    let later = stage::refused(club.client().earn(request()).await, not_found, why);
    let _ = assert_same_refusal(stranger, later);
    assert_eq!((club.balance("ann").await, club.balance("bob").await), (9, 0));
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s1", "ann", "O-1", 20).await;
    club.deducts("s2", "ann", "O-2", 1).await;
    club.undoes("s1", "O-1").await;
    club.refunds("c1", "O-2").await;
    club.client().set_standing(standing("1", "ann", false)).await.unwrap();
    let mut client = club.client();
    let refusals = [
        client.deduct(step("s1", deduct("ann", "O-1", 21))).await.map(|_| ()),
        client.refund(undo("s1", refund("O-2"))).await.map(|_| ()),
        client.refund(step("c1", refund("O-1"))).await.map(|_| ()),
        client.earn(earn("ann-earns", "ann", 51)).await.map(|_| ()),
        client.set_standing(standing("1", "ann", true)).await.map(|_| ()),
    ];
    for refused in refusals {
        stage::refused(refused, Code::FailedPrecondition, "KEY_REUSED");
    }
    assert_eq!(club.balance("ann").await, 50);
}

#[tokio::test]
async fn the_request_id_of_one_user_is_nobody_elses() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let mut client = club.client();
    client.open_account(open("ann-opens", "bob")).await.unwrap();
    client.earn(earn("ann-earns", "bob", 7)).await.unwrap();
    client.earn(earn("ann-earns", "bob", 7)).await.unwrap();
    assert_eq!((club.balance("ann").await, club.balance("bob").await), (50, 7));
}

#[tokio::test]
async fn a_deduction_that_comes_after_its_undo_takes_nothing() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let nothing = twice!(club, refund, undo("s1", refund("O-1")));
    assert_eq!((code(&nothing), nothing.points), ("OK", 0));
    let late = twice!(club, deduct, step("s1", deduct("ann", "O-1", 20)));
    assert_eq!(code(&late), "SUPERSEDED");
    assert_eq!((club.balance("ann").await, club.entries("ann").await.len()), (50, 1));
    assert_eq!(club.deducts("s2", "ann", "O-1", 20).await, "OK", "only that key is closed");
}

#[tokio::test]
async fn the_undo_of_a_declined_deduction_has_nothing_to_undo() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    // Another saga's spend of the same order is not this one's to give back.
    assert_eq!(club.deducts("s1", "ann", "O-1", 20).await, "OK");
    assert_eq!(club.deducts("s2", "ann", "O-1", 20).await, "ORDER_STATE");
    let nothing = twice!(club, refund, undo("s2", refund("O-1")));
    assert_eq!((code(&nothing), nothing.points), ("OK", 0));
    assert_eq!(club.balance("ann").await, 30);
}

#[tokio::test]
async fn a_declined_undo_is_asked_anew_and_its_points_still_come_back_only_once() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s1", "ann", "O-1", 20).await;
    club.refunds("c1", "O-1").await;
    for trace in ["1", "2"] {
        let undone = body(club.client().refund(traced(trace, undo("s1", refund("O-1")))).await);
        assert_eq!(code(&undone), "ORDER_STATE");
        assert_eq!(undone.result.unwrap().trace_id, trace.repeat(32), "it was not stored");
    }
    assert_eq!(club.balance("ann").await, 50);
}
