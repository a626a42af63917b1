//! Numbers of JSON, kept as they are written or refused.

use cel::common::types::{CelDouble, CelInt, CelUInt};
use cel::common::value::Val;

/// Up to here each whole number is a double, and none is the double of another number.
const MAX_EXACT_INTEGER: i128 = 1 << 53;
/// No double has more decimal digits than these, counted from its first that is not zero.
const MAX_DIGITS: usize = 767;
/// The digits of `u64::MAX`.
const MAX_WHOLE_DIGITS: i64 = 20;

/// What a written number is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// A whole number of 64 bits, with a sign or without.
    Whole(i128),
    /// Any other, which this double gives back when it is written with as many digits.
    Double(f64),
}

/// A number taken apart: `0.d₁d₂d₃… × 10^exponent`, `d₁` and the last digit not being zero.
struct Written {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    /// The number that `text` is in JSON; `None` where it is none, or one that would not be kept as it is written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Written { negative, digits, exponent } = Written::parse(text)?;
        if digits.is_empty() {
            return Some(if negative { Self::Double(-0.0) } else { Self::Whole(0) });
        }
        let count = i64::try_from(digits.len()).ok()?;
        if (count..=MAX_WHOLE_DIGITS).contains(&exponent) {
            let zeros = u32::try_from(exponent - count).ok()?;
            let amount = digits.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(zeros)?)?;
            let whole = if negative { -amount } else { amount };
            if i64::try_from(whole).is_ok() || u64::try_from(whole).is_ok() {
                return Some(Self::Whole(whole));
            }
        }
        if digits.len() > MAX_DIGITS {
            return None;
        }
        let double: f64 = text.parse().ok()?;
        let places = digits.len() - 1;
        let again = Written::parse(&format!("{double:.places$e}"))?;
        let kept = again.digits == digits && again.exponent == exponent;
        kept.then_some(Self::Double(double))
    }

    /// Whether `text` is a number of JSON at all.
    pub(crate) fn is_written_as(text: &str) -> bool {
        Written::parse(text).is_some()
    }

    /// The double that is written just like `text`, by which `text` is known again.
    pub(super) fn plain_double(self, text: &str) -> Option<f64> {
        let double = match self {
            Self::Whole(whole) => small(whole)?,
            Self::Double(double) => double,
        };
        (double.to_string() == text).then_some(double)
    }

    /// The number as expressions see it: a double, or an int (above `i64::MAX` a uint) where it is a whole number
    /// that a double may not keep.
    pub(crate) fn to_cel<'v>(self) -> Box<dyn Val + 'v> {
        match self {
            Self::Double(double) => Box::new(CelDouble::from(double)),
            Self::Whole(whole) => {
                match (small(whole), i64::try_from(whole), u64::try_from(whole)) {
                    (Some(double), ..) => Box::new(CelDouble::from(double)),
                    (None, Ok(int), _) => Box::new(CelInt::from(int)),
                    (None, Err(_), uint) => Box::new(CelUInt::from(uint.unwrap_or(u64::MAX))),
                }
            }
        }
    }
}

fn small(whole: i128) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "whole numbers up to here are doubles")]
    (whole.abs() <= MAX_EXACT_INTEGER).then_some(whole as f64)
}

impl Written {
    /// Reads a number by the grammar of JSON.
    fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text),
        };
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, exponent(power)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let is_sound = is_digits(whole)
            && (whole.len() == 1 || !whole.starts_with('0'))
            && fraction.is_none_or(is_digits);
        if !is_sound {
            return None;
        }
        let digits = format!("{whole}{}", fraction.unwrap_or_default());
        let significant = digits.trim_start_matches('0');
        let leading_zeros = digits.len() - significant.len();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading_zeros).ok()?;
        Some(Self {
            negative,
            digits: significant.trim_end_matches('0').to_owned(),
            exponent: power.saturating_add(point),
        })
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands behind the `e`; one that is far beyond any double is cut.
fn exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    is_digits(digits).then(|| digits.parse::<i64>().unwrap_or(i64::MAX) * sign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Number;

    #[test]
    fn a_number_is_kept_as_it_is_written_or_refused() {
        for (text, whole) in [
            ("0", 0),
            ("-0.000e7", 0),
            ("1.0", 1),
            ("1e3", 1_000),
            ("1200e-2", 12),
            ("0.0012e+4", 12),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("9.007199254740993E15", 9_007_199_254_740_993),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("18446744073709551615", i128::from(u64::MAX)),
        ] {
            let expected =
                if text == "-0.000e7" { Number::Double(-0.0) } else { Number::Whole(whole) };
            assert_eq!(Number::parse(text), Some(expected), "{text}");
        }
        for (text, double) in [
            ("0.1", 0.1),
            ("0.100", 0.1),
            ("0.10000000000000001", 0.1),
            ("0.1000000000000000055511151231257827", 0.1),
            ("5e-324", 5e-324),
            ("1e23", 1e23),
            ("1.7976931348623157e308", f64::MAX),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("-9223372036854777856", -9_223_372_036_854_777_856.0),
        ] {
            assert_eq!(Number::parse(text), Some(Number::Double(double)), "{text}");
        }
        let long = format!("0.{}", "1".repeat(100_000));
        for text in [
            "1e400",
            "-1e400",
            "1e-400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "18446744073709551617",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.12345678901234567890",
            "9007199254740993.5",
            &long,
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
            assert!(Number::is_written_as(text), "{text}");
        }
        for text in
            ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x10", "NaN", "1 ", " 1", "١", "--1"]
        {
            assert!(!Number::is_written_as(text), "{text}");
        }
    }

    #[test]
    fn zeros_of_any_length_and_power_are_zero() {
        for text in ["0.0", "0e99999999999999999999", "0.000e-99999999999999999999"] {
            assert_eq!(Number::parse(text), Some(Number::Whole(0)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_of_64_bits_is_kept(signed: i64, unsigned: u64, zeros in 0_usize..4) {
            for number in [i128::from(signed), i128::from(unsigned)] {
                let with_fraction = format!("{number}.{}", "0".repeat(zeros + 1));
                for text in [number.to_string(), with_fraction] {
                    prop_assert_eq!(Number::parse(&text), Some(Number::Whole(number)), "{}", text);
                }
            }
        }

        /// Whatever program wrote a double so that it can be read again, the same double is read.
        #[test]
        fn every_double_is_kept_as_programs_write_it(double in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            for text in [format!("{double:?}"), format!("{double:e}"), format!("{double:.16e}")] {
                let read = match Number::parse(&text) {
                    Some(Number::Double(read)) => read,
                    Some(Number::Whole(whole)) => whole as f64,
                    None => return Err(TestCaseError::fail(text)),
                };
                prop_assert_eq!(read, double, "{}", text);
            }
        }

        /// A whole number beyond 64 bits is the double that it is, or refused.
        #[test]
        fn no_whole_number_is_read_as_another(number in any::<i128>(), shift in 0_u32..64) {
            let number = number >> shift;
            match Number::parse(&number.to_string()) {
                Some(Number::Whole(whole)) => prop_assert_eq!(whole, number),
                Some(Number::Double(double)) => prop_assert_eq!(double as i128, number),
                None => {}
            }
        }
    }
}
