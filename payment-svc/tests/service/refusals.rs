//! Requests that break a rule, and steps that are none: refused with every violation, and nothing is written.

use proto::payment::v1::{
    ChargeRequest, GetPaymentRequest, ListPaymentsRequest, OpenWalletRequest, RefundRequest,
    TopUpRequest,
};
use tonic::{Code, Request, Status};

use crate::till::{Till, charge, euros, list, open, paths, refund, step, top_up, undo, wallet};

#[tokio::test]
async fn a_request_that_breaks_rules_is_told_all_of_them_and_changes_nothing() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let (mut client, long) = (till.client(), "x".repeat(65));
    let lower = Some(proto::facade::v1::Money { currency: "eur".to_owned(), ..euros(1) });
    let bare = ChargeRequest { amount: None, ..charge("ann", "O-1", 1) };
    let unmeant = ChargeRequest { amount: lower.clone(), ..charge("ann", "O-1", 1) };
    let wordy = RefundRequest { reason: "x".repeat(2001), ..refund("O-1") };
    let nowhere = OpenWalletRequest { currency: "EURO".to_owned(), ..open("", "") };
    let empty = TopUpRequest { amount: None, ..top_up("1", "ann", 1) };
    let unknown = TopUpRequest { amount: lower, ..top_up("", "ann", 1) };
    let number = GetPaymentRequest { payment_no: long.clone() };
    let page = ListPaymentsRequest { page_size: -1, ..list("") };
    let token = ListPaymentsRequest { page_token: "nonsense".to_owned(), ..list("ann") };

    let refused: [(Result<(), Status>, &[&str]); 16] = [
        (
            client.charge(step("s", charge("", "", 0))).await.map(|_| ()),
            &["amount.minor_units", "order_no", "user_id"],
        ),
        (client.charge(step("s", bare)).await.map(|_| ()), &["amount"]),
        (client.charge(step("s", unmeant)).await.map(|_| ()), &["amount.currency"]),
        (
            client.charge(step("s", charge("ann", "O 1", i64::MAX))).await.map(|_| ()),
            &["amount.minor_units", "order_no"],
        ),
        (client.charge(step("s", charge(&long, "O-1", 1))).await.map(|_| ()), &["user_id"]),
        (client.refund(step("s", wordy)).await.map(|_| ()), &["reason"]),
        (client.refund(undo("s", refund(""))).await.map(|_| ()), &["order_no"]),
        (client.open_wallet(nowhere).await.map(|_| ()), &["currency", "request_id", "user_id"]),
        (client.top_up(empty).await.map(|_| ()), &["amount"]),
        (client.top_up(unknown).await.map(|_| ()), &["amount.currency", "request_id"]),
        (client.top_up(top_up("1", "ann", 0)).await.map(|_| ()), &["amount.minor_units"]),
        (client.top_up(top_up(&long, "ü", 1)).await.map(|_| ()), &["request_id", "user_id"]),
        (client.get_wallet(wallet("")).await.map(|_| ()), &["user_id"]),
        (client.get_payment(number).await.map(|_| ()), &["payment_no"]),
        (client.list_payments(page).await.map(|_| ()), &["page_size", "user_id"]),
        (client.list_payments(token).await.map(|_| ()), &["page_token"]),
    ];
    for (answer, expected) in refused {
        let status = stage::refused(answer, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(paths(&status), expected);
    }
    assert_eq!((till.cents("ann").await, till.movements().await.len()), (50, 2));
    assert_eq!(till.payments("ann").await, []);
    assert_eq!(till.charges("s", "ann", "O-1", 1).await, "OK", "the refused ones took no key");
}

#[tokio::test]
async fn a_step_that_is_called_outside_a_saga_is_refused() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.charges("s", "ann", "O-1", 20).await;
    let mut client = till.client();
    let mut half = Request::new(refund("O-1"));
    half.metadata_mut().insert("saga-id", "s".parse().unwrap());
    let backwards = undo("s", refund("O-1")).map(|_| charge("ann", "O-2", 1));

    let refused = [
        client.charge(charge("ann", "O-2", 1)).await.map(|_| ()),
        client.refund(refund("O-1")).await.map(|_| ()),
        client.refund(half).await.map(|_| ()),
        client.charge(backwards).await.map(|_| ()),
    ];
    for answer in refused {
        stage::refused(answer, Code::InvalidArgument, "NOT_A_SAGA_STEP");
    }
    assert_eq!((till.cents("ann").await, till.payments("ann").await.len()), (30, 1));
}
