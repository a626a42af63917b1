//! The states of a payment, and which may follow which.

use money::Money;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The gateway has not answered.
    Processing,
    /// The money was taken.
    Success,
    /// The gateway declined.
    Failed,
    /// The money was given back.
    Refunded,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Processing, Self::Success, Self::Failed, Self::Refunded];

    /// Its name, upper-case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Refunded => "REFUNDED",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether a payment in this state may come to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Processing, Self::Success | Self::Failed) | (Self::Success, Self::Refunded)
        )
    }
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its number.
    pub payment_no: String,
    /// The order that it pays for.
    pub order_no: String,
    /// The user who pays.
    pub user_id: String,
    /// Where it stands.
    pub state: State,
    /// What was asked for.
    pub amount: Money,
    /// What was given back.
    pub refunded: Money,
    /// The registered reason why it failed.
    pub failure: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at: clock::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_pairs_of_states_only_three_may_follow_each_other() {
        let mut legal = Vec::new();
        for from in State::ALL {
            assert_eq!(State::from_name(from.as_str()), Some(from));
            legal.extend(
                State::ALL.into_iter().filter(|to| from.may_become(*to)).map(|to| (from, to)),
            );
        }
        assert_eq!(
            legal,
            [
                (State::Processing, State::Success),
                (State::Processing, State::Failed),
                (State::Success, State::Refunded)
            ]
        );
    }
}
