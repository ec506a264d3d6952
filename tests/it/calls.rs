//! The recorded calls through the mapper and the tracker alone: what comes out is what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ctibridge::calls::Site;
use ctibridge::calls::event::{
    Application, BridgeId, BridgeKind, CallEvent, Cause, DialState, Leg, LegId, Origin, Presentation, Side, What,
};
use ctibridge::calls::feed::{FeedMessage, Known, Scope, Snapshot};
use ctibridge::calls::record::{CallRecord, Direction, Extension};
use ctibridge::calls::step::Step;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::asterisk::map::Map;
use ctibridge::feeds::asterisk::wire::{Bridge, Channel, Frame};
use serde_json::Value;

use crate::support::truth::{self, Row};

struct Played {
    records: Vec<CallRecord>,
    /// Extensions that got a pop of a call, by call key, and whether it named the party.
    pops: BTreeMap<String, Vec<(String, Option<String>)>>,
    open: usize,
}

fn play(path: &Path) -> Played {
    let site = Site { bridge: "hq".into(), plan: truth::plan() };
    let mut now = Instant::now();
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], Vec::new(), now);
    let trunks = ["PJSIP/trunk".to_owned(), "PJSIP/trunk-berlin".to_owned()];
    let devices = BTreeMap::from([("PJSIP/101-web".to_owned(), Extension("101".into()))]);
    let vars = truth::load(&path.with_extension("vars.json")).unwrap_or_default();
    let rest = truth::load(&path.with_extension("rest.json"));
    let connections = rest.as_ref().map(|rest| rest["connections"].as_array().unwrap().clone()).unwrap_or_default();
    let mut map = Map::new(&trunks, &devices);
    let mut steps = Vec::new();
    let text = std::fs::read_to_string(path).unwrap();
    for (index, line) in text.lines().enumerate() {
        let begins = connections.iter().find(|connection| connection["from_line"].as_u64() == Some(index as u64 + 1));
        if begins.is_some() || index == 0 {
            if index > 0 {
                steps.extend(tracker.handle(
                    "pbx1",
                    FeedMessage::Lost { scope: Scope::Feed, reason: "cut".into() },
                    now,
                ));
            }
            let list = |name: &str| begins.map_or(Value::Array(Vec::new()), |it| it[name].clone());
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

/// All that is wrong about one recording, in words.
fn faults(path: &Path) -> Vec<String> {
    let played = play(path);
    let mut faults = Vec::new();
    if played.open > 0 {
        faults.push(format!("{} calls never ended", played.open));
    }
    let mut left: Vec<&CallRecord> =
        played.records.iter().filter(|record| record.call.direction != Direction::Internal).collect();
    for row in truth::rows(path).iter().filter(|row| row.logged) {
        let fits = |record: &&CallRecord| {
            record.call.direction.as_str() == row.direction
                && record.call.party.number.e164() == row.party.as_deref()
                && (truth::stamp(record.call.started) - row.start).abs() < 0.4
        };
        match left.iter().position(fits) {
            Some(index) => {
                let record = left.swap_remove(index);
                let pops = played.pops.get(record.call.key.as_str()).cloned().unwrap_or_default();
                let found = row_faults(row, record, &pops);
                faults.extend(found.into_iter().map(|fault| format!("row {}: {fault}", row.number)));
            }
            None => faults.push(format!("row {}: no call for {} {:?}", row.number, row.direction, row.party)),
        }
    }
    for record in left {
        let call = &record.call;
        faults.push(format!("a call too many: {} {} {:?}", call.direction.as_str(), call.key, record.disposition));
    }
    faults
}

fn row_faults(row: &Row, record: &CallRecord, pops: &[(String, Option<String>)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let disposition = record.disposition.as_str();
    must(row.dispositions.iter().any(|it| it == disposition), format!("{disposition}, not {:?}", row.dispositions));
    let talk = f64::from(i32::try_from(record.duration_seconds()).unwrap());
    let slack = if row.end_estimated { 2.5 } else { 1.0 };
    must((talk - row.talk).abs() <= slack, format!("talk {talk} s, not {}", row.talk));
    must(record.end_estimated.is_some() == row.end_estimated, "its end is estimated, or not, wrongly".into());
    must(row.owner.is_none() || row.owner == owner(record), format!("owner {:?}, not {:?}", owner(record), row.owner));
    must(row.queue.is_none() || record.call.queue == row.queue, format!("queue {:?}", record.call.queue));
    must(row.dialed.as_ref().is_none_or(|it| *it == record.call.dialed), format!("dialled {}", record.call.dialed));
    if row.direction == "inbound" {
        let who: BTreeSet<&str> = pops.iter().map(|(extension, _)| extension.as_str()).collect();
        let rung: BTreeSet<&str> = row.rung.iter().map(String::as_str).collect();
        must(who == rung && pops.len() == row.rung.len(), format!("pops for {who:?}, not {rung:?}"));
        must(pops.iter().all(|(_, number)| *number == row.party), "a pop names another number".into());
    }
    faults
}

fn check(folder: &str, expected: usize) {
    let paths = truth::recordings(folder);
    assert_eq!(paths.len(), expected);
    let mut wrong = String::new();
    for path in paths {
        for fault in faults(&path) {
            writeln!(wrong, "{}: {fault}", path.file_stem().unwrap().to_string_lossy()).unwrap();
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

/// Events as no PBX would send them: any leg, in any order, twice, or about legs that never were.
fn nonsense(random: &mut fastrand::Rng, nth: u32, at: jiff::Timestamp) -> CallEvent {
    // Only a leg that appears has a new id: a PBX never uses one again.
    let leg = |random: &mut fastrand::Rng| LegId(format!("100.{}", nth.saturating_sub(random.u32(..12))));
    let bridge = |random: &mut fastrand::Rng| BridgeId(format!("b{}", random.u8(..4)));
    let id = leg(random);
    let what = match random.u8(..13) {
        0 | 1 => {
            let id = LegId(format!("100.{nth}"));
            let sides = [
                Side::Outside,
                Side::Phone(Extension("101".into())),
                Side::Phone(Extension("102".into())),
                Side::Link("l".into()),
            ];
            What::Appeared(Leg {
                id,
                side: sides[random.usize(..sides.len())].clone(),
                origin: if random.bool() { Origin::CallsIn } else { Origin::IsCalled },
                number: "+4930231250444".into(),
                name: String::new(),
                dialed: ["", "101", "+493023125101"][random.usize(..3)].into(),
                presentation: if random.u8(..4) == 0 { Presentation::Awaited } else { Presentation::Allowed },
            })
        }
        2 | 3 => What::Dial {
            from: random.bool().then(|| leg(random)),
            to: id,
            state: [DialState::Started, DialState::Ringing, DialState::Answered, DialState::Over][random.usize(..4)],
            number: random.bool().then(|| "+4930231250555".to_owned()),
        },
        4 => What::Ringing(id),
        5 => What::Runs { leg: id, application: Application::Queue("support".into()), dialed: "200".into() },
        6 | 7 => What::Joined {
            leg: id,
            bridge: bridge(random),
            kind: if random.u8(..5) == 0 { BridgeKind::Holding } else { BridgeKind::Mixing },
        },
        8 => What::Left { leg: id, bridge: bridge(random) },
        9 => {
            if random.bool() {
                What::Held(id)
            } else {
                What::Resumed(id)
            }
        }
        10 => What::AttendedTransfer { first: id, second: leg(random), target: random.bool().then(|| leg(random)) },
        11 => What::HangupAsked { leg: id, cancelled: random.bool() },
        _ => What::Gone { leg: id, cause: Cause::Normal },
    };
    CallEvent { at, what }
}

#[test]
fn whatever_a_pbx_says_each_call_ends_once_and_none_stays() {
    let site = Site { bridge: "hq".into(), plan: truth::plan() };
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut now, mut at) = (Instant::now(), "2026-11-21T17:00:00Z".parse::<jiff::Timestamp>().unwrap());
        let (mut tracker, _) = Tracker::new(&site, &["pbx1".into()], Vec::new(), now);
        let mut steps = Vec::new();
        for nth in 0..random.u32(20..400) {
            at += Duration::from_millis(random.u64(..3000));
            now += Duration::from_millis(random.u64(..50));
            steps.extend(tracker.handle("pbx1", FeedMessage::Call(nonsense(&mut random, nth, at)), now));
            steps.extend(tracker.handle_timeout(now));
        }
        steps.extend(tracker.handle("pbx1", FeedMessage::Lost { scope: Scope::Feed, reason: "over".into() }, now));
        steps.extend(tracker.handle("pbx1", FeedMessage::Up(Snapshot::Known(Known::default())), now));
        steps.extend(tracker.handle_timeout(now + Duration::from_mins(1)));
        assert!(tracker.open_calls().is_empty(), "seed {seed}");
        let (mut kept, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Keep(call) => {
                    assert!(!ended.contains(&call.key), "seed {seed}: {} goes on after its end", call.key);
                    kept.insert(call.key);
                }
                Step::Ended(record) => {
                    kept.remove(&record.call.key);
                    assert!(record.duration_seconds() >= 0 && record.ended >= record.call.started, "seed {seed}");
                    assert!(ended.insert(record.call.key.clone()), "seed {seed}: {} ended twice", record.call.key);
                }
                Step::Forget { call, .. } => {
                    kept.remove(&call);
                }
                Step::Pop { .. } | Step::Update { .. } | Step::Withdraw { .. } => {}
            }
        }
        assert!(kept.is_empty(), "seed {seed}: {kept:?} never ended");
    }
}
