//! What was found a moment ago, for a moment: bounded in number and in time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Match;
use crate::phone::PhoneNumber;
use crate::salesforce::Error;

/// What a look-up ended with.
pub(super) type Outcome = Result<Arc<Vec<Match>>, Error>;

/// The most numbers that are remembered; the oldest goes first.
const MAX_NUMBERS: usize = 4096;
const FOUND: Duration = Duration::from_mins(1);
const NOT_FOUND: Duration = Duration::from_secs(30);
/// So that a Salesforce that is down is not asked for every ring.
const FAILED: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Memory {
    outcomes: HashMap<PhoneNumber, (Outcome, Instant)>,
    /// In the order of arrival, with the end of what arrived.
    arrivals: VecDeque<(PhoneNumber, Instant)>,
}

impl Memory {
    pub fn get(&self, number: &PhoneNumber, now: Instant) -> Option<Outcome> {
        let (outcome, until) = self.outcomes.get(number)?;
        (now < *until).then(|| outcome.clone())
    }

    pub fn put(&mut self, number: PhoneNumber, outcome: Outcome, now: Instant) {
        let until = now + lifetime(&outcome);
        self.arrivals.push_back((number.clone(), until));
        self.outcomes.insert(number, (outcome, until));
        while self.arrivals.len() > MAX_NUMBERS {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((number, until)) = self.arrivals.pop_front() else {
            return;
        };
        // A later arrival of the same number stays.
        if self.outcomes.get(&number).is_some_and(|(_, end)| *end == until) {
            self.outcomes.remove(&number);
        }
    }
}

fn lifetime(outcome: &Outcome) -> Duration {
    match outcome {
        Ok(matches) if matches.is_empty() => NOT_FOUND,
        Ok(_) => FOUND,
        Err(_) => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: usize) -> PhoneNumber {
        PhoneNumber::E164 { e164: format!("+4930{n}"), extension: None }
    }

    #[test]
    fn what_was_found_is_forgotten_in_time_and_by_number() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for n in 0..=MAX_NUMBERS {
            memory.put(number(n), Ok(Arc::default()), now);
        }
        assert!(memory.get(&number(0), now).is_none());
        assert!(memory.get(&number(1), now).is_some());
        assert!(memory.get(&number(1), now + NOT_FOUND).is_none());
        assert_eq!(memory.outcomes.len(), MAX_NUMBERS);
    }
}
