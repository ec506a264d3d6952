//! The calls that this process itself has made, by kind, and in the last 24 hours.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a call is for. A login costs none of the org's allowance, nor does the list of versions; all others cost one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    Login,
    Versions,
    Search,
    Query,
    /// Rows written.
    Collections,
    Composite,
    Describe,
    Limits,
    Bulk,
    Other,
}

/// What was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Since the start.
    pub calls: BTreeMap<CallKind, u64>,
    /// Those of the last 24 hours that count against the org's allowance.
    pub last_day: u64,
    /// How long there is anything to count, at most 24 hours.
    pub over: Duration,
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

impl CallKind {
    /// Of a path below `/services/data/vXX.X/`.
    pub(super) fn of(path: &str) -> Self {
        let mut parts = path.split(['/', '?']);
        match (parts.next().unwrap_or_default(), parts.next()) {
            ("search" | "parameterizedSearch", _) => Self::Search,
            ("query" | "queryAll", _) => Self::Query,
            ("composite", Some("sobjects")) => Self::Collections,
            ("composite", _) => Self::Composite,
            ("sobjects", _) if parts.next() == Some("describe") => Self::Describe,
            ("limits", _) => Self::Limits,
            ("jobs", _) => Self::Bulk,
            _ => Self::Other,
        }
    }

    /// As a label of a metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Versions => "versions",
            Self::Search => "search",
            Self::Query => "query",
            Self::Collections => "collections",
            Self::Composite => "composite",
            Self::Describe => "describe",
            Self::Limits => "limits",
            Self::Bulk => "bulk",
            Self::Other => "other",
        }
    }

    fn costs(self) -> bool {
        !matches!(self, Self::Login | Self::Versions)
    }
}

/// Counts.
pub(super) struct Purse {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    calls: BTreeMap<CallKind, u64>,
    /// By the hour since the start.
    hours: BTreeMap<u64, u64>,
}

impl Purse {
    pub fn new(now: Instant) -> Self {
        Self { began: now, inner: Mutex::default() }
    }

    pub fn spend(&self, kind: CallKind, now: Instant) {
        let hour = self.hour(now);
        let mut inner = self.lock();
        *inner.calls.entry(kind).or_default() += 1;
        if kind.costs() {
            *inner.hours.entry(hour).or_default() += 1;
            inner.hours.retain(|&known, _| known + 24 > hour);
        }
    }

    pub fn read(&self, now: Instant) -> Spent {
        let hour = self.hour(now);
        let inner = self.lock();
        let last_day = inner.hours.iter().filter(|(known, _)| **known + 24 > hour).map(|(_, calls)| calls).sum();
        Spent { calls: inner.calls.clone(), last_day, over: now.duration_since(self.began).min(DAY) }
    }

    fn hour(&self, now: Instant) -> u64 {
        now.duration_since(self.began).as_secs() / HOUR.as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_a_call_is_for() {
        for (path, kind) in [
            ("search", CallKind::Search),
            ("query", CallKind::Query),
            ("queryAll/01gxx-2000", CallKind::Query),
            ("composite/sobjects/Task/Key__c", CallKind::Collections),
            ("composite", CallKind::Composite),
            ("sobjects/Task/describe", CallKind::Describe),
            ("limits", CallKind::Limits),
            ("jobs/query/750xx/results", CallKind::Bulk),
            ("sobjects/Task", CallKind::Other),
        ] {
            assert_eq!(CallKind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn a_day_is_forgotten_after_a_day_and_logins_are_free() {
        let start = Instant::now();
        let purse = Purse::new(start);
        purse.spend(CallKind::Login, start);
        for _ in 0..3 {
            purse.spend(CallKind::Query, start);
        }
        let late = start + HOUR * 23;
        purse.spend(CallKind::Search, late);
        assert_eq!(purse.read(late).last_day, 4);
        let spent = purse.read(late + HOUR);
        assert_eq!((spent.last_day, spent.over), (1, DAY));
        assert_eq!(spent.calls.get(&CallKind::Query), Some(&3));
    }
}
