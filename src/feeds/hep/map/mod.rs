//! From mirrored SIP to what happened to calls. Pure: packets and the time come in, events go out.
//!
//! A *leg* is one line between the phone system and a far end: an INVITE that comes in, or one branch of one that goes out. Through
//! a proxy both have one Call-ID. A phone system that ends each call and begins another (a B2BUA: Asterisk, `FreeSWITCH`, 3CX) gives
//! each a Call-ID of its own; `join` finds what belongs together. Who hears whom is in `wiring`, transfers are in `transfer`.

mod dialog;
mod early;
mod join;
mod leg;
mod number;
mod party;
mod places;
mod transfer;
mod wiring;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::early::{Early, Ended};
use self::leg::{Handle, Leg, Legs, State};
use self::places::{FarEnd, Places};
pub use self::places::{NotATrunk, Trunk};
use self::transfer::Refer;
use self::wiring::Bridges;
use super::packet::Packet;
use crate::calls::event::{self, CallEvent, Cause, DialState, LegId, Origin, Presentation, Side, What};
use crate::calls::record::Extension;
use crate::feeds::sip::{Essentials, Message, Name, StartLine, Unfit, Unreadable};

/// An INVITE about which nothing more is heard is over: well beyond timer C (RFC 3261 16.6).
const MAX_RINGING: Duration = Duration::from_mins(10);
/// An INVITE that was cancelled, or answered with a challenge that nobody met.
const MAX_LINGER: Duration = Duration::from_secs(32);
/// A call without a session timer of which nothing has been heard for so long is taken to be over.
const MAX_SILENCE: Duration = Duration::from_hours(4);
/// What a session may be late with its refresh.
const SESSION_GRACE: Duration = Duration::from_secs(32);

/// In place of a branch, which no blank is: some leg of this Call-ID is over.
const WHOLE_CALL: &str = " ";

