//! When the slow checks are due: each object has its own minute of the night and its own night of the week. Pure.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, Zoned, civil};

/// From one o'clock on, for four hours.
const FIRST_HOUR: u64 = 1;
const MINUTES: u64 = 4 * 60;

/// Whether the count of a day is due. `last`: when it was done, or the object was loaded. `seed`: spreads objects and orgs.
pub(super) fn count_is_due(last: Timestamp, now: &Zoned, seed: u64) -> bool {
    last_slot(now, seed, 1).is_some_and(|slot| last < slot)
}

/// Whether the comparison of a week is due.
pub(super) fn comparison_is_due(last: Timestamp, now: &Zoned, seed: u64) -> bool {
    last_slot(now, seed, 7).is_some_and(|slot| last < slot)
}

/// The latest time of this object's own that is over, if there is one every `days`.
fn last_slot(now: &Zoned, seed: u64, days: u64) -> Option<Timestamp> {
    let minute = Duration::from_mins(FIRST_HOUR * 60 + seed % MINUTES);
    let day = now.date().duration_since(civil::date(1970, 1, 1)).as_hours() / 24;
    let days = i64::try_from(days).ok()?;
    let back = (day - i64::try_from(seed / MINUTES).ok()? % days).rem_euclid(days);
    let slot = |back: i64| {
        let date = now.date().checked_sub(back.days()).ok()?;
        let midnight = date.to_zoned(now.time_zone().clone()).ok()?;
        midnight.timestamp().checked_add(minute).ok()
    };
    let latest = slot(back)?;
    if latest <= now.timestamp() { Some(latest) } else { slot(back + days) }
}

/// A number of its own for each object of each org.
pub(super) fn seed(org: &str, object: &str) -> u64 {
    use std::hash::{Hash as _, Hasher as _};
    // Its keys are fixed, so that the minute is the same after a restart.
    let mut hasher = std::hash::DefaultHasher::new();
    (org, object).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        format!("{text}[Europe/Berlin]").parse().unwrap()
    }

    #[test]
    fn a_count_is_due_once_a_night_whenever_the_program_ran() {
        let seed = 90;
        let evening = zoned("2026-11-20T22:00").timestamp();
        assert!(!count_is_due(evening, &zoned("2026-11-21T02:29"), seed));
        assert!(count_is_due(evening, &zoned("2026-11-21T02:30"), seed));
        assert!(count_is_due(evening, &zoned("2026-11-25T15:00"), seed), "it slept for days");
        let done = zoned("2026-11-21T02:30").timestamp();
        assert!(!count_is_due(done, &zoned("2026-11-22T02:29"), seed));
    }

    #[test]
    fn a_comparison_is_due_once_a_week() {
        for seed in [0, 90, 240 * 3 + 17, 240 * 6 + 239] {
            let mut last = zoned("2026-12-01T12:00").timestamp();
            let mut due = Vec::new();
            for hour in 0..(24 * 28) {
                let now = zoned("2026-12-01T12:00").checked_add(i64::from(hour).hours()).unwrap();
                if comparison_is_due(last, &now, seed) {
                    due.push(hour);
                    last = now.timestamp();
                }
            }
            assert_eq!(due.len(), 4, "{seed}");
            assert!(due.windows(2).all(|pair| pair[1] - pair[0] == 24 * 7), "{due:?}");
        }
    }

    #[test]
    fn objects_and_orgs_have_times_of_their_own() {
        let minutes: std::collections::BTreeSet<u64> =
            (0..100).map(|org| seed(&format!("00D{org}"), "Contact") % MINUTES).collect();
        assert!(minutes.len() > 50);
        assert_ne!(seed("00D1", "Contact"), seed("00D1", "Lead"));
    }
}
