//! ARI's words in ours. Pure: frames and snapshots in, events out.
//!
//! What is known of Asterisk's ways stands beside the code that depends on it; measured on Asterisk 22.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::wire::{Bridge, Channel, Event, Frame, Subject, Variables};
use crate::calls::event::{
    Application, BridgeId, BridgeKind, CallEvent, Cause, DialState, Leg, LegId, Origin, Presentation, Side, What,
};
use crate::calls::feed::{Known, LiveBridge, LiveLeg, Scope};
use crate::calls::record::Extension;

/// The caller's presentation, as a channel variable.
pub const PRESENTATION: &str = "CALLERID(pres)";

/// Technologies of channels at whose end is nobody: announcers and recorders of conferences, listeners, media servers, messages.
const NOBODY: [&str; 13] = [
    "Announcer",
    "AudioSocket",
    "Bridge",
    "CBAnn",
    "CBRec",
    "ConfBridgeRecorder",
    "Message",
    "MulticastRTP",
    "Null",
    "Recorder",
    "Snoop",
    "Surrogate",
    "UnicastRTP",
];

/// What a frame comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    pub events: Vec<CallEvent>,
    /// The channel whose [`PRESENTATION`] is to be asked for.
    pub ask_presentation: Option<String>,
}

/// Turns one connection's frames into events.
#[derive(Debug)]
pub struct Map {
    trunks: BTreeSet<String>,
    devices: BTreeMap<String, Extension>,
    /// Inbound trunk channels whose presentation is not known yet; true once it was asked for.
    awaiting: BTreeMap<String, bool>,
    /// The stamp of the latest frame, for frames without one.
    stamp: Timestamp,
}

impl Map {
    /// `trunks`: endpoints that lead outside (`PJSIP/trunk`); `devices`: endpoints of agents that are not named like the extension.
    #[must_use]
    pub fn new(trunks: &[String], devices: &BTreeMap<String, Extension>) -> Self {
        Self {
            trunks: trunks.iter().cloned().collect(),
            devices: devices.clone(),
            awaiting: BTreeMap::new(),
            stamp: Timestamp::UNIX_EPOCH,
        }
    }

    /// What lives when the connection begins.
    pub fn snapshot(&mut self, channels: &[Channel], bridges: &[Bridge]) -> Known {
        self.awaiting.clear();
        let stamps = channels.iter().filter_map(|channel| channel.creationtime);
        let at = stamps.chain(bridges.iter().filter_map(|bridge| bridge.creationtime)).max();
        let legs = channels.iter().map(|channel| self.live_leg(channel, channels, bridges)).collect();
        Known { scope: Scope::Feed, legs, at, read_at: None }
    }

    /// Channels whose presentation is to be asked for because no frame has told it yet.
    pub fn unasked(&mut self) -> Vec<String> {
        let unasked = |(id, asked): (&String, &mut bool)| (!std::mem::replace(asked, true)).then(|| id.clone());
        self.awaiting.iter_mut().filter_map(unasked).collect()
    }

    /// The answer to [`Mapped::ask_presentation`]; `None` when it could not be had.
    pub fn presentation(&mut self, channel: &str, answer: Option<&str>) -> Vec<CallEvent> {
        if self.awaiting.remove(channel).is_none() {
            return Vec::new();
        }
        let presentation = answer.map_or(Presentation::Unknown, read_presentation);
        vec![self.event(What::Presentation { leg: LegId(channel.to_owned()), presentation })]
    }

    pub fn frame(&mut self, frame: Frame) -> Mapped {
        if let Some(stamp) = frame.timestamp {
            self.stamp = stamp;
        }
        let mut mapped = Mapped::default();
        if let Some((channel, variables)) = subject(&frame.event) {
            self.learn_presentation(channel, variables, &mut mapped);
        }
        if let Some(what) = self.what(frame.event) {
            self.watch(&what);
            mapped.events.push(self.event(what));
        }
        mapped
    }

    fn event(&self, what: What) -> CallEvent {
        CallEvent { at: self.stamp, what }
    }