/// Why the SIP in a packet was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassedOver {
    #[error("it is no SIP message: {0}")]
    Unreadable(#[from] Unreadable),
    #[error("it cannot be followed: {0}")]
    Unfit(#[from] Unfit),
}

/// A message, with what the mirror says of it.
#[derive(Clone, Copy)]
struct Seen<'p, 'm> {
    at: Timestamp,
    now: Instant,
    source: SocketAddr,
    destination: SocketAddr,
    correlation: &'p str,
    octets: &'p [u8],
    message: &'p Message<'m>,
    it: &'p Essentials<'p>,
}

/// Follows the calls of one mirror.
pub struct Map {
    places: Places,
    legs: Legs,
    bridges: Bridges,
    refers: Vec<Refer>,
    early: Early,
    ended: Ended,
    out: Vec<CallEvent>,
}

impl Map {
    #[must_use]
    pub fn new(trunks: Vec<Trunk>, devices: &BTreeMap<String, Extension>) -> Self {
        Self {
            places: Places::new(trunks, devices),
            legs: Legs::default(),
            bridges: Bridges::default(),
            refers: Vec::new(),
            early: Early::default(),
            ended: Ended::default(),
            out: Vec::new(),
        }
    }

    /// One packet with this SIP in it, which arrived at `now`.
    ///
    /// # Errors
    /// Why no call is followed by it.
    pub fn packet(&mut self, packet: &Packet<'_>, octets: &[u8], now: Instant) -> Result<Vec<CallEvent>, PassedOver> {
        let message = Message::read(octets)?;
        if concerns_calls(&message) {
            let it = message.essentials()?;
            let correlation = std::str::from_utf8(packet.correlation).unwrap_or_default();
            let (at, source, destination) = (packet.at, packet.source, packet.destination);
            self.message(Seen { at, now, source, destination, correlation, octets, message: &message, it: &it });
        }
        Ok(std::mem::take(&mut self.out))
    }

    /// Ends what has not been heard of for too long; `at`: now, by the mirror's clock.
    pub fn expire(&mut self, now: Instant, at: Timestamp) -> Vec<CallEvent> {
        let silent = |leg: &Leg| {
            let limit = match leg.state {
                State::Cancelled | State::Challenged => MAX_LINGER,
                State::Called | State::Rings => MAX_RINGING,
                State::Answered => leg.session.map_or(MAX_SILENCE, |session| session + SESSION_GRACE),
            };
            now.saturating_duration_since(leg.heard) > limit
        };
        let over: Vec<Handle> = self.legs.iter().filter(|(_, leg)| silent(leg)).map(|(handle, _)| handle).collect();
        for handle in over {
            self.lost(handle, at);
        }
        self.refers.retain(|refer| now.saturating_duration_since(refer.heard) < transfer::MAX_WAIT);
        std::mem::take(&mut self.out)
    }

    /// Legs that live.
    #[must_use]
    pub fn live(&self) -> usize {
        self.legs.len()
    }

    fn message(&mut self, seen: Seen<'_, '_>) {
        let in_dialog = !seen.it.to.tag().is_empty();
        match seen.message.start {
            StartLine::Request { method, .. } => match method {
                "INVITE" if in_dialog => self.offer(seen),
                "INVITE" => self.invite(seen),
                "UPDATE" => self.offer(seen),
                "CANCEL" => self.cancel(seen),
                "BYE" => self.bye(seen),
                "REFER" => self.refer(seen),
                "NOTIFY" => self.refer_went(seen),
                _ => {}
            },
            StartLine::Response { code, .. } => match seen.it.cseq.method {
                "INVITE" => self.answer(seen, code),
                "UPDATE" => self.offer_answered(seen, code),
                "REFER" => self.refer_answered(seen, code),
                "REGISTER" if (200..300).contains(&code) => {
                    self.places.registered_now(seen.message, seen.destination, seen.source, seen.now);
                }
                _ => {}
            },
        }
    }

    // ---- a call begins

    fn invite(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let same_tag = |leg: &Leg| leg.from_tag == it.from.tag();
        let repeated = self.legs.find(it.call_id, |leg| {
            let again = same_tag(leg) && leg.branch == it.branch && !it.branch.is_empty();
            let retried = same_tag(leg) && leg.called_in() && leg.far == seen.source;
            let met = same_tag(leg) && leg.state == State::Challenged && leg.far == seen.destination;
            again || retried || met
        });
        if let Some(handle) = repeated {
            return self.invited_again(handle, seen);
        }
        if self.ended.has(it.call_id, it.branch) || !self.legs.has_room(it.call_id) {
            return;
        }
        let begun = self.legs.find(it.call_id, |leg| leg.called_in() && same_tag(leg)).is_some();
        let far =
            if begun { FarEnd::Destination } else { self.places.far_end(seen.source, seen.destination, seen.message) };
        match far {
            FarEnd::Source => self.calls_in(seen),
            FarEnd::Destination => self.is_called(seen),
        }
        for packet in self.early.take(it.call_id) {
            self.replay(&packet, seen.now);
        }
    }

    /// A retransmission, or the same INVITE with what a challenge asked for.
    fn invited_again(&mut self, handle: Handle, seen: Seen<'_, '_>) {
        if let Some(leg) = self.legs.get_mut(handle) {
            leg.heard = seen.now;
            if seen.it.cseq.number > leg.cseq {
                leg.cseq = seen.it.cseq.number;
                seen.it.branch.clone_into(&mut leg.branch);
                if leg.state == State::Challenged {
                    leg.state = State::Called;
                }
            }
        }
    }

    fn calls_in(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let side = self.places.side_of_caller(seen.source, seen.message, &it.from);
        let caller = party::caller(seen.message, &it.from);
        let own = match &side {
            Side::Phone(extension) => extension.0.clone(),
            Side::Outside | Side::Link(_) => caller.number.clone(),
        };
        let goes_on = self.goes_on(&seen);
        let line = match &goes_on {
            Some((line, _)) => line.clone(),
            None => self.new_line(it.call_id, it.from.tag(), &side),
        };
        let leg = Leg {
            dialed: party::dialed(seen.message),
            own,
            ..new_leg(&seen, line.clone(), side, Origin::CallsIn, seen.source)
        };
        if goes_on.is_none() {
            let withheld = caller.presentation == Presentation::Withheld;
            self.tell(
                seen.at,
                What::Appeared(event::Leg {
                    id: line,
                    side: leg.side.clone(),
                    origin: Origin::CallsIn,
                    number: if withheld { "anonymous".to_owned() } else { caller.number },
                    name: if withheld { String::new() } else { caller.name },
                    dialed: leg.dialed.clone(),
                    presentation: caller.presentation,
                }),
            );
        }
        let handle = self.legs.add(leg);
        self.mark(handle, &seen);
        if let Some((_, refer)) = goes_on {
            self.transferred_by_far_end(&refer, seen.at);
        }
    }

    fn is_called(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let side = self.places.side_of_callee(seen.destination, seen.message, &it.to);
        let number = seen.message.request_uri().map(|uri| uri.who().into_owned()).unwrap_or_default();
        let own = match &side {
            Side::Phone(extension) => extension.0.clone(),
            Side::Outside | Side::Link(_) => number.clone(),
        };
        let shown = party::caller(seen.message, &it.from).number;
        let dialer = self.dialer(&seen, &number, &shown);
        let line = self.new_line(it.call_id, it.branch, &side);
        let leg = Leg {
            dialed: number.clone(),
            own,
            shown,
            dialer: dialer.map(|(handle, _)| handle),
            consults: dialer.is_some_and(|(_, consults)| consults),
            ..new_leg(&seen, line.clone(), side, Origin::IsCalled, seen.destination)
        };
        let leads_out = leg.side == Side::Outside;
        self.tell(
            seen.at,
            What::Appeared(event::Leg {
                id: line.clone(),
                side: leg.side.clone(),
                origin: Origin::IsCalled,
                number: String::new(),
                name: String::new(),
                dialed: String::new(),
                presentation: Presentation::Allowed,
            }),
        );
        let handle = self.legs.add(leg);
        self.mark(handle, &seen);
        let from = dialer.and_then(|(dialer, _)| {
            let dialer = self.legs.get_mut(dialer)?;
            dialer.called.push(handle);
            Some(dialer.line.clone())
        });
        let number = leads_out.then_some(number);
        self.tell(seen.at, What::Dial { from, to: line, state: DialState::Started, number });
    }

    /// What else a leg can be found by.
    fn mark(&mut self, handle: Handle, seen: &Seen<'_, '_>) {
        self.legs.mark(handle, party::session_id(seen.message));
        if !seen.correlation.is_empty() && seen.correlation != seen.it.call_id {
            self.legs.mark(handle, join::correlated(seen.correlation));
        }
    }

    /// The leg outside is known by the Call-ID alone: the same after a restart.
    fn new_line(&self, call_id: &str, part: &str, side: &Side) -> LegId {
        let plain = LegId(call_id.to_owned());
        if *side == Side::Outside && !self.legs.has_line(&plain) {
            return plain;
        }
        let mut line = LegId(format!("{call_id};{part}"));
        while self.legs.has_line(&line) {
            line.0.push('+');
        }
        line
    }

    // ---- it is answered, or not

    fn answer(&mut self, seen: Seen<'_, '_>, code: u16) {
        let it = seen.it;
        let Some(handle) = self.legs.find(it.call_id, |leg| leg.branch == it.branch && !it.branch.is_empty()) else {
            // That of a re-INVITE comes within a dialog that is known.
            let within = |leg: &Leg| leg.is_answered() && leg.has_tags(it.from.tag(), it.to.tag());
            if self.legs.find(it.call_id, within).is_none() {
                self.keep_early(&seen);
            }
            return self.offer_answered(seen, code);
        };
        let Some(leg) = self.legs.get_mut(handle) else { return };
        leg.heard = seen.now;
        leg.seen = leg.seen.max(seen.at);
        if leg.is_answered() {
            return;
        }
        if code > 100 && code < 300 {
            it.to.tag().clone_into(&mut leg.to_tag);
        }
        match code {
            100 => {}
            101..=199 => self.progress(handle, seen, code),
            200..=299 => self.accepted(handle, seen),
            401 | 407 => leg.state = State::Challenged,
            _ => self.refused(handle, code, seen.at),
        }
    }

    fn progress(&mut self, handle: Handle, seen: Seen<'_, '_>, code: u16) {
        self.shows(handle, seen, true);
        let Some(leg) = self.legs.get_mut(handle) else { return };
        if !leg.called_in() && matches!(leg.state, State::Called | State::Challenged) && matches!(code, 180 | 183) {
            leg.state = State::Rings;
            let to = leg.line.clone();
            self.dial(handle, to, DialState::Ringing, seen.at);
        }
    }

    fn accepted(&mut self, handle: Handle, seen: Seen<'_, '_>) {
        let Some(leg) = self.legs.get_mut(handle) else { return };
        leg.state = State::Answered;
        leg.session = party::session_seconds(seen.message).map(Duration::from_secs).or(leg.session);
        if !leg.called_in() {
            let to = leg.line.clone();
            self.dial(handle, to, DialState::Answered, seen.at);
        }
        self.put_through(handle, seen.at);
        self.shows(handle, seen, true);
    }

    fn refused(&mut self, handle: Handle, code: u16, at: Timestamp) {
        self.gave_up(handle, at);
        self.end(handle, party::cause(code), at);
    }

    /// Tells that a far end had cancelled, now that no answer has won over that.
    fn gave_up(&mut self, handle: Handle, at: Timestamp) {
        let gave_up = self.legs.get(handle).filter(|leg| leg.called_in() && leg.is_cancelled());
        if let Some(leg) = gave_up.map(|leg| leg.line.clone()) {
            self.tell(at, What::HangupAsked { leg, cancelled: true });
        }
    }

    fn dial(&mut self, handle: Handle, to: LegId, state: DialState, at: Timestamp) {
        let dialer = self.legs.get(handle).and_then(|leg| leg.dialer);
        let from = dialer.and_then(|dialer| self.legs.get(dialer)).map(|leg| leg.line.clone());
        self.tell(at, What::Dial { from, to, state, number: None });
    }

    // ---- it ends

    fn cancel(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let Some(handle) = self.legs.find(it.call_id, |leg| leg.branch == it.branch && !it.branch.is_empty()) else {
            return self.keep_early(&seen);
        };
        let Some(leg) = self.legs.get_mut(handle) else { return };
        leg.heard = seen.now;
        // Of a leg that calls in, the answer may still win (RFC 3261 9.1).
        if matches!(leg.state, State::Answered | State::Cancelled) {
            return;
        }
        leg.state = State::Cancelled;
        if leg.called_in() {
            return;
        }
        let line = leg.line.clone();
        self.dial(handle, line, DialState::Over, seen.at);
    }

    fn bye(&mut self, seen: Seen<'_, '_>) {
        let it = seen.it;
        let legs = self.legs.all(it.call_id, |leg| leg.has_tags(it.from.tag(), it.to.tag()));
        if legs.is_empty() {
            // Of a call that began before this run of the program did, and that the tracker may know.
            let leg = LegId(it.call_id.to_owned());
            if !self.ended.has(it.call_id, WHOLE_CALL) && !self.legs.has_line(&leg) {
                self.ended.add(it.call_id, WHOLE_CALL);
                self.tell(seen.at, What::Gone { leg, cause: Cause::Normal });
            }
            return self.keep_early(&seen);
        }
        for handle in &legs {
            self.transfer_before_end(*handle, seen.at);
            let asked = self.legs.get(*handle).filter(|leg| leg.far_end_has(it.from.tag())).map(|leg| leg.line.clone());
            if let Some(leg) = asked {
                self.tell(seen.at, What::HangupAsked { leg, cancelled: false });
            }
        }
        for handle in legs {
            self.end(handle, Cause::Normal, seen.at);
        }
    }

    /// A leg is over.
    fn end(&mut self, handle: Handle, cause: Cause, at: Timestamp) {
        if let Some((line, goes_on)) = self.take_out(handle, at)
            && !goes_on
        {
            self.tell(at, What::Gone { leg: line, cause });
        }
        self.after_end(at);
    }

    /// A leg of which nothing has been heard for too long.
    fn lost(&mut self, handle: Handle, at: Timestamp) {
        let (seen, cancelled) = self.legs.get(handle).map_or((at, false), |leg| (leg.seen, leg.is_cancelled()));
        if cancelled {
            self.gave_up(handle, seen);
            return self.end(handle, Cause::Normal, seen);
        }
        if let Some((line, goes_on)) = self.take_out(handle, at)
            && !goes_on
        {
            self.tell(at.max(seen), What::Lost { leg: line, seen });
        }
        self.after_end(at);
    }

    fn take_out(&mut self, handle: Handle, at: Timestamp) -> Option<(LegId, bool)> {
        let leg = self.legs.get(handle)?;
        if !leg.called_in() && !matches!(leg.state, State::Answered | State::Cancelled) {
            let to = leg.line.clone();
            self.dial(handle, to, DialState::Over, at);
        }
        self.forget_bridge(handle);
        let (leg, goes_on) = self.legs.remove(handle)?;
        self.ended.add(&leg.call_id, &leg.branch);
        self.ended.add(&leg.call_id, WHOLE_CALL);
        if let Some(dialer) = leg.dialer.and_then(|dialer| self.legs.get_mut(dialer)) {
            dialer.called.retain(|other| *other != handle);
        }
        Some((leg.line, goes_on))
    }

    // ---- what came before its time

    fn keep_early(&mut self, seen: &Seen<'_, '_>) {
        if !self.ended.has(seen.it.call_id, seen.it.branch) {
            self.early.keep(seen);
        }
    }

    fn replay(&mut self, packet: &early::Waiting, now: Instant) {
        let Ok(message) = Message::read(&packet.octets) else { return };
        let Ok(it) = message.essentials() else { return };
        let (source, destination) = (packet.source, packet.destination);
        let seen = Seen {
            at: packet.at,
            now,
            source,
            destination,
            correlation: "",
            octets: &packet.octets,
            message: &message,
            it: &it,
        };
        self.message(seen);
    }

    fn tell(&mut self, at: Timestamp, what: What) {
        self.out.push(CallEvent { at, what });
    }
}

/// Methods of which calls are made, and registrations. All others pass quickly, and may be as odd as they like.
fn concerns_calls(message: &Message<'_>) -> bool {
    match message.method() {
        Some("INVITE" | "CANCEL" | "BYE" | "REFER" | "UPDATE") => true,
        Some("NOTIFY") => message.header(Name::Event).is_some_and(|event| event.starts_with("refer")),
        Some("REGISTER") => message.code().is_some(),
        Some(_) | None => false,
    }
}

fn new_leg(seen: &Seen<'_, '_>, line: LegId, side: Side, origin: Origin, far: SocketAddr) -> Leg {
    let it = seen.it;
    Leg {
        line,
        call_id: it.call_id.to_owned(),
        from_tag: it.from.tag().to_owned(),
        to_tag: String::new(),
        branch: it.branch.to_owned(),
        cseq: it.cseq.number,
        far,
        side,
        origin,
        own: String::new(),
        shown: String::new(),
        dialed: String::new(),
        state: State::Called,
        heard: seen.now,
        seen: seen.at,
        session: None,
        offer: None,
        held: false,
        dialer: None,
        called: Vec::new(),
        consults: false,
        bridge: None,
        home: None,
        transfer: None,
        marks: Vec::new(),
    }
}
