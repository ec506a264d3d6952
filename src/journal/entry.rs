//! A finished call that is to become a Task, and the one function that moves it from state to state.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::note::Note;
use crate::calls::record::{CallKey, CallRecord, Disposition, Extension};
use crate::directory::answer::Answer;
use crate::salesforce::RecordId;

/// Number of an entry; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub i64);

/// One Task to be: a call, or one agent's part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub id: EntryId,
    /// What the Task's `CallObject` says: the call key, and `-EXTENSION` behind it where each agent has a Task.
    pub key: String,
    pub call: CallKey,
    /// Whose part of the call this is; `None`: the whole call.
    pub agent: Option<Extension>,
    pub record: CallRecord,
    pub answer: Option<Answer>,
    pub notes: Vec<Note>,
    /// Counts the notes, so that one that comes while the entry is under way is seen.
    #[serde(skip)]
    pub(super) noted: i64,
    /// It was on the wire before.
    #[serde(skip)]
    pub(super) tried: bool,
    #[serde(flatten)]
    pub state: EntryState,
    /// The Task, once it is known to be there.
    pub task: Option<RecordId>,
    /// Tries that Salesforce answered with a refusal that may pass.
    pub attempts: u32,
    pub repairs: Repairs,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum EntryState {
    /// Known not to be in Salesforce as it should be. `not_before` `None`: as soon as there is company.
    Waiting {
        not_before: Option<Timestamp>,
        reason: Option<Reason>,
    },
    /// Handed to the network. Where no request is under way, nobody knows what became of it, and it is looked up at `look_at`.
    Wire {
        since: Timestamp,
        look_at: Option<Timestamp>,
    },
    Done {
        at: Timestamp,
    },
    /// Salesforce refuses it; waits for an operator.
    Parked {
        at: Timestamp,
        reason: Reason,
    },
}

/// What happens to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is about to be sent.
    Sent { at: Timestamp },
    /// The Task is there. `noted`: an agent added to it while it was under way.
    Logged { at: Timestamp, noted: bool },
    /// It was not written; it may be later.
    Again { not_before: Option<Timestamp>, reason: Option<Reason> },
    /// The answer was lost, or a look-up did not find it yet.
    Unknown { look_at: Option<Timestamp> },
    /// It was not written, and will not be as it is.
    Refused { at: Timestamp, reason: Reason },
    /// An agent added to it.
    Noted,
    /// An operator asks for another try.
    Retry,
    /// A comparison with Salesforce has found the Task. `noted`: not all that agents added may be in it.
    Found { at: Timestamp, noted: bool },
    /// A comparison with Salesforce has not found the Task, not among the deleted ones either.
    Missing,
}

/// Why an entry waits or is parked, and what an operator can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub message: String,
    pub advice: String,
}

/// What was changed in the Task because Salesforce refused it otherwise; each at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repairs {
    /// The agent's user may not own it: the fallback owner does.
    pub fallback_owner: bool,
    /// The Task is there already, and its subtype may only be set when it is made.
    pub without_subtype: bool,
    /// Fields that were too long, and how long they may be.
    pub shortened: BTreeMap<String, usize>,
    pub unlinked: Option<Unlinked>,
    /// Records that were converted or merged, and what stands for them now.
    pub moved: BTreeMap<RecordId, RecordId>,
    /// Written without a look-up of the caller: the org's API calls were nearly used up.
    pub not_looked_up: bool,
}

/// The records that Salesforce would not link the Task to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlinked {
    pub code: String,
    pub records: Vec<RecordId>,
}

impl Entry {
    /// The record that was on the phone: chosen by an agent (`true`), or the only one that fits best.
    #[must_use]
    pub fn spoken_with(&self) -> Option<(&RecordId, bool)> {
        if self.record.disposition != Disposition::Answered {
            return None;
        }
        let chosen = self.notes.iter().rev().find_map(|note| note.record_id.as_ref()).map(|record| (record, true));
        chosen.or_else(|| self.answer.as_ref()?.only_one().map(|found| (&found.id, false)))
    }
}

impl EntryState {
    /// The state after `event`; one that makes no sense in this state leaves it as it is.
    #[must_use]
    pub fn after(self, event: Event) -> Self {
        match self {
            Self::Waiting { .. } => self.waiting_after(event),
            Self::Wire { since, .. } => self.wire_after(since, event),
            Self::Done { .. } => self.done_after(&event),
            Self::Parked { .. } => self.parked_after(&event),
        }
    }

