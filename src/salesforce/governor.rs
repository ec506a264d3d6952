//! What the org's allowance of API calls still lets the bridge do: the less is left, the more it keeps for the Tasks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// After this long without an answer nobody knows whether a reading that forbids something still holds.
const OLD: Duration = Duration::from_mins(15);
/// Between two calls while the org takes none.
const PROBE: Duration = Duration::from_mins(10);

/// What may be asked of Salesforce, most generous first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    All,
    /// Polls come less often: see [`Allowance::stretch`].
    FewerPolls,
    /// No polls; callers are looked up and Tasks are written.
    NoPolls,
    /// Tasks only.
    TasksOnly,
    /// Salesforce takes no call at all: one is tried every ten minutes.
    Nothing,
}

impl Allowance {
    /// By the calls of the last 24 hours: those used, and those allowed to the org.
    #[must_use]
    pub fn of(used: u64, allowed: u64) -> Self {
        let reached = |percent: u64| allowed > 0 && used.saturating_mul(100) >= allowed.saturating_mul(percent);
        match () {
            () if reached(97) => Self::TasksOnly,
            () if reached(90) => Self::NoPolls,
            () if reached(70) => Self::FewerPolls,
            () => Self::All,
        }
    }

    /// How many times longer than usual to wait between two polls. `None`: no poll.
    #[must_use]
    pub fn stretch(self) -> Option<u32> {
        match self {
            Self::All => Some(1),
            Self::FewerPolls => Some(4),
            Self::NoPolls | Self::TasksOnly | Self::Nothing => None,
        }
    }

    /// As operators read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::FewerPolls => "fewer-polls",
            Self::NoPolls => "no-polls",
            Self::TasksOnly => "tasks-only",
            Self::Nothing => "nothing",
        }
    }

    /// Whether callers may be looked up.
    #[must_use]
    pub fn permits_lookups(self) -> bool {
        self < Self::TasksOnly
    }
}

/// Knows what the last answers said of the allowance.
#[derive(Default)]
pub(super) struct Governor(Mutex<Reading>);

#[derive(Default)]
struct Reading {
    /// Used, allowed, and when that was said.
    usage: Option<(u64, u64, Instant)>,
    /// Salesforce said that nothing is left, and takes the next try at this time.
    exhausted: Option<Instant>,
}

impl Governor {
    pub fn allowance(&self) -> Allowance {
        let reading = self.lock();
        match (reading.exhausted, reading.usage) {
            (Some(_), _) => Allowance::Nothing,
            (None, Some((used, allowed, _))) => Allowance::of(used, allowed),
            (None, None) => Allowance::All,
        }
    }

    /// The calls used and allowed, as of the last answer that told of them.
    pub fn reading(&self) -> Option<(u64, u64)> {
        self.lock().usage.map(|(used, allowed, _)| (used, allowed))
    }

    /// An answer told of the calls used and allowed.
    pub fn usage(&self, usage: Option<(u64, u64)>, now: Instant) {
        if let Some((used, allowed)) = usage {
            self.lock().usage = Some((used, allowed, now));
        }
    }

    /// How a call went.
    pub fn note<T>(&self, outcome: &Result<T, Error>, now: Instant) {
        let understood = match outcome {
            Err(Error::Quota) => return self.lock().exhausted = Some(now + PROBE),
            Err(error) => error.is_answer(),
            Ok(_) => true,
        };
        if understood {
            self.lock().exhausted = None;
        }
    }

    /// Whether a call may go out now. While the org takes none, one in ten minutes may, which finds out.
    pub fn admit(&self, now: Instant) -> Result<(), Error> {
        let mut reading = self.lock();
        let Some(next) = reading.exhausted else {
            return Ok(());
        };
        if now < next {
            return Err(Error::Quota);
        }
        reading.exhausted = Some(now + PROBE);
        Ok(())
    }

    /// Whether one cheap call is due because what is known forbids something and may be out of date.
    pub fn wants_reading(&self, now: Instant) -> bool {
        let reading = self.lock();
        match (reading.exhausted, reading.usage) {
            (Some(next), _) => now >= next,
            (None, Some((used, allowed, at))) => {
                Allowance::of(used, allowed) > Allowance::All && now.duration_since(at) >= OLD
            }
            (None, None) => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Result<(), Error> = Err(Error::Quota);

    #[test]
    fn the_less_is_left_the_less_is_asked() {
        let at = |used| Allowance::of(used, 100_000);
        assert_eq!([at(69_999), at(70_000), at(90_000), at(97_000)], {
            use Allowance::{All, FewerPolls, NoPolls, TasksOnly};
            [All, FewerPolls, NoPolls, TasksOnly]
        });
        assert_eq!(at(200_000), Allowance::TasksOnly);
        assert!(at(89_999).stretch() > at(0).stretch());
        assert_eq!(at(95_000).stretch(), None);
        assert!(at(96_999).permits_lookups() && !at(97_000).permits_lookups());
    }

    #[test]
    fn when_nothing_is_left_one_call_in_ten_minutes_finds_out() {
        let (governor, start) = (Governor::default(), Instant::now());
        assert!(governor.admit(start).is_ok());
        governor.note(&QUOTA, start);
        assert_eq!(governor.allowance(), Allowance::Nothing);
        let early = start + PROBE - Duration::from_secs(1);
        assert!(governor.admit(early).is_err() && !governor.wants_reading(early));
        let due = start + PROBE;
        assert!(governor.wants_reading(due));
        assert!(governor.admit(due).is_ok());
        assert!(governor.admit(due).is_err(), "the first is on its way");
        governor.note(&Ok(()), due);
        assert!(governor.admit(due).is_ok());
        assert_eq!(governor.allowance(), Allowance::All);
    }

    #[test]
    fn a_probe_that_was_lost_is_not_the_last() {
        let (governor, mut now) = (Governor::default(), Instant::now());
        governor.note(&QUOTA, now);
        for _ in 0..3 {
            now += PROBE;
            assert!(governor.admit(now).is_ok());
            governor.note::<()>(&Err(Error::NoAnswer { what: "timed out".to_owned() }), now);
            assert!(governor.admit(now).is_err());
        }
    }

    #[test]
    fn what_forbids_something_is_looked_at_again_when_it_is_old() {
        let (governor, start) = (Governor::default(), Instant::now());
        governor.usage(Some((50, 100)), start);
        assert!(!governor.wants_reading(start + OLD), "nothing is forbidden");
        governor.usage(Some((95, 100)), start);
        assert!(!governor.wants_reading(start));
        governor.usage(None, start + OLD);
        assert!(governor.wants_reading(start + OLD), "an answer without a reading says nothing");
        governor.usage(Some((10, 100)), start + OLD);
        assert!(!governor.wants_reading(start + OLD));
        assert_eq!(governor.allowance(), Allowance::All);
    }
}
