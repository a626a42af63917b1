//! Every item is in the catalogue and on sale.

use facade::Decline;
use proto::facade::v1::Reason;

use crate::{checks::Check, facts::Facts};

pub(super) struct Goods;

impl Check for Goods {
    fn judge(&self, facts: &Facts) -> Result<(), Decline> {
        for wanted in &facts.wanted {
            if !wanted.quoted()?.on_sale {
                let sentence = format!("{} is not on sale", wanted.sku);
                return Err(Decline::new(Reason::NotOnSale, sentence));
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
    fn an_item_that_is_unknown_or_not_on_sale_is_named() {
        let mut facts = good();
        facts.wanted[1].quote.as_mut().unwrap().on_sale = false;
        let decline = Goods.judge(&facts).unwrap_err();
        assert_eq!(decline, Decline::new(Reason::NotOnSale, "cup is not on sale"));
        facts.wanted[1].quote = None;
        let decline = Goods.judge(&facts).unwrap_err();
        assert_eq!(decline, Decline::new(Reason::SkuUnknown, "no product has the SKU cup"));
        assert_eq!(Goods.judge(&good()), Ok(()));
    }
}
