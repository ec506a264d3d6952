//! The switchboard's wiring: which legs there are, who called whom, who hears whom.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::call::CallId;
use super::event::{BridgeId, BridgeKind, Leg, LegId, Origin, Side};
use super::record::Extension;

/// More legs than any PBX carries: what comes beyond is not followed.
const MAX_LEGS: usize = 100_000;
/// Longer chains of dialling legs than any dial plan makes.
const MAX_HOPS: usize = 32;

/// Who had the PBX call a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DialedBy {
    /// Not said, or not called by the PBX.
    Unknown,
    /// On nobody's behalf.
    Nobody,
    Leg(LegId),
}

/// Whether the far end of a leg rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    Never,
    Now,
    Before,
}

/// A leg that lives.
#[derive(Debug, Clone)]
pub(super) struct LiveLeg {
    pub leg: Leg,
    pub since: Timestamp,
    pub dialed_by: DialedBy,
    /// The number that the PBX dialled to reach it.
    pub number: Option<String>,
    /// Where in the dial plan it is now.
    pub dialed_now: String,
    pub bridge: Option<(BridgeId, BridgeKind)>,
    pub held: bool,
    pub ring: Ring,
    /// The far end gave up before it was put through.
    pub cancelled: bool,
    /// The far end has hung up: what runs now only tidies up.
    pub going: bool,
    pub call: Option<CallId>,
}

/// Where a chain of dialling legs begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    Leg(LegId),
    /// In a link that nobody is known to have called.
    Link,
}

#[derive(Debug, Default)]
pub(super) struct Legs {
    live: BTreeMap<LegId, LiveLeg>,
    /// Those that the PBX called and that had no call when this was last looked at.
    homeless: BTreeSet<LegId>,
    bridges: BTreeMap<BridgeId, BTreeSet<LegId>>,
    links: BTreeMap<String, BTreeSet<LegId>>,
}

impl Legs {
    pub fn get(&self, id: &LegId) -> Option<&LiveLeg> {
        self.live.get(id)
    }

    pub fn get_mut(&mut self, id: &LegId) -> Option<&mut LiveLeg> {
        self.live.get_mut(id)
    }

    pub fn ids(&self) -> Vec<LegId> {
        self.live.keys().cloned().collect()
    }

    pub fn of_call(&self, call: CallId) -> impl Iterator<Item = &LiveLeg> {
        self.live.values().filter(move |live| live.call == Some(call))
    }

    /// Adds a leg. False when it is known already, or when there are too many.
    pub fn add(&mut self, leg: Leg, since: Timestamp) -> bool {
        if self.live.contains_key(&leg.id) || self.live.len() >= MAX_LEGS {
            return false;
        }
        if let Side::Link(pair) = &leg.side {
            self.links.entry(pair.clone()).or_default().insert(leg.id.clone());
        }
        let live = LiveLeg {
            since,
            dialed_by: DialedBy::Unknown,
            number: None,
            dialed_now: leg.dialed.clone(),
            bridge: None,
            held: false,
            ring: Ring::Never,
            cancelled: false,
            going: false,
            call: None,
            leg,
        };
        self.live.insert(live.leg.id.clone(), live);
        true
    }

    pub fn remove(&mut self, id: &LegId) -> Option<LiveLeg> {
        self.leave(id);
        self.homeless.remove(id);
        let live = self.live.remove(id)?;
        if let Side::Link(pair) = &live.leg.side
            && let Some(halves) = self.links.get_mut(pair)
        {
            halves.remove(id);
            if halves.is_empty() {
                self.links.remove(pair);
            }
        }
        Some(live)
    }

    /// Puts a leg into a bridge, out of any other.
    pub fn join(&mut self, id: &LegId, bridge: BridgeId, kind: BridgeKind) {
        self.leave(id);
        if let Some(live) = self.live.get_mut(id) {
            live.bridge = Some((bridge.clone(), kind));
            self.bridges.entry(bridge).or_default().insert(id.clone());
        }
    }

