//! What an order is judged by when it is placed, as the saga has read it from other services, and what the order then costs.
//! Pure.

use facade::Decline;
use money::Money;
use proto::facade::v1::Reason;

use crate::order::{Bill, Line};

/// The most that an order may cost, in minor units: what every other service takes as an amount.
pub const TOTAL_MAX: i64 = 1_000_000_000_000;

/// Everything that an order is judged by.
#[derive(Clone, Debug)]
pub struct OrderFacts {
    /// The user who orders.
    pub buyer: Buyer,
    /// What is ordered; no SKU twice.
    pub items: Vec<OrderItem>,
    /// Points to spend; at least zero.
    pub points: i64,
    /// The token that the user places it under; `None` where there is none.
    pub submit_token: Option<String>,
}

/// What the member directory says of the user.
#[derive(Clone, Debug)]
pub struct Buyer {
    /// Who.
    pub user_id: String,
    /// Whether the directory has the user.
    pub found: bool,
    /// Whether the user may not order.
    pub suspended: bool,
    /// Points that the user has.
    pub points_balance: i64,
}

/// An item, and what the catalogue says of it.
#[derive(Clone, Debug)]
pub struct OrderItem {
    /// The product.
    pub sku: String,
    /// Units; at least 1.
    pub quantity: i64,
    /// `None` where the catalogue does not have the SKU.
    pub quote: Option<Quote>,
}

/// What the catalogue says of a product.
#[derive(Clone, Copy, Debug)]
pub struct Quote {
    /// Whether it may be ordered.
    pub on_sale: bool,
    /// The price of one unit.
    pub price: Money,
    /// Units that were available a moment ago.
    pub available: i64,
}

impl OrderItem {
    /// What the catalogue says of the item.
    ///
    /// # Errors
    /// `SKU_UNKNOWN`.
    pub fn quoted(&self) -> Result<Quote, Decline> {
        let unknown = || format!("no product has the SKU {}", self.sku);
        self.quote.ok_or_else(|| Decline::new(Reason::SkuUnknown, unknown()))
    }
}

impl OrderFacts {
    /// What the order costs, by the catalogue's prices.
    ///
    /// # Errors
    /// `SKU_UNKNOWN`, `CURRENCY_MISMATCH`, `AMOUNT_OUT_OF_RANGE`, `POINTS_EXCEED_TOTAL`.
    pub fn bill(&self) -> Result<Bill, Decline> {
        let lines: Vec<Line> = self.items.iter().map(line).collect::<Result<_, _>>()?;
        let total = total(&lines)?;
        if self.points > total.minor_units {
            let sentence = format!("{} points offered for a total of {total}", self.points);
            return Err(Decline::new(Reason::PointsExceedTotal, sentence));
        }
        Ok(Bill { lines, total, points: self.points })
    }
}

fn line(item: &OrderItem) -> Result<Line, Decline> {
    let unit_price = item.quoted()?.price;
    Ok(Line { sku: item.sku.clone(), quantity: item.quantity, unit_price })
}

fn total(lines: &[Line]) -> Result<Money, Decline> {
    let mut total: Option<Money> = None;
    for line in lines {
        let price = line.unit_price.times(line.quantity).map_err(declined)?;
        total = Some(match total {
            Some(total) => total.plus(price).map_err(declined)?,
            None => price,
        });
    }
    match total {
        Some(total) if total.minor_units <= TOTAL_MAX => Ok(total),
        // A request has at least one line, so there is always a total.
        Some(_) | None => Err(declined(money::Error::Overflow)),
    }
}

fn declined(error: money::Error) -> Decline {
    match error {
        money::Error::Mixed(one, other) => Decline::new(
            Reason::CurrencyMismatch,
            format!("the goods are priced in {one} and in {other}: order them apart"),
        ),
        money::Error::Overflow | money::Error::NoCurrency => Decline::new(
            Reason::AmountOutOfRange,
            format!("the total is over the limit of {TOTAL_MAX} minor units"),
        ),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn euros(minor_units: i64) -> Money {
        Money::new("EUR".parse().unwrap(), minor_units)
    }

    pub(crate) fn item(sku: &str, quantity: i64, price: Money) -> OrderItem {
        let quote = Some(Quote { on_sale: true, price, available: 1_000 });
        OrderItem { sku: sku.to_owned(), quantity, quote }
    }

    /// Facts that nothing speaks against.
    pub(crate) fn acceptable() -> OrderFacts {
        let user_id = "ada".to_owned();
        let buyer = Buyer { user_id, found: true, suspended: false, points_balance: 500 };
        let items = vec![item("tea", 2, euros(350)), item("cup", 1, euros(900))];
        OrderFacts { buyer, items, points: 500, submit_token: None }
    }

    fn code(facts: &OrderFacts) -> String {
        facts.bill().unwrap_err().code
    }

    #[test]
    fn a_bill_is_the_sum_of_the_quoted_prices_less_the_points() {
        let bill = acceptable().bill().unwrap();
        assert_eq!((bill.total, bill.payable()), (euros(1_600), euros(1_100)));
        let all = OrderFacts { points: 1_600, ..acceptable() }.bill().unwrap();
        assert_eq!(all.payable(), euros(0));
        assert_eq!(code(&OrderFacts { points: 1_601, ..acceptable() }), "POINTS_EXCEED_TOTAL");
    }

    #[test]
    fn a_bill_has_one_currency() {
        let mut facts = acceptable();
        facts.items[1].quote.as_mut().unwrap().price.currency = "USD".parse().unwrap();
        let decline = facts.bill().unwrap_err();
        assert_eq!(decline.code, "CURRENCY_MISMATCH");
        assert!(decline.message.contains("EUR") && decline.message.contains("USD"));
    }

    #[test]
    fn a_bill_that_does_not_fit_is_declined_and_never_wraps() {
        let of = |items| OrderFacts { items, points: 0, ..acceptable() };
        let largest = of(vec![item("gem", 1, euros(TOTAL_MAX))]);
        assert_eq!(largest.bill().unwrap().total, euros(TOTAL_MAX));
        for lines in [
            vec![item("gem", 1, euros(TOTAL_MAX)), item("tea", 1, euros(1))],
            vec![item("gem", 1_000_000, euros(TOTAL_MAX)); 20],
            vec![item("gem", i64::MAX, euros(2))],
        ] {
            assert_eq!(code(&of(lines)), "AMOUNT_OUT_OF_RANGE");
        }
    }
}
