//! What of the calls is shown and kept, as the settings say.

use crate::calls::record::{CallRecord, Direction, OpenCall};
use crate::journal;
use crate::phone::PhoneNumber;
use crate::pops;

/// The part of the settings that may change while the bridge runs.
#[derive(Debug, Clone)]
pub struct Policy {
    pub log: journal::Config,
    pub pops: pops::Config,
    /// `+4930555000*`: never looked up, popped or logged.
    pub ignore_numbers: Vec<String>,
}

impl Policy {
    /// A call with one of the numbers that are to be left alone.
    pub fn ignores(&self, call: &OpenCall) -> bool {
        self.ignores_number(&call.party.number)
    }

    pub fn ignores_number(&self, number: &PhoneNumber) -> bool {
        let number = match number {
            PhoneNumber::E164 { e164, .. } => e164,
            PhoneNumber::Internal { digits } => digits,
            PhoneNumber::Withheld | PhoneNumber::Unreadable { .. } => return false,
        };
        self.ignore_numbers.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(head) => number.starts_with(head),
            None => number == pattern,
        })
    }

    /// Whether a call that is not over is kept on disk.
    pub fn keeps(&self, call: &OpenCall) -> bool {
        let wanted = self.log.internal || call.direction != Direction::Internal;
        self.log.enabled && wanted && !self.ignores(call)
    }

    /// Whether a finished call becomes a Task.
    pub fn logs(&self, record: &CallRecord) -> bool {
        self.keeps(&record.call) && journal::wanted(record, &self.log)
    }

    /// Whether agents are shown a call.
    pub fn shows(&self, call: &OpenCall) -> bool {
        let wanted = self.pops.outbound || call.direction != Direction::Outbound;
        wanted && !self.ignores(call)
    }
}
