//! Whatever is done in whatever order, the books are those of a simple model, and they add up.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use proto::stock::v1::Flow;
use stage::{Coverage, play};

use crate::shop::{Shop, add, code, confirm, restock, step};

const SKUS: [&str; 3] = ["cup", "pot", "tea"];
/// Enough for some orders and not for all.
const FIRST_UNITS: i64 = 8;
const ORDERS: [&str; 6] = ["O-1", "O-2", "O-3", "O-4", "O-5", "O-6"];

#[derive(Clone, Debug)]
enum Operation {
    Add(&'static str, i64),
    Freeze(&'static str, Vec<(&'static str, i64)>),
    Confirm(&'static str),
    Unfreeze(&'static str),
    Restock(&'static str),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let sku = || select(&SKUS[..]);
    let order = || select(&ORDERS[..]);
    let lines = proptest::collection::btree_map(sku(), 1..8_i64, 1..=3);
    let operation = prop_oneof![
        2 => (sku(), 1..8_i64).prop_map(|(sku, quantity)| Operation::Add(sku, quantity)),
        5 => (order(), lines).prop_map(|(order, lines)| Operation::Freeze(order, lines.into_iter().rev().collect())),
        4 => order().prop_map(Operation::Confirm),
        2 => order().prop_map(Operation::Unfreeze),
        3 => order().prop_map(Operation::Restock),
    ];
    proptest::collection::vec(operation, 1..60)
}

/// What the books should say.
#[derive(Default)]
struct Model {
    added: BTreeMap<&'static str, i64>,
    units: BTreeMap<&'static str, (i64, i64, i64)>,
    orders: BTreeMap<&'static str, Order>,
}

#[derive(Default)]
struct Order {
    lines: Vec<(&'static str, i64)>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Unasked,
    /// Its freeze was declined, or its undo came first.
    Closed,
    Frozen,
    Sold,
    Released,
    Restocked,
}

impl Model {
    fn begin() -> Self {
        let mut model = Self::default();
        for sku in SKUS {
            let _ = model.expect(&Operation::Add(sku, FIRST_UNITS));
        }
        model
    }

    /// None: the key is used, perhaps for another request.
    fn expect(&mut self, operation: &Operation) -> Option<&'static str> {
        match operation {
            Operation::Add(sku, quantity) => {
                *self.added.entry(sku).or_default() += quantity;
                self.units.entry(sku).or_default().0 += quantity;
                Some("OK")
            }
            Operation::Freeze(order_no, lines) => self.freeze(order_no, lines),
            Operation::Confirm(order_no) => {
                Some(self.settle(order_no, State::Frozen, State::Sold, (0, -1, 1)))
            }
            Operation::Unfreeze(order_no) => Some(self.unfreeze(order_no)),
            Operation::Restock(order_no) => {
                Some(self.settle(order_no, State::Sold, State::Restocked, (1, 0, -1)))
            }
        }
    }

    fn freeze(
        &mut self,
        order_no: &'static str,
        lines: &[(&'static str, i64)],
    ) -> Option<&'static str> {
        let order = self.orders.entry(order_no).or_default();
        if order.state != State::Unasked {
            return None;
        }
        order.state = State::Closed;
        let units = &mut self.units;
        if lines.iter().any(|(sku, quantity)| units.entry(sku).or_default().0 < *quantity) {
            return Some("INSUFFICIENT_STOCK");
        }
        for (sku, quantity) in lines {
            shift(units, sku, *quantity, (-1, 1, 0));
        }
        (order.lines, order.state) = (lines.to_vec(), State::Frozen);
        Some("OK")
    }

    fn unfreeze(&mut self, order_no: &'static str) -> &'static str {
        let order = self.orders.entry(order_no).or_default();
        match order.state {
            State::Unasked => order.state = State::Closed,
            State::Closed | State::Released => {}
            State::Frozen | State::Sold | State::Restocked => {
                return self.settle(order_no, State::Frozen, State::Released, (1, -1, 0));
            }
        }
        "OK"
    }

    fn settle(
        &mut self,
        order_no: &'static str,
        from: State,
        to: State,
        by: (i64, i64, i64),
    ) -> &'static str {
        let order = self.orders.entry(order_no).or_default();
        if order.state != from {
            return "RESERVATION_UNKNOWN";
        }
        order.state = to;
        for (sku, quantity) in &order.lines {
            shift(&mut self.units, sku, *quantity, by);
        }
        "OK"
    }
}

fn shift(
    units: &mut BTreeMap<&'static str, (i64, i64, i64)>,
    sku: &'static str,
    quantity: i64,
    by: (i64, i64, i64),
) {
    let (available, frozen, sold) = units.entry(sku).or_default();
    *available += by.0 * quantity;
    *frozen += by.1 * quantity;
    *sold += by.2 * quantity;
}

/// Confirms and restocks come from sagas of their own each time; an order is frozen by one, which can undo it.
async fn act(shop: &Shop, number: usize, operation: &Operation) -> String {
    let (mut client, saga) = (shop.client(), number.to_string());
    match operation {
        Operation::Add(sku, quantity) => {
            let added = client.add_stock(add(&saga, sku, *quantity)).await;
            code(added.unwrap().get_ref()).to_owned()
        }
        Operation::Confirm(order_no) => {
            let sold = client.confirm(step(&saga, confirm(order_no))).await;
            code(sold.unwrap().get_ref()).to_owned()
        }
        Operation::Restock(order_no) => {
            let back = client.restock(step(&saga, restock(order_no))).await;
            code(back.unwrap().get_ref()).to_owned()
        }
        Operation::Freeze(order_no, lines) => shop.freezes(order_no, lines).await,
        Operation::Unfreeze(order_no) => shop.unfreezes(order_no).await,
    }
}

/// What the flow records alone say of a SKU's units.
fn replayed(flows: &[Flow]) -> (i64, i64, i64) {
    use proto::stock::v1::FlowKind::{Add, Confirm, Freeze, Restock, Unfreeze};
    flows.iter().fold((0, 0, 0), |(available, frozen, sold), flow| {
        let quantity = flow.quantity;
        match flow.kind() {
            Add => (available + quantity, frozen, sold),
            Freeze => (available - quantity, frozen + quantity, sold),
            Confirm => (available, frozen - quantity, sold + quantity),
            Unfreeze => (available + quantity, frozen - quantity, sold),
            Restock => (available + quantity, frozen, sold - quantity),
            other => panic!("no change is {other:?}"),
        }
    })
}

async fn run(operations: &[Operation], coverage: &Coverage) {
    let shop = Shop::open().await;
    for sku in SKUS {
        shop.sells(sku, FIRST_UNITS).await;
    }
    let mut model = Model::begin();
    for (number, operation) in operations.iter().enumerate() {
        let Some(expected) = model.expect(operation) else { continue };
        let answer = act(&shop, number, operation).await;
        assert_eq!(answer, expected, "{operation:?} as number {number}");
        coverage.note(operation, expected);
    }
    for sku in SKUS {
        let units = shop.units(sku).await;
        assert_eq!(units, model.units.get(sku).copied().unwrap_or_default(), "{sku}");
        let (available, frozen, sold) = units;
        assert!(available >= 0 && frozen >= 0 && sold >= 0);
        assert_eq!(available + frozen + sold, model.added.get(sku).copied().unwrap_or_default());
        assert_eq!(units, replayed(&shop.flows(sku).await), "{sku} by its flow records");
    }
}

#[test]
fn available_frozen_and_sold_are_always_all_that_was_ever_added() {
    let claimed = [
        "Add OK",
        "Freeze OK",
        "Freeze INSUFFICIENT_STOCK",
        "Confirm OK",
        "Confirm RESERVATION_UNKNOWN",
        "Unfreeze OK",
        "Unfreeze RESERVATION_UNKNOWN",
        "Restock OK",
        "Restock RESERVATION_UNKNOWN",
    ];
    play(48, &operations(), &claimed, async |operations, coverage| {
        run(&operations, coverage).await
    });
}
