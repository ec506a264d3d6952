//! Which call a leg belongs to: by who called it, by whom it hears, and by transfers.

use jiff::Timestamp;

use super::call::{Beginning, Call, CallId};
use super::event::{LegId, Origin, Presentation, Side};
use super::legs::{DialedBy, LiveLeg, Ring, Root};
use super::record::{Direction, Extension};
use super::screen::Turn;
use super::step::Step;
use super::switchboard::Switchboard;
use crate::phone::PhoneNumber;

/// The longest name of a caller that is kept.
const MAX_NAME: usize = 120;

impl Switchboard {
    /// A leg from outside that calls in is a call of its own.
    pub(super) fn open_inbound(&mut self, leg: &LegId, at: Timestamp) {
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        if !live.is_outside() || live.leg.origin != Origin::CallsIn {
            return;
        }
        let beginning = Beginning {
            key: self.key(leg),
            feed: self.feed.clone(),
            direction: Direction::Inbound,
            number: self.site.plan.read(&live.leg.number),
            name: clean_name(&live.leg.name),
            dialed: live.leg.dialed.clone(),
            started: at,
            presentation: live.leg.presentation,
            root: leg.clone(),
        };
        let id = self.begin(Call::new(beginning));
        self.enter(leg, id);
        self.hold_for_presentation(id);
    }

    /// Finds the calls of all legs that the PBX called and that have none yet.
    pub(super) fn place_all(&mut self, at: Timestamp) {
        for leg in self.legs.unplaced() {
            self.place(&leg, at);
        }
    }

    fn place(&mut self, leg: &LegId, at: Timestamp) {
        let root = match self.legs.root(leg) {
            Root::Leg(root) => Some(root),
            Root::Link => self.phone_in_link(leg),
        };
        let Some(root) = root else {
            return;
        };
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        let is_outside = live.is_outside();
        let rings = live.ring == Ring::Now;
        let call = match self.legs.get(&root).and_then(|live| live.call).filter(|id| self.calls.contains_key(id)) {
            Some(id) => {
                if is_outside {
                    self.turn_outbound(id, leg);
                }
                id
            }
            None if is_outside => self.open_outbound(&root, leg),
            None if root != *leg => self.open_internal(&root, leg),
            None => return,
        };
        self.enter(leg, call);
        if rings {
            self.ring_agent(leg, at);
        }
    }

    /// Click to call: a link called a phone first, which has answered, and calls outside on its behalf.
    fn phone_in_link(&self, outside: &LegId) -> Option<LegId> {
        let live = self.legs.get(outside).filter(|live| live.is_outside())?;
        let DialedBy::Leg(link) = &live.dialed_by else {
            return None;
        };
        let heard = self.legs.hearing(link);
        let mut people =
            heard.iter().filter_map(|leg| self.legs.get(leg)).filter(|live| !matches!(live.leg.side, Side::Link(_)));
        let only = people.next().filter(|_| people.next().is_none())?;
        let waits = only.extension().is_some() && only.was_called() && only.call.is_none();
        waits.then(|| only.leg.id.clone())
    }

    /// A leg to the outside that came out of a link belongs to the phone that hears it: its consultation by feature code.
    pub(super) fn place_by_ear(&mut self, leg: &LegId) {
        if !self.is_stray(leg) {
            return;
        }
        let heard = self.legs.hearing(leg);
        let phone = heard.into_iter().find(|other| self.legs.get(other).is_some_and(|live| live.extension().is_some()));
        if let Some(phone) = phone {
            let id = self.open_outbound(&phone, leg);
            self.enter(leg, id);
        }
    }

    /// One that ends and was never heard was a call all the same.
    pub(super) fn place_at_last(&mut self, leg: &LegId) {
        self.place_by_ear(leg);
        if self.is_stray(leg) {
            let id = self.open_outbound(leg, leg);
            self.enter(leg, id);
        }
    }

    fn is_stray(&self, leg: &LegId) -> bool {
        self.legs.get(leg).is_some_and(|live| {
            live.is_outside() && live.call.is_none() && live.dialed_by != DialedBy::Unknown && live.number.is_some()
        })
    }

    fn open_outbound(&mut self, root: &LegId, leg: &LegId) -> CallId {
        let (number, dialed) = self.dialed_number(root, leg);
        let placed_by = self.legs.get(root).and_then(LiveLeg::extension).cloned();
        let started = self.legs.get(root).map_or(Timestamp::UNIX_EPOCH, |live| live.since);
        let own = self.legs.get(root).map(|live| live.call);
        let free = own.is_some_and(|call| call.is_none_or(|id| !self.calls.contains_key(&id)));
        let id = self.begin(Call::new(Beginning {
            key: self.key(leg),
            feed: self.feed.clone(),
            direction: Direction::Outbound,
            number,
            name: None,
            dialed,
            started,
            presentation: Presentation::Allowed,
            root: root.clone(),
        }));
        if free {
            self.enter(root, id);
        }
        if let Some(extension) = placed_by {
            self.placed_by(id, &extension);
        }
        id
    }

