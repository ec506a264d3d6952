//! Whether two texts are one number, as far as that can be told without a number plan.

/// Numbers with fewer digits are compared whole.
const LOCAL_DIGITS: usize = 7;

/// What numbers that may be one have in common: the last digits.
pub fn key(text: &str) -> String {
    let digits = digits(text);
    let from = digits.len().saturating_sub(LOCAL_DIGITS);
    digits.get(from..).unwrap_or_default().to_owned()
}

/// Whether they are one number, with or without country, trunk prefix and what is dialled to get a line.
pub fn same(one: &str, other: &str) -> bool {
    let (one, other) = (digits(one), digits(other));
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    !short.is_empty() && (short == long || (short.len() >= LOCAL_DIGITS && long.ends_with(short)))
}

/// The digits; of a text without any, the text itself in lower case.
fn digits(text: &str) -> String {
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#')).collect();
    if digits.is_empty() { text.to_ascii_lowercase() } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_the_same_in_all_its_forms() {
        for (one, other) in [
            ("+4930231250777", "030231250777"),
            ("9004930231250779", "004930231250779"),
            ("0114930231250105", "+4930231250105"),
            ("101", "101"),
            ("Anonymous", "anonymous"),
        ] {
            assert!(same(one, other) && key(one) == key(other), "{one} {other}");
        }
        for (one, other) in [("101", "7101"), ("", ""), ("+4930231250777", "+4930231250778"), ("102", "anonymous")] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
