//! What the saga steps do to money, and when they decline.

use std::time::Duration;

use proto::payment::v1::{ChargeRequest, PaymentState};

use crate::till::{Till, charge, code, dollars, euros, message, refund, step, undo};

#[tokio::test]
async fn an_orders_payment_goes_from_the_wallet_to_the_shop_and_comes_back() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.advance(Duration::from_millis(1_900));
    let charged = till.charge("s1", "ann", "O-1", 20).await;
    assert_eq!((code(&charged), charged.state()), ("OK", PaymentState::Success));
    assert_eq!(charged.paid, Some(euros(20)));
    assert_eq!((till.cents("ann").await, till.balances().await["shop/EUR"]), (30, 20));

    let paid = till.payment(&charged.payment_no).await;
    assert_eq!((paid.payment_no.as_str(), paid.state()), (&*charged.payment_no, charged.state()));
    assert_eq!((paid.order_no.as_str(), paid.user_id.as_str()), ("O-1", "ann"));
    assert_eq!((&paid.amount, &paid.refunded), (&Some(euros(20)), &Some(euros(0))));
    assert_eq!(paid.failure, "");
    let at = paid.created_at.map(|at| (at.seconds, at.nanos));
    assert_eq!(at, Some((1_700_000_002, 23_000_000)));

    till.advance(Duration::from_secs(9));
    let back = till.client().refund(step("c1", refund("O-1"))).await.unwrap().into_inner();
    assert_eq!((code(&back), back.state()), ("OK", PaymentState::Refunded));
    assert_eq!((&back.payment_no, &back.refunded), (&charged.payment_no, &Some(euros(20))));
    assert_eq!((till.cents("ann").await, till.balances().await["shop/EUR"]), (50, 0));
    let returned = till.payment(&charged.payment_no).await;
    assert_eq!((returned.state(), &returned.refunded), (PaymentState::Refunded, &paid.amount));
    assert_eq!(returned.created_at, paid.created_at);
}

#[tokio::test]
async fn an_undone_charge_gives_its_money_back() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let charged = till.charge("s1", "ann", "O-1", 50).await;
    assert_eq!(till.cents("ann").await, 0);
    let back = till.client().refund(undo("s1", refund("O-1"))).await.unwrap().into_inner();
    assert_eq!((code(&back), back.state()), ("OK", PaymentState::Refunded));
    assert_eq!((back.payment_no, back.refunded), (charged.payment_no, Some(euros(50))));
    assert_eq!(till.cents("ann").await, 50);
}

#[tokio::test]
async fn a_charge_that_cannot_be_says_why_and_is_kept_on_record() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let in_dollars = ChargeRequest { amount: Some(dollars(1)), ..charge("ann", "O-2", 1) };
    for (request, reason, sentence) in [
        (charge("ann", "O-1", 51), "INSUFFICIENT_FUNDS", "0.51 EUR to pay, 0.50 EUR in the wallet"),
        (in_dollars, "CURRENCY_MISMATCH", "the wallet of ann is in EUR, not in USD"),
        (charge("bob", "O-3", 1), "WALLET_UNKNOWN", "the user bob has no wallet"),
        (
            charge("ann", "O-4", 1_000_000_000_000),
            "INSUFFICIENT_FUNDS",
            "10000000000.00 EUR to pay, 0.50 EUR in the wallet",
        ),
    ] {
        let (order_no, user_id) = (request.order_no.clone(), request.user_id.clone());
        let asked = request.amount.clone();
        let declined = till.client().charge(step(&order_no, request)).await.unwrap().into_inner();
        assert_eq!((code(&declined), message(&declined)), (reason, sentence));
        assert_eq!((declined.payment_no.as_str(), &declined.paid), ("", &None));

        let failed = till.payments(&user_id).await.pop().unwrap();
        assert_eq!((failed.state(), failed.order_no), (PaymentState::Failed, order_no));
        assert_eq!((failed.failure.as_str(), failed.amount), (reason, asked));
        assert_eq!(failed.refunded.unwrap().minor_units, 0);
    }
    assert_eq!(till.cents("ann").await, 50);
    assert_eq!(till.movements().await.len(), 2, "the top-up's");
}