    /// What a frame says, in our words. Most say nothing.
    fn what(&self, event: Event) -> Option<What> {
        Some(match event {
            Event::ChannelCreated { channel } => What::Appeared(self.leg(&channel)),
            Event::ChannelStateChange { channel } if channel.state == "Ringing" => What::Ringing(id(&channel)),
            // Extension `h` runs after the end.
            Event::ChannelDialplan { channel, .. } if channel.dialplan.exten == "h" => return None,
            Event::ChannelDialplan { channel, dialplan_app, dialplan_app_data } => What::Runs {
                leg: id(&channel),
                application: application(&dialplan_app, &dialplan_app_data)?,
                dialed: channel.dialplan.exten,
            },
            Event::Dial { peer, caller, dialstatus, dialstring, .. } => What::Dial {
                from: caller.map(LegId::from),
                to: id(&peer),
                state: dial_state(&dialstatus, &peer.state),
                number: self.is_trunk(&peer.name).then(|| number_in(&dialstring)).flatten(),
            },
            Event::ChannelEnteredBridge { channel, bridge } => {
                What::Joined { leg: channel.into(), kind: bridge_kind(&bridge), bridge: BridgeId(bridge.id) }
            }
            Event::ChannelLeftBridge { channel, bridge } => {
                What::Left { leg: channel.into(), bridge: BridgeId(bridge.id) }
            }
            Event::ChannelHold { channel } => What::Held(channel.into()),
            Event::ChannelUnhold { channel } => What::Resumed(channel.into()),
            Event::BridgeBlindTransfer { channel, transferee, exten, result } if result == "Success" => {
                What::BlindTransfer { by: channel.into(), transferee: transferee.map(LegId::from), target: exten }
            }
            Event::BridgeAttendedTransfer { transferer_first_leg, transferer_second_leg, transfer_target, result }
                if result == "Success" =>
            {
                What::AttendedTransfer {
                    first: transferer_first_leg.into(),
                    second: transferer_second_leg.into(),
                    target: transfer_target.map(LegId::from),
                }
            }
            // `soft` is the PBX's own tearing down, which says nothing about who hung up.
            Event::ChannelHangupRequest { channel, soft: false, tech_cause } => {
                What::HangupAsked { leg: channel.into(), cancelled: tech_cause == Some(487) }
            }
            Event::ChannelDestroyed { channel, cause, tech_cause } => {
                What::Gone { leg: channel.into(), cause: read_cause(cause, tech_cause) }
            }
            Event::ChannelStateChange { .. }
            | Event::ChannelVarset { .. }
            | Event::ChannelCallerId { .. }
            | Event::ChannelHangupRequest { .. }
            | Event::BridgeBlindTransfer { .. }
            | Event::BridgeAttendedTransfer { .. }
            | Event::ApplicationReplaced { .. }
            | Event::Other => return None,
        })
    }

    /// Remembers whose presentation is not known yet, until it is told or asked for, even when the channel is gone by then.
    fn watch(&mut self, what: &What) {
        if let What::Appeared(leg) = what
            && leg.presentation == Presentation::Awaited
        {
            self.awaiting.insert(leg.id.0.clone(), false);
        }
    }

    /// In `ChannelCreated` the variable is not true yet; from the channel's next frame on it is.
    fn learn_presentation(&mut self, channel: &str, variables: &Variables, mapped: &mut Mapped) {
        let Some(asked) = self.awaiting.get_mut(channel) else {
            return;
        };
        if let Some(value) = variables.presentation() {
            let presentation = read_presentation(value);
            self.awaiting.remove(channel);
            mapped.events.push(self.event(What::Presentation { leg: LegId(channel.to_owned()), presentation }));
        } else if !std::mem::replace(asked, true) {
            mapped.ask_presentation = Some(channel.to_owned());
        }
    }

