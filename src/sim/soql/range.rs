//! Date literals: `TODAY`, `LAST_N_DAYS:3` and their kin, as spans of days.

use jiff::{Span, civil::Date};

/// The first day of the span and the day after its last; `None` for a word that is no date literal.
pub(crate) fn days(word: &str, today: Date) -> Option<(Date, Date)> {
    let (name, count) = match word.split_once(':') {
        Some((name, count)) => (name, count.parse::<i32>().ok()?),
        None => (word, 0),
    };
    let day = |offset: i32| today.checked_add(Span::new().days(offset)).ok();
    let week = sunday_of(today)?;
    let month = today.first_of_month();
    let year = today.first_of_year();
    let (first, end) = match name {
        "TODAY" => (day(0)?, day(1)?),
        "YESTERDAY" => (day(-1)?, day(0)?),
        "TOMORROW" => (day(1)?, day(2)?),
        // The current day counts as part of the last days, not of the next ones.
        "LAST_N_DAYS" => (day(-count)?, day(1)?),
        "NEXT_N_DAYS" => (day(1)?, day(1 + count)?),
        "N_DAYS_AGO" => (day(-count)?, day(1 - count)?),
        "LAST_90_DAYS" => (day(-90)?, day(1)?),
        "NEXT_90_DAYS" => (day(1)?, day(91)?),
        "LAST_WEEK" => (weeks(week, -1)?, week),
        "THIS_WEEK" => (week, weeks(week, 1)?),
        "NEXT_WEEK" => (weeks(week, 1)?, weeks(week, 2)?),
        "LAST_N_WEEKS" => (weeks(week, -count)?, week),
        "LAST_MONTH" => (months(month, -1)?, month),
        "THIS_MONTH" => (month, months(month, 1)?),
        "NEXT_MONTH" => (months(month, 1)?, months(month, 2)?),
        "LAST_N_MONTHS" => (months(month, -count)?, month),
        "LAST_YEAR" => (months(year, -12)?, year),
        "THIS_YEAR" => (year, months(year, 12)?),
        "NEXT_YEAR" => (months(year, 12)?, months(year, 24)?),
        _ => return None,
    };
    Some((first, end))
}

/// Weeks begin on Sunday in the default locale.
fn sunday_of(today: Date) -> Option<Date> {
    let since = today.weekday().to_sunday_zero_offset();
    today.checked_sub(Span::new().days(i32::from(since))).ok()
}

fn weeks(from: Date, count: i32) -> Option<Date> {
    from.checked_add(Span::new().weeks(count)).ok()
}

fn months(from: Date, count: i32) -> Option<Date> {
    from.checked_add(Span::new().months(count)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_last_days_include_today() {
        let today = date(2026, 11, 21);
        assert_eq!(days("LAST_N_DAYS:3", today), Some((date(2026, 11, 18), date(2026, 11, 22))));
        assert_eq!(days("SOMEDAY", today), None);
    }

    #[test]
    fn months_and_years_cross_their_borders() {
        let today = date(2026, 1, 31);
        assert_eq!(days("LAST_MONTH", today), Some((date(2025, 12, 1), date(2026, 1, 1))));
        assert_eq!(days("LAST_YEAR", today), Some((date(2025, 1, 1), date(2026, 1, 1))));
    }
}
