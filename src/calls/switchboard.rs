//! One feed's legs and calls: each event changes the wiring, then the calls that the wiring makes.
//!
//! Placing legs in calls is in [`super::members`], what a gap of the feed does in [`super::gap`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::call::{Call, CallId};
use super::event::{
    Application, BridgeId, BridgeKind, CallEvent, Cause, DialState, Leg, LegId, Presentation, Side, What,
};
use super::feed::Scope;
use super::legs::{Legs, Ring};
use super::record::{CallKey, CallRecord, Direction, Extension, Happening, HungUpBy};
use super::roster::Roster;
use super::screen::Turn;
use super::step::Step;
use crate::phone::NumberPlan;

/// No pop is held back longer than this for the sake of the caller's presentation.
const PRESENTATION_HOLD: Duration = Duration::from_millis(200);
/// A finished call waits this long for it: nobody is in a hurry then, and a withheld number must not be logged.
const ENDED_HOLD: Duration = Duration::from_secs(5);
/// A stamp that is further ahead of the PBX's clock is a mistake, unless the next one is too.
const MAX_LEAP: SignedDuration = SignedDuration::from_hours(24);
/// A stamp that is further behind says that the PBX's clock was set back; others only come out of order.
const MAX_DISORDER: SignedDuration = SignedDuration::from_mins(1);

/// The names that go into every call key, and how numbers are read.
#[derive(Debug, Clone)]
pub struct Site {
    pub bridge: String,
    pub plan: NumberPlan,
}

#[derive(Debug)]
pub(super) struct Switchboard {
    pub(super) site: Site,
    pub(super) feed: String,
    pub(super) legs: Legs,
    pub(super) calls: Roster,
    /// Finished calls whose presentation is awaited.
    waiting: Vec<(Instant, Call, CallRecord)>,
    next_id: CallId,
    /// The latest stamp of the PBX, and when it was read.
    pub(super) stamp: Option<(Timestamp, Instant)>,
    /// A stamp that is far ahead is to be believed: the last one was too, or none has come since the feed came up.
    pub(super) may_leap: bool,
    /// What is lost now: until then all of it was seen.
    pub(super) lost: BTreeMap<Scope, (Timestamp, Instant)>,
    /// When calls of an earlier run were taken over.
    pub(super) restored: Option<Instant>,
    pub(super) out: Vec<Step>,
    pub(super) now: Instant,
}

impl Switchboard {
    pub fn new(site: Site, feed: String, now: Instant) -> Self {
        Self {
            site,
            feed,
            legs: Legs::default(),
            calls: Roster::default(),
            waiting: Vec::new(),
            next_id: 0,
            stamp: None,
            may_leap: true,
            lost: BTreeMap::new(),
            restored: None,
            out: Vec::new(),
            now,
        }
    }

    /// One event in, its steps out.
    pub fn event(&mut self, event: CallEvent, now: Instant) -> Vec<Step> {
        self.now = now;
        let at = self.believed(event.at);
        self.see(at);
        self.apply(at, event.what);
        self.drain()
    }