    fn leg(&self, channel: &Channel) -> Leg {
        let side = self.side(&channel.name);
        // `Ring`: the far end calls the PBX. A link has two halves; `;2` runs the dial plan as a caller does.
        let origin = if channel.state == "Ring" { Origin::CallsIn } else { Origin::IsCalled };
        let awaited = side == Side::Outside && origin == Origin::CallsIn;
        Leg {
            id: id(channel),
            side,
            origin,
            number: channel.caller.number.clone(),
            name: channel.caller.name.clone(),
            dialed: channel.dialplan.exten.clone(),
            presentation: if awaited { Presentation::Awaited } else { Presentation::Allowed },
        }
    }

    fn side(&self, name: &str) -> Side {
        let technology = name.split_once('/').map_or(name, |(technology, _)| technology);
        if technology == "Local" {
            return Side::Link(name.rsplit_once(';').map_or(name, |(pair, _half)| pair).to_owned());
        }
        if NOBODY.contains(&technology) {
            return Side::Link(name.to_owned());
        }
        let endpoint = endpoint(name);
        if self.trunks.contains(endpoint) {
            return Side::Outside;
        }
        let named = || Extension(endpoint.split_once('/').map_or(endpoint, |(_technology, name)| name).to_owned());
        Side::Phone(self.devices.get(endpoint).cloned().unwrap_or_else(named))
    }

    fn is_trunk(&self, name: &str) -> bool {
        self.trunks.contains(endpoint(name))
    }

    fn live_leg(&mut self, channel: &Channel, channels: &[Channel], bridges: &[Bridge]) -> LiveLeg {
        let mut leg = self.leg(channel);
        leg.origin = origin_now(channel);
        leg.presentation = Presentation::Allowed;
        if leg.side == Side::Outside && leg.origin == Origin::CallsIn {
            leg.presentation = if let Some(value) = channel.channelvars.presentation() {
                read_presentation(value)
            } else {
                self.awaiting.insert(channel.id.clone(), false);
                Presentation::Awaited
            };
        }
        let bridge = bridges.iter().find(|bridge| bridge.channels.contains(&channel.id));
        let since = channel.creationtime.unwrap_or(self.stamp);
        LiveLeg {
            since,
            ringing: channel.state == "Ringing",
            bridge: bridge.map(|bridge| LiveBridge {
                id: BridgeId(bridge.id.clone()),
                kind: bridge_kind(bridge),
                since: bridge.creationtime.unwrap_or(since),
            }),
            dialed_by: (leg.origin == Origin::IsCalled).then(|| dialer(channel, bridge, channels)).flatten(),
            application: application(&channel.dialplan.app_name, &channel.dialplan.app_data)
                .unwrap_or(Application::Other),
            leg,
        }
    }
}

fn id(channel: &Channel) -> LegId {
    LegId(channel.id.clone())
}

impl From<Subject> for LegId {
    fn from(subject: Subject) -> Self {
        Self(subject.id)
    }
}

/// The channel that a frame is about, and its variables; none of a new channel, whose variables are not true yet.
fn subject(event: &Event) -> Option<(&str, &Variables)> {
    match event {
        Event::ChannelStateChange { channel } | Event::ChannelDialplan { channel, .. } => {
            Some((&channel.id, &channel.channelvars))
        }
        Event::ChannelVarset { channel: Some(channel) }
        | Event::ChannelCallerId { channel }
        | Event::ChannelHold { channel }
        | Event::ChannelUnhold { channel }
        | Event::ChannelHangupRequest { channel, .. }
        | Event::ChannelDestroyed { channel, .. }
        | Event::ChannelEnteredBridge { channel, .. }
        | Event::ChannelLeftBridge { channel, .. }
        | Event::BridgeBlindTransfer { channel, .. }
        | Event::Dial { caller: Some(channel), .. } => Some((&channel.id, &channel.channelvars)),
        Event::ChannelCreated { .. }
        | Event::ChannelVarset { channel: None }
        | Event::Dial { caller: None, .. }
        | Event::BridgeAttendedTransfer { .. }
        | Event::ApplicationReplaced { .. }
        | Event::Other => None,
    }
}

/// `PJSIP/101-web` of `PJSIP/101-web-00000005`: the name less one `-` and the eight hex digits behind it.
fn endpoint(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((endpoint, serial)) if serial.len() == 8 && serial.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            endpoint
        }
        _ => name,
    }
}

