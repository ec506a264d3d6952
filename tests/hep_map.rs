//! What becomes of single dialogs in a mirror: stories told in SIP, and the events that the map makes of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ctibridge::calls::Site;
use ctibridge::calls::event::{CallEvent, Cause, DialState, Leg, LegId, Presentation, Side, What};
use ctibridge::calls::feed::{FeedMessage, Snapshot};
use ctibridge::calls::record::{CallRecord, OpenCall};
use ctibridge::calls::step::Step;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::hep::map::{Map, Trunk};
use ctibridge::feeds::hep::packet::{Packet, Payload};
use ctibridge::phone::NumberPlan;
use jiff::Timestamp;

const CARRIER: &str = "192.0.2.1:5060";
const PBX: &str = "10.0.0.1:5060";
const ALICE: &str = "10.0.0.101:5060";
const BOB: &str = "10.0.0.102:5060";

/// A mirror under a clock of its own.
struct Mirror {
    map: Map,
    start: Instant,
    /// Milliseconds since then.
    now: u64,
    correlation: String,
}

/// A message within a dialog.
#[derive(Clone, Copy)]
struct Dialog<'a> {
    call_id: &'a str,
    from: &'a str,
    to: &'a str,
    branch: &'a str,
}

fn dialog<'a>(call_id: &'a str, from: &'a str, to: &'a str, branch: &'a str) -> Dialog<'a> {
    Dialog { call_id, from, to, branch }
}

impl Mirror {
    fn new() -> Self {
        let trunks = vec![Trunk::parse("192.0.2.1").unwrap()];
        Self { map: Map::new(trunks, &[].into()), start: Instant::now(), now: 0, correlation: String::new() }
    }

    fn wait(&mut self, seconds: u64) -> Vec<What> {
        self.now += seconds * 1000;
        let at = Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(self.now).unwrap()).unwrap();
        let events = self.map.expire(self.start + Duration::from_millis(self.now), at);
        events.into_iter().map(|event| event.what).collect()
    }

    /// One message from one address to another, a tenth of a second after the last one.
    fn see(
        &mut self,
        source: &str,
        destination: &str,
        start: &str,
        of: Dialog<'_>,
        cseq: &str,
        more: &str,
    ) -> Vec<What> {
        self.now += 100;
        let (headers, body) = more.split_once("\n\n").unwrap_or((more, ""));
        let tag = |tag: &str| if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK{}\r\nFrom: <sip:+4420794600@x>{}\r\nTo: <sip:y@x>{}\r\nCall-ID: {}\r\nCSeq: {cseq}\r\n{}{}\r\n{}",
            of.branch,
            tag(of.from),
            tag(of.to),
            of.call_id,
            headers.replace('\n', "\r\n"),
            if headers.is_empty() { "" } else { "\r\n" },
            body.replace('\n', "\r\n"),
        );
        let at = Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(self.now).unwrap()).unwrap();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let packet = Packet {
            at,
            source: address(source),
            destination: address(destination),
            payload: Payload::Sip(text.as_bytes().into()),
            key: b"",
            correlation: self.correlation.as_bytes(),
        };
        let now = self.start + Duration::from_millis(self.now);
        let events = self.map.packet(&packet, text.as_bytes(), now).unwrap();
        assert!(events.iter().all(|event| event.at <= at), "no event is later than its message");
        events.into_iter().map(|event| event.what).collect()
    }

    /// A call from the carrier through a proxy to Alice, who answers.
    fn proxied(&mut self) {
        let (outside, inside) = (dialog("c", "f", "", "1"), dialog("c", "f", "", "2"));
        self.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", outside, "1 INVITE", "");
        self.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", inside, "1 INVITE", "");
        self.see(ALICE, PBX, "SIP/2.0 180 Ringing", Dialog { to: "t", ..inside }, "1 INVITE", "");
        self.see(ALICE, PBX, "SIP/2.0 200 OK", Dialog { to: "t", ..inside }, "1 INVITE", "");
        self.see(PBX, CARRIER, "SIP/2.0 200 OK", Dialog { to: "t", ..outside }, "1 INVITE", "");
    }
}

fn leg(id: &str) -> LegId {
    LegId(id.into())
}

fn appeared(events: &[What]) -> Option<&Leg> {
    events.iter().find_map(|what| if let What::Appeared(leg) = what { Some(leg) } else { None })
}

fn dialed_from(events: &[What]) -> Option<LegId> {
    events.iter().find_map(|what| match what {
        What::Dial { from, state: DialState::Started, .. } => from.clone(),
        _ => None,
    })
}

