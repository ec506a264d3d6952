//! The recorded calls through the mapper and the tracker alone: what comes out is what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctibridge::calls::Site;
use ctibridge::calls::feed::{FeedMessage, Snapshot};
use ctibridge::calls::record::{CallRecord, Direction, Extension};
use ctibridge::calls::step::Step;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::asterisk::map::Map;
use ctibridge::feeds::asterisk::wire::{Bridge, Channel, Frame};
use ctibridge::phone::NumberPlan;
use serde_json::Value;

struct Played {
    records: Vec<CallRecord>,
    /// Extensions that got a pop of a call, by call key, and whether it named the party.
    pops: BTreeMap<String, Vec<(String, Option<String>)>>,
    open: usize,
}

fn plan() -> NumberPlan {
    NumberPlan::new("DE", "9", "2-6").unwrap()
}

fn load(path: &Path) -> Option<Value> {
    std::fs::read_to_string(path).ok().map(|text| serde_json::from_str(&text).unwrap())
}

fn play(path: &Path) -> Played {
    let site = Site { bridge: "hq".into(), plan: plan() };
    let mut now = Instant::now();
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], Vec::new(), now);
    let trunks = ["PJSIP/trunk".to_owned(), "PJSIP/trunk-berlin".to_owned()];
    let devices = BTreeMap::from([("PJSIP/101-web".to_owned(), Extension("101".into()))]);
    let vars = load(&path.with_extension("vars.json")).unwrap_or_default();
    let rest = load(&path.with_extension("rest.json"));
    let connections = rest.as_ref().map(|rest| rest["connections"].as_array().unwrap().clone()).unwrap_or_default();
    let mut map = Map::new(&trunks, &devices);
    let mut steps = Vec::new();
    let text = std::fs::read_to_string(path).unwrap();
    for (index, line) in text.lines().enumerate() {
        let begins = connections.iter().find(|connection| connection["from_line"].as_u64() == Some(index as u64 + 1));
        if begins.is_some() || index == 0 {
            if index > 0 {
                steps.extend(tracker.handle("pbx1", FeedMessage::Lost("cut".into()), now));
            }
            let list = |name: &str| begins.map(|it| it[name].clone()).unwrap_or(Value::Array(Vec::new()));
            let channels: Vec<Channel> = serde_json::from_value(list("channels")).unwrap();
            let bridges: Vec<Bridge> = serde_json::from_value(list("bridges")).unwrap();
            let known = map.snapshot(&channels, &bridges);
            steps.extend(tracker.handle("pbx1", FeedMessage::Up(Snapshot::Known(known)), now));
            for channel in map.unasked() {
                for event in map.presentation(&channel, None) {
                    steps.extend(tracker.handle("pbx1", FeedMessage::Call(event), now));
                }
            }
        }
        now += Duration::from_micros(100);
        let frame: Frame = serde_json::from_str(line).unwrap();
        let mapped = map.frame(frame);
        let mut events = mapped.events;
        if let Some(channel) = mapped.ask_presentation {
            events.extend(map.presentation(&channel, vars[&channel]["CALLERID(pres)"].as_str()));
        }
        for event in events {
            steps.extend(tracker.handle("pbx1", FeedMessage::Call(event), now));
        }
    }
    now += Duration::from_secs(20);
    steps.extend(tracker.handle_timeout(now));
    let mut played = Played { records: Vec::new(), pops: BTreeMap::new(), open: tracker.open_calls().len() };
    for step in steps {
        match step {
            Step::Ended(record) => played.records.push(record),
            Step::Pop { call, extension, .. } => {
                let number = call.party.number.e164().map(str::to_owned);
                played.pops.entry(call.key.to_string()).or_default().push((extension.0, number));
            }
            Step::Keep(_) | Step::Update { .. } | Step::Withdraw { .. } | Step::Forget { .. } => {}
        }
    }
    played
}

fn owner(record: &CallRecord) -> Option<String> {
    let talked = record.call.agents.iter().filter(|part| part.talk_ms > 0);
    if let Some(best) = talked.max_by_key(|part| (part.talk_ms, part.last_talk)) {
        return Some(best.extension.0.clone());
    }
    if let Some(dialed) = record.call.agents.iter().find(|part| part.dialed) {
        return Some(dialed.extension.0.clone());
    }
    let rung: Vec<_> = record.call.agents.iter().filter(|part| part.rang).collect();
    (rung.len() == 1).then(|| rung[0].extension.0.clone())
}

fn expected_disposition(outcome: &str, direction: &str) -> &'static str {
    match (outcome, direction) {
        ("answered", _) => "Answered",
        ("missed" | "rejected" | "announcement only", _) | ("busy", "inbound") => "Missed",
        ("abandoned", _) => "Abandoned",
        ("voicemail", _) => "Voicemail",
        ("busy", _) => "Busy",
        ("no answer", _) => "No answer",
        ("wrong number", _) => "Failed",
        other => panic!("outcome {other:?}"),
    }
}

fn seconds(text: &Value) -> f64 {
    text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond() as f64 / 1000.0
}

