//! What a gap of the feed does: calls become uncertain, and the next snapshot settles them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::call::{Call, CallId};
use super::event::{Cause, DialState, LegId, What};
use super::feed::{Known, LiveLeg};
use super::record::OpenCall;
use super::step::Step;
use super::switchboard::Switchboard;

/// A call that no snapshot has settled for this long is taken to be over.
const MAX_UNCERTAIN: Duration = Duration::from_hours(4);

impl Switchboard {
    /// A call that an earlier run left open: uncertain until the feed comes up.
    pub fn restore(&mut self, open: OpenCall) {
        let seen = open.seen;
        self.begin(Call::restore(open));
        let since = self.lost.map_or(seen, |(at, _)| at.max(seen));
        self.lost = Some((since, self.now));
    }

    /// The feed is gone: all was seen until now.
    pub fn lost(&mut self, now: Instant) -> Vec<Step> {
        self.now = now;
        if self.lost.is_none() {
            self.lost = Some((self.alive_until(), now));
        }
        self.drain()
    }

    /// The feed is back, and this is what lives.
    pub fn up(&mut self, known: Known, now: Instant) -> Vec<Step> {
        self.now = now;
        let from = self.alive_until();
        let until = known.read_at.max(known.at).unwrap_or(from).max(from);
        let alive: BTreeSet<LegId> = known.legs.iter().map(|live| live.leg.id.clone()).collect();
        for leg in self.legs.ids().into_iter().filter(|leg| !alive.contains(leg)) {
            self.gone(&leg, Cause::Normal, from, Some((from, until)));
        }
        self.end_those_without(&alive, until);
        self.lost = None;
        if let Some(at) = known.at {
            self.see(at);
        }
        for live in &known.legs {
            self.legs_back(live);
        }
        for live in known.legs {
            self.wire_back(live, from);
        }
        self.drain()
    }

    /// The feed cannot say what lives. What it tells from now on is certain again.
    pub fn up_unknowing(&mut self, now: Instant) -> Vec<Step> {
        self.now = now;
        self.lost = None;
        self.drain()
    }

    /// A call that an earlier run left open, and of whose legs only the end of this one is seen.
    pub(super) fn restored_ends(&mut self, leg: &LegId, at: Timestamp) {
        let known = |call: &Call| call.root.is_none() && call.outside.is_empty() && call.was_outside(leg);
        let id = self.calls.iter().find(|(_, call)| known(call)).map(|(id, _)| *id);
        if let Some(id) = id {
            self.end(id, at, None);
        }
    }

    /// Ends what has been uncertain for too long.
    pub fn expire(&mut self, now: Instant) -> Vec<Step> {
        self.now = now;
        let Some((at, since)) = self.lost.filter(|(_, since)| now.saturating_duration_since(*since) >= MAX_UNCERTAIN)
        else {
            return Vec::new();
        };
        for leg in self.legs.ids() {
            self.gone(&leg, Cause::Normal, at, Some((at, at + now.saturating_duration_since(since))));
        }
        self.end_those_without(&BTreeSet::new(), at + MAX_UNCERTAIN);
        self.drain()
    }

    /// Puts on disk until when the open calls were seen.
    pub fn heartbeat(&mut self, now: Instant) -> Vec<Step> {
        self.now = now;
        if self.lost.is_none() {
            self.calls.values_mut().for_each(Call::touch);
        }
        self.drain()
    }

    /// Ends restored calls none of whose outside legs live.
    fn end_those_without(&mut self, alive: &BTreeSet<LegId>, until: Timestamp) {
        let over = |call: &Call| {
            call.root.is_none() && call.outside.is_empty() && !alive.iter().any(|leg| call.was_outside(leg))
        };
        let ids: Vec<CallId> = self.calls.iter().filter(|(_, call)| over(call)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(seen) = self.calls.get(&id).map(Call::seen) else {
                continue;
            };
            self.end(id, seen, Some((seen, until.max(seen))));
        }
    }

    /// A leg that leads outside goes on in the call that an earlier run kept.
    pub(super) fn adopt(&mut self, leg: &LegId) -> bool {
        let known = |call: &Call| call.root.is_none() && call.was_outside(leg);
        let Some(id) = self.calls.iter().find(|(_, call)| known(call)).map(|(id, _)| *id) else {
            return false;
        };
        self.enter(leg, id);
        true
    }

    fn legs_back(&mut self, live: &LiveLeg) {
        self.apply(live.since, What::Appeared(live.leg.clone()));
    }

    /// The rest of what the snapshot says of a leg, in the words of events.
    fn wire_back(&mut self, live: LiveLeg, gap_began: Timestamp) {
        let leg = live.leg.id.clone();
        let state = if live.ringing { DialState::Ringing } else { DialState::Started };
        if let Some(from) = live.dialed_by {
            self.apply(live.since, What::Dial { from: Some(from), to: leg.clone(), state, number: None });
        } else if live.ringing {
            self.apply(live.since, What::Ringing(leg.clone()));
        }
        let was_in = self.legs.get(&leg).and_then(|live| live.bridge.clone()).map(|(id, _)| id);
        let is_in = live.bridge.as_ref().map(|bridge| bridge.id.clone());
        if let Some(bridge) = was_in.filter(|was| Some(was) != is_in.as_ref()) {
            self.apply(gap_began, What::Left { leg: leg.clone(), bridge });
        }
        self.apply(
            live.since,
            What::Runs { leg: leg.clone(), application: live.application, dialed: live.leg.dialed.clone() },
        );
        if let Some(bridge) = live.bridge {
            let restored =
                self.call_of(&leg).and_then(|id| self.calls.get(&id)).is_some_and(|call| call.root.is_none());
            let at = if restored { bridge.since.max(gap_began) } else { bridge.since };
            self.apply(at, What::Joined { leg, bridge: bridge.id, kind: bridge.kind });
        }
    }
}
