//! Which version of the API is spoken.

use serde::Deserialize;

use super::error::Error;
use super::problem::ConfigError;

/// The newest version that this program was checked against.
const NEWEST: u16 = 68;
/// The oldest version that has all that is used.
const OLDEST: u16 = 60;

/// What the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Auto,
    Fixed(u16),
}

/// A row of `GET /services/data`.
#[derive(Debug, Deserialize)]
pub(super) struct Offered {
    version: String,
}

impl Wanted {
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if matches!(text, "" | "auto") {
            return Ok(Self::Auto);
        }
        major(text.trim_start_matches('v'))
            .filter(|version| (OLDEST..=NEWEST).contains(version))
            .map(Self::Fixed)
            .ok_or_else(|| ConfigError::ApiVersion(text.chars().take(32).collect()))
    }
}

/// The newest version that both sides know.
pub(super) fn choose(offered: &[Offered]) -> Result<u16, Error> {
    let newest = offered.iter().filter_map(|row| major(&row.version)).max();
    match newest {
        Some(version) if version >= OLDEST => Ok(version.min(NEWEST)),
        Some(version) => Err(Error::Version { newest: format!("v{version}.0") }),
        None => Err(Error::Garbage { status: 200, what: "a list of versions was expected" }),
    }
}

/// `68` of `68.0`
fn major(text: &str) -> Option<u16> {
    text.strip_suffix(".0")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(versions: &[&str]) -> Vec<Offered> {
        versions.iter().map(|version| Offered { version: (*version).to_owned() }).collect()
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        assert_eq!(choose(&offered(&["31.0", "66.0", "60.0"])).unwrap(), 66);
        assert_eq!(choose(&offered(&["68.0", "71.0"])).unwrap(), 68);
        let old = choose(&offered(&["58.0", "59.0"])).unwrap_err();
        assert!(old.to_string().contains("v59.0"));
        assert!(choose(&[]).is_err());
    }

    #[test]
    fn a_fixed_version_is_one_that_is_known() {
        assert_eq!(Wanted::parse("auto"), Ok(Wanted::Auto));
        assert_eq!(Wanted::parse("v62.0"), Ok(Wanted::Fixed(62)));
        for wrong in ["v59.0", "v69.0", "62", "latest"] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }
}
