//! Members, points that are earned, and lists.

use proto::points::v1::{Account, EntryKind, ListEntriesRequest};
use stage::refused;
use tonic::Code;

use crate::club::{Club, account, code, earn, list, open, paths, standing};

fn ann(balance: i64, suspended: bool) -> Option<Account> {
    Some(Account { user_id: "ann".to_owned(), balance, suspended })
}

#[tokio::test]
async fn a_user_becomes_a_member_and_a_member_stays_as_they_are() {
    let club = Club::open().await;
    let opened = club.client().open_account(open("1", "ann")).await.unwrap().into_inner();
    assert_eq!((code(&opened), &opened.account), ("OK", &ann(0, false)));

    club.earns("1", "ann", 7).await;
    club.client().set_standing(standing("1", "ann", true)).await.unwrap();
    let again = club.client().open_account(open("2", "ann")).await.unwrap().into_inner();
    assert_eq!((code(&again), &again.account), ("OK", &ann(7, true)));
}

#[tokio::test]
async fn a_member_is_suspended_and_reinstated() {
    let club = Club::open().await;
    club.has("ann", 7).await;
    for (request_id, suspended) in [("1", true), ("2", false)] {
        let changed = club.client().set_standing(standing(request_id, "ann", suspended)).await;
        assert_eq!(changed.unwrap().into_inner().account, ann(7, suspended));
        let read = club.client().get_account(account("ann")).await.unwrap().into_inner();
        assert_eq!((code(&read), &read.account), ("OK", &ann(7, suspended)));
    }
}

#[tokio::test]
async fn points_are_added_to_those_that_are_there() {
    let club = Club::open().await;
    club.has("ann", 7).await;
    let earned = club.client().earn(earn("1", "ann", 5)).await.unwrap().into_inner();
    assert_eq!((code(&earned), &earned.account), ("OK", &ann(12, false)));
    assert_eq!(club.movements("ann").await, [(EntryKind::Earn, 7, 7), (EntryKind::Earn, 5, 12)]);
}

#[tokio::test]
async fn no_account_grows_over_what_it_can_hold() {
    const LARGEST: i64 = 1_000_000_000_000;
    let club = Club::open().await;
    club.has("ann", 1).await;
    let earns = (0..1_000).map(|number| {
        let mut client = club.client();
        async move { client.earn(earn(&number.to_string(), "ann", LARGEST)).await }
    });
    let answers = futures::future::join_all(earns).await;
    let [too_much] =
        answers.into_iter().filter_map(Result::err).collect::<Vec<_>>().try_into().unwrap();
    let too_much = refused::<()>(Err(too_much), Code::OutOfRange, "AMOUNT_OUT_OF_RANGE");
    let sentence = "1000000000000 more points would be over the limit of 1000000000000000 points";
    assert_eq!(too_much.message(), sentence);
    assert_eq!(club.balance("ann").await, 999 * LARGEST + 1);
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let club = Club::open().await;
    let mut client = club.client();
    let refusals = [
        client.set_standing(standing("1", "bob", true)).await.map(|_| ()),
        client.earn(earn("1", "bob", 5)).await.map(|_| ()),
        client.get_account(account("bob")).await.map(|_| ()),
        client.list_entries(list("bob")).await.map(|_| ()),
    ];
    for answer in refusals {
        let unknown = refused(answer, Code::NotFound, "USER_UNKNOWN");
        assert_eq!(unknown.message(), "no member has the id bob");
    }

    club.has("bob", 0).await;
    let listed = club.client().list_entries(list("bob")).await.unwrap().into_inner();
    assert_eq!((code(&listed), listed.entries.len()), ("OK", 0), "known, and without entries");
}

#[tokio::test]
async fn entries_are_listed_page_by_page_and_a_token_is_good_for_its_own_list_only() {
    let club = Club::open().await;
    club.has("ann", 1).await;
    club.has("bob", 9).await;
    for points in 2..=5 {
        club.earns(&points.to_string(), "ann", points).await;
        club.earns(&format!("bob-{points}"), "bob", points).await;
    }
    let page = async |user_id: &str, page_token: &str| {
        let page_token = page_token.to_owned();
        let request = ListEntriesRequest { page_size: 2, page_token, ..list(user_id) };
        club.client().list_entries(request).await
    };
    let (mut seen, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let listed = page("ann", &token).await.unwrap().into_inner();
        sizes.push(listed.entries.len());
        seen.extend(listed.entries.into_iter().map(|entry| entry.change));
        token = listed.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, sizes), (vec![1, 2, 3, 4, 5], vec![2, 2, 1]));

    let token = page("ann", "").await.unwrap().into_inner().next_page_token;
    assert_eq!(paths(&page("bob", &token).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let club = Club::open().await;
    club.has("ann", 50).await;
    club.deducts("s1", "ann", "O-1", 20).await;
    club.deducts("s2", "ann", "O-2", 31).await;
    club.undoes("s3", "O-3").await;
    club.client().set_standing(standing("1", "ann", true)).await.unwrap();
    let entries = club.entries("ann").await;

    let club = club.reopened().await;
    let read = club.client().get_account(account("ann")).await.unwrap().into_inner();
    assert_eq!((read.account, club.entries("ann").await), (ann(30, true), entries));
    assert_eq!(club.deducts("s1", "ann", "O-1", 20).await, "OK", "a repeat, from the inbox");
    assert_eq!(club.deducts("s2", "ann", "O-2", 31).await, "INSUFFICIENT_POINTS");
    assert_eq!(club.deducts("s3", "ann", "O-3", 1).await, "SUPERSEDED");
    assert_eq!(club.undoes("s1", "O-1").await, "OK");
    assert_eq!(club.balance("ann").await, 50);
}
