//! Scripted calls against recorded ones: the same frames in the same order, channel by channel.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::*;

/// The shape of one recorded call: `role,role | what the frame says`.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/fixtures/asterisk-ari/shapes/", $name, ".txt"))
    };
}

#[test]
fn an_answered_call_has_the_shape_of_a_recorded_one() {
    let script =
        inbound("+4930231250444", "101").ring(&["101"]).after(3_000).answer("101").talk(6_000).hangup_by_caller();
    assert_same_shape(&script, recorded!("01-inbound-answered"));
}

#[test]
fn a_call_that_is_given_up_has_the_shape_of_a_recorded_one() {
    let script = inbound("+442079460958", "101").ring(&["101"]).after(5_000).hangup_by_caller();
    assert_same_shape(&script, recorded!("02-inbound-missed-caller-cancels"));
}

#[test]
fn a_ring_group_has_the_shape_of_a_recorded_one() {
    let script = inbound("+4940669690123", "100").ring(&["101", "102", "103"]).after(3_000).answer("102");
    assert_same_shape(&script.talk(5_000).hangup_by_callee(), recorded!("04-ring-group-102-answers"));
}

#[test]
fn a_queue_has_the_shape_of_a_recorded_one() {
    let script = inbound("+4930231251998", "200").queue("support").ring(&["101"]).after(6_000).no_answer().after(1_000);
    let script = script.ring(&["102"]).after(2_000).answer("102").talk(6_000).hangup_by_caller();
    assert_same_shape(&script, recorded!("05-queue-second-agent-answers"));
}

#[test]
fn a_blind_transfer_has_the_shape_of_a_recorded_one() {
    let script = inbound("+4930231250045", "101").ring(&["101"]).after(2_000).answer("101").talk(4_000);
    let script = script.blind_transfer("102").after(2_000).answer("102").talk(5_000).hangup_by_caller();
    assert_same_shape(&script, recorded!("06-blind-transfer"));
}

#[test]
fn an_attended_transfer_has_the_shape_of_a_recorded_one() {
    let script = inbound("+4930231250046", "101").ring(&["101"]).after(2_000).answer("101").talk(4_000).consult("103");
    let script = script.after(2_000).answer("103").talk(4_000).complete_transfer().talk(5_000).hangup_by_callee();
    assert_same_shape(&script, recorded!("07-attended-transfer"));
}

#[test]
fn an_outbound_call_has_the_shape_of_a_recorded_one() {
    let script = Script::outbound("101", "030231250777").after(400).ring_outside().after(3_000).answer_outside();
    assert_same_shape(&script.talk(6_000).hangup_by_caller(), recorded!("08-outbound-answered"));
}

#[test]
fn unanswered_outbound_calls_have_the_shape_of_recorded_ones() {
    let script = Script::outbound("101", "+442079460123").ring_outside().after(5_000).hangup_by_caller();
    assert_same_shape(&script, recorded!("09-outbound-unanswered-1"));
    let script = Script::outbound("101", "+4930231250778").after(500).refuse(Refusal::Busy);
    assert_same_shape(&script, recorded!("09-outbound-unanswered-2"));
    let script = Script::outbound("101", "+4930000000001").after(500).refuse(Refusal::WrongNumber);
    assert_same_shape(&script, recorded!("09-outbound-unanswered-3"));
}

#[test]
fn an_internal_call_has_the_shape_of_a_recorded_one() {
    let script =
        Script::internal("101", "102").ring(&["102"]).after(2_000).answer("102").talk(5_000).hangup_by_caller();
    assert_same_shape(&script, recorded!("10-internal"));
}

#[test]
fn holds_have_the_shape_of_recorded_ones() {
    let script = inbound("+4930231250088", "101").ring(&["101"]).after(2_000).answer("101").talk(3_000).hold(4_000);
    assert_same_shape(&script.talk(3_000).hold(4_000).talk(3_000).hangup_by_callee(), recorded!("11-hold-unhold"));
}

