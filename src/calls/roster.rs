//! The calls that run, with what keeps an event's cost apart from their number: whom it touched, and who waits for the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::call::{Call, CallId};

#[derive(Debug, Default)]
pub(super) struct Roster {
    running: BTreeMap<CallId, Call>,
    /// Lent to be changed since [`Roster::take_touched`].
    touched: BTreeSet<CallId>,
    /// When time alone changes a call, as of the last [`Roster::take_touched`].
    deadlines: BTreeMap<CallId, Instant>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "keys are lent, as to any map")]
impl Roster {
    pub fn get(&self, id: &CallId) -> Option<&Call> {
        self.running.get(id)
    }

    pub fn get_mut(&mut self, id: &CallId) -> Option<&mut Call> {
        let call = self.running.get_mut(id)?;
        self.touched.insert(*id);
        Some(call)
    }

    pub fn contains_key(&self, id: &CallId) -> bool {
        self.running.contains_key(id)
    }

    pub fn insert(&mut self, id: CallId, call: Call) {
        self.touched.insert(id);
        self.running.insert(id, call);
    }

    pub fn remove(&mut self, id: &CallId) -> Option<Call> {
        self.touched.remove(id);
        self.deadlines.remove(id);
        self.running.remove(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&CallId, &Call)> {
        self.running.iter()
    }

    pub fn values(&self) -> impl Iterator<Item = &Call> {
        self.running.values()
    }

    /// Does this with each call that was touched, in the order in which they began, and learns when it waits for the clock.
    pub fn take_touched(&mut self, mut each: impl FnMut(&mut Call)) {
        for id in std::mem::take(&mut self.touched) {
            let Some(call) = self.running.get_mut(&id) else { continue };
            each(call);
            match call.deadline() {
                Some(deadline) => self.deadlines.insert(id, deadline),
                None => self.deadlines.remove(&id),
            };
        }
    }

    /// The next moment at which time alone changes a call.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.values().min().copied()
    }

    /// The calls that time has changed by now.
    pub fn due(&self, now: Instant) -> Vec<CallId> {
        self.deadlines.iter().filter(|(_, deadline)| **deadline <= now).map(|(id, _)| *id).collect()
    }
}
