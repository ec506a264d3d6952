//! Phone numbers as a type: read once at the edge, compared as E.164 ever after, masked wherever they are printed.

use std::fmt;
use std::ops::RangeInclusive;

use rlibphonenumber::{CountryCodeSource, PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};
use serde::{Deserialize, Serialize};

/// The longest text that is looked at as a number; anything longer is junk.
const MAX_INPUT: usize = 256;

/// What stood where a phone number was expected. A withheld, an internal or an unreadable number is a variant, not an error.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PhoneNumber {
    /// A number with its country: `+` and up to 15 digits, and the extension behind it, if one was given.
    E164 { e164: String, extension: Option<String> },
    /// A short number of our own phone system.
    Internal { digits: String },
    /// The caller keeps the number to himself, or the network does not know it.
    Withheld,
    /// Text that is no number in the configured region.
    Unreadable { text: String },
}

impl PhoneNumber {
    /// `+4930…`, the one way to the digits.
    #[must_use]
    pub fn e164(&self) -> Option<&str> {
        match self {
            Self::E164 { e164, .. } => Some(e164),
            Self::Internal { .. } | Self::Withheld | Self::Unreadable { .. } => None,
        }
    }

    /// The extension behind the number, if one was given.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        match self {
            Self::E164 { extension, .. } => extension.as_deref(),
            Self::Internal { .. } | Self::Withheld | Self::Unreadable { .. } => None,
        }
    }

    /// What a person may be shown: E.164, the short number, or nothing.
    #[must_use]
    pub fn display(&self) -> Option<&str> {
        match self {
            Self::E164 { e164, .. } => Some(e164),
            Self::Internal { digits } => Some(digits),
            Self::Unreadable { text } => Some(text),
            Self::Withheld => None,
        }
    }

    /// `e164`, `internal`, `withheld` or `unreadable`, as the HTTP interface names it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::E164 { .. } => "e164",
            Self::Internal { .. } => "internal",
            Self::Withheld => "withheld",
            Self::Unreadable { .. } => "unreadable",
        }
    }

    /// The runs of digits that are left of this number in the ways people store it, each once: with country code, national
    /// significant, with the trunk prefix, with both (`+49 (0)30 …`), and as dialled from abroad (`00 49 …`, `011 49 …`).
    /// Empty for anything but E.164.
    pub fn search_terms(&self) -> Vec<String> {
        let Some(parsed) = self.e164().and_then(|number| PHONE_NUMBER_UTIL.parse(number, None).ok()) else {
            return Vec::new();
        };
        let country = parsed.country_code;
        let national = rlibphonenumber::get_national_significant_number_owned(&parsed);
        let as_dialed: String =
            parsed.format_as(PhoneNumberFormat::National).chars().filter(char::is_ascii_digit).collect();
        let mut terms =
            vec![format!("{country}{national}"), national.clone(), as_dialed.clone(), format!("00{country}{national}")];
        if country != 1 {
            terms.push(format!("011{country}{national}"));
        }
        if as_dialed == format!("0{national}") {
            terms.push(format!("{country}{as_dialed}"));
            terms.push(format!("00{country}{as_dialed}"));
        }
        let mut seen = std::collections::BTreeSet::new();
        terms.retain(|term| seen.insert(term.clone()));
        terms
    }
}

impl fmt::Display for PhoneNumber {
    /// Masked: `+4930•••44`, so that it may stand in a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::E164 { e164, .. } => {
                let head: String = e164.chars().take(5).collect();
                let tail: String = e164.chars().skip(5).collect::<Vec<_>>().into_iter().rev().take(2).rev().collect();
                write!(f, "{head}•••{tail}")
            }
            Self::Internal { .. } => f.write_str("internal"),
            Self::Withheld => f.write_str("withheld"),
            Self::Unreadable { .. } => f.write_str("unreadable"),
        }
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How numbers are written at this site.
#[derive(Debug, Clone)]
pub struct NumberPlan {
    region: Region,
    outside_prefix: String,
    extension_digits: RangeInclusive<usize>,
}

/// A part of the number plan that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    #[error("`{0}` is no region; expected two letters of ISO 3166-1, such as US or DE")]
    Region(String),
    #[error("`{0}` is no range of digits; expected two numbers from 1 to 9, such as 2-6")]
    ExtensionDigits(String),
}