#[test]
fn an_abandoned_queue_has_the_shape_of_a_recorded_one() {
    let script = inbound("+4930231250081", "200").queue("support").ring(&["101"]).after(6_000).no_answer().after(1_000);
    assert_same_shape(&script.ring(&["102"]).after(2_000).hangup_by_caller(), recorded!("15-queue-abandoned"));
}

#[test]
fn a_call_that_nobody_answers_has_the_shape_of_a_recorded_one() {
    let script = inbound("+498999998199", "102").ring(&["102"]).after(20_000).no_answer();
    assert_same_shape(&script, recorded!("17-inbound-missed-pbx-timeout"));
}

#[test]
fn a_private_number_is_told_by_a_variable_only() {
    let script = Script::inbound_private(&Caller::new("+4930231250199", ""), "+493023125101").ring(&["101"]);
    let reel = script.hangup_by_caller().reel(noon(), &Ids::new(1)).unwrap();
    let [first, ..] = reel.variables.as_slice() else { panic!("no variable") };
    assert_eq!((first.name.as_str(), first.value.as_str()), ("CALLERID(pres)", "prohib_not_screened"));
    assert!(reel.cues[0].frame.contains(&format!("\"id\":\"{}\"", first.channel)));
}

#[test]
fn time_stamps_follow_the_given_clock() {
    let script = inbound("+4930231250444", "101").ring(&["101"]).after(3_000).hangup_by_caller();
    let reel = script.reel(noon(), &Ids::new(1)).unwrap();
    assert!(reel.cues[0].frame.contains("\"timestamp\":\"2026-11-21T12:00:00.000+0000\""));
    assert!(reel.cues.last().unwrap().frame.contains("\"timestamp\":\"2026-11-21T12:00:03."));
    assert!(reel.cues.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn no_two_performances_share_a_channel() {
    let script = inbound("+4930231250444", "101").ring(&["101"]).hangup_by_caller();
    let ids = Ids::new(1);
    let channels = |reel: &Reel| shape(reel.cues.iter().map(|cue| cue.frame.as_str())).1;
    let (one, other) = (script.reel(noon(), &ids).unwrap(), script.reel(noon(), &ids).unwrap());
    assert!(channels(&one).is_disjoint(&channels(&other)));
}

#[test]
fn a_script_that_makes_no_sense_is_refused() {
    let start = || inbound("+4930231250444", "101").ring(&["101"]);
    let error = |script: Script| script.reel(noon(), &Ids::new(1)).unwrap_err();
    assert_eq!(error(start().answer("102")), ScriptError::DoesNotRing("102".into()));
    assert_eq!(error(start().blind_transfer("102")), ScriptError::NobodyTalks("a transfer"));
    assert_eq!(error(start().complete_transfer()), ScriptError::NoConsultation);
    assert_eq!(error(start().hangup_by_caller().answer("101")), ScriptError::Over);
}

fn inbound(number: &str, extension: &str) -> Script {
    Script::inbound(&Caller::new(number, ""), &format!("+493023125{extension}"))
}

fn noon() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn assert_same_shape(script: &Script, recorded: &str) {
    let reel = script.reel(noon(), &Ids::new(1)).unwrap();
    let (ours, _) = shape(reel.cues.iter().map(|cue| cue.frame.as_str()));
    let (ours, recorded) = (by_role(&ours), by_role(recorded));
    assert_eq!(ours.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    for (role, tokens) in &ours {
        assert_eq!(tokens.join("\n"), recorded[role].join("\n"), "{role}");
    }
}

/// What each channel goes through. Across channels the order of a real PBX is a matter of milliseconds;
/// so is the place of `BRIDGEPEER` beside a hold, of which there are recordings both ways.
fn by_role(shape: &str) -> BTreeMap<String, Vec<String>> {
    let mut roles = BTreeMap::<_, Vec<_>>::new();
    for line in shape.lines().filter(|line| !line.contains("BRIDGEP")) {
        let (names, token) = line.split_once(" | ").unwrap();
        for name in names.split(',') {
            roles.entry(name.to_owned()).or_default().push(token.to_owned());
        }
    }
    roles
}

/// The shape of frames as the fixtures have it, and the ids of all channels.
fn shape<'a>(frames: impl Iterator<Item = &'a str>) -> (String, BTreeSet<String>) {
    let mut roles = Roles::default();
    let mut lines = Vec::new();
    for frame in frames {
        let frame: Value = serde_json::from_str(frame).unwrap();
        if frame["type"] != "DeviceStateChanged" {
            let token = token(&frame, &mut roles);
            lines.push(format!("{} | {token}", names(&frame, &mut roles).join(",")));
        }
    }
    (lines.join("\n"), roles.names.into_keys().collect())
}

#[derive(Default)]
struct Roles {
    names: BTreeMap<String, String>,
    channels: BTreeMap<String, u32>,
}

impl Roles {
    /// `101` for the first channel of that endpoint, `101#2` for the second.
    fn of(&mut self, channel: &Value) -> String {
        let id = text(&channel["id"]);
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        let endpoint = text(&channel["name"]).trim_start_matches("PJSIP/").rsplit_once('-').unwrap().0.to_owned();
        let nth = self.channels.entry(endpoint.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        let name = if *nth == 1 { endpoint } else { format!("{endpoint}#{nth}") };
        self.names.insert(id, name.clone());
        name
    }
}

fn names(frame: &Value, roles: &mut Roles) -> Vec<String> {
    let parts: &[&str] = match frame["type"].as_str().unwrap() {
        "Dial" => &["caller", "peer"],
        "BridgeAttendedTransfer" => &["transferer_first_leg", "transferer_second_leg", "transferee", "transfer_target"],
        "BridgeBlindTransfer" => &["channel", "transferee"],
        "BridgeCreated" | "BridgeDestroyed" => return vec!["bridge".into()],
        _ => &["channel"],
    };
    parts.iter().map(|part| roles.of(&frame[*part])).collect()
}

fn token(frame: &Value, roles: &mut Roles) -> String {
    let kind = text(&frame["type"]);
    let channel = &frame["channel"];
    let plan = &channel["dialplan"];
    let detail = match kind.as_str() {
        "Dial" => {
            let (caller, peer) = (roles.of(&frame["caller"]), roles.of(&frame["peer"]));
            return format!("Dial {} {} {caller}>{peer}", text(&frame["dialstatus"]), text(&frame["dialstring"]));
        }
        "BridgeAttendedTransfer" => {
            return format!("{kind} {} {}", names(frame, roles).join(" "), text(&frame["destination_type"]));
        }
        "BridgeCreated" | "BridgeDestroyed" => return kind,
        "ChannelCreated" => format!(" {} {} {}", text(&channel["state"]), text(&plan["context"]), text(&plan["exten"])),
        "ChannelStateChange" => format!(" {}", text(&channel["state"])),
        "ChannelDialplan" => {
            let app = format!("{} {}", text(&frame["dialplan_app"]), text(&frame["dialplan_app_data"]));
            format!(" {app} {} {} {}", text(&plan["context"]), text(&plan["exten"]), plan["priority"])
        }
        "ChannelVarset" => format!(" {}", text(&frame["variable"])),
        "ChannelHangupRequest" | "ChannelDestroyed" => {
            let soft = if frame["soft"] == true { " soft" } else { "" };
            format!(" {} {}{soft}", text(&frame["cause"]), text(&frame["tech_cause"]))
        }
        "ChannelEnteredBridge" | "ChannelLeftBridge" => {
            format!(" {}", frame["bridge"]["channels"].as_array().unwrap().len())
        }
        "BridgeBlindTransfer" => format!(" {} {}", text(&frame["exten"]), roles.of(&frame["transferee"])),
        "ChannelConnectedLine" => {
            format!(" {} {}", text(&channel["caller"]["number"]), text(&channel["connected"]["number"]))
        }
        _ => String::new(),
    };
    format!("{kind} {}{detail}", roles.of(channel))
}

/// `-` for what is absent or empty.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => "-".into(),
    }
}
