//! How fast the sender goes: how long it leaves Salesforce alone after a failure, and how many rows it dares to send.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::EntryId;
use super::plan::TRIES;
use crate::backoff::Backoff;
use crate::salesforce::Retry;

/// Rows in one request of sObject Collections.
pub(super) const ROWS: usize = 200;

/// Quick tries, a few seconds apart, before Salesforce counts as down.
const QUICK_TRIES: u32 = 3;

/// Between two probes while Salesforce is down.
const PROBE: Duration = Duration::from_secs(30);

/// Between two probes while the org's quota of requests is used up.
const QUOTA_PROBE: Duration = Duration::from_mins(10);

/// Between two probes while someone has to mend the settings or the permissions.
const MENDING_PROBE: Duration = Duration::from_mins(2);

#[derive(Debug)]
pub(super) struct Pace {
    quick: Backoff,
    failures: u32,
    rows: usize,
    batches: u64,
    /// Entries that were refused alone, and how many batches had been written by then.
    suspects: BTreeMap<EntryId, u64>,
}

impl Pace {
    pub fn new() -> Self {
        Self {
            quick: Backoff::new(Duration::from_secs(1), Duration::from_secs(4)),
            failures: 0,
            rows: ROWS,
            batches: 0,
            suspects: BTreeMap::new(),
        }
    }

    /// Rows that the next request may have.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Something failed since the last batch that was written.
    pub fn troubled(&self) -> bool {
        self.failures > 0
    }

    pub fn written(&mut self) {
        self.failures = 0;
        self.quick.reset();
        self.rows = ROWS.min(self.rows.saturating_mul(2));
        self.batches += 1;
    }

    /// How long to leave Salesforce alone.
    pub fn failed(&mut self, retry: Retry) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = if self.failures <= QUICK_TRIES { self.quick.next_wait() } else { spread(PROBE) };
        match retry {
            Retry::Soon | Retry::Never => wait,
            Retry::After(asked) => wait.max(spread(asked)),
            Retry::Quota => spread(QUOTA_PROBE),
            Retry::WhenMended => spread(MENDING_PROBE),
        }
    }

    /// A whole request was refused for good: one row may be the cause, and smaller requests find it.
    pub fn refused(&mut self, rows: usize) {
        self.rows = (rows / 2).max(1);
    }

    /// Whether an entry that is refused alone is itself the cause: it was before, and others were written in between.
    pub fn is_culprit(&mut self, id: EntryId, attempts: u32) -> bool {
        let before = self.suspects.insert(id, self.batches);
        let others = before.is_some_and(|before| before < self.batches);
        let culprit = others && attempts.saturating_add(1) >= TRIES;
        if culprit {
            self.suspects.remove(&id);
        }
        culprit
    }
}

/// At least the wait, and up to a tenth more.
fn spread(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_quick_tries_then_a_probe_every_half_minute() {
        let mut pace = Pace::new();
        let waits: Vec<u64> = (0..6).map(|_| pace.failed(Retry::Soon).as_secs()).collect();
        assert!(waits.iter().take(3).all(|wait| *wait <= 4), "{waits:?}");
        assert!(waits.iter().skip(3).all(|wait| (30..=33).contains(wait)), "{waits:?}");
        pace.written();
        assert!(pace.failed(Retry::Soon) <= Duration::from_secs(1));
    }

    #[test]
    fn the_wait_that_salesforce_asks_for_is_kept() {
        let mut pace = Pace::new();
        assert!(pace.failed(Retry::After(Duration::from_secs(90))) >= Duration::from_secs(90));
        assert!(pace.failed(Retry::Quota) >= QUOTA_PROBE);
    }

    #[test]
    fn a_row_is_to_blame_only_when_others_went_through() {
        let mut pace = Pace::new();
        let id = EntryId(7);
        assert!((0..9).all(|tries| !pace.is_culprit(id, tries)), "all are refused: the login, perhaps");
        pace.written();
        assert!(!pace.is_culprit(id, 0));
        pace.written();
        assert!(pace.is_culprit(id, TRIES));
    }

    #[test]
    fn a_bad_row_is_closed_in_on_and_full_batches_come_back() {
        let mut pace = Pace::new();
        pace.refused(200);
        assert_eq!(pace.rows(), 100);
        pace.refused(1);
        assert_eq!(pace.rows(), 1);
        for _ in 0..8 {
            pace.written();
        }
        assert_eq!(pace.rows(), ROWS);
    }
}
