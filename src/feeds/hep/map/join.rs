//! On whose behalf a phone system calls somebody, when the two legs have different Call-IDs (a B2BUA).
//!
//! The rule, in this order; the first that finds a leg counts:
//! 1. the same Call-ID;
//! 2. what is made for it: the sender's correlation id (HEP chunk 0x11) of another leg or its Call-ID, the same Session-ID (RFC 7989),
//!    an extension header (`X-…`) whose value is the Call-ID of another leg;
//! 3. number and time: a leg whose far end presents the number that the called one is shown, or that dialled what is called now, or
//!    was transferred to it. Both is best, then the number shown; of several, who waits for somebody before who talks already, then
//!    who came last. Who talks already is taken only if it has the number that is shown; a phone then asks back.
//!
//! A leg that dialled the number called must have done so within [`DIALED_AGO`].

use jiff::SignedDuration;

use super::leg::{Handle, Leg};
use super::number::same;
use super::{Map, Seen};
use crate::feeds::sip::Message;

/// How long after it was dialled a number may be called on that account: menus and failing carriers take their time.
const DIALED_AGO: SignedDuration = SignedDuration::from_mins(3);

impl Map {
    /// On whose behalf somebody is called, and whether it is to ask back.
    pub(super) fn dialer(&self, seen: &Seen<'_, '_>, number: &str, shown: &str) -> Option<(Handle, bool)> {
        let it = seen.it;
        let same_call = |leg: &Leg| leg.called_in() && leg.from_tag == it.from.tag();
        let of_call = self
            .legs
            .find(it.call_id, same_call)
            .or_else(|| self.legs.find(it.call_id, Leg::called_in))
            .or_else(|| self.linked(seen));
        match of_call {
            Some(handle) => Some((handle, false)),
            None => self.by_number(seen, number, shown),
        }
    }

    fn linked(&self, seen: &Seen<'_, '_>) -> Option<Handle> {
        let correlated = || {
            let id = seen.correlation;
            let other = (!id.is_empty() && id != seen.it.call_id).then_some(id)?;
            self.legs.find(other, Leg::called_in).or_else(|| self.first_of(&correlated(other)))
        };
        let in_session = || self.first_of(&super::party::session_id(seen.message));
        let named = || {
            let ids = extension_values(seen.message);
            ids.into_iter().find_map(|id| self.legs.find(id, Leg::called_in))
        };
        correlated().or_else(in_session).or_else(named)
    }

    fn first_of(&self, mark: &str) -> Option<Handle> {
        self.legs.marked(mark).iter().copied().find(|handle| self.legs.get(*handle).is_some_and(Leg::called_in))
    }

    fn by_number(&self, seen: &Seen<'_, '_>, number: &str, shown: &str) -> Option<(Handle, bool)> {
        let numbers = self.legs.with_number(shown).iter().chain(self.legs.with_number(number)).copied();
        let candidates = numbers.chain(self.transferred_to(number));
        let best = candidates.filter_map(|handle| Some((self.rank(handle, seen, number, shown)?, handle))).max()?;
        let talks = self.hears_anybody(best.1);
        let is_phone = self.legs.get(best.1).is_some_and(Leg::is_phone);
        Some((best.1, talks && is_phone))
    }

    /// How well a leg fits; none: not at all.
    fn rank(&self, handle: Handle, seen: &Seen<'_, '_>, number: &str, shown: &str) -> Option<(u8, bool)> {
        let leg = self.legs.get(handle).filter(|leg| !leg.is_cancelled())?;
        if !leg.called_in() && !leg.is_answered() {
            return None;
        }
        let presents = same(&leg.own, shown);
        let recent = seen.at.duration_since(leg.seen) <= DIALED_AGO;
        let dialed = leg.called_in() && recent && same(&leg.dialed, number);
        let dialed = dialed || self.transferred_to(number).any(|transferee| transferee == handle);
        let waits = !self.hears_anybody(handle);
        let fit = match (presents, dialed) {
            (true, true) => 3,
            (true, false) => 2,
            (false, true) if waits => 1,
            (false, true | false) => return None,
        };
        Some((fit, waits))
    }
}

/// As what a correlation id is remembered.
pub(super) fn correlated(id: &str) -> String {
    format!("correlated {id}")
}

/// The values of headers that somebody has made up.
fn extension_values<'m>(message: &'m Message<'_>) -> Vec<&'m str> {
    message
        .extensions()
        .filter(|(name, _)| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-")))
        .map(|(_, value)| value)
        .collect()
}
