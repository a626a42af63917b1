//! What an order is, and the states that it goes through. Pure.
//!
//! ```text
//! CREATED ── paid ──▶ PAID ── shipped ──▶ SHIPPED ── completed ──▶ COMPLETED
//!    │                 ▲│                    ▲│
//!  undone              ││ cancel, abandon    ││ cancel, abandon
//!    ▼                 │▼                    │▼
//! CANCELLED        CANCELLING            CANCELLING
//!                       │ finish              │ finish
//!                       ▼                     ▼
//!                   REFUNDED              RETURNED
//! ```

use clock::Timestamp;
use money::Money;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Being placed: nothing is promised yet.
    Created,
    /// Placed and paid.
    Paid,
    /// Its goods have left.
    Shipped,
    /// Its user has the goods and keeps them.
    Completed,
    /// Its placing was undone.
    Cancelled,
    /// Being given back.
    Cancelling {
        /// Whether its goods had left.
        shipped: bool,
    },
    /// Given back before its goods left.
    Refunded,
    /// Given back after its goods left.
    Returned,
}

/// What may be done to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderAction {
    /// The saga that places it has the money.
    MarkPaid,
    /// The saga that places it turns back.
    UndoPlacing,
    /// Its goods leave.
    Ship,
    /// Its user keeps the goods.
    Complete,
    /// It is to be given back.
    BeginCancel,
    /// It is not to be given back after all.
    AbandonCancel,
    /// Everything was given back.
    FinishCancel,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Paid,
        Self::Shipped,
        Self::Completed,
        Self::Cancelled,
        Self::Cancelling { shipped: false },
        Self::Cancelling { shipped: true },
        Self::Refunded,
        Self::Returned,
    ];

    /// The state after `action`; `None` where this one does not allow it. The one table of legal actions.
    #[must_use]
    pub fn after(self, action: OrderAction) -> Option<Self> {
        match (self, action) {
            (Self::Created, OrderAction::MarkPaid) => Some(Self::Paid),
            (Self::Created, OrderAction::UndoPlacing) => Some(Self::Cancelled),
            (Self::Paid, OrderAction::Ship) => Some(Self::Shipped),
            (Self::Shipped, OrderAction::Complete) => Some(Self::Completed),
            (Self::Paid, OrderAction::BeginCancel) => Some(Self::Cancelling { shipped: false }),
            (Self::Shipped, OrderAction::BeginCancel) => Some(Self::Cancelling { shipped: true }),
            (Self::Cancelling { shipped: false }, OrderAction::AbandonCancel) => Some(Self::Paid),
            (Self::Cancelling { shipped: true }, OrderAction::AbandonCancel) => Some(Self::Shipped),
            (Self::Cancelling { shipped: false }, OrderAction::FinishCancel) => {
                Some(Self::Refunded)
            }
            (Self::Cancelling { shipped: true }, OrderAction::FinishCancel) => Some(Self::Returned),
            _ => None,
        }
    }

    /// Whether the goods have left.
    #[must_use]
    pub fn shipped(self) -> bool {
        match self {
            Self::Shipped | Self::Completed | Self::Returned => true,
            Self::Created | Self::Paid | Self::Cancelled | Self::Refunded => false,
            Self::Cancelling { shipped } => shipped,
        }
    }

    /// The word in the database and in messages; the same for both kinds of [`State::Cancelling`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Paid => "PAID",
            Self::Shipped => "SHIPPED",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Cancelling { .. } => "CANCELLING",
            Self::Refunded => "REFUNDED",
            Self::Returned => "RETURNED",
        }
    }

    /// The state of this word and this whereabouts of the goods; `None` where no state is like that.
    #[must_use]
    pub fn read(word: &str, shipped: bool) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word && state.shipped() == shipped)
    }
}

impl OrderAction {
    /// Every action.
    pub const ALL: [Self; 7] = [
        Self::MarkPaid,
        Self::UndoPlacing,
        Self::Ship,
        Self::Complete,
        Self::BeginCancel,
        Self::AbandonCancel,
        Self::FinishCancel,
    ];

    /// The action in the words of a refusal: an order cannot "be shipped".
    fn description(self) -> &'static str {
        match self {
            Self::MarkPaid => "be marked as paid",
            Self::UndoPlacing => "have its placing undone",
            Self::Ship => "be shipped",
            Self::Complete => "be completed",
            Self::BeginCancel => "be cancelled",
            Self::AbandonCancel => "have its cancelling abandoned",
            Self::FinishCancel => "have its cancelling finished",
        }
    }

    /// The names of the states that allow it.
    fn allowed_states(self) -> String {
        let allowed = State::ALL.into_iter().filter(|state| state.after(self).is_some());
        let mut words: Vec<&str> = allowed.map(State::as_str).collect();
        words.dedup();
        words.join(" or ")
    }
}

