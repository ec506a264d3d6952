//! Transfers by REFER (RFC 3515, RFC 5589): carried out by the phone system itself, or, through a proxy, by the far end that is
//! transferred, which then calls the target in a dialog of its own.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::leg::{Handle, Leg};
use super::number::same;
use super::{Map, Seen, party};
use crate::calls::event::{LegId, What};
use crate::feeds::sip::{Name, NameAddr};

/// How long a far end may take to call the target, and a phone system to say how it went.
pub(super) const MAX_WAIT: Duration = Duration::from_mins(1);
/// Transfers under way at once; more are taken for new calls.
const MAX_REFERS: usize = 1_000;

/// A transfer that a phone has asked for, kept at its leg.
#[derive(Debug, Clone)]
pub struct Transfer {
    cseq: u32,
    target: String,
    /// The Call-ID of the consultation.
    replaces: Option<String>,
    accepted: bool,
    done: bool,
}

/// A transfer that was accepted, and whose target is to be called on behalf of `transferee`.
#[derive(Debug, Clone)]
pub(super) struct Refer {
    by: Handle,
    transferee: Handle,
    target: String,
    replaces: Option<String>,
    /// The transferee calls the target itself.
    by_far_end: bool,
    pub heard: Instant,
}

impl Map {
    pub(super) fn refer(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let Some(target) = seen.message.header(Name::ReferTo).and_then(NameAddr::read) else { return };
        let by = self
            .legs
            .find(it.call_id, |leg| leg.has_tags(it.from.tag(), it.to.tag()) && leg.far_end_has(it.from.tag()));
        let Some(leg) = by.and_then(|by| self.legs.get_mut(by)) else { return };
        leg.heard = seen.now;
        if leg.transfer.as_ref().is_some_and(|transfer| transfer.cseq >= it.cseq.number) {
            return;
        }
        leg.transfer = Some(Transfer {
            cseq: it.cseq.number,
            target: target.uri.who().into_owned(),
            replaces: target.uri.header("Replaces").and_then(|value| party::replaced(&value)),
            accepted: false,
            done: false,
        });
    }

    pub(super) fn refer_answered(&mut self, seen: Seen<'_, '_>, code: u16) {
        let it = seen.it;
        let asked = |leg: &Leg| leg.transfer.as_ref().is_some_and(|it_| it_.cseq == it.cseq.number && !it_.accepted);
        let Some(by) = self.legs.find(it.call_id, |leg| asked(leg) && leg.far_end_has(it.from.tag())) else { return };
        let Some(leg) = self.legs.get_mut(by) else { return };
        if code >= 300 {
            leg.transfer = None;
            return;
        }
        if code < 200 {
            return;
        }
        let Some(transfer) = leg.transfer.as_mut() else { return };
        transfer.accepted = true;
        let (line, transfer) = (leg.line.clone(), transfer.clone());
        let pair = self.pair(by);
        let Some(transferee) = pair.or_else(|| self.heard_by(by).first().copied()) else { return };
        if self.refers.len() < MAX_REFERS {
            let (target, replaces) = (transfer.target.clone(), transfer.replaces.clone());
            self.refers.push(Refer { by, transferee, target, replaces, by_far_end: pair.is_some(), heard: seen.now });
        }
        if transfer.replaces.is_none() {
            let transferee = self.legs.get(transferee).map(|leg| leg.line.clone());
            self.tell(seen.at, What::BlindTransfer { by: line, transferee, target: transfer.target });
            self.leave(by, seen.at);
        }
    }

    /// The other far end of a dialog that passes through a proxy.
    fn pair(&self, handle: Handle) -> Option<Handle> {
        let leg = self.legs.get(handle)?;
        let (from_tag, to_tag) = (leg.from_tag.clone(), leg.to_tag.clone());
        let call_id = leg.call_id.clone();
        let is_pair = |other: &Leg| other.line != leg.line && other.from_tag == from_tag && other.to_tag == to_tag;
        self.legs.find(&call_id, is_pair)
    }