fn bridge_kind(bridge: &Bridge) -> BridgeKind {
    if bridge.bridge_type == "holding" { BridgeKind::Holding } else { BridgeKind::Mixing }
}

/// What runs on a channel; `None` for what Asterisk writes on channels that it dialled itself.
fn application(name: &str, data: &str) -> Option<Application> {
    match name {
        "Queue" => Some(Application::Queue(data.split(',').next().unwrap_or_default().to_owned())),
        "VoiceMail" | "MinivmRecord" | "MinivmGreet" => Some(Application::Voicemail),
        "AppDial" | "AppDial2" | "AppQueue" => None,
        _ => Some(Application::Other),
    }
}

/// The start may come when the far end rings already.
fn dial_state(status: &str, peer_state: &str) -> DialState {
    match status {
        "" if peer_state != "Ringing" => DialState::Started,
        "" | "RINGING" | "PROGRESS" | "PROCEEDING" => DialState::Ringing,
        "ANSWER" => DialState::Answered,
        _ => DialState::Over,
    }
}

/// The number in `+4930…@trunk`, `PJSIP/+4930…@trunk` or `PJSIP/trunk/+4930…`.
fn number_in(dialstring: &str) -> Option<String> {
    let target = match dialstring.split_once('@') {
        Some((target, _)) => target,
        None => dialstring.rsplit_once('/').map_or(dialstring, |(_, target)| target),
    };
    let target = target.rsplit_once('/').map_or(target, |(_, target)| target);
    let target = target.strip_prefix("sip:").unwrap_or(target);
    target.bytes().any(|byte| byte.is_ascii_digit()).then(|| target.to_owned())
}

fn read_presentation(value: &str) -> Presentation {
    if value.starts_with("prohib") || value == "unavailable" { Presentation::Withheld } else { Presentation::Allowed }
}

/// The SIP status, where Asterisk gives it (`tech_cause`, RFC 3261 section 21), else the Q.850 cause.
fn read_cause(cause: i64, status: Option<i64>) -> Cause {
    match (status, cause) {
        (Some(486 | 600), _) | (None, 17) => Cause::Busy,
        (Some(408 | 480 | 487 | 603), _) | (None, 18 | 19 | 21) => Cause::NoAnswer,
        (None, 0 | 16 | 26 | 127) => Cause::Normal,
        _ => Cause::Failed,
    }
}

/// Who began a channel, when its birth was not seen: before the answer its state tells; then what it runs, for a channel that
/// Asterisk dialled runs one of its `AppDial` stand-ins, and any other the dial plan.
fn origin_now(channel: &Channel) -> Origin {
    match (channel.state.as_str(), channel.dialplan.app_name.as_str()) {
        ("Ring", _) => Origin::CallsIn,
        ("Down" | "Ringing" | "Dialing", _) | (_, "AppDial" | "AppDial2" | "AppQueue") => Origin::IsCalled,
        _ => Origin::CallsIn,
    }
}

/// Who had a dialled channel called: who is in one bridge with it, or who is connected to its number while it rings, and in the
/// moments in which one of the two is in the bridge and the other is not: at the answer, and in the middle of a transfer.
fn dialer(channel: &Channel, bridge: Option<&Bridge>, channels: &[Channel]) -> Option<LegId> {
    let callers: Vec<&Channel> =
        channels.iter().filter(|other| other.id != channel.id && origin_now(other) == Origin::CallsIn).collect();
    let hears = |other: &&&Channel| bridge.is_some_and(|bridge| bridge.channels.contains(&other.id));
    let calls = |other: &&&Channel| {
        let reaches = other.connected.number == channel.caller.number || runs_dial_to(other, channel);
        reaches && other.caller.number == channel.connected.number
    };
    let mut candidates: Vec<&&Channel> = callers.iter().filter(hears).collect();
    if candidates.is_empty() {
        candidates = callers.iter().filter(calls).collect();
    }
    match candidates.as_slice() {
        [only] => Some(id(only)),
        _ => None,
    }
}

