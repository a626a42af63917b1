//! What the facts must be like for an order to be created: a chain of checks, each a type in a file of its own.
//!
//! A check judges the facts that it is handed and nothing else; it never asks another service. To add one: write its
//! file, and name it in `chain`.

mod goods;
mod points;
mod price;
mod stock;
mod user;

use facade::Decline;

use crate::facts::Facts;

/// One thing that must hold.
pub trait Check: Sync {
    /// Says no to facts that it does not hold for.
    ///
    /// # Errors
    /// The decline that the caller gets.
    fn judge(&self, facts: &Facts) -> Result<(), Decline>;
}

/// Every check, in the order in which they are made: the first that says no is the one that the caller is told.
fn chain() -> [&'static dyn Check; 5] {
    [&user::User, &goods::Goods, &price::Price, &points::Points, &stock::Stock]
}

/// Makes every check.
///
/// # Errors
/// The first decline.
pub fn judge(facts: &Facts) -> Result<(), Decline> {
    chain().into_iter().try_for_each(|check| check.judge(facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::good;

    #[test]
    fn facts_that_nothing_speaks_against_pass_every_check() {
        assert_eq!(judge(&good()), Ok(()));
    }

    #[test]
    fn of_several_reasons_to_say_no_the_first_check_gives_its_own() {
        let mut facts = good();
        facts.wanted[0].quantity = 1_001;
        assert_eq!(judge(&facts).unwrap_err().code, "INSUFFICIENT_STOCK");
        facts.points = 501;
        assert_eq!(judge(&facts).unwrap_err().code, "INSUFFICIENT_POINTS");
        facts.points = i64::MAX;
        assert_eq!(judge(&facts).unwrap_err().code, "POINTS_EXCEED_TOTAL");
        facts.wanted[1].quote.as_mut().unwrap().on_sale = false;
        assert_eq!(judge(&facts).unwrap_err().code, "NOT_ON_SALE");
        facts.buyer.suspended = true;
        assert_eq!(judge(&facts).unwrap_err().code, "USER_SUSPENDED");
    }
}
