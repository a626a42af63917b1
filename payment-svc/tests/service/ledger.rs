//! Whatever is done in whatever order, the wallets are those of a simple model, and the books add up by themselves.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use proto::{
    facade::v1::Money,
    payment::v1::{ChargeRequest, OpenWalletRequest, Payment, PaymentState, TopUpRequest},
};
use stage::{Coverage, code_or_status, play};

use crate::till::{Till, charge, code, open, step, top_up};

const WALLETS: [(&str, &str); 3] = [("ann", "EUR"), ("bob", "EUR"), ("cat", "USD")];
/// Never has a wallet.
const STRANGER: &str = "eve";
/// Enough for some orders and not for all.
const FIRST_CENTS: i64 = 8;
const ORDERS: [&str; 5] = ["O-1", "O-2", "O-3", "O-4", "O-5"];
/// An order is paid for by two sagas.
const SAGAS: [&str; 2] = ["first", "second"];

type Amount = (&'static str, i64);

#[derive(Clone, Debug)]
enum Operation {
    TopUp(&'static str, Amount),
    Charge(&'static str, &'static str, &'static str, Amount),
    Undo(&'static str, &'static str),
    Refund(&'static str),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let user =
        || prop_oneof![9 => select(&WALLETS[..]).prop_map(|(user, _)| user), 1 => Just(STRANGER)];
    let amount = || (prop_oneof![3 => Just("EUR"), 1 => Just("USD")], 1..8_i64);
    let order = || select(&ORDERS[..]);
    let saga = || select(&SAGAS[..]);
    let operation = prop_oneof![
        2 => (user(), amount()).prop_map(|(user, amount)| Operation::TopUp(user, amount)),
        6 => (saga(), user(), order(), amount())
            .prop_map(|(saga, user, order, amount)| Operation::Charge(saga, user, order, amount)),
        3 => (saga(), order()).prop_map(|(saga, order)| Operation::Undo(saga, order)),
        2 => order().prop_map(Operation::Refund),
    ];
    proptest::collection::vec(operation, 1..60)
}

/// What the wallets and the payments should say.
struct Model {
    wallets: BTreeMap<&'static str, Amount>,
    /// Who paid how much for which order, and whether it was given back.
    paid: BTreeMap<&'static str, (&'static str, i64, bool)>,
    /// What became of each saga's charge.
    calls: BTreeMap<(&'static str, &'static str), Call>,
    /// The payments on record, of all users.
    records: usize,
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
        let wallets = WALLETS.map(|(user, currency)| (user, (currency, FIRST_CENTS)));
        let (paid, calls) = (BTreeMap::new(), BTreeMap::new());
        Self { wallets: wallets.into(), paid, calls, records: 0 }
    }

    /// None: the key is used, perhaps for another request.
    fn expect(&mut self, operation: &Operation) -> Option<&'static str> {
        match operation {
            Operation::TopUp(user, amount) => Some(match self.wallet(user, *amount) {
                Ok(cents) => {
                    *cents += amount.1;
                    "OK"
                }
                Err("WALLET_UNKNOWN") => "NotFound WALLET_UNKNOWN",
                Err(_) => "FailedPrecondition CURRENCY_MISMATCH",
            }),
            Operation::Charge(saga, user, order, amount) => {
                self.charge((saga, order), user, *amount)
            }
            Operation::Undo(saga, order) => Some(self.undo((saga, order))),
            Operation::Refund(order) => Some(self.refund(order)),
        }
    }

    fn wallet(&mut self, user: &str, amount: Amount) -> Result<&mut i64, &'static str> {
        match self.wallets.get_mut(user) {
            None => Err("WALLET_UNKNOWN"),
            Some((currency, _)) if *currency != amount.0 => Err("CURRENCY_MISMATCH"),
            Some((_, cents)) => Ok(cents),
        }
    }

    fn charge(
        &mut self,
        call: (&'static str, &'static str),
        user: &'static str,
        amount: Amount,
    ) -> Option<&'static str> {
        if self.calls.contains_key(&call) {
            return None;
        }
        self.calls.insert(call, Call::Closed);
        if self.paid.contains_key(call.1) {
            return Some("ORDER_STATE");
        }
        self.records += 1;
        match self.wallet(user, amount) {
            Err(reason) => return Some(reason),
            Ok(cents) if *cents < amount.1 => return Some("INSUFFICIENT_FUNDS"),
            Ok(cents) => *cents -= amount.1,
        }
        self.paid.insert(call.1, (user, amount.1, false));
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
        match self.paid.get_mut(order) {
            None => "PAYMENT_UNKNOWN",
            Some((_, _, true)) => "ORDER_STATE",
            Some((user, cents, back)) => {
                *back = true;
                self.wallets.entry(user).or_default().1 += *cents;
                "OK"
            }
        }
    }
}

fn money((currency, minor_units): Amount) -> Option<Money> {
    Some(Money { currency: currency.to_owned(), minor_units })
}

