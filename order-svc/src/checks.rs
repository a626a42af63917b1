//! What the facts must be like for an order to be created: a list of checks.
//!
//! A check judges the facts that it is handed and nothing else; it never asks another service. To add one: write it, and
//! name it in `CHECKS`.

use facade::Decline;
use proto::facade::v1::Reason;

use crate::facts::OrderFacts;

type Check = fn(&OrderFacts) -> Result<(), Decline>;

/// Every check, in the order in which they are made: the first that says no is the one that the caller is told.
const CHECKS: [Check; 5] = [user, goods, price, points, stock];

/// Makes every check.
///
/// # Errors
/// The first decline.
pub fn judge(facts: &OrderFacts) -> Result<(), Decline> {
    CHECKS.into_iter().try_for_each(|check| check(facts))
}

/// The user is a member in good standing.
fn user(facts: &OrderFacts) -> Result<(), Decline> {
    let user_id = &facts.buyer.user_id;
    if !facts.buyer.found {
        let sentence = format!("no member has the user id {user_id}");
        return Err(Decline::new(Reason::UserUnknown, sentence));
    }
    if facts.buyer.suspended {
        let sentence = format!("the member {user_id} is suspended");
        return Err(Decline::new(Reason::UserSuspended, sentence));
    }
    Ok(())
}

/// Every item is in the catalogue and on sale.
fn goods(facts: &OrderFacts) -> Result<(), Decline> {
    for item in &facts.items {
        if !item.quoted()?.on_sale {
            let sentence = format!("{} is not on sale", item.sku);
            return Err(Decline::new(Reason::NotOnSale, sentence));
        }
    }
    Ok(())
}

/// The order has a total: one currency, within the limit, and no more points than it costs.
fn price(facts: &OrderFacts) -> Result<(), Decline> {
    facts.bill().map(drop)
}

/// The user has the points that are to be spent. Only plausible: the points service decides when they are deducted.
fn points(facts: &OrderFacts) -> Result<(), Decline> {
    let (wanted, balance) = (facts.points, facts.buyer.points_balance);
    if wanted <= balance {
        return Ok(());
    }
    let sentence =
        format!("{}: {wanted} points asked for, {balance} in the account", facts.buyer.user_id);
    Err(Decline::new(Reason::InsufficientPoints, sentence))
}

/// There is stock for every item. Only plausible: the stock service decides when it is frozen.
fn stock(facts: &OrderFacts) -> Result<(), Decline> {
    for item in &facts.items {
        let (sku, asked, available) = (&item.sku, item.quantity, item.quoted()?.available);
        if asked > available {
            let sentence = format!("{sku}: {asked} asked for, {available} available");
            return Err(Decline::new(Reason::InsufficientStock, sentence));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::{acceptable, euros};

    #[test]
    fn facts_that_nothing_speaks_against_pass_every_check() {
        CHECKS.into_iter().for_each(|check| assert_eq!(check(&acceptable()), Ok(())));
        assert_eq!(judge(&acceptable()), Ok(()));
    }

    #[test]
    fn of_several_reasons_to_say_no_the_first_check_gives_its_own() {
        let mut facts = acceptable();
        facts.items[0].quantity = 1_001;
        assert_eq!(judge(&facts).unwrap_err().code, "INSUFFICIENT_STOCK");
        facts.points = 501;
        assert_eq!(judge(&facts).unwrap_err().code, "INSUFFICIENT_POINTS");
        facts.points = i64::MAX;
        assert_eq!(judge(&facts).unwrap_err().code, "POINTS_EXCEED_TOTAL");
        facts.items[1].quote.as_mut().unwrap().on_sale = false;
        assert_eq!(judge(&facts).unwrap_err().code, "NOT_ON_SALE");
        facts.buyer.suspended = true;
        assert_eq!(judge(&facts).unwrap_err().code, "USER_SUSPENDED");
    }

    #[test]
    fn an_unknown_or_suspended_user_may_not_order() {
        let mut facts = acceptable();
        facts.buyer.suspended = true;
        assert_eq!(user(&facts).unwrap_err().code, "USER_SUSPENDED");
        facts.buyer.found = false;
        let decline = user(&facts).unwrap_err();
        assert_eq!(decline, Decline::new(Reason::UserUnknown, "no member has the user id ada"));
    }

    #[test]
    fn an_item_that_is_unknown_or_not_on_sale_is_named() {
        let mut facts = acceptable();
        facts.items[1].quote.as_mut().unwrap().on_sale = false;
        let decline = goods(&facts).unwrap_err();
        assert_eq!(decline, Decline::new(Reason::NotOnSale, "cup is not on sale"));
        facts.items[1].quote = None;
        let decline = goods(&facts).unwrap_err();
        assert_eq!(decline, Decline::new(Reason::SkuUnknown, "no product has the SKU cup"));
    }

    #[test]
    fn an_order_without_a_total_is_declined() {
        let mut facts = acceptable();
        facts.items[0].quote.as_mut().unwrap().price = euros(i64::MAX);
        assert_eq!(price(&facts).unwrap_err().code, "AMOUNT_OUT_OF_RANGE");
    }

    #[test]
    fn all_points_may_be_spent_and_not_one_more() {
        let mut facts = acceptable();
        assert_eq!(points(&facts), Ok(()));
        facts.points += 1;
        let decline = points(&facts).unwrap_err();
        let sentence = "ada: 501 points asked for, 500 in the account";
        assert_eq!(decline, Decline::new(Reason::InsufficientPoints, sentence));
    }

    #[test]
    fn the_last_unit_may_be_ordered_and_not_one_more() {
        let mut facts = acceptable();
        facts.items[1].quantity = 1_000;
        assert_eq!(stock(&facts), Ok(()));
        facts.items[1].quantity = 1_001;
        let decline = stock(&facts).unwrap_err();
        let sentence = "cup: 1001 asked for, 1000 available";
        assert_eq!(decline, Decline::new(Reason::InsufficientStock, sentence));
    }
}
