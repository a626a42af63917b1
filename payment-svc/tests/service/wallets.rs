//! Wallets, money that is put into them, and lists.

use std::time::Duration;

use proto::payment::v1::{
    GetPaymentRequest, ListPaymentsRequest, OpenWalletRequest, TopUpRequest, Wallet,
};
use stage::refused;
use tonic::Code;

use crate::till::{Till, code, dollars, euros, list, open, paths, top_up, wallet};

fn ann(cents: i64) -> Option<Wallet> {
    Some(Wallet { user_id: "ann".to_owned(), balance: Some(euros(cents)) })
}

#[tokio::test]
async fn a_wallet_is_opened_empty_and_one_that_is_there_stays_as_it_is() {
    let till = Till::open().await;
    let opened = till.client().open_wallet(open("1", "ann")).await.unwrap().into_inner();
    assert_eq!((code(&opened), &opened.wallet), ("OK", &ann(0)));
    till.tops_up("1", "ann", 7).await;
    let again = till.client().open_wallet(open("2", "ann")).await.unwrap().into_inner();
    assert_eq!((code(&again), &again.wallet), ("OK", &ann(7)));
}

#[tokio::test]
async fn a_user_has_one_wallet_in_one_currency() {
    let till = Till::open().await;
    till.has("ann", 7).await;
    let currency = "USD".to_owned();
    let request = OpenWalletRequest { currency, ..open("1", "ann") };
    let second = till.client().open_wallet(request).await;
    let second = refused(second, Code::FailedPrecondition, "CURRENCY_MISMATCH");
    assert_eq!(second.message(), "the wallet of ann is in EUR, not in USD");
    let read = till.client().get_wallet(wallet("ann")).await.unwrap().into_inner();
    assert_eq!((code(&read), &read.wallet), ("OK", &ann(7)));
}

#[tokio::test]
async fn money_is_added_to_what_is_there_and_the_bank_owes_it() {
    let till = Till::open().await;
    till.has("ann", 7).await;
    let filled = till.client().top_up(top_up("1", "ann", 5)).await.unwrap().into_inner();
    assert_eq!((code(&filled), &filled.wallet), ("OK", &ann(12)));
    let balances = till.balances().await;
    assert_eq!((balances["wallet/ann"], balances["bank/EUR"]), (12, -12));
}

#[tokio::test]
async fn a_top_up_that_cannot_be_says_why_and_adds_nothing() {
    let till = Till::open().await;
    till.has("ann", 7).await;
    let in_dollars = TopUpRequest { amount: Some(dollars(1)), ..top_up("1", "ann", 1) };
    let mixed = till.client().top_up(in_dollars).await;
    refused(mixed, Code::FailedPrecondition, "CURRENCY_MISMATCH");
    let unknown = till.client().top_up(top_up("2", "bob", 1)).await;
    refused(unknown, Code::NotFound, "WALLET_UNKNOWN");
    assert_eq!((till.cents("ann").await, till.movements().await.len()), (7, 2));
    assert!(!till.balances().await.contains_key("bank/USD"));
}

#[tokio::test]
async fn no_wallet_grows_over_what_the_books_can_hold() {
    const LARGEST: i64 = 1_000_000_000_000;
    let till = Till::open().await;
    till.has("ann", 1).await;
    let top_ups = (0..1_000).map(|number| {
        let mut client = till.client();
        async move { client.top_up(top_up(&number.to_string(), "ann", LARGEST)).await }
    });
    let answers = futures::future::join_all(top_ups).await;
    let [too_much] =
        answers.into_iter().filter_map(Result::err).collect::<Vec<_>>().try_into().unwrap();
    let too_much = refused::<()>(Err(too_much), Code::OutOfRange, "AMOUNT_OUT_OF_RANGE");
    let sentence = "10000000000.00 EUR more would be over what an account can hold";
    assert_eq!(too_much.message(), sentence);
    assert_eq!(till.cents("ann").await, 999 * LARGEST + 1);
}

#[tokio::test]
async fn an_unknown_wallet_or_payment_is_not_found_and_a_stranger_has_no_payments() {
    let till = Till::open().await;
    let read = till.client().get_wallet(wallet("bob")).await;
    let unknown = refused(read, Code::NotFound, "WALLET_UNKNOWN");
    assert_eq!(unknown.message(), "the user bob has no wallet");
    let request = GetPaymentRequest { payment_no: "P-9".to_owned() };
    let read = till.client().get_payment(request).await;
    let unknown = refused(read, Code::NotFound, "PAYMENT_UNKNOWN");
    assert_eq!(unknown.message(), "there is no payment P-9");
    let listed = till.client().list_payments(list("bob")).await.unwrap().into_inner();
    assert_eq!((code(&listed), listed.payments.len()), ("OK", 0));
}

#[tokio::test]
async fn payments_are_listed_page_by_page_and_a_token_is_good_for_its_own_list_only() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    till.has("bob", 50).await;
    for cents in 1..=5 {
        till.charges(&format!("a{cents}"), "ann", &format!("A-{cents}"), cents).await;
        till.charges(&format!("b{cents}"), "bob", &format!("B-{cents}"), cents).await;
        till.advance(Duration::from_millis(1));
    }
    let page = async |user_id: &str, page_token: &str| {
        let page_token = page_token.to_owned();
        let request = ListPaymentsRequest { page_size: 2, page_token, ..list(user_id) };
        till.client().list_payments(request).await
    };
    let (mut seen, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let listed = page("ann", &token).await.unwrap().into_inner();
        sizes.push(listed.payments.len());
        seen.extend(listed.payments.into_iter().map(|payment| payment.order_no));
        token = listed.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.join(" ").as_str(), sizes), ("A-1 A-2 A-3 A-4 A-5", vec![2, 2, 1]));

    let token = page("ann", "").await.unwrap().into_inner().next_page_token;
    assert_eq!(paths(&page("bob", &token).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let till = Till::open().await;
    till.has("ann", 50).await;
    let charged = till.charge("s1", "ann", "O-1", 20).await;
    till.charges("s2", "ann", "O-2", 31).await;
    till.undoes("s3", "O-3").await;
    let (payments, balances) = (till.payments("ann").await, till.balances().await);

    let till = till.reopened().await;
    assert_eq!((till.payments("ann").await, till.balances().await), (payments, balances));
    assert_eq!(till.charge("s1", "ann", "O-1", 20).await, charged, "a repeat, from the inbox");
    assert_eq!(till.charges("s2", "ann", "O-2", 31).await, "INSUFFICIENT_FUNDS");
    assert_eq!(till.charges("s3", "ann", "O-3", 1).await, "SUPERSEDED");
    assert_eq!(till.undoes("s1", "O-1").await, "OK");
    assert_eq!(till.cents("ann").await, 50);
}
