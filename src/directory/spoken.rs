//! Whom a number last spoke with, by our own journal. Pure.
//!
//! Who comes first among equals is the same all day: what is learnt from a call counts from the next day on. What an agent chooses
//! counts at once.

use std::collections::{HashMap, VecDeque};

use jiff::civil::Date;

use crate::salesforce::RecordId;

/// The most numbers that are remembered; the one first heard of goes first.
const MAX_NUMBERS: usize = 100_000;

#[derive(Default)]
pub(super) struct Spoken {
    numbers: HashMap<Box<str>, Known>,
    arrivals: VecDeque<Box<str>>,
}

#[derive(Default)]
struct Known {
    settled: Option<RecordId>,
    /// An agent chose it on that day.
    chosen: Option<Date>,
    /// Learnt from a call on that day.
    learnt: Option<(RecordId, Date)>,
}

/// How it is known who was on the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Only one record had the number.
    ByTheCall,
    ByTheAgent,
}

impl Spoken {
    /// The record, as far as it counts on that day.
    pub fn with(&self, e164: &str, today: Date) -> Option<&RecordId> {
        let known = self.numbers.get(e164)?;
        let learnt = known.learnt.as_ref().filter(|(_, day)| *day < today).map(|(record, _)| record);
        learnt.or(known.settled.as_ref())
    }

    pub fn note(&mut self, e164: &str, record: RecordId, day: Date, told: Told) {
        if !self.numbers.contains_key(e164) {
            self.arrivals.push_back(e164.into());
            if self.arrivals.len() > MAX_NUMBERS
                && let Some(oldest) = self.arrivals.pop_front()
            {
                self.numbers.remove(&oldest);
            }
        }
        let known = self.numbers.entry(e164.into()).or_default();
        match told {
            Told::ByTheAgent => *known = Known { settled: Some(record), chosen: Some(day), learnt: None },
            Told::ByTheCall if known.chosen.is_some_and(|chosen| chosen >= day) => {}
            Told::ByTheCall => {
                if let Some((before, _)) = known.learnt.take_if(|(_, before)| *before < day) {
                    known.settled = Some(before);
                }
                known.learnt = Some((record, day));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "+4930231250444";

    fn day(day: i8) -> Date {
        jiff::civil::date(2026, 11, day)
    }

    fn record(nth: u8) -> RecordId {
        RecordId::parse(&format!("003xx000000000{nth}")).unwrap()
    }

    #[test]
    fn what_a_call_tells_counts_from_the_next_day_on() {
        let mut spoken = Spoken::default();
        spoken.note(NUMBER, record(1), day(20), Told::ByTheCall);
        assert_eq!(spoken.with(NUMBER, day(20)), None);
        assert_eq!(spoken.with(NUMBER, day(21)), Some(&record(1)));
        spoken.note(NUMBER, record(2), day(21), Told::ByTheCall);
        spoken.note(NUMBER, record(3), day(21), Told::ByTheCall);
        assert_eq!(spoken.with(NUMBER, day(21)), Some(&record(1)), "the same all day");
        assert_eq!(spoken.with(NUMBER, day(22)), Some(&record(3)));
        assert_eq!(spoken.with("+4930231250445", day(22)), None);
    }

    #[test]
    fn what_an_agent_chooses_counts_at_once() {
        let mut spoken = Spoken::default();
        spoken.note(NUMBER, record(1), day(20), Told::ByTheCall);
        spoken.note(NUMBER, record(2), day(21), Told::ByTheAgent);
        assert_eq!(spoken.with(NUMBER, day(21)), Some(&record(2)));
        spoken.note(NUMBER, record(1), day(21), Told::ByTheCall);
        assert_eq!(spoken.with(NUMBER, day(22)), Some(&record(2)), "the agent knew better than the call");
    }

    #[test]
    fn the_numbers_are_bounded() {
        let mut spoken = Spoken::default();
        for nth in 0..=MAX_NUMBERS {
            spoken.note(&nth.to_string(), record(1), day(1), Told::ByTheAgent);
        }
        assert_eq!(spoken.numbers.len(), MAX_NUMBERS);
        assert_eq!(spoken.with("0", day(2)), None);
    }
}