impl NumberPlan {
    /// `region`: ISO 3166-1; `outside_prefix`: dialled before external numbers; `extension_digits`: `2-6`.
    ///
    /// # Errors
    /// When the region is unknown or the range is none.
    pub fn new(region: &str, outside_prefix: &str, extension_digits: &str) -> Result<Self, PlanError> {
        Ok(Self {
            region: parse_region(region).ok_or_else(|| PlanError::Region(region.to_owned()))?,
            outside_prefix: outside_prefix.to_owned(),
            extension_digits: parse_range(extension_digits)
                .ok_or_else(|| PlanError::ExtensionDigits(extension_digits.to_owned()))?,
        })
    }

    /// The same plan read in another region; `None` when that is none.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Option<Self> {
        Some(Self { region: parse_region(region)?, ..self.clone() })
    }

    /// The region's two letters.
    #[must_use]
    pub fn region(&self) -> String {
        format!("{:?}", self.region).to_uppercase()
    }

    /// Reads a number that somebody presents, types or has stored: national or international, `tel:` or `sip:`,
    /// with parameters and extensions (RFC 3966 section 3, RFC 3261 section 19.1.1).
    #[must_use]
    pub fn read(&self, text: &str) -> PhoneNumber {
        let Some(user) = user_part(text) else {
            return PhoneNumber::Unreadable { text: text.chars().take(MAX_INPUT).collect() };
        };
        if is_withheld(&user) {
            return PhoneNumber::Withheld;
        }
        if self.is_extension(&user) {
            return PhoneNumber::Internal { digits: user };
        }
        self.read_external(&user)
    }

    /// Reads a number of somebody outside that is written down: as [`read`](Self::read), also where it is as short as an extension.
    #[must_use]
    pub fn read_stored(&self, text: &str) -> PhoneNumber {
        let read = self.read(text);
        match &read {
            PhoneNumber::Internal { digits } => {
                Some(self.read_external(digits)).filter(|it| it.e164().is_some()).unwrap_or(read)
            }
            PhoneNumber::E164 { .. } | PhoneNumber::Withheld | PhoneNumber::Unreadable { .. } => read,
        }
    }

    /// Reads a number that an agent dialled: as [`read`](Self::read), without the outside prefix.
    #[must_use]
    pub fn read_dialed(&self, text: &str) -> PhoneNumber {
        match user_part(text).as_deref().and_then(|user| self.strip_outside_prefix(user)) {
            Some(rest) => self.read(rest),
            None => self.read(text),
        }
    }

    /// Whether an all-digit party this short is one of ours.
    #[must_use]
    pub fn is_extension(&self, text: &str) -> bool {
        self.extension_digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn strip_outside_prefix<'a>(&self, dialed: &'a str) -> Option<&'a str> {
        if self.outside_prefix.is_empty() || self.is_extension(dialed) {
            return None;
        }
        dialed.strip_prefix(&self.outside_prefix).filter(|rest| !rest.is_empty())
    }

    fn read_external(&self, user: &str) -> PhoneNumber {
        let unreadable = || PhoneNumber::Unreadable { text: user.to_owned() };
        let Ok(parsed) = PHONE_NUMBER_UTIL.parse_and_keep_raw_input(user, Some(self.region)) else {
            return unreadable();
        };
        let says_its_country = matches!(
            parsed.country_code_source(),
            CountryCodeSource::FromNumberWithPlusSign | CountryCodeSource::FromNumberWithIdd
        );
        let read = if says_its_country {
            PHONE_NUMBER_UTIL.is_possible_number(&parsed)
        } else {
            PHONE_NUMBER_UTIL.is_valid_number(&parsed)
        };
        if !read {
            return unreadable();
        }
        PhoneNumber::E164 {
            e164: parsed.format_as(PhoneNumberFormat::E164).into_owned(),
            extension: parsed.extension.filter(|extension| !extension.is_empty()),
        }
    }
}

fn parse_region(text: &str) -> Option<Region> {
    let region: Region = text.to_ascii_uppercase().parse().ok()?;
    PHONE_NUMBER_UTIL.get_supported_regions().any(|known| known == region).then_some(region)
}

fn parse_range(text: &str) -> Option<RangeInclusive<usize>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let range = low.trim().parse().ok()?..=high.trim().parse().ok()?;
    (*range.start() >= 1 && *range.end() <= 9 && range.start() <= range.end()).then_some(range)
}

