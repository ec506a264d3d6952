//! Whether what somebody typed into a phone field is the number that is looked for.

use super::answer::Exactness;
use crate::phone::{NumberPlan, PhoneNumber};

/// The fewest digits that are told apart without a country.
const MIN_DIGITS: usize = 7;

/// How well a field fits, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The number, and the extension behind it.
    WithExtension,
    /// The number.
    Number,
    /// The number, with another extension behind it.
    OtherExtension,
    /// The digits; which country they are of is not said.
    Digits,
}

/// What a text stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A number with its country, and the extension behind it.
    Number { e164: String, extension: Option<String> },
    /// Digits of which it is not said which country they are of. They only ever make a possible match.
    Digits(String),
}

/// A number that is looked for, in all its spellings.
pub(super) struct Wanted<'a> {
    number: &'a PhoneNumber,
    spellings: Vec<String>,
}

impl<'a> Wanted<'a> {
    pub fn new(number: &'a PhoneNumber) -> Self {
        Self { spellings: number.search_terms(), number }
    }

    pub fn number(&self) -> &PhoneNumber {
        self.number
    }

    /// The runs of digits that may be this number.
    pub fn spellings(&self) -> &[String] {
        &self.spellings
    }

    /// The best fit of what a field holds, if any.
    pub fn fit(&self, plan: &NumberPlan, stored: &str) -> Option<Fit> {
        held(plan, stored).iter().filter_map(|held| self.fit_held(held)).min()
    }

    fn fit_held(&self, held: &Held) -> Option<Fit> {
        match held {
            Held::Number { e164, extension } if self.number.e164() == Some(e164) => {
                Some(Fit::of_extensions(self.number.extension(), extension.as_deref()))
            }
            Held::Digits(digits) if self.spellings.contains(digits) => Some(Fit::Digits),
            Held::Number { .. } | Held::Digits(_) => None,
        }
    }
}

impl Fit {
    pub fn exactness(self) -> Exactness {
        match self {
            Self::WithExtension | Self::Number | Self::OtherExtension => Exactness::Exact,
            Self::Digits => Exactness::Possible,
        }
    }

    /// Of a number that is the same: by the extension that is asked for and the one that is stored.
    pub fn of_extensions(asked: Option<&str>, stored: Option<&str>) -> Self {
        match (asked, stored) {
            (Some(asked), Some(stored)) if asked == stored => Self::WithExtension,
            (Some(_), Some(_)) => Self::OtherExtension,
            (None, _) | (_, None) => Self::Number,
        }
    }
}

/// What a phone field holds: one number, several, digits without a country, or (junk) nothing.
pub(super) fn held(plan: &NumberPlan, stored: &str) -> Vec<Held> {
    let pieces = pieces(stored);
    if pieces.len() < 2 {
        let whole = read(plan, stored);
        return number(&whole).or_else(|| digits_alone(&whole, stored)).into_iter().collect();
    }
    let numbers: Vec<Option<Held>> = pieces.iter().map(|piece| number(&read(plan, piece))).collect();
    if numbers.iter().all(Option::is_some) {
        return numbers.into_iter().flatten().collect();
    }
    // `030 / 231 250 444` is one number, and its second part is one of another town.
    let whole = read(plan, stored);
    if let Some(whole) = number(&whole) {
        return vec![whole];
    }
    numbers.into_iter().flatten().chain(digits_alone(&whole, stored)).collect()
}

fn number(read: &PhoneNumber) -> Option<Held> {
    let e164 = read.e164()?.to_owned();
    Some(Held::Number { e164, extension: read.extension().map(str::to_owned) })
}

/// Reads it as it is, or, where that is another number, without the remark behind it: the letters of `030 … (home)` would be
/// taken as dialled ones, those of `x12` are an extension.
fn read(plan: &NumberPlan, text: &str) -> PhoneNumber {
    let whole = plan.read_stored(text);
    let Some(number) = before_letters(text) else {
        return whole;
    };
    let short = plan.read_stored(number.trim_end_matches(['(', '[', '-', ' ', '.']));
    if short.e164().is_none() || short.e164() == whole.e164() {
        return whole;
    }
    short
}

/// What stands before the first letter behind a digit, if there is one.
fn before_letters(text: &str) -> Option<&str> {
    let digit = text.find(|char: char| char.is_ascii_digit())?;
    let letter = text.get(digit..)?.find(char::is_alphabetic)?;
    text.get(..digit + letter)
}

