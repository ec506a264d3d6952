//! Where frames are written: the clock of one performance, and each kind of frame in Asterisk's words.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::clock::as_text;
use super::ids::Ids;
use super::leg::{Leg, State};
use super::{Cue, Reel, Variable};

/// The call quality that Asterisk notes at the end of each side's media, one variable a figure.
const QUALITY: [(&str, &str); 5] = [
    (
        "RTPAUDIOQOS",
        "ssrc=1;themssrc=2;lp=0;rxjitter=0.000000;rxcount=250;txjitter=0.001000;txcount=250;rlp=0;rtt=0.000000",
    ),
    (
        "RTPAUDIOQOSJITTER",
        "minrxjitter=000.000000;maxrxjitter=000.001000;avgrxjitter=000.000500;stdevrxjitter=000.000100;",
    ),
    ("RTPAUDIOQOSLOSS", "minrxlost=000.000000;maxrxlost=000.000000;avgrxlost=000.000000;stdevrxlost=000.000000;"),
    ("RTPAUDIOQOSRTT", "minrtt=000.000000;maxrtt=000.000000;avgrtt=000.000000;stdevrtt=000.000000;"),
    ("RTPAUDIOQOSMES", "minrxmes=088.000000;maxrxmes=088.000000;avgrxmes=088.000000;stdevrxmes=000.000000;"),
];

pub(super) struct Stage<'a> {
    pub(super) ids: &'a Ids,
    start: Timestamp,
    at: Duration,
    reel: Reel,
}

impl<'a> Stage<'a> {
    pub(super) fn new(start: Timestamp, ids: &'a Ids) -> Self {
        Self { ids, start, at: Duration::ZERO, reel: Reel::default() }
    }

    pub(super) fn into_reel(self) -> Reel {
        self.reel
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.at += time;
    }

    /// The moment between two steps of the PBX.
    pub(super) fn tick(&mut self) {
        self.wait(Duration::from_millis(1));
    }

    /// Time since the start.
    pub(super) fn at(&self) -> Duration {
        self.at
    }

    /// A start so late that the sum is beyond what a time stamp can say stays where it is.
    pub(super) fn now(&self) -> Timestamp {
        let at = SignedDuration::try_from(self.at).unwrap_or_default();
        self.start.checked_add(at).unwrap_or(self.start)
    }

    pub(super) fn now_as_text(&self) -> String {
        as_text(self.now())
    }

    pub(super) fn set_variable(&mut self, leg: &Leg, name: &str, value: &str) {
        self.reel.variables.push(Variable { channel: leg.id.clone(), name: name.into(), value: value.into() });
    }

    /// A frame with these fields besides those that every frame has.
    pub(super) fn frame(&mut self, kind: &str, mut fields: Value) {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("type".into(), kind.into());
            fields.insert("timestamp".into(), self.now_as_text().into());
            fields.insert("asterisk_id".into(), "52:54:00:00:00:01".into());
            fields.insert("application".into(), "ctibridge".into());
        }
        self.reel.cues.push(Cue { at: self.at, frame: fields.to_string() });
    }

    /// A frame that has nothing but a channel.
    pub(super) fn about(&mut self, kind: &str, leg: &Leg) {
        self.frame(kind, json!({ "channel": leg }));
    }

    pub(super) fn state(&mut self, leg: &mut Leg, state: State) {
        leg.state = state;
        self.about("ChannelStateChange", leg);
    }

    pub(super) fn set(&mut self, leg: &Leg, variable: &str, value: &str) {
        self.frame("ChannelVarset", json!({ "channel": leg, "variable": variable, "value": value }));
    }

    pub(super) fn clear(&mut self, leg: &Leg, variables: &[&str]) {
        for variable in variables {
            self.set(leg, variable, "");
        }
    }

    /// The channel begins an app of the dial plan.
    pub(super) fn run(&mut self, leg: &mut Leg, app: &str, data: &str) {
        leg.dialplan.app_name = app.into();
        leg.dialplan.app_data = data.into();
        self.shows_app(leg);
    }

    pub(super) fn shows_app(&mut self, leg: &Leg) {
        let (app, data) = (&leg.dialplan.app_name, &leg.dialplan.app_data);
        self.frame("ChannelDialplan", json!({ "channel": leg, "dialplan_app": app, "dialplan_app_data": data }));
    }

    pub(super) fn dial(&mut self, status: &str, dialstring: &str, caller: &Leg, peer: &Leg) {
        let frame =
            json!({ "dialstatus": status, "dialstring": dialstring, "forward": "", "caller": caller, "peer": peer });
        self.frame("Dial", frame);
    }

    pub(super) fn device(&mut self, device: &str, state: &str) {
        self.frame("DeviceStateChanged", json!({ "device_state": { "name": device, "state": state } }));
    }

    /// Somebody hangs up; `None` where Asterisk gives no cause.
    pub(super) fn hangs_up(&mut self, leg: &Leg, cause: Option<u32>, sip: Option<u32>) {
        self.frame("ChannelHangupRequest", with_causes(json!({ "channel": leg }), cause, sip));
    }

    /// The PBX itself takes the channel down.
    pub(super) fn takes_down(&mut self, leg: &Leg, sip: Option<u32>) {
        self.takes_down_for(leg, 16, sip);
    }

    pub(super) fn takes_down_for(&mut self, leg: &Leg, cause: u32, sip: Option<u32>) {
        self.frame("ChannelHangupRequest", with_causes(json!({ "channel": leg, "soft": true }), Some(cause), sip));
    }

    pub(super) fn destroyed(&mut self, leg: &Leg, cause: u32, sip: Option<u32>) {
        let fields = json!({ "channel": leg, "cause_txt": cause_text(cause) });
        self.frame("ChannelDestroyed", with_causes(fields, Some(cause), sip));
        self.device(leg.device(), "NOT_INUSE");
    }

    /// A channel that ran the dial plan ends with no app.
    pub(super) fn dialplan_ends(&mut self, leg: &mut Leg, cause: u32, sip: Option<u32>) {
        leg.dialplan.app_name.clear();
        leg.dialplan.app_data.clear();
        self.destroyed(leg, cause, sip);
    }

    /// How the media of a side was, told at its end; its partner in the bridge is told too.
    pub(super) fn quality(&mut self, leg: &Leg, bridged: Option<&Leg>) {
        for (variable, value) in QUALITY {
            self.set(leg, variable, value);
            if let Some(bridged) = bridged {
                self.set(bridged, &format!("{variable}BRIDGED"), value);
            }
        }
    }
}

fn with_causes(mut fields: Value, cause: Option<u32>, sip: Option<u32>) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(cause.map(|cause| ("cause".to_owned(), cause.into())));
        fields.extend(sip.map(|sip| ("tech_cause".to_owned(), sip.into())));
    }
    fields
}

fn cause_text(cause: u32) -> &'static str {
    match cause {
        1 => "Unallocated (unassigned) number",
        16 => "Normal Clearing",
        17 => "User busy",
        19 => "User alerting, no answer",
        21 => "Call Rejected",
        26 => "Answered elsewhere",
        127 => "Interworking, unspecified",
        _ => "Unknown",
    }
}
