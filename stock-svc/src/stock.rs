//! The rules of stock: where each change takes units from and brings them to, and which reservations it is for.
//!
//! Pure. No change but [`Change::Add`] alters the sum of available, frozen and sold.

/// The most units that one SKU may have in all; far below where 64-bit sums wrap.
pub const UNITS_MAX: i64 = 1_000_000_000_000_000;

/// So many units of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub sku: String,
    /// Units; at least 1.
    pub quantity: i64,
}

/// The order in which an order's SKUs are locked: always the same, so that two orders for the same goods wait for each
/// other in turn and never in a ring.
#[must_use]
pub fn in_lock_order(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|one, other| one.sku.cmp(&other.sku));
    lines
}

/// A product as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name among goods.
    pub sku: String,
    /// What a person calls it.
    pub title: String,
    /// The price of one unit.
    pub price: money::Money,
    /// Whether it may be ordered.
    pub on_sale: bool,
}

/// Where a SKU's units are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// May be ordered.
    pub available: i64,
    /// Held for orders that are being placed.
    pub frozen: i64,
    /// Gone with orders.
    pub sold: i64,
}

/// Why units move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// New units become available.
    Add,
    /// An order takes available units.
    Freeze,
    /// An order's frozen units are sold.
    Confirm,
    /// An order's frozen units become available again.
    Unfreeze,
    /// An order's sold units become available again.
    Restock,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 5] =
        [Self::Add, Self::Freeze, Self::Confirm, Self::Unfreeze, Self::Restock];

    /// What changing `quantity` units adds to each count.
    #[must_use]
    pub fn of(self, quantity: i64) -> Units {
        let (available, frozen, sold) = match self {
            Self::Add => (1, 0, 0),
            Self::Freeze => (-1, 1, 0),
            Self::Confirm => (0, -1, 1),
            Self::Unfreeze => (1, -1, 0),
            Self::Restock => (1, 0, -1),
        };
        // Quantities are positive, so the sign cannot overflow them.
        let times = |sign: i64| sign * quantity;
        Units { available: times(available), frozen: times(frozen), sold: times(sold) }
    }

    /// The word in the flow records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Freeze => "FREEZE",
            Self::Confirm => "CONFIRM",
            Self::Unfreeze => "UNFREEZE",
            Self::Restock => "RESTOCK",
        }
    }
}

/// What has become of the units that an order froze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Held for the order.
    Frozen,
    /// Gone with the order.
    Sold,
    /// Let go before they were sold.
    Released,
    /// Come back after they were sold.
    Restocked,
}

impl Hold {
    /// Every state of a reservation.
    pub const ALL: [Self; 4] = [Self::Frozen, Self::Sold, Self::Released, Self::Restocked];

    /// The word in the database and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "FROZEN",
            Self::Sold => "SOLD",
            Self::Released => "RELEASED",
            Self::Restocked => "RESTOCKED",
        }
    }
}

/// A move of a whole reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What it does to the units of each line.
    pub change: Change,
    /// The only state that it takes.
    pub from: Hold,
    /// The state that it leaves.
    pub to: Hold,
}

impl Settlement {
    /// The order is paid: its units are sold.
    pub const CONFIRM: Self = Self { change: Change::Confirm, from: Hold::Frozen, to: Hold::Sold };
    /// The order is not placed after all.
    pub const UNFREEZE: Self =
        Self { change: Change::Unfreeze, from: Hold::Frozen, to: Hold::Released };
    /// The order is given back.
    pub const RESTOCK: Self =
        Self { change: Change::Restock, from: Hold::Sold, to: Hold::Restocked };
}

/// The word of one of `all`, read back.
pub(crate) fn read<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|one| word(*one) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_adding_changes_the_sum_of_a_skus_units() {
        for change in Change::ALL {
            let Units { available, frozen, sold } = change.of(7);
            let expected = if change == Change::Add { 7 } else { 0 };
            assert_eq!(available + frozen + sold, expected, "{change:?}");
        }
    }

    #[test]
    fn every_settlement_takes_its_units_from_where_the_reservation_has_them() {
        let count_of = |hold, units: Units| match hold {
            Hold::Frozen => units.frozen,
            Hold::Sold => units.sold,
            Hold::Released | Hold::Restocked => units.available,
        };
        for settlement in [Settlement::CONFIRM, Settlement::UNFREEZE, Settlement::RESTOCK] {
            let units = settlement.change.of(3);
            assert_eq!(count_of(settlement.from, units), -3, "{settlement:?}");
            assert_eq!(count_of(settlement.to, units), 3, "{settlement:?}");
        }
    }

    #[test]
    fn lines_are_locked_in_the_same_order_however_they_were_asked_for() {
        let line = |sku: &str| Line { sku: sku.to_owned(), quantity: 1 };
        let sorted = in_lock_order(vec![line("tea"), line("cup"), line("pot")]);
        assert_eq!(sorted, in_lock_order(vec![line("pot"), line("tea"), line("cup")]));
        assert_eq!(sorted[0].sku, "cup");
    }

    #[test]
    fn every_word_is_read_back_as_what_it_stands_for() {
        for hold in Hold::ALL {
            assert_eq!(read(&Hold::ALL, Hold::as_str, hold.as_str()), Some(hold));
        }
        for change in Change::ALL {
            assert_eq!(read(&Change::ALL, Change::as_str, change.as_str()), Some(change));
        }
        assert_eq!(read(&Hold::ALL, Hold::as_str, "LOST"), None);
    }
}
