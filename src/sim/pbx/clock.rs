//! Time as Asterisk writes it: `2026-11-21T17:26:44.085+0000`, the offset without a colon.

use jiff::fmt::strtime;
use jiff::{Error, Timestamp};

/// The moment as text.
#[must_use]
pub fn now_as_text() -> String {
    as_text(Timestamp::now())
}

pub(super) fn as_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()
}

pub(super) fn from_text(text: &str) -> Result<Timestamp, Error> {
    strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text)?.to_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let text = "2026-11-21T17:26:44.085+0000";
        assert_eq!(as_text(from_text(text).unwrap()), text);
    }
}