/// Refunds come from sagas of their own each time; a charge from one of two, which can undo it.
async fn act(till: &Till, number: usize, operation: &Operation) -> String {
    let number = number.to_string();
    match operation {
        Operation::TopUp(user, amount) => {
            let request = TopUpRequest { amount: money(*amount), ..top_up(&number, user, 0) };
            code_or_status(till.client().top_up(request).await)
        }
        Operation::Charge(saga, user, order, amount) => {
            let request = ChargeRequest { amount: money(*amount), ..charge(user, order, 0) };
            let request = step(&format!("{saga}-{order}"), request);
            code(till.client().charge(request).await.unwrap().get_ref()).to_owned()
        }
        Operation::Undo(saga, order) => till.undoes(&format!("{saga}-{order}"), order).await,
        Operation::Refund(order) => till.refunds(&number, order).await,
    }
}

async fn opened() -> Till {
    let till = Till::open().await;
    for (user, currency) in WALLETS {
        let request = OpenWalletRequest { currency: currency.to_owned(), ..open(user, user) };
        let answer = till.client().open_wallet(request).await.unwrap();
        assert_eq!(code(answer.get_ref()), "OK");
        let amount = money((currency, FIRST_CENTS));
        let request = TopUpRequest { amount, ..top_up(&format!("{user}-fills"), user, 0) };
        let answer = till.client().top_up(request).await.unwrap();
        assert_eq!(code(answer.get_ref()), "OK");
    }
    till
}

/// The books by themselves: every transaction sums to zero, so does all money, and a balance is what its account's movements
/// come to.
async fn add_up(till: &Till) {
    let balances = till.balances().await;
    let (mut transactions, mut accounts) = (BTreeMap::new(), BTreeMap::new());
    for movement in till.movements().await {
        let (sides, sum) = transactions.entry(movement.transaction_no).or_insert((0, 0));
        *sides += 1;
        *sum += movement.amount;
        *accounts.entry(movement.account).or_insert(0) += movement.amount;
    }
    for (transaction_no, both) in transactions {
        assert_eq!(both, (2, 0), "{transaction_no}");
    }
    for (account, balance) in &balances {
        let moved = accounts.get(account).copied().unwrap_or_default();
        assert_eq!(*balance, moved, "{account}");
        assert!(*balance >= 0 || account.starts_with("bank/"), "{account}");
    }
    assert_eq!(balances.values().sum::<i64>(), 0);
}

/// What the payments alone say the shop has, where none gives back more than it took.
fn takings(payments: &[Payment]) -> i64 {
    let cents = |money: &Option<Money>| money.as_ref().unwrap().minor_units;
    let kept = payments.iter().map(|payment| {
        let (amount, refunded) = (cents(&payment.amount), cents(&payment.refunded));
        match payment.state() {
            PaymentState::Success => {
                assert_eq!(refunded, 0, "{payment:?}");
                amount
            }
            PaymentState::Failed => {
                assert!(refunded == 0 && !payment.failure.is_empty(), "{payment:?}");
                0
            }
            PaymentState::Refunded => {
                assert_eq!(refunded, amount, "{payment:?}");
                0
            }
            other => panic!("no payment rests in {other:?}"),
        }
    });
    kept.sum()
}

async fn run(operations: &[Operation], coverage: &Coverage) {
    let till = opened().await;
    let mut model = Model::begin();
    for (number, operation) in operations.iter().enumerate() {
        let Some(expected) = model.expect(operation) else { continue };
        assert_eq!(
            act(&till, number, operation).await,
            expected,
            "{operation:?} as number {number}"
        );
        coverage.note(operation, expected);
    }
    add_up(&till).await;
    let mut payments = Vec::new();
    for (user, _) in WALLETS {
        assert_eq!(till.cents(user).await, model.wallets[user].1, "{user}");
        payments.extend(till.payments(user).await);
    }
    payments.extend(till.payments(STRANGER).await);
    assert_eq!(payments.len(), model.records);
    let balances = till.balances().await;
    let shop = ["shop/EUR", "shop/USD"].map(|id| balances.get(id).copied().unwrap_or_default());
    assert_eq!(shop.iter().sum::<i64>(), takings(&payments));
}

#[test]
fn all_movements_sum_to_zero_and_no_wallet_is_ever_negative() {
    let claimed = [
        "TopUp OK",
        "TopUp NotFound WALLET_UNKNOWN",
        "TopUp FailedPrecondition CURRENCY_MISMATCH",
        "Charge OK",
        "Charge INSUFFICIENT_FUNDS",
        "Charge WALLET_UNKNOWN",
        "Charge CURRENCY_MISMATCH",
        "Charge ORDER_STATE",
        "Undo OK",
        "Undo ORDER_STATE",
        "Refund OK",
        "Refund ORDER_STATE",
        "Refund PAYMENT_UNKNOWN",
    ];
    play(48, &operations(), &claimed, async |operations, coverage| {
        run(&operations, coverage).await
    });
}