    fn placed_by(&mut self, id: CallId, extension: &Extension) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.agent(extension, |part| part.dialed = true);
            call.turn(extension, Turn::Dials, &mut self.out);
        }
    }

    fn open_internal(&mut self, root: &LegId, leg: &LegId) -> CallId {
        let caller = self.legs.get(root);
        let dialed = caller.map(|live| live.leg.dialed.clone()).unwrap_or_default();
        let target = self.legs.get(leg).and_then(LiveLeg::extension).map(|extension| extension.0.clone());
        let started = caller.map_or(Timestamp::UNIX_EPOCH, |live| live.since);
        let placed_by = caller.and_then(LiveLeg::extension).cloned();
        let id = self.begin(Call::new(Beginning {
            key: self.key(root),
            feed: self.feed.clone(),
            direction: Direction::Internal,
            number: PhoneNumber::Internal { digits: target.unwrap_or_else(|| dialed.clone()) },
            name: None,
            dialed,
            started,
            presentation: Presentation::Allowed,
            root: root.clone(),
        }));
        self.enter(root, id);
        if let Some(extension) = placed_by {
            self.placed_by(id, &extension);
        }
        id
    }

    /// An internal call in which somebody dials to the outside is an outbound one from then on.
    fn turn_outbound(&mut self, id: CallId, leg: &LegId) {
        let from = match self.legs.get(leg).map(|live| live.dialed_by.clone()) {
            Some(DialedBy::Leg(from)) => from,
            Some(DialedBy::Nobody | DialedBy::Unknown) | None => leg.clone(),
        };
        let (number, dialed) = self.dialed_number(&from, leg);
        let extension = self.legs.get(&from).and_then(LiveLeg::extension).cloned();
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.direction() == Direction::Internal) else {
            return;
        };
        call.turn_outbound(number, dialed);
        call.outside.clear();
        if let Some(extension) = extension {
            self.placed_by(id, &extension);
        }
    }

    /// What was dialled from `root` to reach `leg`: as the agent dialled it, where that reads as a number, else as it went over the wire.
    fn dialed_number(&self, root: &LegId, leg: &LegId) -> (PhoneNumber, String) {
        let plan = &self.site.plan;
        let wire = self.legs.get(leg).and_then(|live| live.number.clone());
        let texts = self
            .legs
            .get(root)
            .filter(|live| !live.is_outside())
            .map(|live| [live.leg.dialed.clone(), live.dialed_now.clone()]);
        let readable = texts.into_iter().flatten().map(|text| (plan.read_dialed(&text), text));
        let on_wire = wire.map(|text| (plan.read(&text), text));
        let mut all: Vec<_> = readable.chain(on_wire).collect();
        let best = all.iter().position(|(number, _)| number.e164().is_some());
        match best.or_else(|| all.len().checked_sub(1)) {
            Some(index) => all.swap_remove(index),
            None => (PhoneNumber::Unreadable { text: String::new() }, String::new()),
        }
    }

    /// Writes a leg into a call.
    pub(super) fn enter(&mut self, leg: &LegId, id: CallId) {
        let Some(live) = self.legs.get_mut(leg) else {
            return;
        };
        live.call = Some(id);
        let (outside, presentation) = (live.is_outside(), live.leg.presentation);
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if outside {
            call.add_outside(leg);
            if call.root.is_none() {
                call.present(presentation, &mut self.out);
            }
        }
    }

    /// A phone that talks in a call belongs to it, unless it belongs to one with another outside party.
    pub(super) fn move_in(&mut self, leg: &LegId, id: CallId) {
        let Some(live) = self.legs.get_mut(leg) else {
            return;
        };
        let old = live.call.replace(id);
        let Some(old) = old.filter(|old| *old != id) else {
            return;
        };
        match self.calls.get_mut(&old) {
            Some(call) if call.has_outside_party() => live.call = Some(old),
            Some(call) => {
                call.absorbed_by = Some(id);
                self.end_if_over(old, Timestamp::UNIX_EPOCH, None);
            }
            None => {}
        }
    }

    /// The leg's call follows the one that now has it called (pickup, early transfer), when its own has no outside party.
    pub(super) fn follow_dialer(&mut self, leg: &LegId) {
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        let DialedBy::Leg(from) = &live.dialed_by else {
            return;
        };
        let Some(new) = self.call_of(from).filter(|id| self.calls.get(id).is_some_and(Call::has_outside_party)) else {
            return;
        };
        let stays = live.call.and_then(|old| self.calls.get(&old)).is_some_and(Call::has_outside_party);
        if stays || live.call == Some(new) || matches!(live.leg.side, Side::Link(_)) {
            return;
        }
        let ringing = live.ring == Ring::Now;
        self.move_in(leg, new);
        if ringing {
            let at = self.alive_until();
            self.ring_agent(leg, at);
        }
    }

    // ---- transfers

    pub(super) fn blind_transfer(&mut self, by: &LegId, transferee: Option<LegId>, target: String, at: Timestamp) {
        let extension = self.legs.get(by).and_then(LiveLeg::extension).cloned();
        let id = transferee.and_then(|leg| self.call_of(&leg)).or_else(|| self.call_of(by));
        if let Some(call) = id.and_then(|id| self.calls.get_mut(&id)) {
            call.transferred(at, extension, Some(target));
        }
    }

    pub(super) fn attended_transfer(&mut self, first: &LegId, second: &LegId, target: Option<&LegId>, at: Timestamp) {
        let kept = self.call_of(first);
        if let (Some(id), Some(link)) = (kept, target) {
            for leg in self.legs.behind_link(link) {
                self.consulted_by_link(&leg, id, at);
            }
        }
        let other = self.call_of(second).filter(|other| Some(*other) != kept);
        let to = target.and_then(|leg| self.target_name(leg)).or_else(|| self.consulted_name(second));
        let by = self.legs.get(first).and_then(LiveLeg::extension).cloned();
        let into = match (kept, other) {
            (Some(kept), Some(other)) => self.merge(kept, other, at),
            (kept, other) => kept.or(other),
        };
        if let Some(call) = into.and_then(|id| self.calls.get_mut(&id)) {
            call.transferred(at, by, to);
        }
    }

    /// With feature codes the consultation comes out of a link and has no call, or one of its own to the outside.
    fn consulted_by_link(&mut self, leg: &LegId, id: CallId, at: Timestamp) {
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        match live.call {
            Some(other) if other != id => {
                self.merge(id, other, at);
            }
            Some(_) => {}
            None => {
                self.enter(leg, id);
                self.bring_in(leg, id, at);
            }
        }
    }

    /// Two calls become one: the one with the outside party; of two such, the earlier, if the later is the consultation.
    fn merge(&mut self, first: CallId, second: CallId, at: Timestamp) -> Option<CallId> {
        let (one, two) = (self.calls.get(&first)?, self.calls.get(&second)?);
        let (into, from) = match (one.has_outside_party(), two.has_outside_party()) {
            (_, false) => (first, second),
            (false, true) => (second, first),
            (true, true) if two.direction() == Direction::Outbound && two.started() >= one.started() => (first, second),
            (true, true) if one.direction() == Direction::Outbound && one.started() >= two.started() => (second, first),
            (true, true) => return Some(first),
        };
        let mut gone = self.calls.remove(&from)?;
        let legs: Vec<LegId> = self.legs.of_call(from).map(|live| live.leg.id.clone()).collect();
        let present: Vec<(Extension, bool)> = legs
            .iter()
            .filter_map(|leg| self.legs.get(leg))
            .filter(|live| live.was_called())
            .filter_map(|live| live.extension().map(|extension| (extension.clone(), live.ring != Ring::Never)))
            .collect();
        gone.turn_all(Turn::GoesOnElsewhere, None, &mut self.out);
        gone.turn_all(Turn::CallOver, None, &mut self.out);
        let call = self.calls.get_mut(&into)?;
        call.absorb(&gone, &present);
        self.out.push(Step::Forget { call: gone.key().clone(), into: Some(call.key().clone()) });
        for leg in &legs {
            if let Some(live) = self.legs.get_mut(leg) {
                live.call = Some(into);
            }
        }
        for leg in &legs {
            self.bring_in(leg, into, at);
        }
        Some(into)
    }

    /// A leg that a transfer brought into a call: its agent is told as far as the leg has come.
    fn bring_in(&mut self, leg: &LegId, id: CallId, at: Timestamp) {
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        if live.ring == Ring::Now && live.was_called() {
            self.ring_agent(leg, at);
        }
        let heard = self.legs.hearing(leg);
        self.rewire(&heard, at);
        let Some(live) = self.legs.get(leg) else {
            return;
        };
        let rang = live.ring != Ring::Never && live.was_called();
        if let (true, Some(extension)) = (rang, live.extension().cloned())
            && let Some(call) = self.calls.get_mut(&id)
        {
            call.agent(&extension, |part| part.rang = true);
        }
    }

    fn target_name(&self, leg: &LegId) -> Option<String> {
        let live = self.legs.get(leg)?;
        match &live.leg.side {
            Side::Phone(extension) => Some(extension.0.clone()),
            Side::Outside => live.number.clone(),
            Side::Link(_) => {
                let behind = self.legs.behind_link(leg);
                behind.first().filter(|next| *next != leg).and_then(|next| {
                    let live = self.legs.get(next)?;
                    live.extension().map(|extension| extension.0.clone()).or_else(|| live.number.clone())
                })
            }
        }
    }

    fn consulted_name(&self, second: &LegId) -> Option<String> {
        self.legs.get(second).map(|live| live.leg.dialed.clone()).filter(|dialed| !dialed.is_empty())
    }
}

/// A caller's name as it may be kept: without control characters, not too long, not empty.
fn clean_name(name: &str) -> Option<String> {
    let clean: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}
