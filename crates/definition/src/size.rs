//! Sizes as a definition writes them: a whole number of bytes, or with a unit: `4MiB`.

use std::num::NonZeroUsize;

/// How a size is written, for a cure.
pub(super) const CURE: &str = "write a whole number and a unit: 65536B, 512KiB, 4MiB or 1GiB";

/// Reads a size.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<NonZeroUsize, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let bytes_per_unit: usize = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{text}` is not a size")),
    };
    let number: usize = number.parse().map_err(|_| format!("`{text}` is not a size"))?;
    let bytes = number.checked_mul(bytes_per_unit);
    let bytes = bytes.ok_or_else(|| format!("`{text}` is more than there can be"))?;
    NonZeroUsize::new(bytes).ok_or_else(|| "a size of nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_with_or_without_a_unit() {
        let sizes =
            [("17", 17), ("17B", 17), ("2KiB", 2_048), ("4MiB", 4 << 20), ("1GiB", 1 << 30)];
        for (text, bytes) in sizes {
            assert_eq!(parse(text).map(NonZeroUsize::get), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in
            ["", "MiB", "4MB", "4mib", "-1", "1.5MiB", "4 MiB", "0", "0MiB", "99999999999GiB"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
