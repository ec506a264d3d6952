//! Who hears whom, as far as signalling tells: bridges of legs that were answered.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::Map;
use super::leg::{Handle, Leg};
use super::number::same;
use crate::calls::event::{BridgeId, BridgeKind, What};

#[derive(Debug, Default)]
pub(super) struct Bridges {
    members: HashMap<BridgeId, BTreeSet<Handle>>,
    last: u64,
    /// Bridges that lost somebody since this was last looked at.
    touched: Vec<BridgeId>,
}

impl Bridges {
    fn others(&self, leg: &Leg, handle: Handle) -> impl Iterator<Item = Handle> {
        let members = leg.bridge.as_ref().and_then(|bridge| self.members.get(bridge));
        members.into_iter().flatten().copied().filter(move |other| *other != handle)
    }

    fn next(&mut self) -> BridgeId {
        self.last += 1;
        BridgeId(self.last.to_string())
    }
}

impl Map {
    /// A leg was answered: it hears who had it called, once that one is put through, too.
    pub(super) fn put_through(&mut self, handle: Handle, at: Timestamp) {
        let Some(leg) = self.legs.get(handle) else { return };
        if leg.called_in() {
            for called in leg.called.clone() {
                if self.legs.get(called).is_some_and(|called| called.is_answered() && called.bridge.is_none()) {
                    self.connect(handle, called, at);
                }
            }
            return;
        }
        let Some((dialer, by)) = leg.dialer.and_then(|dialer| Some((dialer, self.legs.get(dialer)?))) else {
            return;
        };
        // A proxy passes the answer on: what the one hears of it the other has said.
        let is_proxied = by.called_in() && by.call_id == leg.call_id && by.from_tag == leg.from_tag;
        if is_proxied || by.is_answered() {
            self.connect(dialer, handle, at);
        }
    }

    /// `called` was called on behalf of `dialer`, and both are there.
    fn connect(&mut self, dialer: Handle, called: Handle, at: Timestamp) {
        let consults = self.legs.get(called).is_some_and(|leg| leg.consults);
        if consults && self.hears_anybody(dialer) {
            return self.consult(dialer, called, at);
        }
        let bridge = self.legs.get(dialer).and_then(|leg| leg.bridge.clone()).unwrap_or_else(|| self.bridges.next());
        self.join(dialer, &bridge, at);
        self.join(called, &bridge, at);
    }

    /// The two speak alone; who was with `dialer` waits.
    fn consult(&mut self, dialer: Handle, other: Handle, at: Timestamp) {
        let bridge = self.bridges.next();
        if let Some(leg) = self.legs.get_mut(dialer) {
            leg.home = leg.bridge.clone();
        }
        self.join(dialer, &bridge, at);
        self.join(other, &bridge, at);
    }

    /// Two legs of which the phone system has told each that it is connected with the other: after a pickup, a retrieval, a
    /// transfer by feature code. Who was talked to before is left.
    pub(super) fn connect_as_told(&mut self, handle: Handle, at: Timestamp) {
        let Some(other) = self.told_partner(handle) else { return };
        match (self.hears_anybody(handle), self.hears_anybody(other)) {
            (false, false) => {
                let of = |handle: Handle| self.legs.get(handle).and_then(|leg| leg.bridge.clone());
                let bridge = of(handle).or_else(|| of(other)).unwrap_or_else(|| self.bridges.next());
                self.join(handle, &bridge, at);
                self.join(other, &bridge, at);
            }
            (true, _) => self.consult(handle, other, at),
            (false, true) => self.consult(other, handle, at),
        }
    }

    fn told_partner(&self, handle: Handle) -> Option<Handle> {
        let leg = self.legs.get(handle).filter(|leg| leg.is_answered() && !leg.shown.is_empty())?;
        let agree = |other: &Leg| same(&leg.shown, &other.own) && same(&other.shown, &leg.own);
        if self.bridges.others(leg, handle).any(|other| self.legs.get(other).is_some_and(agree)) {
            return None;
        }
        let fits = |other: &&Handle| {
            **other != handle
                && self.legs.get(**other).is_some_and(|it| it.is_answered() && it.line != leg.line && agree(it))
        };
        let candidates = self.legs.with_number(&leg.shown).iter().filter(fits);
        candidates.copied().max_by_key(|other| (!self.hears_anybody(*other), *other))
    }

    pub(super) fn hears_anybody(&self, handle: Handle) -> bool {
        self.legs.get(handle).is_some_and(|leg| self.bridges.others(leg, handle).next().is_some())
    }

    pub(super) fn heard_by(&self, handle: Handle) -> Vec<Handle> {
        self.legs.get(handle).map(|leg| self.bridges.others(leg, handle).collect()).unwrap_or_default()
    }

    pub(super) fn join(&mut self, handle: Handle, bridge: &BridgeId, at: Timestamp) {
        let Some(leg) = self.legs.get_mut(handle) else { return };
        if leg.bridge.as_ref() == Some(bridge) {
            return;
        }
        let (line, left) = (leg.line.clone(), leg.bridge.replace(bridge.clone()));
        if let Some(left) = left {
            self.take_member(&left, handle);
        }
        self.bridges.members.entry(bridge.clone()).or_default().insert(handle);
        self.tell(at, What::Joined { leg: line, bridge: bridge.clone(), kind: BridgeKind::Mixing });
    }

    pub(super) fn leave(&mut self, handle: Handle, at: Timestamp) {
        let Some(leg) = self.legs.get_mut(handle) else { return };
        let line = leg.line.clone();
        if let Some(bridge) = leg.bridge.take() {
            self.take_member(&bridge, handle);
            self.tell(at, What::Left { leg: line, bridge });
        }
    }

    /// The bridge into which others are taken over.
    pub(super) fn bridge_of(&mut self, handle: Handle) -> BridgeId {
        self.legs.get(handle).and_then(|leg| leg.bridge.clone()).unwrap_or_else(|| self.bridges.next())
    }

    /// A leg that ends: the tracker takes it out by itself.
    pub(super) fn forget_bridge(&mut self, handle: Handle) {
        if let Some(bridge) = self.legs.get_mut(handle).and_then(|leg| leg.bridge.take()) {
            self.take_member(&bridge, handle);
        }
    }

    /// Who is left alone by a consultation goes back to whom it had let wait.
    pub(super) fn after_end(&mut self, at: Timestamp) {
        for bridge in std::mem::take(&mut self.bridges.touched) {
            let alone = self.bridges.members.get(&bridge).filter(|members| members.len() == 1);
            let Some(handle) = alone.and_then(|members| members.first().copied()) else { continue };
            let home = self.legs.get_mut(handle).and_then(|leg| leg.home.take());
            if let Some(home) = home.filter(|home| self.bridges.members.contains_key(home)) {
                self.join(handle, &home, at);
            }
        }
    }

    fn take_member(&mut self, bridge: &BridgeId, handle: Handle) {
        if let Some(members) = self.bridges.members.get_mut(bridge) {
            members.remove(&handle);
            if members.is_empty() {
                self.bridges.members.remove(bridge);
            }
            self.bridges.touched.push(bridge.clone());
        }
    }
}
