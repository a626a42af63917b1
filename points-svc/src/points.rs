//! The rules of points: why a balance changes, and by how much.

/// The most points that an account can earn up to. Points that are given back may bring it above.
pub const POINTS_MAX: i64 = 1_000_000_000_000_000;

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user_id: String,
    /// May not place orders.
    pub suspended: bool,
    /// Points; never negative.
    pub balance: i64,
}

/// Why points move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Movement {
    /// A gift of the shop.
    Earn,
    /// Taken for an order.
    Spend {
        /// The order.
        order_no: String,
    },
    /// Given back for an order.
    Refund {
        /// The order.
        order_no: String,
    },
}

impl Movement {
    /// Its name in the ledger.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Earn => "EARN",
            Self::Spend { .. } => "SPEND",
            Self::Refund { .. } => "REFUND",
        }
    }

    /// The order that it is for; none for points earned.
    #[must_use]
    pub fn order_no(&self) -> Option<&str> {
        match self {
            Self::Earn => None,
            Self::Spend { order_no } | Self::Refund { order_no } => Some(order_no),
        }
    }

    /// The most points that an account may have after it. Only what comes in from outside is limited: what gives points
    /// back must not be refused.
    #[must_use]
    pub fn limit(&self) -> i64 {
        match self {
            Self::Earn => POINTS_MAX,
            Self::Spend { .. } | Self::Refund { .. } => i64::MAX,
        }
    }

    /// What `points` of this movement change a balance by.
    #[must_use]
    pub fn change(&self, points: i64) -> i64 {
        match self {
            Self::Earn | Self::Refund { .. } => points,
            // Points are positive, so the negation cannot overflow.
            Self::Spend { .. } => -points,
        }
    }

    /// The movement that a ledger row describes; `None` where no version of this service writes such a row.
    #[must_use]
    pub fn read(kind: &str, order_no: Option<String>) -> Option<Self> {
        match (kind, order_no) {
            ("EARN", None) => Some(Self::Earn),
            ("SPEND", Some(order_no)) => Some(Self::Spend { order_no }),
            ("REFUND", Some(order_no)) => Some(Self::Refund { order_no }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_spend_takes_points_and_each_movement_is_read_as_it_was_written() {
        let order_no = || "O-1".to_owned();
        for (movement, change) in [
            (Movement::Earn, 5),
            (Movement::Spend { order_no: order_no() }, -5),
            (Movement::Refund { order_no: order_no() }, 5),
        ] {
            assert_eq!(movement.change(5), change);
            let read = Movement::read(movement.kind(), movement.order_no().map(str::to_owned));
            assert_eq!(read, Some(movement));
        }
        assert_eq!(Movement::read("EARN", Some(order_no())), None);
        assert_eq!(Movement::read("SPEND", None), None);
    }
}
