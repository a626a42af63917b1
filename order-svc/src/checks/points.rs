//! The user has the points that are to be spent. Only plausible: the points service decides when they are deducted.

use facade::Decline;
use proto::facade::v1::Reason;

use crate::{checks::Check, facts::Facts};

pub(super) struct Points;

impl Check for Points {
    fn judge(&self, facts: &Facts) -> Result<(), Decline> {
        let (wanted, balance) = (facts.points, facts.buyer.points_balance);
        if wanted <= balance {
            return Ok(());
        }
        let sentence =
            format!("{}: {wanted} points asked for, {balance} in the account", facts.buyer.user_id);
        Err(Decline::new(Reason::InsufficientPoints, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::good;

    #[test]
    fn all_points_may_be_spent_and_not_one_more() {
        let mut facts = good();
        assert_eq!(Points.judge(&facts), Ok(()));
        facts.points += 1;
        let decline = Points.judge(&facts).unwrap_err();
        let sentence = "ada: 501 points asked for, 500 in the account";
        assert_eq!(decline, Decline::new(Reason::InsufficientPoints, sentence));
    }
}