/// Why an order does not allow what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its state does not allow the action.
    #[error(
        "the order {order_no} is {} and cannot {}: only one that is {} can",
        state.as_str(), wanted.description(), wanted.allowed_states()
    )]
    State {
        /// The order.
        order_no: String,
        /// Where it stands.
        state: State,
        /// What was wanted.
        wanted: OrderAction,
    },
    /// Something else was paid than is due.
    #[error("the order {order_no} is to be paid with {due}, and {paid} was paid")]
    Amount {
        /// The order.
        order_no: String,
        /// The total less the points.
        due: Money,
        /// What was paid.
        paid: Money,
    },
}

/// A line, at the price it is sold for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub sku: String,
    /// Units; at least 1.
    pub quantity: i64,
    /// The price of one unit.
    pub unit_price: Money,
}

/// What an order costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// In the order in which they were asked for.
    pub lines: Vec<Line>,
    /// The sum of all lines.
    pub total: Money,
    /// How many are spent; one is worth one minor unit. At most the total.
    pub points: i64,
}

impl Bill {
    /// What remains for the wallet: the total less the points.
    #[must_use]
    pub fn payable(&self) -> Money {
        payable(self.total, self.points)
    }
}

/// An order, without its lines and its past, which never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub order_no: String,
    /// The id of the user that it belongs to.
    pub user_id: String,
    /// Where it stands.
    pub state: State,
    /// The sum of all lines.
    pub total: Money,
    /// Points spent on it.
    pub points: i64,
    /// What the wallet paid; `None` before.
    pub paid: Option<Money>,
    /// The saga that placed it.
    pub saga_id: String,
    /// The token that its user placed it under; `None` where there was none.
    pub submit_token: Option<String>,
    /// The key of the call that began to cancel it; `None` while nobody does.
    pub cancelled_by: Option<String>,
    /// When its placing began.
    pub created_at: Timestamp,
}

/// One step in an order's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// `None` for the first.
    pub from: Option<State>,
    /// Where it led.
    pub to: State,
    /// When.
    pub at: Timestamp,
    /// In the words of who wanted it; may be empty.
    pub reason: String,
}

impl Order {
    /// The order after `action`.
    ///
    /// # Errors
    /// [`Refusal::State`].
    pub fn after(&self, action: OrderAction) -> Result<Self, Refusal> {
        let state = self.state.after(action).ok_or_else(|| Refusal::State {
            order_no: self.order_no.clone(),
            state: self.state,
            wanted: action,
        })?;
        let cancelled_by = match action {
            OrderAction::AbandonCancel => None,
            _ => self.cancelled_by.clone(),
        };
        Ok(Self { state, cancelled_by, ..self.clone() })
    }

    /// The order once it is paid.
    ///
    /// # Errors
    /// [`Refusal::State`], or [`Refusal::Amount`] unless exactly what is due was paid.
    pub fn after_payment(&self, paid: Money) -> Result<Self, Refusal> {
        let order = self.after(OrderAction::MarkPaid)?;
        let due = payable(self.total, self.points);
        if paid != due {
            return Err(Refusal::Amount { order_no: self.order_no.clone(), due, paid });
        }
        Ok(Self { paid: Some(paid), ..order })
    }

    /// What the request to cancel the order comes to, made by the call with this key. Where the order `was_placing` when the
    /// cancel began, a placing that was undone is what the request asked for.
    ///
    /// # Errors
    /// [`Refusal::State`].
    pub fn cancel(&self, was_placing: bool, key: String) -> Result<Cancel, Refusal> {
        match self.state {
            State::Created => Ok(Cancel::StillPlacing),
            State::Cancelled if was_placing => Ok(Cancel::AlreadyUndone),
            _ => {
                let order = self.after(OrderAction::BeginCancel)?;
                Ok(Cancel::Begun(Self { cancelled_by: Some(key), ..order }))
            }
        }
    }

    /// The money and the points that the order took, which its user gets back when it is cancelled. Nothing before it is
    /// paid.
    #[must_use]
    pub fn amount_taken(&self) -> (Money, i64) {
        match self.paid {
            Some(paid) => (paid, self.points),
            None => (Money::new(self.total.currency, 0), 0),
        }
    }
}

/// What a request to cancel an order comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The answer is not known yet: the placing may still end either way.
    StillPlacing,
    /// Its placing was undone, and nothing is to be given back.
    AlreadyUndone,
    /// It is being given back; the order after that.
    Begun(Order),
}

/// Cannot overflow: points are at least zero, and at most the total.
fn payable(total: Money, points: i64) -> Money {
    Money::new(total.currency, total.minor_units - points)
}

#[cfg(test)]
mod tests;
