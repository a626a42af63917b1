//! The order has a total: one currency, within the limit, and no more points than it costs.

use facade::Decline;

use crate::{checks::Check, facts::Facts};

pub(super) struct Price;

impl Check for Price {
    fn judge(&self, facts: &Facts) -> Result<(), Decline> {
        facts.bill().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::{euros, good};

    #[test]
    fn an_order_without_a_total_is_declined() {
        let mut facts = good();
        facts.wanted[0].quote.as_mut().unwrap().price = euros(i64::MAX);
        assert_eq!(Price.judge(&facts).unwrap_err().code, "AMOUNT_OUT_OF_RANGE");
        assert_eq!(Price.judge(&good()), Ok(()));
    }
}
