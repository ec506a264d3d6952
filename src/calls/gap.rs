//! What a gap of the feed does: calls become uncertain, and the next snapshot settles them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::call::{Call, CallId};
use super::event::{Cause, DialState, LegId, What};
use super::feed::{Known, LiveLeg, Scope};
use super::record::OpenCall;
use super::step::Step;
use super::switchboard::{Switchboard, later};

/// A call that no snapshot has settled for this long is taken to be over.
const MAX_UNCERTAIN: Duration = Duration::from_hours(4);

impl Switchboard {
    /// A call that an earlier run left open: uncertain until the feed comes up.
    pub fn restore(&mut self, open: OpenCall) {
        let seen = open.seen;
        self.begin(Call::restore(open));
        let since = self.lost.get(&Scope::Feed).map_or(seen, |(at, _)| (*at).max(seen));
        self.lost.insert(Scope::Feed, (since, self.now));
        self.restored = Some(self.now);
    }

    /// This part of the feed is gone: all of it was seen until now.
    pub fn lost(&mut self, scope: Scope, now: Instant) -> Vec<Step> {
        self.now = now;
        let at = self.alive_until();
        self.lost.entry(scope).or_insert((at, now));
        self.drain()
    }

    /// A part of the feed is back, and this is what lives there.
    pub fn up(&mut self, known: Known, now: Instant) -> Vec<Step> {
        self.now = now;
        let from = self.lost.get(&known.scope).map_or_else(|| self.alive_until(), |(at, _)| *at);
        let until = known.read_at.max(known.at).unwrap_or(from).max(from);
        let alive: BTreeSet<LegId> = known.legs.iter().map(|live| live.leg.id.clone()).collect();
        self.vanish(&known.scope, &alive, from, until);
        self.end_relics(&known.scope, &alive, until);
        match &known.scope {
            Scope::Feed => self.lost.clear(),
            Scope::Extension(_) => {
                self.lost.remove(&known.scope);
                self.lost.remove(&Scope::Feed);
            }
        }
        // The stamps of a snapshot say when its legs began: they may be far back.
        if let Some(at) = known.at.filter(|at| self.stamp.is_none_or(|(last, _)| *at >= last)) {
            self.stamp = Some((at, now));
        }
        self.may_leap = true;
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
        self.may_leap = true;
        self.lost.clear();
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
        let is_old = |since: Instant| now.saturating_duration_since(since) >= MAX_UNCERTAIN;
        let old: Vec<_> =
            self.lost.iter().filter(|(_, (_, since))| is_old(*since)).map(|(s, l)| (s.clone(), *l)).collect();
        for (scope, (at, since)) in old {
            self.vanish(&scope, &BTreeSet::new(), at, later(at, now.saturating_duration_since(since)));
        }
        if self.restored.is_some_and(is_old) {
            self.restored = None;
            for id in self.relics() {
                self.end_relic(id, None);
            }
        }
        self.drain()
    }

    /// Puts on disk until when the open calls were seen.
    pub fn heartbeat(&mut self, now: Instant) -> Vec<Step> {
        self.now = now;
        for id in self.calls.iter().map(|(id, _)| *id).collect::<Vec<_>>() {
            if !self.is_uncertain(id)
                && let Some(call) = self.calls.get_mut(&id)
            {
                call.touch();
            }
        }
        self.drain()
    }

    /// Nothing that is up tells of this call.
    fn is_uncertain(&self, id: CallId) -> bool {
        if self.lost.contains_key(&Scope::Feed) || self.calls.get(&id).is_some_and(Call::is_relic) {
            return true;
        }
        if self.lost.is_empty() {
            return false;
        }
        let mut phones = self.legs.of_call(id).filter_map(|live| live.extension()).peekable();
        phones.peek().is_some() && phones.all(|it| self.lost.contains_key(&Scope::Extension(it.clone())))
    }

    /// Legs of this scope that do not live any more went at a time that nobody saw; so did who was outside, where no phone is left.
    fn vanish(&mut self, scope: &Scope, alive: &BTreeSet<LegId>, from: Timestamp, until: Timestamp) {
        let in_scope = |leg: &LegId, board: &Self| match scope {
            Scope::Feed => true,
            Scope::Extension(_) if alive.contains(leg) => false,
            Scope::Extension(extension) => board.legs.get(leg).is_some_and(|live| live.extension() == Some(extension)),
        };
        let gone: Vec<LegId> =
            self.legs.ids().into_iter().filter(|leg| !alive.contains(leg) && in_scope(leg, self)).collect();
        let touched: BTreeSet<CallId> = gone.iter().filter_map(|leg| self.legs.get(leg)?.call).collect();
        for leg in gone {
            self.gone(&leg, Cause::Normal, from, Some((from, until)));
        }
        for id in touched {
            if self.legs.of_call(id).any(|live| live.extension().is_some()) {
                continue;
            }
            let outside: Vec<LegId> = self.legs.of_call(id).map(|live| live.leg.id.clone()).collect();
            for leg in outside.into_iter().filter(|leg| !alive.contains(leg)) {
                self.gone(&leg, Cause::Normal, from, Some((from, until)));
            }
        }
    }

    fn relics(&self) -> Vec<CallId> {
        self.calls.iter().filter(|(_, call)| call.is_relic()).map(|(id, _)| *id).collect()
    }

    /// Ends restored calls none of whose outside legs live, once all that could know have said so.
    fn end_relics(&mut self, scope: &Scope, alive: &BTreeSet<LegId>, until: Timestamp) {
        for id in self.relics() {
            let Some(call) = self.calls.get_mut(&id).filter(|call| !alive.iter().any(|leg| call.was_outside(leg)))
            else {
                continue;
            };
            let is_over = match scope {
                Scope::Feed => true,
                Scope::Extension(extension) => call.settled_by(extension),
            };
            if is_over {
                self.end_relic(id, Some(until));
            }
        }
    }

    /// `until`: when it was known to be over; without one, the longest that a call is left uncertain.
    fn end_relic(&mut self, id: CallId, until: Option<Timestamp>) {
        let Some(seen) = self.calls.get(&id).map(Call::seen) else {
            return;
        };
        let until = until.unwrap_or_else(|| later(seen, MAX_UNCERTAIN)).max(seen);
        self.end(id, seen, Some((seen, until)));
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
