//! What happens within a dialog: offers that hold and resume, and whom the phone system says a far end is connected with.

use std::time::Duration;

use jiff::Timestamp;

use super::leg::{Handle, Leg};
use super::number::same;
use super::{Map, Seen, party};
use crate::calls::event::What;
use crate::feeds::sip::StartLine;

impl Map {
    /// A re-INVITE or an UPDATE (RFC 3261 14, RFC 3311).
    pub(super) fn offer(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        for handle in self.legs.all(it.call_id, |leg| leg.has_tags(it.from.tag(), it.to.tag())) {
            let Some(leg) = self.legs.get_mut(handle) else { continue };
            leg.heard = seen.now;
            leg.seen = leg.seen.max(seen.at);
            leg.session = party::session_seconds(seen.message).map(Duration::from_secs).or(leg.session);
            if leg.far_end_has(it.from.tag()) {
                leg.offer = party::holds(seen.message).map(|held| (it.cseq.number, held)).or(leg.offer);
            } else {
                self.shows(handle, seen, false);
            }
        }
    }

    /// An offer counts when it is accepted.
    pub(super) fn offer_answered(&mut self, seen: Seen<'_, '_>, code: u16) {
        let it = seen.it;
        for handle in self.legs.all(it.call_id, |leg| leg.has_tags(it.from.tag(), it.to.tag())) {
            let Some(leg) = self.legs.get_mut(handle) else { continue };
            leg.heard = seen.now;
            leg.seen = leg.seen.max(seen.at);
            if !leg.far_end_has(it.from.tag()) || leg.offer.is_none_or(|(cseq, _)| cseq != it.cseq.number) || code < 200
            {
                continue;
            }
            let Some((_, held)) = leg.offer.take().filter(|_| code < 300) else { continue };
            if std::mem::replace(&mut leg.held, held) != held {
                let line = leg.line.clone();
                self.tell(seen.at, if held { What::Held(line) } else { What::Resumed(line) });
            }
        }
    }

    /// What the phone system tells a far end of who is at the other side (RFC 3325, RFC 4916). Of an answer it counts only when
    /// it goes to the far end.
    pub(super) fn shows(&mut self, handle: Handle, seen: Seen<'_, '_>, is_answer: bool) {
        let Some(leg) = self.legs.get_mut(handle) else { return };
        if is_answer && !leg.called_in() && matches!(seen.message.start, StartLine::Response { .. }) {
            return self.connect_as_told(handle, seen.at);
        }
        if let Some(shown) = party::identity(seen.message) {
            leg.shown = shown.uri.who().into_owned();
        }
        self.adopt_called(handle, seen.at);
        self.connect_as_told(handle, seen.at);
    }

    /// Who waits is told of somebody who is called on nobody's behalf: it is on behalf of the one who waits.
    fn adopt_called(&mut self, handle: Handle, at: Timestamp) {
        let Some(leg) = self.legs.get(handle).filter(|leg| leg.is_answered() && !leg.shown.is_empty()) else { return };
        if self.hears_anybody(handle) {
            return;
        }
        let orphan = |other: &Leg| {
            !other.called_in() && !other.is_answered() && other.dialer.is_none() && same(&other.own, &leg.shown)
        };
        let mut candidates = self.legs.with_number(&leg.shown).iter().copied();
        let called = candidates.find(|other| *other != handle && self.legs.get(*other).is_some_and(orphan));
        if let Some(called) = called {
            self.called_for(called, handle, at);
        }
    }
}
