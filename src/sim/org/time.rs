//! How Salesforce writes and reads dates and moments.

use jiff::{Timestamp, civil::Date};

/// `2026-11-21T17:11:01.000+0000`: UTC, whole seconds, offset without colon.
pub(crate) fn write(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

/// A moment with an offset, the colon in it being optional.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok())
}

/// A date, or the date part of a moment in UTC.
pub(crate) fn read_date(text: &str) -> Option<Date> {
    if text.len() == 10 {
        return text.parse().ok();
    }
    Some(read(text)?.to_zoned(jiff::tz::TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_go_there_and_back() {
        let text = "2026-11-21T17:11:01.000+0000";
        assert_eq!(read(text).map(write).as_deref(), Some(text));
        assert_eq!(read("2026-11-21T17:11:01Z"), read(text));
        assert_eq!(read("2026-11-21T18:11:01+01:00"), read(text));
        assert_eq!(read("2026-11-21"), None);
    }

    #[test]
    fn dates_are_checked() {
        assert!(read_date("2026-02-28").is_some());
        assert!(read_date("2026-02-30").is_none());
        assert!(read_date("21.11.2026").is_none());
    }
}