    /// A NOTIFY tells how a transfer went (RFC 3515 2.4.5).
    pub(super) fn refer_went(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let status = seen.message.body.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3));
        let Some(code) = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok()) else {
            return;
        };
        let by = self.legs.find(it.call_id, |leg| {
            leg.transfer.is_some() && leg.has_tags(it.from.tag(), it.to.tag()) && !leg.far_end_has(it.from.tag())
        });
        let Some(by) = by else { return };
        match code {
            200..=299 => self.complete(by, seen.at),
            300.. => self.transfer_failed(by, seen.at),
            _ => {}
        }
    }

    fn transfer_failed(&mut self, by: Handle, at: Timestamp) {
        let Some(transfer) = self.legs.get_mut(by).and_then(|leg| leg.transfer.take()) else { return };
        let refer = self.refers.iter().position(|refer| refer.by == by).map(|at| self.refers.swap_remove(at));
        if let Some(refer) = refer.filter(|_| transfer.accepted && transfer.replaces.is_none())
            && let Some(bridge) = self.legs.get(refer.transferee).and_then(|leg| leg.bridge.clone())
        {
            self.join(by, &bridge, at);
        }
    }

    /// A leg of a transfer that the phone system carries out ends: by then it is done.
    pub(super) fn transfer_before_end(&mut self, handle: Handle, at: Timestamp) {
        let Some(leg) = self.legs.get(handle) else { return };
        if leg.transfer.is_some() {
            return self.complete(handle, at);
        }
        let call_id = leg.call_id.clone();
        let by = self.refers.iter().find(|refer| refer.replaces.as_ref() == Some(&call_id)).map(|refer| refer.by);
        if let Some(by) = by {
            self.complete(by, at);
        }
    }

    /// Carries out an attended transfer within the phone system.
    fn complete(&mut self, by: Handle, at: Timestamp) {
        let Some(refer) = self.refers.iter().find(|refer| refer.by == by && !refer.by_far_end).cloned() else { return };
        let Some(transfer) = self.legs.get_mut(by).and_then(|leg| leg.transfer.as_mut()) else { return };
        if !transfer.accepted || std::mem::replace(&mut transfer.done, true) {
            return;
        }
        let Some(second) = refer.replaces.as_ref().and_then(|call_id| self.consultation(by, call_id)) else { return };
        let (Some(first_line), Some(second_line)) = (self.line(by), self.line(second)) else { return };
        let answered = self.heard_by(second);
        let ringing: Vec<Handle> = self.legs.get(second).map(|leg| leg.called.clone()).unwrap_or_default();
        let ringing: Vec<Handle> = ringing.into_iter().filter(|it| !answered.contains(it)).collect();
        let target = answered.first().or(ringing.first()).and_then(|handle| self.line(*handle));
        self.tell(at, What::AttendedTransfer { first: first_line, second: second_line, target });
        let bridge = self.bridge_of(refer.transferee);
        self.join(refer.transferee, &bridge, at);
        for handle in answered {
            self.join(handle, &bridge, at);
        }
        for handle in ringing {
            self.called_for(handle, refer.transferee, at);
        }
        for handle in [by, second] {
            self.leave(handle, at);
        }
    }

    /// A phone that rings for one leg rings for another from now on.
    pub(super) fn called_for(&mut self, handle: Handle, dialer: Handle, at: Timestamp) {
        let Some(leg) = self.legs.get_mut(handle) else { return };
        let before = leg.dialer.replace(dialer);
        leg.consults = false;
        let to = leg.line.clone();
        if let Some(before) = before.and_then(|before| self.legs.get_mut(before)) {
            before.called.retain(|other| *other != handle);
        }
        if let Some(dialer) = self.legs.get_mut(dialer) {
            dialer.called.push(handle);
        }
        self.dial(handle, to, crate::calls::event::DialState::Started, at);
    }

    /// The leg in which who transfers has asked back.
    fn consultation(&self, by: Handle, call_id: &str) -> Option<Handle> {
        let first = self.legs.get(by)?;
        self.legs.find(call_id, |leg| leg.side == first.side).or_else(|| self.legs.of_call(call_id).first().copied())
    }

    fn line(&self, handle: Handle) -> Option<LegId> {
        self.legs.get(handle).map(|leg| leg.line.clone())
    }

    /// Who was transferred to this number by the phone system.
    pub(super) fn transferred_to(&self, number: &str) -> impl Iterator<Item = Handle> {
        let fits = |refer: &&Refer| !refer.by_far_end && refer.replaces.is_none() && same(&refer.target, number);
        self.refers.iter().filter(fits).map(|refer| refer.transferee)
    }

    /// The line that goes on in this INVITE: its sender was transferred, and calls the target.
    pub(super) fn goes_on(&mut self, seen: &Seen<'_, '_>) -> Option<(LegId, TakenOver)> {
        let target = seen.message.request_uri()?.who().into_owned();
        let replaces = seen.message.header(Name::Replaces).and_then(party::replaced);
        let fits = |refer: &Refer| {
            let from_there = self.legs.get(refer.transferee).is_some_and(|leg| leg.far == seen.source);
            let there =
                if refer.replaces.is_some() { refer.replaces == replaces } else { same(&refer.target, &target) };
            refer.by_far_end && from_there && there
        };
        let at = self.refers.iter().position(fits)?;
        let refer = self.refers.swap_remove(at);
        Some((self.line(refer.transferee)?, TakenOver(refer)))
    }

    pub(super) fn transferred_by_far_end(&mut self, _new: Handle, taken: &TakenOver, at: Timestamp) {
        let TakenOver(refer) = taken;
        let Some(second) = refer.replaces.as_ref().and_then(|call_id| self.consultation(refer.by, call_id)) else {
            return;
        };
        let (Some(first_line), Some(second_line)) = (self.line(refer.by), self.line(second)) else { return };
        let target = self.heard_by(second).first().and_then(|handle| self.line(*handle));
        self.tell(at, What::AttendedTransfer { first: first_line, second: second_line, target });
        self.leave(refer.by, at);
    }
}

/// A transfer that its transferee carries out.
pub(super) struct TakenOver(Refer);