#[tokio::test]
async fn an_order_whose_payment_failed_may_be_paid_under_another_key() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    for saga in ["s1", "s2"] {
        assert_eq!(till.charges(saga, "ann", "O-1", 60).await, "INSUFFICIENT_FUNDS");
    }
    assert_eq!(till.refunds("c1", "O-1").await, "PAYMENT_UNKNOWN", "nothing was paid");
    till.tops_up("more", "ann", 20).await;
    assert_eq!(till.charges("s1", "ann", "O-1", 60).await, "INSUFFICIENT_FUNDS", "a repeat");
    assert_eq!(till.charges("s3", "ann", "O-1", 60).await, "OK");
    assert_eq!(till.undoes("s1", "O-1").await, "OK", "nothing to undo");
    assert_eq!(till.cents("ann").await, 10);

    let states: Vec<_> = till.payments("ann").await.iter().map(|one| one.state()).collect();
    assert_eq!(states, [PaymentState::Failed, PaymentState::Failed, PaymentState::Success]);
    assert_eq!(till.refunds("c2", "O-1").await, "OK");
    assert_eq!(till.cents("ann").await, 70);
}

#[tokio::test]
async fn an_order_is_paid_once_whatever_key_asks() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.has("bob", 50).await;
    till.charges("s1", "ann", "O-1", 20).await;
    let again = till.charge("s2", "bob", "O-1", 20).await;
    assert_eq!(code(&again), "ORDER_STATE");
    assert_eq!(message(&again), "the order O-1 has a payment already, SUCCESS");

    till.undoes("s1", "O-1").await;
    let late = till.charge("s3", "ann", "O-1", 20).await;
    assert_eq!(code(&late), "ORDER_STATE");
    assert_eq!(message(&late), "the order O-1 has a payment already, REFUNDED");
    assert_eq!((till.cents("ann").await, till.cents("bob").await), (50, 50));
    assert_eq!(till.payments("bob").await, [], "what was never begun is not on record");
}

#[tokio::test]
async fn an_order_gets_its_money_back_once_whatever_key_asks() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.charges("s1", "ann", "O-1", 20).await;
    till.charges("s2", "ann", "O-2", 5).await;
    assert_eq!(till.refunds("c1", "O-1").await, "OK");
    assert_eq!(till.undoes("s2", "O-2").await, "OK");

    let again = till.client().refund(step("c2", refund("O-1"))).await.unwrap().into_inner();
    assert_eq!((code(&again), &again.refunded), ("ORDER_STATE", &None));
    let sentence = "the payment of the order O-1 is REFUNDED and cannot be given back";
    assert_eq!(message(&again), sentence);
    assert_eq!(till.undoes("s1", "O-1").await, "ORDER_STATE", "an undo behind a refund");
    assert_eq!(till.refunds("c3", "O-2").await, "ORDER_STATE", "a refund behind an undo");
    assert_eq!(till.cents("ann").await, 50);
}

#[tokio::test]
async fn an_order_that_was_never_paid_has_nothing_to_get_back() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let answer = till.client().refund(step("c1", refund("O-9"))).await.unwrap();
    assert_eq!(code(answer.get_ref()), "PAYMENT_UNKNOWN");
    assert_eq!(message(answer.get_ref()), "there is no payment of the order O-9");
    assert_eq!(till.cents("ann").await, 50);
}

#[tokio::test]
async fn an_undo_goes_by_the_payment_that_its_call_made_and_not_by_the_order_it_names() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.has("bob", 50).await;
    let charged = till.charge("s1", "ann", "O-1", 20).await;
    till.charges("s2", "bob", "O-2", 5).await;
    let back = till.client().refund(undo("s1", refund("O-2"))).await.unwrap().into_inner();
    assert_eq!((code(&back), &back.payment_no), ("OK", &charged.payment_no));
    assert_eq!((till.cents("ann").await, till.cents("bob").await), (50, 45));
    assert_eq!(till.undoes("s2", "O-2").await, "OK");
}
