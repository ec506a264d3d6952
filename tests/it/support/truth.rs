//! What happened, as the phones noted it: one row a call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctibridge::phone::NumberPlan;
use serde_json::Value;

/// One call of a recording.
#[derive(Debug, Clone)]
pub struct Row {
    pub number: usize,
    pub direction: String,
    /// Of the outside party, read in the region; none when withheld or unreadable.
    pub party: Option<String>,
    pub dialed: Option<String>,
    pub queue: Option<String>,
    pub rung: Vec<String>,
    /// When it began, in seconds since 1970.
    pub start: f64,
    /// When the outside party and all of ours were gone, likewise.
    pub end: f64,
    pub talk: f64,
    pub dispositions: Vec<String>,
    /// None: the truth leaves it open.
    pub owner: Option<String>,
    pub end_estimated: bool,
    pub logged: bool,
    /// The Call-ID at the carrier, where it is noted.
    pub call_id: Option<String>,
}

/// How the recorded site writes numbers.
pub fn plan() -> NumberPlan {
    NumberPlan::new("DE", "9", "2-6").unwrap()
}

/// The folder of this name under `tests/fixtures`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The recordings in a folder that have a truth.
pub fn recordings(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(self::folder(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .filter(|path| path.with_extension("truth.json").exists())
        .collect();
    paths.sort();
    paths
}

pub fn load(path: &Path) -> Option<Value> {
    std::fs::read_to_string(path).ok().map(|text| serde_json::from_str(&text).unwrap())
}

pub fn rows(recording: &Path) -> Vec<Row> {
    let rows = load(&recording.with_extension("truth.json")).unwrap();
    rows.as_array().unwrap().iter().enumerate().map(|(index, row)| read(index + 1, row)).collect()
}

fn read(number: usize, row: &Value) -> Row {
    let direction = row["direction"].as_str().unwrap();
    let outcome = row["outcome"].as_str().unwrap();
    let presented = row["external_number_presented"].as_str().unwrap_or("anonymous");
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let accepted = strings(&row["accept_dispositions"]);
    Row {
        number,
        direction: direction.to_owned(),
        party: plan().read(presented).e164().map(str::to_owned),
        dialed: text("dialed"),
        queue: text("queue"),
        rung: strings(&row["phones_rung"]),
        start: seconds(&row["start"]),
        end: seconds(&row["end"]),
        talk: if outcome == "answered" { row["talk_s"].as_f64().unwrap() } else { 0.0 },
        dispositions: if accepted.is_empty() { disposition(outcome, direction) } else { accepted },
        owner: owner(row),
        end_estimated: row["end_estimated"] == true,
        logged: row["log_to_crm"] == true,
        call_id: row["sip_call_ids"]["trunk"].as_str().map(str::to_owned),
    }
}

fn disposition(outcome: &str, direction: &str) -> Vec<String> {
    let word = match (outcome, direction) {
        ("answered", _) => "Answered",
        ("missed" | "rejected" | "announcement only", _) | ("busy", "inbound") => "Missed",
        ("abandoned", _) => "Abandoned",
        ("voicemail", _) => "Voicemail",
        ("busy", _) => "Busy",
        ("no answer", _) => "No answer",
        ("wrong number", _) => "Failed",
        _ => "not logged",
    };
    vec![word.to_owned()]
}

/// In seconds since 1970.
pub fn stamp(at: jiff::Timestamp) -> f64 {
    at.duration_since(jiff::Timestamp::UNIX_EPOCH).as_secs_f64()
}

fn seconds(text: &Value) -> f64 {
    stamp(text.as_str().unwrap().parse().unwrap())
}

/// Who talked longest; nobody: who dialled, or the only phone rung.
fn owner(row: &Value) -> Option<String> {
    let mut talk: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for part in row["spoke"].as_array().into_iter().flatten() {
        let entry = talk.entry(part["agent"].as_str().unwrap().to_owned()).or_default();
        let (from, to) = (seconds(&part["from"]), seconds(&part["to"]));
        *entry = (entry.0 + to - from, entry.1.max(to));
    }
    if let Some((agent, _)) = talk.iter().max_by(|a, b| a.1.partial_cmp(b.1).unwrap()) {
        return Some(agent.clone());
    }
    let extension = |value: &Value| value.as_str().filter(|text| text.len() == 3).map(str::to_owned);
    if row["transfer"].is_object() {
        return None;
    }
    let rung = row["phones_rung"].as_array().unwrap();
    let only = (rung.len() == 1).then(|| rung[0].as_str().unwrap().to_owned());
    extension(&row["agent"]).or_else(|| extension(&row["answered_by"])).or(only)
}

/// The calls of a table, one a line, as the rig of Kamailio writes them: kind, caller, dialled, rang, answered by, seconds to
/// the answer, talk, ending, and of some the Call-ID and the start.
pub fn table(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().enumerate().map(|(index, line)| line_of(index + 1, line)).collect()
}

/// One line of such a table.
pub fn line_of(number: usize, line: &str) -> Row {
    let fields: Vec<&str> = line.split('\t').collect();
    let (kind, caller, dialed, answered) = (fields[0], fields[1], fields[2], fields[4]);
    let is_extension = |text: &str| text.len() == 3;
    let outbound = is_extension(caller) && !is_extension(dialed);
    let direction = match (is_extension(caller), is_extension(dialed)) {
        (true, true) => "internal",
        (true, false) => "outbound",
        (false, _) => "inbound",
    };
    let party = if outbound { dialed } else { caller };
    let rung: Vec<String> = fields[3].split([',', ' ']).filter(|it| it.starts_with("20")).map(str::to_owned).collect();
    let talk = talk_of(fields[6]);
    let owner = match (outbound, rung.as_slice()) {
        (true, _) => Some(caller.to_owned()),
        _ if is_extension(answered) => Some(answered.to_owned()),
        (false, [only]) => Some(only.clone()),
        _ => None,
    };
    let disposition = match (kind, talk > 0.0) {
        (_, true) => "Answered",
        ("outbound-missed", false) => "No answer",
        (_, false) => "Missed",
    };
    let plan = NumberPlan::new("GB", "", "2-6").unwrap();
    Row {
        number,
        direction: direction.to_owned(),
        party: if caller.starts_with("anonymous") { None } else { plan.read(party).e164().map(str::to_owned) },
        dialed: (!outbound).then(|| dialed.to_owned()),
        queue: None,
        rung: if direction == "inbound" { rung } else { Vec::new() },
        start: fields.get(9).map_or(0.0, |start| start.parse().unwrap()),
        end: 0.0,
        talk,
        dispositions: vec![disposition.to_owned()],
        owner,
        end_estimated: false,
        logged: direction != "internal",
        call_id: fields.get(8).map(|id| (*id).to_owned()),
    }
}

/// Until the end, hold and what came after a transfer included: `3`, `9`, or in words for those with several parts.
fn talk_of(text: &str) -> f64 {
    if let Ok(seconds) = text.parse() {
        return seconds;
    }
    let number = |text: &str| -> f64 {
        let digits = text.trim_start().split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
        digits.parse().unwrap()
    };
    match text.split_once("first leg up ") {
        // Both parts: with the first agent, hold included, and with the second.
        Some((_, rest)) => number(rest) + number(rest.rsplit([',', ';']).next().unwrap()),
        None => 0.0,
    }
}