    /// Time has passed.
    pub fn clock(&mut self, now: Instant) -> Vec<Step> {
        self.now = now;
        for id in self.calls.due(now) {
            if let Some(call) = self.calls.get_mut(&id) {
                call.clock(now, &mut self.out);
            }
        }
        for (_, call, _) in &mut self.waiting {
            call.clock(now, &mut self.out);
        }
        for (_, call, record) in self.waiting.extract_if(.., |(until, ..)| *until <= now).collect::<Vec<_>>() {
            self.end_now(call, record);
        }
        self.drain()
    }

    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|(until, call, _)| call.deadline().map_or(*until, |it| it.min(*until)));
        self.calls.deadline().into_iter().chain(waiting).min()
    }

    pub fn open_calls(&self) -> Vec<super::record::OpenCall> {
        self.calls.values().map(Call::view).collect()
    }

    /// What is new for the disk goes out first, once for all that one event changed: no call is shown before it is kept.
    pub(super) fn drain(&mut self) -> Vec<Step> {
        let (seen, told) = (self.alive_until(), std::mem::take(&mut self.out));
        self.calls.take_touched(|call| call.keep(seen, &mut self.out));
        self.out.extend(told);
        std::mem::take(&mut self.out)
    }

    /// The PBX's time now, as far as it is known: its last stamp and what has passed since, while the feed is up.
    pub(super) fn alive_until(&self) -> Timestamp {
        match (self.lost.get(&Scope::Feed).copied(), self.stamp) {
            (Some((at, _)), _) => at,
            (None, Some((at, read))) => later(at, self.now.saturating_duration_since(read)),
            (None, None) => Timestamp::UNIX_EPOCH,
        }
    }

    /// The stamp of an event, or the PBX's time now for a stray one that is far ahead of it.
    fn believed(&mut self, at: Timestamp) -> Timestamp {
        let now = self.alive_until();
        let leaps = self.stamp.is_some() && at.duration_since(now) > MAX_LEAP;
        let is_stray = leaps && !self.may_leap;
        self.may_leap = leaps;
        if is_stray { now } else { at }
    }

    fn see(&mut self, at: Timestamp) {
        if self.stamp.is_none_or(|(last, _)| at >= last || last.duration_since(at) > MAX_DISORDER) {
            self.stamp = Some((at, self.now));
        }
    }

    pub(super) fn apply(&mut self, at: Timestamp, what: What) {
        match what {
            What::Appeared(leg) => self.appeared(leg, at),
            What::Presentation { leg, presentation } => self.presented(&leg, presentation),
            What::Dial { from, to, state, number } => self.dialed(from, &to, state, number, at),
            What::Ringing(leg) => self.rings(&leg, at),
            What::Runs { leg, application, dialed } => self.runs(&leg, application, dialed, at),
            What::Joined { leg, bridge, kind } => self.joined(&leg, bridge, kind, at),
            What::Left { leg, bridge } => self.left(&leg, &bridge, at),
            What::AnsweredBySomeone(leg) => self.answered_by_someone(&leg, at),
            What::Held(leg) => self.held(&leg, true, at),
            What::Resumed(leg) => self.held(&leg, false, at),
            What::BlindTransfer { by, transferee, target } => self.blind_transfer(&by, transferee, target, at),
            What::AttendedTransfer { first, second, target } => {
                self.attended_transfer(&first, &second, target.as_ref(), at);
            }
            What::HangupAsked { leg, cancelled } => self.hangup_asked(&leg, cancelled),
            What::Gone { leg, cause } => self.gone(&leg, cause, at, None),
            What::Lost { leg, seen } => self.gone(&leg, Cause::Normal, seen, Some((seen, at))),
        }
    }

    // ---- a leg's life

    fn appeared(&mut self, leg: Leg, at: Timestamp) {
        let id = leg.id.clone();
        if !self.legs.add(leg, at) {
            return;
        }
        if !self.adopt(&id) {
            self.open_inbound(&id, at);
        }
    }

    fn presented(&mut self, leg: &LegId, presentation: Presentation) {
        if let Some(live) = self.legs.get_mut(leg) {
            live.leg.presentation = presentation;
        }
        let ids: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.primary.as_ref() == Some(leg)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(call) = self.calls.get_mut(&id) {
                call.present(presentation, &mut self.out);
            }
        }
        let known = |waiting: &mut (Instant, Call, CallRecord)| waiting.1.primary.as_ref() == Some(leg);
        for (_, mut call, record) in self.waiting.extract_if(.., known).collect::<Vec<_>>() {
            call.present(presentation, &mut self.out);
            self.end_now(call, record);
        }
    }

    fn dialed(&mut self, from: Option<LegId>, to: &LegId, state: DialState, number: Option<String>, at: Timestamp) {
        self.legs.called(to, from);
        let Some(live) = self.legs.get_mut(to) else {
            return;
        };
        if number.is_some() {
            live.number = number;
        }
        self.place_all(at);
        self.follow_dialer(to);
        match state {
            DialState::Started | DialState::Answered => {}
            DialState::Ringing => self.rings(to, at),
            DialState::Over => self.stops_ringing(to),
        }
    }

    pub(super) fn rings(&mut self, leg: &LegId, at: Timestamp) {
        let Some(live) = self.legs.get_mut(leg) else {
            return;
        };
        if std::mem::replace(&mut live.ring, Ring::Now) != Ring::Now {
            self.ring_agent(leg, at);
        }
    }

    /// The agent of a ringing leg is told, once the leg's call is known.
    pub(super) fn ring_agent(&mut self, leg: &LegId, at: Timestamp) {
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        let (Some(extension), Some(id)) = (live.extension().cloned(), live.call) else {
            return;
        };
        let already = self
            .legs
            .of_call(id)
            .any(|other| other.leg.id != *leg && other.ring == Ring::Now && other.extension() == Some(&extension));
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.agent(&extension, |part| part.rang = true);
        if !already {
            call.note(at, Happening::Rang(extension.clone()));
        }
        call.turn(&extension, Turn::Rings, &mut self.out);
    }

    fn stops_ringing(&mut self, leg: &LegId) {
        let Some(live) = self.legs.get_mut(leg).filter(|live| live.ring == Ring::Now) else {
            return;
        };
        live.ring = Ring::Before;
        let (Some(extension), Some(id)) = (live.extension().cloned(), live.call) else {
            return;
        };
        let still = self.legs.of_call(id).any(|other| other.ring == Ring::Now && other.extension() == Some(&extension));
        if let Some(call) = self.calls.get_mut(&id).filter(|_| !still) {
            call.turn(&extension, Turn::StopsRinging(self.now), &mut self.out);
        }
    }

    fn runs(&mut self, leg: &LegId, application: Application, dialed: String, at: Timestamp) {
        if let Some(live) = self.legs.get_mut(leg)
            && !dialed.is_empty()
        {
            live.dialed_now = dialed;
        }
        let going = self.legs.get(leg).is_some_and(|live| live.going);
        let Some(call) = self.call_of(leg).and_then(|id| self.calls.get_mut(&id)) else {
            return;
        };
        match application {
            Application::Queue(name) => call.queue(&name, at),
            Application::Voicemail => {
                call.voicemail(at);
                call.turn_all(Turn::GoesOnElsewhere, None, &mut self.out);
            }
            Application::Other if call.primary.as_ref() == Some(leg) && !going => call.out_of_queue(),
            Application::Other => {}
        }
    }

    fn hangup_asked(&mut self, leg: &LegId, cancelled: bool) {
        let Some(live) = self.legs.get_mut(leg) else {
            return;
        };
        live.cancelled |= cancelled;
        live.going = true;
        let by = match live.leg.side {
            Side::Outside => HungUpBy::OutsideParty,
            Side::Phone(_) => HungUpBy::Agent,
            Side::Link(_) => return,
        };
        let talks = live.bridge.is_some();
        let Some(call) = live.call.and_then(|id| self.calls.get_mut(&id)) else {
            return;
        };
        let placed_it = call.root.as_ref() == Some(leg);
        if talks || placed_it || call.primary.as_ref() == Some(leg) {
            call.hangup_asked(by, placed_it && by == HungUpBy::Agent);
        }
    }

    /// A leg is no more; `estimated` when that was not seen but inferred.
    pub(super) fn gone(&mut self, leg: &LegId, cause: Cause, at: Timestamp, estimated: Option<(Timestamp, Timestamp)>) {
        self.stops_ringing(leg);
        self.place_at_last(leg);
        let heard = self.legs.hearing(leg);
        let Some(live) = self.legs.remove(leg) else {
            return self.restored_ends(leg, at);
        };
        self.rewire(&heard, at);
        let Some(id) = live.call else { return };
        if let Some(extension) = live.extension().cloned() {
            self.agent_leaves(id, &extension, at);
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if live.is_outside() || !call.has_outside_party() {
            call.remove_outside(leg, cause);
            self.settle_talk(id, at);
        }
        self.end_if_over(id, at, estimated);
    }

    fn agent_leaves(&mut self, id: CallId, extension: &Extension, at: Timestamp) {
        if self.legs.of_call(id).any(|other| other.extension() == Some(extension)) {
            return;
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if call.has_talked(extension) {
            call.note(at, Happening::Left(extension.clone()));
        }
        call.turn(extension, Turn::Leaves, &mut self.out);
    }

    // ---- who hears whom

    fn joined(&mut self, leg: &LegId, bridge: BridgeId, kind: BridgeKind, at: Timestamp) {
        if self.legs.get(leg).is_none_or(|live| live.bridge.as_ref().is_some_and(|(id, _)| *id == bridge)) {
            return;
        }
        let mut heard = self.legs.hearing(leg);
        self.legs.join(leg, bridge, kind);
        heard.extend(self.legs.hearing(leg));
        if let Some(live) = self.legs.get_mut(leg).filter(|live| live.ring == Ring::Now) {
            live.ring = Ring::Before;
        }
        if kind == BridgeKind::Holding
            && let Some(call) = self.call_of(leg).and_then(|id| self.calls.get_mut(&id))
            && call.is_answered()
        {
            call.note(at, Happening::Parked(None));
        }
        self.place_all(at);
        self.rewire(&heard, at);
    }

    fn left(&mut self, leg: &LegId, bridge: &BridgeId, at: Timestamp) {
        if self.legs.get(leg).is_none_or(|live| live.bridge.as_ref().is_none_or(|(id, _)| id != bridge)) {
            return;
        }
        let heard = self.legs.hearing(leg);
        self.legs.leave(leg);
        self.rewire(&heard, at);
    }

    fn held(&mut self, leg: &LegId, held: bool, at: Timestamp) {
        let Some(live) = self.legs.get_mut(leg) else {
            return;
        };
        if std::mem::replace(&mut live.held, held) == held {
            return;
        }
        let extension = live.extension().cloned();
        if let (Some(extension), Some(call)) = (extension, live.call.and_then(|id| self.calls.get_mut(&id))) {
            call.note(at, if held { Happening::Held(extension) } else { Happening::Resumed(extension) });
        }
        self.rewire(&self.legs.hearing(leg), at);
    }

    /// The wiring among these legs has changed: settles who talks in the calls that they belong to.
    pub(super) fn rewire(&mut self, touched: &BTreeSet<LegId>, at: Timestamp) {
        let calls: BTreeSet<CallId> =
            touched.iter().filter_map(|leg| self.legs.get(leg)).filter_map(|live| live.call).collect();
        for leg in touched {
            self.place_by_ear(leg);
        }
        let placed = touched.iter().filter_map(|leg| self.legs.get(leg)).filter_map(|live| live.call);
        for id in calls.into_iter().chain(placed).collect::<BTreeSet<_>>() {
            self.settle_talk(id, at);
        }
    }

    fn settle_talk(&mut self, id: CallId, at: Timestamp) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let direction = call.direction();
        let ears: Vec<LegId> = match direction {
            Direction::Inbound | Direction::Outbound => call.outside.clone(),
            Direction::Internal => self.legs.of_call(id).map(|live| live.leg.id.clone()).collect(),
        };
        let mut talking = BTreeMap::new();
        let mut put_through = false;
        for ear in &ears {
            let heard = self.legs.hearing(ear);
            let cancelled = self.legs.get(ear).is_some_and(|live| live.cancelled);
            put_through |= ears.iter().any(|other| other != ear && heard.contains(other));
            let phones = heard.iter().filter(|other| *other != ear && !cancelled);
            talking.extend(
                phones
                    .filter_map(|leg| self.legs.get(leg))
                    .filter(|live| !live.held)
                    .filter_map(|live| live.extension().map(|extension| (live.leg.id.clone(), extension.clone()))),
            );
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if put_through && !call.is_answered() {
            call.answer(at);
            if call.has_outside_party() {
                call.note(at, Happening::OutsideAnswered);
            }
            call.turn_all(Turn::SomebodyElseAnswered, None, &mut self.out);
        }
        let begun = call.set_talking(&talking, at);
        if direction == Direction::Internal {
            return;
        }
        for (leg, extension) in begun {
            self.starts_talking(id, &leg, &extension, at);
        }
    }

    fn starts_talking(&mut self, id: CallId, leg: &LegId, extension: &Extension, at: Timestamp) {
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        let (was_called, rang, own) = (live.was_called(), live.ring != Ring::Never, live.call == Some(id));
        self.move_in(leg, id);
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let first = !call.is_answered();
        let new_to_it = call.first_words(leg);
        call.answer(at);
        call.agent(extension, |part| {
            part.rang |= was_called && rang;
            part.last_talk.get_or_insert(at);
        });
        let placed_it = call.root.as_ref() == Some(leg);
        if placed_it && first {
            call.note(at, Happening::OutsideAnswered);
        } else if own && was_called && new_to_it {
            call.note(at, Happening::Answered(extension.clone()));
        } else if new_to_it {
            call.note(at, Happening::Joined(extension.clone()));
        }
        let turn = if was_called || placed_it { Turn::Talks } else { Turn::TalksUnrung };
        call.turn(extension, turn, &mut self.out);
        call.turn_all(Turn::SomebodyElseAnswered, Some(extension), &mut self.out);
    }

    /// Each phone that rings may be the one: all go on showing the call.
    fn answered_by_someone(&mut self, leg: &LegId, at: Timestamp) {
        let Some(call) = self.call_of(leg).and_then(|id| self.calls.get_mut(&id)) else {
            return;
        };
        if call.is_answered() {
            return;
        }
        call.answer(at);
        call.note(at, Happening::AnsweredBySomeone);
        call.turn_ringing(Turn::Talks, &mut self.out);
    }

    // ---- the end

    /// Ends the call if nothing of it is left.
    pub(super) fn end_if_over(&mut self, id: CallId, at: Timestamp, estimated: Option<(Timestamp, Timestamp)>) {
        if self.is_over(id) {
            self.end(id, at, estimated);
        }
    }

    fn is_over(&self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else {
            return false;
        };
        let own_leg_lives = |leg: &Option<LegId>| {
            leg.as_ref().and_then(|leg| self.legs.get(leg)).is_some_and(|live| live.call == Some(id))
        };
        match call.direction() {
            Direction::Internal => self.legs.of_call(id).next().is_none(),
            Direction::Outbound if !call.is_answered() => call.outside.is_empty() && !own_leg_lives(&call.root),
            Direction::Inbound | Direction::Outbound => {
                !own_leg_lives(&call.primary) && { call.direction() == Direction::Inbound || call.outside.is_empty() }
            }
        }
    }

    pub(super) fn end(&mut self, id: CallId, at: Timestamp, estimated: Option<(Timestamp, Timestamp)>) {
        let Some(mut call) = self.calls.remove(&id) else {
            return;
        };
        if let Some(into) = call.absorbed_by {
            let into = self.calls.get(&into).map(|other| other.key().clone());
            self.out.push(Step::Forget { call: call.key().clone(), into });
            return;
        }
        let record = call.finish(at, estimated);
        if call.awaits_presentation() {
            self.waiting.push((self.now + ENDED_HOLD, call, record));
        } else {
            self.end_now(call, record);
        }
    }

    /// The party is told as it may be now, which may be more or less than when the call ended.
    fn end_now(&mut self, mut call: Call, mut record: CallRecord) {
        call.release(&mut self.out);
        record.call.party = call.view().party;
        call.turn_all(Turn::CallOver, None, &mut self.out);
        self.out.push(Step::Ended(record));
    }

    // ---- small things that several of the above need

    /// The call of a leg, or of the leg that had it called.
    pub(super) fn call_of(&self, leg: &LegId) -> Option<CallId> {
        let own = self.legs.get(leg)?.call;
        own.or_else(|| match self.legs.root(leg) {
            super::legs::Root::Leg(root) => self.legs.get(&root).and_then(|live| live.call),
            super::legs::Root::Link => None,
        })
    }

    pub(super) fn begin(&mut self, call: Call) -> CallId {
        self.next_id += 1;
        self.calls.insert(self.next_id, call);
        self.next_id
    }

    pub(super) fn key(&self, leg: &LegId) -> CallKey {
        CallKey::new(&self.site.bridge, &self.feed, &leg.0)
    }

    pub(super) fn hold_for_presentation(&mut self, id: CallId) {
        let until = self.now + PRESENTATION_HOLD;
        if let Some(call) = self.calls.get_mut(&id).filter(|call| call.awaits_presentation()) {
            call.hold_until(until);
        }
    }
}

/// `at` and a while, or the end of all time.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
