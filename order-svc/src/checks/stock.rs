//! There is stock for every item. Only plausible: the stock service decides when it is frozen.

use facade::Decline;
use proto::facade::v1::Reason;

use crate::{checks::Check, facts::Facts};

pub(super) struct Stock;

impl Check for Stock {
    fn judge(&self, facts: &Facts) -> Result<(), Decline> {
        for wanted in &facts.wanted {
            let (sku, asked, available) =
                (&wanted.sku, wanted.quantity, wanted.quoted()?.available);
            if asked > available {
                let sentence = format!("{sku}: {asked} asked for, {available} available");
                return Err(Decline::new(Reason::InsufficientStock, sentence));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::good;

    #[test]
    fn the_last_unit_may_be_ordered_and_not_one_more() {
        let mut facts = good();
        facts.wanted[1].quantity = 1_000;
        assert_eq!(Stock.judge(&facts), Ok(()));
        facts.wanted[1].quantity = 1_001;
        let decline = Stock.judge(&facts).unwrap_err();
        let sentence = "cup: 1001 asked for, 1000 available";
        assert_eq!(decline, Decline::new(Reason::InsufficientStock, sentence));
    }
}