    /// To be sent as soon as there is company.
    #[must_use]
    pub fn due() -> Self {
        Self::Waiting { not_before: None, reason: None }
    }

    fn waiting_after(self, event: Event) -> Self {
        match event {
            Event::Sent { at } => Self::Wire { since: at, look_at: None },
            Event::Again { not_before, reason } => Self::Waiting { not_before, reason },
            Event::Refused { at, reason } => Self::Parked { at, reason },
            Event::Retry | Event::Found { noted: true, .. } => Self::due(),
            Event::Found { noted: false, at } => Self::Done { at },
            Event::Noted | Event::Logged { .. } | Event::Unknown { .. } | Event::Missing => self,
        }
    }

    fn wire_after(self, since: Timestamp, event: Event) -> Self {
        match event {
            Event::Logged { noted: true, .. } => Self::due(),
            Event::Logged { noted: false, at } => Self::Done { at },
            Event::Again { not_before, reason } => Self::Waiting { not_before, reason },
            Event::Unknown { look_at } => Self::Wire { since, look_at },
            Event::Refused { at, reason } => Self::Parked { at, reason },
            Event::Retry => Self::Wire { since, look_at: None },
            Event::Sent { .. } | Event::Noted | Event::Found { .. } | Event::Missing => self,
        }
    }

    fn done_after(self, event: &Event) -> Self {
        match event {
            Event::Noted | Event::Missing => Self::due(),
            Event::Sent { .. }
            | Event::Logged { .. }
            | Event::Again { .. }
            | Event::Unknown { .. }
            | Event::Refused { .. }
            | Event::Found { .. }
            | Event::Retry => self,
        }
    }

    fn parked_after(self, event: &Event) -> Self {
        match event {
            Event::Retry | Event::Found { noted: true, .. } => Self::due(),
            Event::Found { noted: false, at } => Self::Done { at: *at },
            Event::Sent { .. }
            | Event::Logged { .. }
            | Event::Again { .. }
            | Event::Unknown { .. }
            | Event::Refused { .. }
            | Event::Missing
            | Event::Noted => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reason() -> Reason {
        Reason { code: "X".into(), message: String::new(), advice: String::new() }
    }

    fn wire() -> EntryState {
        EntryState::due().after(Event::Sent { at: at(5) })
    }

    fn again() -> Event {
        Event::Again { not_before: Some(at(9)), reason: None }
    }

    #[test]
    fn a_lost_answer_keeps_it_on_the_wire_since_it_was_sent() {
        let state = wire().after(Event::Unknown { look_at: Some(at(700)) });
        assert_eq!(state, EntryState::Wire { since: at(5), look_at: Some(at(700)) });
        assert_eq!(state.after(Event::Retry), wire(), "an operator's retry looks it up, it does not send it");
    }

    #[test]
    fn a_note_while_it_was_under_way_makes_it_wait_for_an_update() {
        let logged = |noted| wire().after(Event::Logged { at: at(6), noted });
        assert_eq!(logged(false), EntryState::Done { at: at(6) });
        assert_eq!(logged(true), EntryState::due());
        assert_eq!(logged(false).after(Event::Noted), EntryState::due());
    }

    #[test]
    fn a_comparison_with_salesforce_corrects_what_waits_is_parked_or_done_and_leaves_the_wire_alone() {
        let found = |noted| Event::Found { at: at(9), noted };
        let (done, parked) =
            (EntryState::Done { at: at(6) }, wire().after(Event::Refused { at: at(6), reason: reason() }));
        for state in [EntryState::due(), parked.clone()] {
            assert_eq!(state.clone().after(found(false)), EntryState::Done { at: at(9) });
            assert_eq!(state.after(found(true)), EntryState::due(), "the notes are to be added");
        }
        assert_eq!(done.clone().after(Event::Missing), EntryState::due());
        assert_eq!(done.clone().after(found(true)), done);
        assert_eq!(parked.clone().after(Event::Missing), parked);
        assert_eq!((wire().after(found(false)), wire().after(Event::Missing)), (wire(), wire()));
    }

    #[test]
    fn what_is_done_or_parked_is_not_sent() {
        let done = EntryState::Done { at: at(6) };
        let parked = wire().after(Event::Refused { at: at(6), reason: reason() });
        for state in [done, parked.clone()] {
            for event in [Event::Sent { at: at(8) }, again()] {
                assert_eq!(state.clone().after(event), state);
            }
        }
        assert_eq!(parked.after(Event::Retry), EntryState::due());
    }
}