#[test]
fn a_message_that_comes_again_says_nothing_new() {
    let mut mirror = Mirror::new();
    mirror.proxied();
    let (outside, inside) = (dialog("c", "f", "", "1"), dialog("c", "f", "", "2"));
    assert_eq!(mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", outside, "1 INVITE", ""), []);
    assert_eq!(mirror.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", inside, "1 INVITE", ""), []);
    assert_eq!(mirror.see(ALICE, PBX, "SIP/2.0 200 OK", Dialog { to: "t", ..inside }, "1 INVITE", ""), []);
    let bye = dialog("c", "f", "t", "3");
    let over = mirror.see(CARRIER, PBX, "BYE sip:101@x SIP/2.0", bye, "2 BYE", "");
    assert_eq!(over.iter().filter(|what| matches!(what, What::Gone { .. })).count(), 2, "{over:?}");
    assert_eq!(mirror.see(PBX, ALICE, "BYE sip:101@x SIP/2.0", Dialog { branch: "4", ..bye }, "2 BYE", ""), []);
    assert_eq!(mirror.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", inside, "1 INVITE", ""), []);
    assert_eq!(mirror.map.live(), 0);
}

#[test]
fn what_overtakes_its_invite_is_not_lost() {
    let mut mirror = Mirror::new();
    let (outside, inside) = (dialog("c", "f", "", "1"), dialog("c", "f", "", "2"));
    assert_eq!(mirror.see(ALICE, PBX, "SIP/2.0 180 Ringing", Dialog { to: "t", ..inside }, "1 INVITE", ""), []);
    mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", outside, "1 INVITE", "");
    assert_eq!(mirror.see(ALICE, PBX, "SIP/2.0 200 OK", Dialog { to: "t", ..inside }, "1 INVITE", ""), []);
    let events = mirror.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", inside, "1 INVITE", "");
    let joined = events.iter().filter(|what| matches!(what, What::Joined { .. })).count();
    let rang = events.iter().any(|what| matches!(what, What::Dial { state: DialState::Ringing, .. }));
    assert_eq!((joined, rang), (2, true), "{events:?}");
}

#[test]
fn who_gives_up_and_is_answered_all_the_same_has_not_given_up() {
    let mut mirror = Mirror::new();
    let (outside, inside) = (dialog("c", "f", "", "1"), dialog("c", "f", "", "2"));
    mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", outside, "1 INVITE", "");
    mirror.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", inside, "1 INVITE", "");
    assert_eq!(mirror.see(CARRIER, PBX, "CANCEL sip:+4930101@pbx SIP/2.0", outside, "1 CANCEL", ""), []);
    let events = mirror.see(ALICE, PBX, "SIP/2.0 200 OK", Dialog { to: "t", ..inside }, "1 INVITE", "");
    assert!(events.iter().any(|what| matches!(what, What::Joined { .. })), "{events:?}");
    mirror.see(PBX, CARRIER, "SIP/2.0 200 OK", Dialog { to: "t", ..outside }, "1 INVITE", "");
    assert_eq!(mirror.wait(60), [], "it goes on");

    let again = dialog("d", "f", "", "5");
    mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", again, "1 INVITE", "");
    mirror.see(CARRIER, PBX, "CANCEL sip:+4930101@pbx SIP/2.0", again, "1 CANCEL", "");
    let events =
        mirror.see(PBX, CARRIER, "SIP/2.0 487 Request Terminated", Dialog { to: "t", ..again }, "1 INVITE", "");
    assert_eq!(events.first(), Some(&What::HangupAsked { leg: leg("d"), cancelled: true }));
}

#[test]
fn hold_counts_when_it_is_accepted() {
    let mut mirror = Mirror::new();
    mirror.proxied();
    let alice = dialog("c", "t", "f", "7");
    let answer = Dialog { to: "f", ..alice };
    for (cseq, sdp, code, events) in [
        ("8 INVITE", "v=0\nc=IN IP4 10.0.0.101\na=sendonly\n", "200 OK", 1),
        ("9 INVITE", "v=0\nc=IN IP4 10.0.0.101\na=sendrecv\n", "200 OK", 1),
        ("10 INVITE", "v=0\nc=IN IP4 0.0.0.0\n", "200 OK", 1),
        ("11 UPDATE", "v=0\nc=IN IP4 10.0.0.101\n", "200 OK", 1),
        ("12 INVITE", "v=0\nc=IN IP4 10.0.0.101\na=inactive\n", "488 Not Acceptable Here", 0),
        ("13 UPDATE", "", "200 OK", 0),
    ] {
        let method = cseq.split(' ').nth(1).unwrap();
        let offer =
            mirror.see(ALICE, PBX, &format!("{method} sip:x SIP/2.0"), alice, cseq, &format!("X-A: 1\n\n{sdp}"));
        assert_eq!(offer, [], "{cseq}");
        let answered = mirror.see(PBX, ALICE, &format!("SIP/2.0 {code}"), answer, cseq, "");
        let of_hold = answered.iter().filter(|what| matches!(what, What::Held(_) | What::Resumed(_))).count();
        assert_eq!((of_hold, answered.len()), (events, events), "{cseq} {answered:?}");
    }
    for (nth, method) in ["PRACK", "INFO", "MESSAGE", "OPTIONS", "FOOBAR"].into_iter().enumerate() {
        let cseq = format!("{} {method}", nth + 20);
        assert_eq!(mirror.see(ALICE, PBX, &format!("{method} sip:x SIP/2.0"), alice, &cseq, ""), [], "{method}");
    }
}

#[test]
fn each_refusal_has_its_cause() {
    for (status, expected) in [
        ("486 Busy Here", Cause::Busy),
        ("600 Busy Everywhere", Cause::Busy),
        ("603 Decline", Cause::NoAnswer),
        ("480 Temporarily Unavailable", Cause::NoAnswer),
        ("302 Moved Temporarily", Cause::NoAnswer),
        ("404 Not Found", Cause::Failed),
        ("503 Service Unavailable", Cause::Failed),
    ] {
        let mut mirror = Mirror::new();
        let (from, to) = (dialog("c", "f", "", "1"), dialog("c", "f", "", "2"));
        mirror.see(ALICE, PBX, "INVITE sip:+442@pbx SIP/2.0", from, "1 INVITE", "");
        mirror.see(PBX, CARRIER, "INVITE sip:+442@192.0.2.1 SIP/2.0", to, "1 INVITE", "");
        let events = mirror.see(CARRIER, PBX, &format!("SIP/2.0 {status}"), Dialog { to: "t", ..to }, "1 INVITE", "");
        let gone = What::Gone { leg: leg("c"), cause: expected };
        assert_eq!(events.last(), Some(&gone), "{status}");
    }
}

#[test]
fn a_challenge_is_not_an_end() {
    let mut mirror = Mirror::new();
    let first = dialog("c", "f", "", "1");
    assert!(appeared(&mirror.see(ALICE, PBX, "INVITE sip:102@pbx SIP/2.0", first, "1 INVITE", "")).is_some());
    assert_eq!(mirror.see(PBX, ALICE, "SIP/2.0 401 Unauthorized", Dialog { to: "x", ..first }, "1 INVITE", ""), []);
    let second = Dialog { branch: "2", ..first };
    assert_eq!(mirror.see(ALICE, PBX, "INVITE sip:102@pbx SIP/2.0", second, "2 INVITE", ""), []);
    assert_eq!(mirror.map.live(), 1);
    // One that nobody meets is over after a while.
    mirror.see(ALICE, PBX, "INVITE sip:102@pbx SIP/2.0", dialog("d", "f", "", "9"), "1 INVITE", "");
    mirror.see(PBX, ALICE, "SIP/2.0 407 Proxy Authentication Required", dialog("d", "f", "x", "9"), "1 INVITE", "");
    assert_eq!(mirror.wait(33).len(), 1);
}

/// A phone system that begins a new call for each that comes in: the two legs share what is made for it, or a number.
#[test]
fn the_legs_of_a_b2bua_are_joined_by_what_they_share() {
    let session = "Session-ID: 47755a9de7794ba387653f2099600ef2;remote=00000000000000000000000000000000";
    for (rule, first, second) in [
        ("Session-ID", session, session),
        ("an extension header", "X-Nothing: 1", "X-Original-Call: c1"),
        ("the number shown", "", ""),
    ] {
        let mut mirror = Mirror::new();
        mirror.see(
            CARRIER,
            PBX,
            "INVITE sip:+4930999@pbx SIP/2.0",
            dialog("c0", "f", "", "1"),
            "1 INVITE",
            "P-Asserted-Identity: <sip:+15550100@x>",
        );
        mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", dialog("c1", "f", "", "2"), "1 INVITE", first);
        let other = if rule == "the number shown" {
            second.to_owned()
        } else {
            format!("{second}\nP-Asserted-Identity: <sip:+999@x>")
        };
        let events =
            mirror.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", dialog("c2", "g", "", "3"), "1 INVITE", &other);
        assert_eq!(dialed_from(&events), Some(leg("c1")), "{rule}");
    }
    let mut mirror = Mirror::new();
    mirror.correlation = "one and the same".into();
    mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", dialog("c1", "f", "", "2"), "1 INVITE", "");
    let other = "P-Asserted-Identity: <sip:+999@x>";
    let events =
        mirror.see(PBX, BOB, "INVITE sip:102@10.0.0.102 SIP/2.0", dialog("c2", "g", "", "3"), "1 INVITE", other);
    assert_eq!(dialed_from(&events), Some(leg("c1")), "the correlation id");
}

#[test]
fn a_withheld_number_is_in_no_event() {
    let mut mirror = Mirror::new();
    let headers = "P-Asserted-Identity: \"Ada\" <sip:+447700900123@x>\nRemote-Party-ID: <sip:+447700900123@x>\nContact: <sip:+447700900123@y>\nPrivacy: id";
    let events =
        mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", dialog("c", "f", "", "1"), "1 INVITE", headers);
    assert_eq!(appeared(&events).unwrap().presentation, Presentation::Withheld);
    let inside =
        mirror.see(PBX, ALICE, "INVITE sip:101@10.0.0.101 SIP/2.0", dialog("c", "f", "", "2"), "1 INVITE", headers);
    let told = format!("{events:?}{inside:?}");
    assert!(!told.contains("447700900123") && !told.contains("Ada"), "{told}");
}

#[test]
fn a_call_whose_end_is_lost_ends_by_its_session_timer_or_by_a_maximum() {
    let mut mirror = Mirror::new();
    mirror.proxied();
    assert_eq!(mirror.wait(3 * 3600), []);
    let over = mirror.wait(2 * 3600);
    assert_eq!(over.iter().filter(|what| matches!(what, What::Lost { .. })).count(), 2, "{over:?}");

    let mut mirror = Mirror::new();
    mirror.proxied();
    let refresh = dialog("c", "f", "t", "5");
    for cseq in ["2 UPDATE", "3 UPDATE"] {
        mirror.see(CARRIER, PBX, "UPDATE sip:101@x SIP/2.0", refresh, cseq, "Session-Expires: 90;refresher=uac");
        assert_eq!(mirror.wait(100), [], "{cseq}");
    }
    assert_eq!(mirror.wait(60).len(), 2);
}

#[test]
fn a_registration_tells_whose_phone_it_is() {
    let mut mirror = Mirror::new();
    // Its To names the user: <sip:y@x>.
    let contact = "Contact: <sip:x7f3@10.0.0.101:5060>;expires=600";
    mirror.see(PBX, ALICE, "SIP/2.0 200 OK", dialog("r", "f", "t", "1"), "1 REGISTER", contact);
    mirror.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", dialog("c", "f", "", "1"), "1 INVITE", "");
    let events =
        mirror.see(PBX, ALICE, "INVITE sip:x7f3@10.0.0.101:5060 SIP/2.0", dialog("c", "f", "", "2"), "1 INVITE", "");
    assert_eq!(appeared(&events).unwrap().side, Side::Phone(ctibridge::calls::record::Extension("y".into())));
}

fn tracker(open: Vec<OpenCall>, now: Instant) -> Tracker {
    let site = Site { bridge: "hq".into(), plan: NumberPlan::new("GB", "", "2-6").unwrap() };
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], open, now);
    tracker.handle("pbx1", FeedMessage::Up(Snapshot::Unknowable), now);
    tracker
}

fn ended(steps: &[Step]) -> Vec<&CallRecord> {
    steps.iter().filter_map(|step| if let Step::Ended(record) = step { Some(record) } else { None }).collect()
}

#[test]
fn a_call_from_before_a_restart_ends_with_its_bye() {
    let mut before = Mirror::new();
    let now = before.start;
    let mut first = tracker(Vec::new(), now);
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let tell = |tracker: &mut Tracker, events: Vec<What>| -> Vec<Step> {
        let told = events.into_iter().map(|what| FeedMessage::Call(CallEvent { at, what }));
        told.flat_map(|message| tracker.handle("pbx1", message, now)).collect()
    };
    let outside = dialog("c", "f", "", "1");
    let events = before.see(CARRIER, PBX, "INVITE sip:+4930101@pbx SIP/2.0", outside, "1 INVITE", "");
    tell(&mut first, events);
    let open = first.open_calls();
    assert_eq!(open.len(), 1);

    let mut after = Mirror::new();
    let mut second = tracker(open, now);
    let events = after.see(CARRIER, PBX, "BYE sip:101@x SIP/2.0", dialog("c", "f", "t", "3"), "2 BYE", "");
    let steps = tell(&mut second, events);
    assert_eq!(ended(&steps).len(), 1, "{steps:?}");
    assert!(second.open_calls().is_empty());
}

#[test]
fn a_session_that_would_last_for_ever_ends_like_one_that_says_nothing() {
    for seconds in [u64::MAX, u64::MAX - 60, 1 << 40] {
        let mut mirror = Mirror::new();
        mirror.proxied();
        let again = dialog("c", "f", "t", "3");
        let more = format!("Session-Expires: {seconds};refresher=uac");
        mirror.see(CARRIER, PBX, "UPDATE sip:101@pbx SIP/2.0", again, "2 UPDATE", &more);
        mirror.see(PBX, CARRIER, "SIP/2.0 200 OK", again, "2 UPDATE", &more);
        mirror.wait(1);
        assert!(mirror.map.live() > 0, "{seconds}");
        mirror.wait(5 * 60 * 60);
        assert_eq!(mirror.map.live(), 0, "{seconds}");
    }
}
