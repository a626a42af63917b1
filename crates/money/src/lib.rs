//! Money: whole minor units with their currency. Arithmetic is checked; currencies never mix.

use std::{fmt, str::FromStr};

use proto::facade::v1 as wire;

/// An ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// So many minor units (cents) of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// Whose minor units.
    pub currency: Currency,
    /// How many; negative for money owed.
    pub minor_units: i64,
}

/// Why an amount could not be computed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The amounts are in two currencies.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// The result is more than 64 bits hold.
    #[error("the amount is larger than the books can hold")]
    Overflow,
    /// No three capital letters.
    #[error("a currency is three of A-Z")]
    NoCurrency,
}

impl Currency {
    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `from_str` makes one, and it takes only ASCII capitals.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self, Error> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(Error::NoCurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Money {
    /// So many minor units of `currency`.
    #[must_use]
    pub fn new(currency: Currency, minor_units: i64) -> Self {
        Self { currency, minor_units }
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Error::Mixed`] or [`Error::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, Error> {
        self.same_currency(other)?;
        self.with(self.minor_units.checked_add(other.minor_units))
    }

    /// The difference, which may be negative.
    ///
    /// # Errors
    /// [`Error::Mixed`] or [`Error::Overflow`].
    pub fn minus(self, other: Self) -> Result<Self, Error> {
        self.same_currency(other)?;
        self.with(self.minor_units.checked_sub(other.minor_units))
    }

    /// `count` times the amount.
    ///
    /// # Errors
    /// [`Error::Overflow`].
    pub fn times(self, count: i64) -> Result<Self, Error> {
        self.with(self.minor_units.checked_mul(count))
    }

    fn same_currency(self, other: Self) -> Result<(), Error> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(Error::Mixed(self.currency, other.currency))
        }
    }

    fn with(self, minor_units: Option<i64>) -> Result<Self, Error> {
        Ok(Self { minor_units: minor_units.ok_or(Error::Overflow)?, ..self })
    }
}

/// `12.34 EUR`. Two decimals whatever the currency: for a person's eyes only.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let units = self.minor_units.unsigned_abs();
        write!(formatter, "{sign}{}.{:02} {}", units / 100, units % 100, self.currency)
    }
}

impl From<Money> for wire::Money {
    fn from(money: Money) -> Self {
        Self { currency: money.currency.to_string(), minor_units: money.minor_units }
    }
}

impl TryFrom<&wire::Money> for Money {
    type Error = Error;

    fn try_from(money: &wire::Money) -> Result<Self, Error> {
        Ok(Self { currency: money.currency.parse()?, minor_units: money.minor_units })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euros(minor_units: i64) -> Money {
        Money::new("EUR".parse().unwrap(), minor_units)
    }

    #[test]
    fn sums_that_do_not_fit_are_errors_and_never_wrap() {
        assert_eq!(euros(i64::MAX).plus(euros(1)), Err(Error::Overflow));
        assert_eq!(euros(i64::MIN).minus(euros(1)), Err(Error::Overflow));
        assert_eq!(euros(i64::MAX / 2).times(3), Err(Error::Overflow));
        assert_eq!(euros(250).times(4).unwrap().minus(euros(1)), Ok(euros(999)));
    }

    #[test]
    fn currencies_never_mix() {
        let dollars = Money::new("USD".parse().unwrap(), 1);
        assert!(matches!(euros(1).plus(dollars), Err(Error::Mixed(..))));
        for code in ["eur", "EURO", "", "E1R", "ÄÖ"] {
            assert_eq!(code.parse::<Currency>(), Err(Error::NoCurrency), "{code:?}");
        }
    }

    #[test]
    fn an_amount_reads_as_a_person_writes_it() {
        assert_eq!(euros(123_405).to_string(), "1234.05 EUR");
        assert_eq!(euros(-7).to_string(), "-0.07 EUR");
    }
}
