//! What the index finds records by: a number, or digits whose country is not known, as 64 bits.

/// Marks digits without a country.
const DIGITS: u64 = 1 << 63;
/// Where the count of leading zeros stands in digits without a country.
const ZEROS: u32 = 61;
/// The most zeros before digits without a country; `00` and a trunk prefix of `0` make no more.
const MAX_ZEROS: u64 = 3;

/// Two numbers have the same key exactly if they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u64);

impl Key {
    /// Of `+` and up to 17 digits, which is as long as a number with its country gets.
    pub fn number(e164: &str) -> Option<Self> {
        Self::of_number(e164.strip_prefix('+')?.parse().ok()?)
    }

    /// Of the digits of a number with its country.
    pub fn of_number(digits: u64) -> Option<Self> {
        (digits < 1 << 57).then_some(Self(digits))
    }

    /// Of a run of digits. `None` when it is too long for a number in any spelling.
    pub fn digits(digits: &str) -> Option<Self> {
        let rest = digits.trim_start_matches('0');
        let zeros = u64::try_from(digits.len() - rest.len()).ok().filter(|&zeros| zeros <= MAX_ZEROS)?;
        let value: u64 = rest.parse().ok()?;
        (value < 1 << ZEROS).then_some(Self(DIGITS | zeros << ZEROS | value))
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub fn is_digits(self) -> bool {
        self.0 & DIGITS != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_where_numbers_do() {
        let keys = [
            Key::number("+4930231250444"),
            Key::digits("4930231250444"),
            Key::digits("04930231250444"),
            Key::digits("004930231250444"),
            Key::digits("0004930231250444"),
            Key::number("+99999999999999999"),
            Key::digits("01199999999999999999"),
        ];
        assert!(keys.iter().all(Option::is_some));
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        assert!(keys.iter().flatten().all(|key| key.is_digits() == (key.0 >= DIGITS)));
    }

    #[test]
    fn what_is_too_long_has_no_key() {
        assert_eq!(Key::number("+999999999999999999"), None);
        assert_eq!(Key::digits("99999999999999999999"), None);
        assert_eq!(Key::digits("00004930"), None);
        assert_eq!(Key::digits("0"), None);
        assert_eq!(Key::digits(""), None);
    }
}