fn runs_dial_to(caller: &Channel, target: &Channel) -> bool {
    matches!(caller.dialplan.app_name.as_str(), "Dial" | "Queue") && {
        caller.dialplan.app_name == "Queue" || caller.dialplan.app_data.contains(endpoint(&target.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Map {
        let devices = BTreeMap::from([("PJSIP/101-web".to_owned(), Extension("101".into()))]);
        Map::new(&["PJSIP/trunk".to_owned(), "PJSIP/trunk-berlin".to_owned()], &devices)
    }

    #[test]
    fn a_channel_leads_where_its_endpoint_does() {
        let phone = |extension: &str| Side::Phone(Extension(extension.into()));
        for (name, side) in [
            ("PJSIP/trunk-00000172", Side::Outside),
            ("PJSIP/trunk-berlin-0000001a", Side::Outside),
            ("PJSIP/trunk-paris-0000001a", phone("trunk-paris")),
            ("PJSIP/101-00000005", phone("101")),
            ("PJSIP/101-web-00000005", phone("101")),
            ("SIP/205-0000000b", phone("205")),
            ("Local/101@from-queue-00000000;1", Side::Link("Local/101@from-queue-00000000".into())),
            ("Local/101@from-queue-00000000;2", Side::Link("Local/101@from-queue-00000000".into())),
            ("CBAnn/800-00000004;2", Side::Link("CBAnn/800-00000004;2".into())),
        ] {
            assert_eq!(map().side(name), side, "{name}");
        }
    }

    #[test]
    fn the_number_on_the_wire_is_found_in_every_dial_string() {
        for (dialstring, number) in [
            ("+4930231250555@trunk", Some("+4930231250555")),
            ("PJSIP/+4930231250555@trunk", Some("+4930231250555")),
            ("trunk/sip:+4930231250555@carrier.example", Some("+4930231250555")),
            ("SIP/trunk/004930231250555", Some("004930231250555")),
            ("trunk", None),
            ("", None),
        ] {
            assert_eq!(number_in(dialstring).as_deref(), number, "{dialstring}");
        }
    }

    #[test]
    fn causes_are_read_from_sip_first() {
        for (cause, status, read) in [
            (17, Some(486), Cause::Busy),
            (17, None, Cause::Busy),
            (21, Some(603), Cause::NoAnswer),
            (19, Some(480), Cause::NoAnswer),
            (1, Some(404), Cause::Failed),
            (34, Some(503), Cause::Failed),
            (34, None, Cause::Failed),
            (16, None, Cause::Normal),
        ] {
            assert_eq!(read_cause(cause, status), read, "{cause} {status:?}");
        }
    }

    #[test]
    fn what_runs_in_extension_h_says_nothing_of_the_call() {
        let frame = |exten: &str| -> Frame {
            let text = format!(
                r#"{{"type":"ChannelDialplan","dialplan_app":"Set","channel":{{"id":"1.1","name":"PJSIP/trunk-00000001","dialplan":{{"exten":"{exten}"}}}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(map().frame(frame("h")).events, []);
        assert_eq!(map().frame(frame("200")).events.len(), 1);
    }

    #[test]
    fn the_presentation_is_asked_for_once_and_not_before_it_is_true() {
        let frame = |kind: &str| -> Frame {
            let text = format!(
                r#"{{"type":"{kind}","timestamp":"2026-11-21T17:42:47.891+0000","channel":{{"id":"1.1","name":"PJSIP/trunk-00000001","state":"Ring"}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let mut map = map();
        assert_eq!(map.frame(frame("ChannelCreated")).ask_presentation, None);
        assert_eq!(map.frame(frame("ChannelVarset")).ask_presentation.as_deref(), Some("1.1"));
        assert_eq!(map.frame(frame("ChannelVarset")).ask_presentation, None);
        let told = map.presentation("1.1", Some("prohib_not_screened"));
        let withheld = What::Presentation { leg: LegId("1.1".into()), presentation: Presentation::Withheld };
        assert_eq!(told.first().map(|event| &event.what), Some(&withheld));
        assert!(map.presentation("1.1", Some("allowed")).is_empty());
    }
}
