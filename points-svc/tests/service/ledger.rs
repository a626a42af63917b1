//! Whatever is done in whatever order, the accounts are those of a simple model, and each is the sum of its ledger.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use proto::points::v1::{Entry, EntryKind};
use stage::{Coverage, play};

use crate::club::Club;

const USERS: [&str; 2] = ["ann", "bob"];
/// Never a member.
const STRANGER: &str = "eve";
/// Enough for some orders and not for all.
const FIRST_POINTS: i64 = 8;
const ORDERS: [&str; 5] = ["O-1", "O-2", "O-3", "O-4", "O-5"];
/// An order is asked for by two sagas.
const SAGAS: [&str; 2] = ["first", "second"];

#[derive(Clone, Debug)]
enum Operation {
    Earn(&'static str, i64),
    Deduct(&'static str, &'static str, &'static str, i64),
    Undo(&'static str, &'static str),
    Refund(&'static str),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let user = || prop_oneof![9 => select(&USERS[..]), 1 => Just(STRANGER)];
    let order = || select(&ORDERS[..]);
    let saga = || select(&SAGAS[..]);
    let operation = prop_oneof![
        2 => (user(), 1..8_i64).prop_map(|(user, points)| Operation::Earn(user, points)),
        5 => (saga(), user(), order(), 1..8_i64)
            .prop_map(|(saga, user, order, points)| Operation::Deduct(saga, user, order, points)),
        3 => (saga(), order()).prop_map(|(saga, order)| Operation::Undo(saga, order)),
        2 => order().prop_map(Operation::Refund),
    ];
    proptest::collection::vec(operation, 1..60)
}

/// What the accounts should say.
struct Model {
    balances: BTreeMap<&'static str, i64>,
    /// Who spent how many points on which order, and whether they were given back.
    spent: BTreeMap<&'static str, (&'static str, i64, bool)>,
    /// What became of each saga's deduction.
    calls: BTreeMap<(&'static str, &'static str), Call>,
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    Done,
    /// It was declined, or its undo came first.
    Closed,
    Undone,
}

impl Model {
    fn begin() -> Self {
        let balances = USERS.into_iter().map(|user| (user, FIRST_POINTS)).collect();
        Self { balances, spent: BTreeMap::new(), calls: BTreeMap::new() }
    }

    /// None: the key is used, perhaps for another request.
    fn expect(&mut self, operation: &Operation) -> Option<&'static str> {
        match operation {
            Operation::Earn(user, points) => Some(match self.balances.get_mut(user) {
                Some(balance) => {
                    *balance += points;
                    "OK"
                }
                None => "NotFound USER_UNKNOWN",
            }),
            Operation::Deduct(saga, user, order, points) => {
                self.deduct((saga, order), user, *points)
            }
            Operation::Undo(saga, order) => Some(self.undo((saga, order))),
            Operation::Refund(order) => Some(self.refund(order)),
        }
    }

    fn deduct(
        &mut self,
        call: (&'static str, &'static str),
        user: &'static str,
        points: i64,
    ) -> Option<&'static str> {
        if self.calls.contains_key(&call) {
            return None;
        }
        self.calls.insert(call, Call::Closed);
        if self.spent.contains_key(call.1) {
            return Some("ORDER_STATE");
        }
        let Some(balance) = self.balances.get_mut(user) else { return Some("USER_UNKNOWN") };
        if *balance < points {
            return Some("INSUFFICIENT_POINTS");
        }
        *balance -= points;
        self.spent.insert(call.1, (user, points, false));
        self.calls.insert(call, Call::Done);
        Some("OK")
    }

    fn undo(&mut self, call: (&'static str, &'static str)) -> &'static str {
        if self.calls.get(&call) != Some(&Call::Done) {
            self.calls.entry(call).or_insert(Call::Closed);
            return "OK";
        }
        let answer = self.refund(call.1);
        if answer == "OK" {
            self.calls.insert(call, Call::Undone);
        }
        answer
    }

    fn refund(&mut self, order: &'static str) -> &'static str {
        match self.spent.get_mut(order) {
            None => "ORDER_UNKNOWN",
            Some((_, _, true)) => "ORDER_STATE",
            Some((user, points, back)) => {
                *back = true;
                *self.balances.entry(user).or_default() += *points;
                "OK"
            }
        }
    }
}

/// Refunds come from sagas of their own each time; a deduction from one of two, which can undo it.
async fn act(club: &Club, number: usize, operation: &Operation) -> String {
    match operation {
        Operation::Earn(user, points) => club.earns(&number.to_string(), user, *points).await,
        Operation::Deduct(saga, user, order, points) => {
            club.deducts(&format!("{saga}-{order}"), user, order, *points).await
        }
        Operation::Undo(saga, order) => club.undoes(&format!("{saga}-{order}"), order).await,
        Operation::Refund(order) => club.refunds(&number.to_string(), order).await,
    }
}

/// The ledger by itself: each entry follows from the one before, and no order spends or gets back twice.
fn balance_of(entries: &[Entry]) -> i64 {
    let (mut balance, mut orders) = (0, Vec::new());
    for entry in entries {
        balance += entry.change;
        assert_eq!(entry.balance_after, balance, "{entry:?}");
        assert!(balance >= 0, "{entry:?}");
        if entry.kind() != EntryKind::Earn {
            let once = (entry.order_no.clone(), entry.kind());
            assert!(!orders.contains(&once), "{entry:?}");
            orders.push(once);
        }
    }
    balance
}

async fn run(operations: &[Operation], coverage: &Coverage) {
    let club = Club::open().await;
    for user in USERS {
        club.has(user, FIRST_POINTS).await;
    }
    let mut model = Model::begin();
    for (number, operation) in operations.iter().enumerate() {
        let Some(expected) = model.expect(operation) else { continue };
        assert_eq!(
            act(&club, number, operation).await,
            expected,
            "{operation:?} as number {number}"
        );
        coverage.note(operation, expected);
    }
    for user in USERS {
        let balance = club.balance(user).await;
        assert_eq!(Some(&balance), model.balances.get(user), "{user}");
        assert_eq!(balance, balance_of(&club.entries(user).await), "{user} by the ledger");
    }
}

#[test]
fn a_balance_is_always_the_sum_of_its_ledger_and_never_negative() {
    let claimed = [
        "Earn OK",
        "Earn NotFound USER_UNKNOWN",
        "Deduct OK",
        "Deduct INSUFFICIENT_POINTS",
        "Deduct ORDER_STATE",
        "Deduct USER_UNKNOWN",
        "Undo OK",
        "Undo ORDER_STATE",
        "Refund OK",
        "Refund ORDER_STATE",
        "Refund ORDER_UNKNOWN",
    ];
    play(48, &operations(), &claimed, async |operations, coverage| {
        run(&operations, coverage).await
    });
}
