//! The legs that the mirror has shown: one line each between the phone system and a far end, found by what their messages carry.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::number::key;
use super::transfer::Transfer;
use crate::calls::event::{BridgeId, LegId, Origin, Side};

/// More calls at once than any phone system carries: what comes beyond is not followed.
const MAX_LEGS: usize = 100_000;
/// More branches than any call is forked into.
const MAX_OF_CALL: usize = 64;

/// Our own number of a leg, in the order in which they began.
pub type Handle = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Called,
    /// With a challenge: the same INVITE comes again.
    Challenged,
    Rings,
    /// The caller has given up; an answer may still win over that.
    Cancelled,
    Answered,
}

#[derive(Debug)]
pub struct Leg {
    /// What the tracker knows it by. Two legs share it when a far end goes on in another dialog (RFC 5589).
    pub line: LegId,
    pub call_id: String,
    pub from_tag: String,
    /// Of the dialog, as far as it is known.
    pub to_tag: String,
    /// Of the INVITE's topmost Via: what its responses carry.
    pub branch: String,
    pub cseq: u32,
    pub far: SocketAddr,
    pub side: Side,
    pub origin: Origin,
    /// Who is at the far end: the number that it presents, or our extension.
    pub own: String,
    /// With whom the phone system says that the far end is connected.
    pub shown: String,
    /// What the far end dialled; what the phone system dialled to reach it.
    pub dialed: String,
    pub state: State,
    /// When the last message came, by the clock of this machine and by the mirror's.
    pub heard: Instant,
    pub seen: Timestamp,
    /// How long the dialog lives without a refresh (RFC 4028).
    pub session: Option<Duration>,
    /// An offer that would change the hold, by its `CSeq`.
    pub offer: Option<(u32, bool)>,
    pub held: bool,
    /// On whose behalf it is called, and who was called on its behalf.
    pub dialer: Option<Handle>,
    pub called: Vec<Handle>,
    /// It is called by somebody who talks, to ask back.
    pub consults: bool,
    pub bridge: Option<BridgeId>,
    /// Where it goes back to when a consultation ends.
    pub home: Option<BridgeId>,
    pub transfer: Option<Transfer>,
    pub marks: Vec<String>,
}

impl Leg {
    pub fn is_answered(&self) -> bool {
        self.state == State::Answered
    }

    pub fn is_cancelled(&self) -> bool {
        self.state == State::Cancelled
    }

    pub fn called_in(&self) -> bool {
        self.origin == Origin::CallsIn
    }

    pub fn is_phone(&self) -> bool {
        matches!(self.side, Side::Phone(_))
    }

    /// Whether a request within a dialog that carries these tags is one of this leg's.
    pub fn has_tags(&self, from: &str, to: &str) -> bool {
        let fits = |mine: &str, theirs: &str| mine == theirs || self.to_tag.is_empty();
        (self.from_tag == from && fits(&self.to_tag, to)) || (self.from_tag == to && fits(&self.to_tag, from))
    }

    /// Whether who sent a request with this From tag is the far end, not the phone system.
    pub fn far_end_has(&self, from_tag: &str) -> bool {
        (self.from_tag == from_tag) == self.called_in()
    }
}

#[derive(Debug, Default)]
pub struct Legs {
    live: BTreeMap<Handle, Leg>,
    by_call: HashMap<String, Vec<Handle>>,
    /// By numbers, correlation ids and session ids.
    by_mark: HashMap<String, Vec<Handle>>,
    lines: HashMap<LegId, usize>,
    last: Handle,
}

impl Legs {
    pub fn get(&self, handle: Handle) -> Option<&Leg> {
        self.live.get(&handle)
    }

    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Leg> {
        self.live.get_mut(&handle)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Handle, &Leg)> {
        self.live.iter().map(|(handle, leg)| (*handle, leg))
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn of_call(&self, call_id: &str) -> &[Handle] {
        self.by_call.get(call_id).map_or(&[], Vec::as_slice)
    }

    /// The first leg of a Call-ID for which this holds.
    pub fn find(&self, call_id: &str, mut is: impl FnMut(&Leg) -> bool) -> Option<Handle> {
        self.of_call(call_id).iter().copied().find(|handle| self.get(*handle).is_some_and(&mut is))
    }

    pub fn all(&self, call_id: &str, mut is: impl FnMut(&Leg) -> bool) -> Vec<Handle> {
        let legs = self.of_call(call_id).iter().copied();
        legs.filter(|handle| self.get(*handle).is_some_and(&mut is)).collect()
    }

    /// Those who have or dialled this number.
    pub fn with_number(&self, number: &str) -> &[Handle] {
        self.marked(&key(number))
    }

    pub fn marked(&self, mark: &str) -> &[Handle] {
        if mark.is_empty() { &[] } else { self.by_mark.get(mark).map_or(&[], Vec::as_slice) }
    }

    /// Whether there is room for one more leg of this call.
    pub fn has_room(&self, call_id: &str) -> bool {
        self.live.len() < MAX_LEGS && self.of_call(call_id).len() < MAX_OF_CALL
    }

    pub fn add(&mut self, leg: Leg) -> Handle {
        self.last += 1;
        let handle = self.last;
        self.by_call.entry(leg.call_id.clone()).or_default().push(handle);
        *self.lines.entry(leg.line.clone()).or_default() += 1;
        let numbers = [key(&leg.own), key(&leg.dialed)];
        self.live.insert(handle, leg);
        for number in numbers {
            self.mark(handle, number);
        }
        handle
    }

    /// Makes a leg findable by this.
    pub fn mark(&mut self, handle: Handle, mark: String) {
        let Some(leg) = self.live.get_mut(&handle) else { return };
        if mark.is_empty() || leg.marks.contains(&mark) {
            return;
        }
        self.by_mark.entry(mark.clone()).or_default().push(handle);
        leg.marks.push(mark);
    }

    /// Takes a leg out; the flag says whether its line goes on in another.
    pub fn remove(&mut self, handle: Handle) -> Option<(Leg, bool)> {
        let leg = self.live.remove(&handle)?;
        forget(&mut self.by_call, &leg.call_id, handle);
        for mark in &leg.marks {
            forget(&mut self.by_mark, mark, handle);
        }
        let left = self.lines.get_mut(&leg.line).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            self.lines.remove(&leg.line);
        }
        Some((leg, left > 0))
    }

    /// Whether the tracker knows a leg by this name.
    pub fn has_line(&self, line: &LegId) -> bool {
        self.lines.contains_key(line)
    }
}

fn forget(index: &mut HashMap<String, Vec<Handle>>, key: &str, handle: Handle) {
    if let Some(handles) = index.get_mut(key) {
        handles.retain(|other| *other != handle);
        if handles.is_empty() {
            index.remove(key);
        }
    }
}
