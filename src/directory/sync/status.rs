//! How the index is kept up to date, for those who look: `/readyz`, the metrics, the command line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// What the synchroniser does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Nothing yet: the org was not reached.
    #[default]
    Starting,
    /// The org is read for the first time.
    Loading,
    /// The index follows the org.
    Following,
}

/// How the index is. No data of the org is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub phase: Phase,
    /// Rows of the first load that are in.
    pub loaded: u64,
    /// Rows of the first load, as far as they were counted.
    pub of: u64,
    /// Objects that are being read as a whole, or are about to be.
    pub readings: usize,
    /// When the index last was as the org.
    pub synced_at: Option<Timestamp>,
    /// Times that changes were asked for since the start.
    pub polls: u64,
    /// Records that were taken in or out since the start, the first load left out.
    pub changes: u64,
    /// Objects that the bridge's user cannot read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Why it does not go on, when it does not.
    pub trouble: Option<String>,
}

impl Phase {
    /// `starting`, `loading` or `following`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Following => "following",
        }
    }
}

/// Where the synchroniser writes it down; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<Status>>);

impl Board {
    pub fn get(&self) -> Status {
        self.lock().clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