    pub fn leave(&mut self, id: &LegId) {
        let Some((bridge, _)) = self.live.get_mut(id).and_then(|live| live.bridge.take()) else {
            return;
        };
        if let Some(members) = self.bridges.get_mut(&bridge) {
            members.remove(id);
            if members.is_empty() {
                self.bridges.remove(&bridge);
            }
        }
    }

    /// All legs that hear this one, itself included: through its bridge and the links that lead on from there.
    pub fn hearing(&self, id: &LegId) -> BTreeSet<LegId> {
        let mut heard = BTreeSet::new();
        let mut next = vec![id.clone()];
        while let Some(id) = next.pop() {
            let Some(live) = self.live.get(&id) else {
                continue;
            };
            if !heard.insert(id) {
                continue;
            }
            if let Some((bridge, BridgeKind::Mixing)) = &live.bridge {
                next.extend(self.bridges.get(bridge).into_iter().flatten().cloned());
            }
            next.extend(self.halves(live).cloned());
        }
        heard
    }

    /// Follows who called whom back to the first leg.
    pub fn root(&self, id: &LegId) -> Root {
        let mut at = id;
        for _ in 0..MAX_HOPS {
            let Some(live) = self.live.get(at) else { break };
            let caller = self.caller(live).or_else(|| {
                self.halves(live).filter_map(|half| self.live.get(half)).find_map(|half| self.caller(half))
            });
            match caller {
                Some(next) => at = next,
                None if matches!(live.leg.side, Side::Link(_)) => return Root::Link,
                None => break,
            }
        }
        Root::Leg(at.clone())
    }

    /// The PBX calls a leg. `from` is kept when it was said before and is not now.
    pub fn called(&mut self, id: &LegId, from: Option<LegId>) {
        let Some(live) = self.live.get_mut(id) else {
            return;
        };
        match from {
            Some(from) => live.dialed_by = DialedBy::Leg(from),
            None if live.dialed_by == DialedBy::Unknown => live.dialed_by = DialedBy::Nobody,
            None => {}
        }
        if live.call.is_none() && !matches!(live.leg.side, Side::Link(_)) {
            self.homeless.insert(id.clone());
        }
    }

    /// Legs that the PBX called and that belong to no call yet.
    pub fn unplaced(&mut self) -> Vec<LegId> {
        // Once it has a call, a leg is never without one, if only one that is over.
        self.homeless.retain(|leg| self.live.get(leg).is_some_and(|live| live.call.is_none()));
        self.homeless.iter().cloned().collect()
    }

    /// Legs that come out of this link.
    pub fn behind_link(&self, link: &LegId) -> Vec<LegId> {
        let Some(live) = self.live.get(link) else {
            return Vec::new();
        };
        let halves: BTreeSet<_> = self.halves(live).chain([link]).cloned().collect();
        let called_from = |live: &&LiveLeg| matches!(&live.dialed_by, DialedBy::Leg(from) if halves.contains(from));
        self.live.values().filter(called_from).map(|live| live.leg.id.clone()).collect()
    }

    fn caller<'a>(&'a self, live: &'a LiveLeg) -> Option<&'a LegId> {
        match &live.dialed_by {
            DialedBy::Leg(from) if self.live.contains_key(from) => Some(from),
            DialedBy::Leg(_) | DialedBy::Nobody | DialedBy::Unknown => None,
        }
    }

    /// The other halves of a link; nothing for other legs.
    fn halves<'a>(&'a self, live: &'a LiveLeg) -> impl Iterator<Item = &'a LegId> {
        let pair = match &live.leg.side {
            Side::Link(pair) => self.links.get(pair),
            Side::Outside | Side::Phone(_) => None,
        };
        pair.into_iter().flatten().filter(|half| **half != live.leg.id)
    }
}

impl LiveLeg {
    pub fn extension(&self) -> Option<&Extension> {
        match &self.leg.side {
            Side::Phone(extension) => Some(extension),
            Side::Outside | Side::Link(_) => None,
        }
    }

    /// The PBX called it; else it was picked up to dial.
    pub fn was_called(&self) -> bool {
        self.leg.origin == Origin::IsCalled
    }

    pub fn is_outside(&self) -> bool {
        self.leg.side == Side::Outside
    }
}