fn expected_owner(row: &Value) -> Option<String> {
    let spoke = row["spoke"].as_array().cloned().unwrap_or_default();
    let mut talk: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for part in &spoke {
        let entry = talk.entry(part["agent"].as_str().unwrap().to_owned()).or_default();
        entry.0 += seconds(&part["to"]) - seconds(&part["from"]);
        entry.1 = entry.1.max(seconds(&part["to"]));
    }
    if let Some((agent, _)) = talk.iter().max_by(|a, b| a.1.partial_cmp(b.1).unwrap()) {
        return Some(agent.clone());
    }
    let named = |value: &Value| value.as_str().filter(|text| text.len() == 3).map(str::to_owned);
    if !spoke.is_empty() || row["transfer"].is_object() {
        return None;
    }
    named(&row["agent"]).or_else(|| named(&row["answered_by"])).or_else(|| {
        let rung = row["phones_rung"].as_array().unwrap();
        (rung.len() == 1).then(|| rung[0].as_str().unwrap().to_owned())
    })
}

/// All that is wrong about one recording, in words.
fn faults(path: &Path) -> Vec<String> {
    let truth = load(&path.with_extension("truth.json")).unwrap();
    let played = play(path);
    let mut faults = Vec::new();
    if played.open > 0 {
        faults.push(format!("{} calls never ended", played.open));
    }
    let mut left: Vec<&CallRecord> =
        played.records.iter().filter(|record| record.call.direction != Direction::Internal).collect();
    let mut pops = played.pops.clone();
    for (number, row) in truth.as_array().unwrap().iter().enumerate() {
        if row["log_to_crm"] != true {
            continue;
        }
        let direction = row["direction"].as_str().unwrap();
        let presented = row["external_number_presented"].as_str().unwrap_or("anonymous");
        let want = plan().read(presented).e164().map(str::to_owned);
        let start = seconds(&row["start"]);
        let fits = |record: &&CallRecord| {
            record.call.direction.as_str() == direction
                && record.call.party.number.e164() == want.as_deref()
                && (record.call.started.as_millisecond() as f64 / 1000.0 - start).abs() < 0.4
        };
        let Some(index) = left.iter().position(|record| fits(&record)) else {
            faults.push(format!("row {}: no call for {direction} {want:?} at {}", number + 1, row["start"]));
            continue;
        };
        let record = left.swap_remove(index);
        let mut fault = |what: String| faults.push(format!("row {}: {what}", number + 1));
        let disposition = record.disposition.as_str();
        let accepted: Vec<&str> = row["accept_dispositions"]
            .as_array()
            .map(|list| list.iter().map(|it| it.as_str().unwrap()).collect())
            .unwrap_or_else(|| vec![expected_disposition(row["outcome"].as_str().unwrap(), direction)]);
        if !accepted.contains(&disposition) {
            fault(format!("disposition {disposition}, expected {accepted:?}"));
        }
        let want_talk = if row["outcome"] == "answered" { row["talk_s"].as_f64().unwrap() } else { 0.0 };
        let slack = if row["end_estimated"] == true { 2.5 } else { 1.0 };
        if (record.duration_seconds() as f64 - want_talk).abs() > slack {
            fault(format!("talk {} s, expected {want_talk}", record.duration_seconds()));
        }
        if row["end_estimated"] == true && record.end_estimated.is_none() {
            fault("its end is not marked as estimated".into());
        }
        if let Some(want) = expected_owner(row)
            && owner(record).as_ref() != Some(&want)
        {
            fault(format!("owner {:?}, expected {want}", owner(record)));
        }
        if let Some(queue) = row["queue"].as_str()
            && record.call.queue.as_deref() != Some(queue)
        {
            fault(format!("queue {:?}, expected {queue}", record.call.queue));
        }
        if let Some(dialed) = row["dialed"].as_str()
            && record.call.dialed != dialed
        {
            fault(format!("dialled {:?}, expected {dialed}", record.call.dialed));
        }
        let popped = pops.remove(record.call.key.as_str()).unwrap_or_default();
        if direction == "inbound" {
            let rung: Vec<&str> =
                row["phones_rung"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
            let who: Vec<&str> = popped.iter().map(|(extension, _)| extension.as_str()).collect();
            if who.len() != rung.len() || who.iter().collect::<BTreeSet<_>>() != rung.iter().collect::<BTreeSet<_>>() {
                fault(format!("pops for {who:?}, expected {rung:?}"));
            }
            if popped.iter().any(|(_, number)| *number != want) {
                fault("a pop names another number".into());
            }
        }
    }
    for record in left {
        faults.push(format!(
            "a call too many: {} {} {:?} started {}",
            record.call.direction.as_str(),
            record.call.key,
            record.disposition,
            record.call.started
        ));
    }
    faults
}

fn recordings(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    paths
}

fn check(folder: &str, expected: usize) {
    let paths = recordings(folder);
    assert_eq!(paths.len(), expected);
    let mut wrong = String::new();
    for path in paths {
        for fault in faults(&path) {
            wrong += &format!("{}: {fault}\n", path.file_stem().unwrap().to_string_lossy());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_recorded_call_is_understood() {
    check("asterisk-ari", 56);
}

#[test]
fn every_call_recorded_with_linkedid_is_understood() {
    check("asterisk-ari-linkedid", 10);
}

#[test]
fn a_withheld_number_is_in_no_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/asterisk-ari/12-caller-id-withheld.jsonl");
    let played = play(&path);
    assert_eq!(played.records.len(), 4);
    let told = serde_json::to_string(&played.records.iter().map(|record| &record.call).collect::<Vec<_>>()).unwrap();
    let frames = std::fs::read_to_string(&path).unwrap();
    let leaked = "+4930231250199";
    assert!(frames.contains(leaked) && !told.contains(leaked));
    assert!(played.pops.values().flatten().all(|(_, number)| number.is_none()));
}
