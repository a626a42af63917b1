//! Requests that break a rule, and steps that are none: refused with every violation, and nothing is written.

use proto::points::v1::{ListEntriesRequest, RefundRequest};
use tonic::{Code, Request, Status};

use crate::club::{
    Club, account, deduct, earn, list, member, open, paths, refund, standing, step, undo,
};

#[tokio::test]
async fn a_request_that_breaks_rules_is_told_all_of_them_and_changes_nothing() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    let (mut client, long) = (club.client(), "x".repeat(65));
    let wordy = RefundRequest { reason: "x".repeat(2001), ..refund("O-1") };
    let page = ListEntriesRequest { page_size: -1, ..list("") };
    let token = ListEntriesRequest { page_token: "nonsense".to_owned(), ..list("ann") };

    let refused: [(Result<(), Status>, &[&str]); 15] = [
        (client.get_member(step("s", member("a b"))).await.map(|_| ()), &["user_id"]),
        (
            client.deduct(step("s", deduct("", "", 0))).await.map(|_| ()),
            &["order_no", "points", "user_id"],
        ),
        (client.deduct(step("s", deduct("ann", "O-1", -1))).await.map(|_| ()), &["points"]),
        (client.deduct(step("s", deduct("ann", "O-1", i64::MIN))).await.map(|_| ()), &["points"]),
        (client.deduct(step("s", deduct("ann", "O 1", 1))).await.map(|_| ()), &["order_no"]),
        (client.deduct(step("s", deduct(&long, "O-1", 1))).await.map(|_| ()), &["user_id"]),
        (client.refund(step("s", wordy)).await.map(|_| ()), &["reason"]),
        (client.refund(undo("s", refund(""))).await.map(|_| ()), &["order_no"]),
        (client.open_account(open("", "ü")).await.map(|_| ()), &["request_id", "user_id"]),
        (
            client.set_standing(standing(&long, "", true)).await.map(|_| ()),
            &["request_id", "user_id"],
        ),
        (client.earn(earn("", "", 0)).await.map(|_| ()), &["points", "request_id", "user_id"]),
        (client.earn(earn("1", "ann", i64::MAX)).await.map(|_| ()), &["points"]),
        (client.get_account(account("")).await.map(|_| ()), &["user_id"]),
        (client.list_entries(page).await.map(|_| ()), &["page_size", "user_id"]),
        (client.list_entries(token).await.map(|_| ()), &["page_token"]),
    ];
    for (answer, expected) in refused {
        let status = stage::refused(answer, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(paths(&status), expected);
    }
    assert_eq!((club.balance("ann").await, club.entries("ann").await.len()), (50, 1));
    assert_eq!(club.deducts("s", "ann", "O-1", 1).await, "OK", "the refused ones took no key");
}

#[tokio::test]
async fn a_step_that_is_called_outside_a_saga_is_refused() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s", "ann", "O-1", 20).await;
    let mut client = club.client();
    let mut half = Request::new(refund("O-1"));
    half.metadata_mut().insert("saga-id", "s".parse().unwrap());
    let backwards = undo("s", refund("O-1")).map(|_| deduct("ann", "O-2", 1));

    let refused = [
        client.get_member(member("ann")).await.map(|_| ()),
        client.deduct(deduct("ann", "O-2", 1)).await.map(|_| ()),
        client.refund(refund("O-1")).await.map(|_| ()),
        client.refund(half).await.map(|_| ()),
        client.deduct(backwards).await.map(|_| ()),
    ];
    for answer in refused {
        stage::refused(answer, Code::InvalidArgument, "NOT_A_SAGA_STEP");
    }
    assert_eq!(club.balance("ann").await, 30);
}
