//! Repeats get the first answer, other requests under a used key are refused, and no call follows its undo.

use proto::payment::v1::{OpenWalletRequest, PaymentState};
use stage::{assert_same_refusal, body, refused_twice, traced, twice};
use tonic::{Code, Request};

use crate::till::{Till, charge, code, open, refund, step, top_up, undo};

#[tokio::test]
async fn a_repeat_of_any_write_gets_the_first_answer_byte_for_byte() {
    let till = Till::open().await;
    twice!(till, open_wallet, Request::new(open("1", "ann")));
    twice!(till, top_up, Request::new(top_up("1", "ann", 50)));
    twice!(till, charge, step("s1", charge("ann", "O-1", 20)));
    twice!(till, refund, step("c1", refund("O-1")));
    twice!(till, charge, step("s2", charge("ann", "O-2", 30)));
    twice!(till, refund, undo("s2", refund("O-2")));
    assert_eq!((till.cents("ann").await, till.payments("ann").await.len()), (50, 2));
    assert_eq!(till.movements().await.len(), 2 * 5);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_although_the_payment_has_changed_since() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let first = till.charge("s1", "ann", "O-1", 20).await;
    till.undoes("s1", "O-1").await;
    let later = till.charge("s1", "ann", "O-1", 20).await;
    assert_eq!((later.state(), &later), (PaymentState::Success, &first));
    assert_eq!(till.cents("ann").await, 50);
}

#[tokio::test]
async fn a_repeat_of_a_decline_gets_it_again_even_when_its_cause_is_gone() {
    let till = Till::open().await;
    till.has("ann", 1).await;
    let poor = twice!(till, charge, step("s1", charge("ann", "O-1", 2)));
    let early = twice!(till, refund, step("c2", refund("O-2")));
    let (not_found, why) = (Code::NotFound, "WALLET_UNKNOWN");
    let request = || Request::new(top_up("1", "bob", 1));
    let stranger = refused_twice!(till, top_up, request(), not_found, why);
    till.has("bob", 0).await;
    till.tops_up("more", "ann", 9).await;
    till.charges("s2", "ann", "O-2", 1).await;

    let later = till.charge("s1", "ann", "O-1", 2).await;
    assert_eq!((code(&later), &later), ("INSUFFICIENT_FUNDS", &poor));
    let later = body(till.client().refund(step("c2", refund("O-2"))).await);
    assert_eq!((code(&later), &later), ("PAYMENT_UNKNOWN", &early));
    let later = stage::refused(till.client().top_up(request()).await, not_found, why);
    let _ = assert_same_refusal(stranger, later);
    assert_eq!((till.cents("ann").await, till.cents("bob").await), (9, 0));

    let states: Vec<_> = till.payments("ann").await.iter().map(|one| one.state()).collect();
    assert_eq!(states, [PaymentState::Failed, PaymentState::Success], "one record an attempt");
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.charges("s1", "ann", "O-1", 20).await;
    till.charges("s2", "ann", "O-2", 1).await;
    till.charges("s3", "ann", "O-3", 99).await;
    till.undoes("s1", "O-1").await;
    till.refunds("c1", "O-2").await;
    let currency = "USD".to_owned();
    let mut client = till.client();
    let refusals = [
        client.charge(step("s1", charge("ann", "O-1", 21))).await.map(|_| ()),
        client.charge(step("s3", charge("ann", "O-3", 9))).await.map(|_| ()),
        client.refund(undo("s1", refund("O-2"))).await.map(|_| ()),
        client.refund(step("c1", refund("O-1"))).await.map(|_| ()),
        client
            .open_wallet(OpenWalletRequest { currency, ..open("ann-opens", "ann") })
            .await
            .map(|_| ()),
        client.top_up(top_up("ann-fills", "ann", 51)).await.map(|_| ()),
    ];
    for refused in refusals {
        stage::refused(refused, Code::FailedPrecondition, "KEY_REUSED");
    }
    assert_eq!((till.cents("ann").await, till.payments("ann").await.len()), (50, 3));
}

#[tokio::test]
async fn the_request_id_of_one_user_is_nobody_elses() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let mut client = till.client();
    client.open_wallet(open("ann-opens", "bob")).await.unwrap();
    client.top_up(top_up("ann-fills", "bob", 7)).await.unwrap();
    assert_eq!((till.cents("ann").await, till.cents("bob").await), (50, 7));
    // Each repeat has its own answer.
    let wallet = |answer: tonic::Response<proto::payment::v1::TopUpResponse>| {
        answer.into_inner().wallet.unwrap().user_id
    };
    let bob = client.top_up(top_up("ann-fills", "bob", 7)).await.unwrap();
    let ann = client.top_up(top_up("ann-fills", "ann", 50)).await.unwrap();
    assert_eq!((wallet(ann), wallet(bob)), ("ann".to_owned(), "bob".to_owned()));
    assert_eq!((till.cents("ann").await, till.cents("bob").await), (50, 7));
}

#[tokio::test]
async fn a_charge_that_comes_after_its_undo_takes_nothing() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let nothing = twice!(till, refund, undo("s1", refund("O-1")));
    assert_eq!((code(&nothing), nothing.payment_no.as_str()), ("OK", ""));
    let late = twice!(till, charge, step("s1", charge("ann", "O-1", 20)));
    assert_eq!(code(&late), "SUPERSEDED");
    assert_eq!((till.cents("ann").await, till.payments("ann").await.len()), (50, 0));
    assert_eq!(till.charges("s2", "ann", "O-1", 20).await, "OK", "only that key is closed");
}

#[tokio::test]
async fn the_undo_of_a_failed_charge_has_nothing_to_undo_and_keeps_its_record() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    assert_eq!(till.charges("s1", "ann", "O-1", 51).await, "INSUFFICIENT_FUNDS");
    // Another saga's payment of the same order is not this one's to give back.
    assert_eq!(till.charges("s2", "ann", "O-1", 20).await, "OK");
    let nothing = twice!(till, refund, undo("s1", refund("O-1")));
    assert_eq!((code(&nothing), nothing.payment_no.as_str()), ("OK", ""));
    let states: Vec<_> = till.payments("ann").await.iter().map(|one| one.state()).collect();
    assert_eq!(states, [PaymentState::Failed, PaymentState::Success]);
    assert_eq!(till.cents("ann").await, 30);
}

#[tokio::test]
async fn a_declined_undo_is_asked_anew_and_its_money_still_comes_back_only_once() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.charges("s1", "ann", "O-1", 20).await;
    till.refunds("c1", "O-1").await;
    for trace in ["1", "2"] {
        let undone = body(till.client().refund(traced(trace, undo("s1", refund("O-1")))).await);
        assert_eq!(code(&undone), "ORDER_STATE");
        assert_eq!(undone.result.unwrap().trace_id, trace.repeat(32), "it was not stored");
    }
    assert_eq!(till.cents("ann").await, 50);
}
