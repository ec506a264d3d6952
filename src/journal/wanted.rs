//! Which calls become a Task.

use super::config::Config;
use crate::calls::record::{CallRecord, Direction, Disposition};

/// Whether the settings ask for a Task of this call; one that is not wanted is forgotten, not ended, in the journal.
#[must_use]
pub fn wanted(record: &CallRecord, config: &Config) -> bool {
    config.enabled
        && (config.internal || record.call.direction != Direction::Internal)
        && (config.missed || record.disposition == Disposition::Answered)
}
