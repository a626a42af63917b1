//! Whatever is tried in whatever order, an order only goes where a simple model says, and its log tells the way.

use proptest::{prelude::*, sample::select};
use proto::order::v1::OrderState::{
    self, Cancelled, Cancelling, Completed, Created, Paid, Refunded, Returned, Shipped, Unspecified,
};
use stage::{Coverage, play};

use crate::desk::{DUE, Desk, euros};

const MOVES: [&str; 7] = ["pay", "undo", "ship", "complete", "begin", "abandon", "finish"];
/// Sagas that give the order back, each once.
const CANCELS: usize = 3;

/// What an order should be like.
struct Model {
    past: Vec<OrderState>,
    /// The cancels that have begun and were not abandoned, and those that were undone before they came.
    cancels: [Cancel; CANCELS],
    undone: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Cancel {
    Unasked,
    Begun,
    Closed,
    Declined,
}

impl Model {
    fn state(&self) -> OrderState {
        *self.past.last().unwrap()
    }

    fn goes(&mut self, to: OrderState) -> &'static str {
        self.past.push(to);
        "OK"
    }

    /// None: the key is used.
    fn expect(&mut self, name: &str, cancel: usize) -> Option<&'static str> {
        let before_cancel = self.past.iter().rev().copied().find(|state| *state != Cancelling);
        Some(match (name, self.state()) {
            ("undo", Created) => {
                self.undone = true;
                self.goes(Cancelled)
            }
            ("undo", _) if self.undone => "OK",
            ("begin", state) => match (self.cancels[cancel], state) {
                (Cancel::Unasked, Created) => "Aborted ORDER_STATE",
                (Cancel::Unasked, Paid | Shipped) => {
                    self.cancels[cancel] = Cancel::Begun;
                    self.goes(Cancelling)
                }
                (Cancel::Unasked, _) => {
                    self.cancels[cancel] = Cancel::Declined;
                    "ORDER_STATE"
                }
                _ => return None,
            },
            ("abandon", state) => match (self.cancels[cancel], state) {
                (Cancel::Unasked | Cancel::Closed | Cancel::Declined, _) => {
                    self.cancels[cancel] = Cancel::Closed;
                    "OK"
                }
                (Cancel::Begun, Cancelling) => {
                    self.cancels[cancel] = Cancel::Closed;
                    self.goes(before_cancel.unwrap())
                }
                (Cancel::Begun, _) => "ORDER_STATE",
            },
            ("pay", Created) => self.goes(Paid),
            ("ship", Paid) => self.goes(Shipped),
            ("complete", Shipped) => self.goes(Completed),
            ("finish", Cancelling) if before_cancel == Some(Shipped) => self.goes(Returned),
            ("finish", Cancelling) => self.goes(Refunded),
            ("ship" | "complete", _) => "FailedPrecondition ORDER_STATE",
            _ => "ORDER_STATE",
        })
    }
}

async fn run(moves: &[(&'static str, usize)], coverage: &Coverage) {
    let desk = Desk::open().await;
    let order_no = desk.places("placing").await;
    let cancels = [Cancel::Unasked; CANCELS];
    let mut model = Model { past: vec![Created], cancels, undone: false };
    for (number, (name, cancel)) in moves.iter().enumerate() {
        let from = model.state();
        let Some(expected) = model.expect(name, *cancel) else { continue };
        let saga = match *name {
            "undo" => "placing".to_owned(),
            "begin" | "abandon" => format!("cancel-{cancel}"),
            _ => format!("{number}"),
        };
        assert_eq!(desk.moves(&saga, name, &order_no).await, expected, "{name} from {from:?}");
        coverage.note(name, expected);
    }
    let order = desk.order(&order_no).await;
    assert_eq!(order.state(), model.state());
    let log: Vec<_> = order.transitions.iter().map(|one| (one.from(), one.to())).collect();
    let from = std::iter::once(Unspecified).chain(model.past.iter().copied());
    assert_eq!(log, from.zip(model.past.iter().copied()).collect::<Vec<_>>());
    let paid = model.past.contains(&Paid).then(|| euros(DUE));
    assert_eq!(order.paid, paid, "paid once, in full");
}

#[test]
fn an_order_only_goes_where_its_state_allows_and_its_log_tells_the_way() {
    let one = prop_oneof![
        2 => Just("pay"), 2 => Just("ship"), 3 => Just("begin"), 2 => Just("abandon"),
        2 => Just("finish"), 2 => select(&MOVES[..]),
    ];
    let moves = proptest::collection::vec((one, 0..CANCELS), 1..40);
    let answered = |name: &&str| {
        let status = if ["ship", "complete"].contains(name) { "FailedPrecondition " } else { "" };
        [format!("{name} OK"), format!("{name} {status}ORDER_STATE")]
    };
    let mut claimed: Vec<String> = MOVES.iter().flat_map(answered).collect();
    claimed.push("begin Aborted ORDER_STATE".to_owned());
    play(64, &moves, &claimed, async |moves, coverage| run(&moves, coverage).await);
}