/// The user part of a URI, or the text itself, without parameters other than `;ext=`. `None` for what is too long to be one.
fn user_part(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > MAX_INPUT {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let rest = ["sips:", "sip:", "tel:"]
        .iter()
        .find(|scheme| lower.starts_with(*scheme))
        .map_or(text, |scheme| text.get(scheme.len()..).unwrap_or_default());
    let rest = rest.split_once('@').map_or(rest, |(user, _host)| user);
    let mut parts = rest.split(';');
    let number = percent_decode(parts.next().unwrap_or_default());
    let extension = parts.find_map(|parameter| parameter.strip_prefix("ext=").map(str::to_owned));
    Some(match extension {
        Some(extension) => format!("{};ext={extension}", number.trim()),
        None => number.trim().to_owned(),
    })
}

/// RFC 3986 section 2.1, on what a SIP user part escapes (`%20`); other text is kept as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let value =
            escaped.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(value.unwrap_or(first));
        rest = if value.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The words that phone systems put in place of a number that they may not or cannot tell.
fn is_withheld(user: &str) -> bool {
    const WORDS: [&str; 12] = [
        "",
        "anonymous",
        "restricted",
        "unavailable",
        "unknown",
        "private",
        "withheld",
        "blocked",
        "invalid",
        "no number",
        "asserted",
        "not available",
    ];
    WORDS.contains(&user.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> NumberPlan {
        NumberPlan::new("DE", "9", "2-6").unwrap()
    }

    fn e164(text: &str) -> Option<String> {
        plan().read(text).e164().map(str::to_owned)
    }

    #[test]
    fn the_same_number_in_every_spelling_is_one() {
        for text in [
            "+4930231250444",
            "004930231250444",
            "030231250444",
            "030 / 231 250 444",
            "+49 (0)30 231250444",
            "4930231250444",
            "tel:+49-30-231250444",
            "sip:+4930231250444@pbx.example;user=phone",
            "+4930231250444;npdi=yes;rn=+4930199",
            "+49%2030%20231250444",
            " 030-231250444 ",
        ] {
            assert_eq!(e164(text).as_deref(), Some("+4930231250444"), "{text}");
        }
    }

    #[test]
    fn a_number_that_is_none_in_the_region_is_not_guessed() {
        for text in ["14155550143", "0114930231250105", "n/a", "000-0000", "erika@example.com"] {
            assert_eq!(e164(text), None, "{text}");
        }
    }

    #[test]
    fn withheld_short_and_huge_are_variants() {
        for word in ["anonymous", "Restricted", "unavailable", "", "sip:anonymous@anonymous.invalid"] {
            assert_eq!(plan().read(word), PhoneNumber::Withheld, "{word}");
        }
        assert_eq!(plan().read("101"), PhoneNumber::Internal { digits: "101".into() });
        assert_eq!(plan().read(&"9".repeat(5000)).kind(), "unreadable");
    }

    #[test]
    fn the_outside_prefix_goes_and_an_extension_stays() {
        assert_eq!(plan().read_dialed("9004930231250779").e164(), Some("+4930231250779"));
        assert_eq!(plan().read_dialed("+4930231250779").e164(), Some("+4930231250779"));
        assert_eq!(plan().read_dialed("901").kind(), "internal");
    }

    #[test]
    fn an_extension_behind_a_number_is_kept() {
        let number = NumberPlan::new("US", "", "2-6").unwrap().read("tel:+1-415-555-1212;ext=9");
        assert_eq!(number, PhoneNumber::E164 { e164: "+14155551212".into(), extension: Some("9".into()) });
    }

    #[test]
    fn a_region_must_have_phone_numbers() {
        for region in ["DE", "us", "GB"] {
            assert!(NumberPlan::new(region, "", "2-6").is_ok(), "{region}");
        }
        for region in ["", "XX", "ZZ", "001", "EU", "Germany"] {
            let refused = NumberPlan::new(region, "", "2-6").err();
            assert_eq!(refused, Some(PlanError::Region(region.to_owned())));
        }
    }

    #[test]
    fn print_is_masked() {
        let number = plan().read("+4930231250444");
        assert_eq!(format!("{number} {number:?}"), "+4930•••44 +4930•••44");
    }

    #[test]
    fn search_terms_cover_the_ways_people_store_it() {
        assert_eq!(
            plan().read("+4930231250444").search_terms(),
            [
                "4930231250444",
                "30231250444",
                "030231250444",
                "004930231250444",
                "0114930231250444",
                "49030231250444",
                "0049030231250444",
            ]
        );
        assert_eq!(plan().read("+14155551212").search_terms(), ["14155551212", "4155551212", "0014155551212"]);
        assert_eq!(
            plan().read("+390612345678").search_terms(),
            ["390612345678", "0612345678", "00390612345678", "011390612345678"]
        );
        assert!(plan().read("anonymous").search_terms().is_empty());
    }
}