/// The parts of a field that holds several numbers.
fn pieces(stored: &str) -> Vec<&str> {
    stored
        .split(['/', ';', ',', '|', '&', '\n'])
        .flat_map(apart)
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// Behind a number another one begins with a `+`, or behind words: `030 231250447 oder 030 231250448`. Fewer digits behind words
/// are an extension.
fn apart(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = next_number(rest)
        && let Some((one, others)) = rest.split_at_checked(at)
    {
        parts.push(one);
        rest = others;
    }
    parts.push(rest);
    parts
}

fn next_number(text: &str) -> Option<usize> {
    let digit = text.find(|char: char| char.is_ascii_digit())?;
    let behind = text.get(digit..)?;
    let plus = behind.find('+');
    let letter = behind.find(char::is_alphabetic);
    let worded = letter.and_then(|letter| {
        let at =
            letter + behind.get(letter..)?.find(|char: char| char.is_ascii_digit() || matches!(char, '+' | '('))?;
        let digits = behind.get(at..)?.bytes().filter(u8::is_ascii_digit).count();
        (digits >= MIN_DIGITS).then_some(at)
    });
    Some(digit + plus.into_iter().chain(worded).min()?)
}

/// Of text that is no number in the region. A `+` names a country, so what follows it is not read as another one.
fn digits_alone(read: &PhoneNumber, stored: &str) -> Option<Held> {
    if !matches!(read, PhoneNumber::Unreadable { .. }) || stored.contains('+') {
        return None;
    }
    let digits = digits(stored);
    (digits.len() >= MIN_DIGITS).then_some(Held::Digits(digits))
}

/// The first run of digits, up to a letter or `#`, which begin an extension or a remark.
fn digits(stored: &str) -> String {
    stored
        .chars()
        .skip_while(|char| !char.is_ascii_digit())
        .take_while(|char| !char.is_alphabetic() && *char != '#')
        .filter(char::is_ascii_digit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit_in(region: &str, number: &str, stored: &str) -> Option<Fit> {
        let plan = NumberPlan::new(region, "", "2-6").unwrap();
        Wanted::new(&plan.read(number)).fit(&plan, stored)
    }

    #[test]
    fn a_number_is_known_however_it_was_typed() {
        for stored in [
            "+4930231250444",
            "+49 30 231250444",
            "+49 (0)30 231 250 444",
            "0049 30 231250444",
            "0049 (0)30 231250444",
            "030 231250444",
            "(030) 231 250 444",
            "030/231250444",
            "030 / 231 250 444",
            "030-231250-444",
            "Mobil: 030 231250444",
            "030 231250444 (home)",
            "030\u{a0}231250444",
            "4930231250444",
            "089 123456 / 030 231250444",
            "089 1234567; 030 231250444",
            "+49 30 231250444, +49 30 231250445",
            "030 231250444 or 0170 1234567",
            "0170 1234567 oder 030 231250444",
            "+49 170 1234567 & +49 30 231250444",
            "+49 170 1234567 +49 30 231250444",
            "mobil 0170 1234567 (privat) Büro (030) 231250444 bis 17 Uhr",
        ] {
            assert_eq!(fit_in("DE", "+4930231250444", stored), Some(Fit::Number), "{stored}");
        }
    }

    #[test]
    fn the_same_last_digits_are_not_the_same_number() {
        for stored in [
            "+4940231250444",
            "040 231250444",
            "+43 30 231250444",
            "+1 302-312-5044",
            "231250444",
            "0231 250444",
            "231 250 444",
            "+30 231250444",
            "+30231250444",
            "1250444",
            "444",
            "030 2312504445",
            "n/a",
            "",
            "0",
            "4.93E+12",
        ] {
            assert_eq!(fit_in("DE", "+4930231250444", stored), None, "{stored}");
        }
        // The second half of a Berlin number with a stroke in it is a number of Dortmund.
        assert_eq!(fit_in("DE", "+49231250444", "030 / 231 250 444"), None);
    }

    #[test]
    fn a_number_of_another_country_without_its_code_is_possible() {
        for (region, stored) in [("FR", "415-555-0143"), ("FR", "1 (415) 555-0143 x12"), ("DE", "14155550143")] {
            assert_eq!(fit_in(region, "+14155550143", stored), Some(Fit::Digits), "{region} {stored}");
        }
        assert_eq!(fit_in("US", "+4930231250444", "030/231250444"), Some(Fit::Digits));
        assert_eq!(fit_in("US", "+4930231250444", "011 49 30 231250444"), Some(Fit::Number));
    }

    #[test]
    fn a_short_number_of_a_small_country_is_no_extension() {
        for stored in ["212345", "21 23 45", "+298 212345"] {
            assert_eq!(fit_in("FO", "+298212345", stored), Some(Fit::Number), "{stored}");
        }
    }

    #[test]
    fn an_extension_tells_two_of_one_line_apart() {
        let of = |stored| fit_in("US", "tel:+14155551212;ext=9", stored);
        assert_eq!(of("(415) 555-1212 x9"), Some(Fit::WithExtension));
        assert_eq!(of("(415) 555-1212"), Some(Fit::Number));
        assert_eq!(of("(415) 555-1212 ext. 12"), Some(Fit::OtherExtension));
    }
}
