//! The socket is cut in the middle of a call and what happens meanwhile is lost: nothing stays open, nothing is logged twice,
//! and what ended unseen is logged once, with its end marked as estimated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ctibridge::sim::pbx::player::perform_at_once;
use ctibridge::sim::pbx::recording::{Recording, Speed};
use ctibridge::sim::pbx::script::Ids;
use ctibridge::sim::pbx::{Caller, Refuse, Script};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::people::{People, people};
use crate::support::truth::{self, Row};
use crate::support::world::{Record, SOON, World, wait};

/// Worlds at the same time, on a machine with two cores.
const AT_ONCE: usize = 8;
/// Cuts of each recording after which all the rest is lost, and cuts after which it goes on.
const CUTS: (usize, usize) = (1, 1);
/// Another one cuts elsewhere.
const SEED: u64 = 0;
/// The phones' clocks and the PBX's differ by less; nothing is asked of a call that begins or ends so near to a cut.
const BLUR: f64 = 0.6;

/// What is lost of a recording: the frames on these lines.
#[derive(Debug, Clone)]
struct Gap {
    path: PathBuf,
    from: usize,
    to: usize,
    recording: Recording,
}

/// Comes behind all others, so that all is known when it is.
const LAST_CALLER: &str = "+4989999999999";

fn last_call() -> Script {
    Script::inbound(&Caller::new(LAST_CALLER, ""), "+493023125101").ring(&["101"]).hangup_by_caller()
}

/// Whether calls are open behind each line.
fn busy(recording: &Recording) -> Vec<bool> {
    let mut open = BTreeSet::new();
    (0..recording.len())
        .map(|line| {
            let frame: Value = serde_json::from_str(recording.frame(line).unwrap()).unwrap_or_default();
            let channel = frame["channel"]["id"].as_str().unwrap_or_default();
            match frame["type"].as_str() {
                Some("ChannelCreated") => drop(open.insert(channel.to_owned())),
                Some("ChannelDestroyed") => drop(open.remove(channel)),
                _ => {}
            }
            !open.is_empty()
        })
        .collect()
}

/// Places in the middle of calls, the same ones in each run.
fn gaps(path: &Path) -> Vec<Gap> {
    let recording = Recording::load(path).unwrap();
    let busy = busy(&recording);
    let name: u64 = path.file_name().unwrap().as_encoded_bytes().iter().map(|byte| u64::from(*byte)).sum();
    let mut chance = fastrand::Rng::with_seed(SEED + name);
    let mut places: Vec<usize> = (1..=recording.len()).filter(|line| busy[line - 1]).collect();
    if places.is_empty() {
        places = (1..=recording.len()).collect();
    }
    let mut cut = || places[chance.usize(..places.len())];
    let mut gaps = Vec::new();
    for _ in 0..CUTS.0 {
        gaps.push((cut(), recording.len()));
    }
    for _ in 0..CUTS.1 {
        let (one, other) = (cut(), cut());
        gaps.push((one.min(other), one.max(other)));
    }
    gaps.into_iter().map(|(from, to)| Gap { path: path.to_owned(), from, to, recording: recording.clone() }).collect()
}

impl Gap {
    fn name(&self) -> String {
        let name = self.path.file_stem().unwrap().to_string_lossy();
        format!("{name} without {}..{} of {}", self.from, self.to, self.recording.len())
    }

    /// Until when and since when the bridge saw what happened.
    fn seen(&self) -> (f64, f64) {
        let stamp = |line: usize| self.recording.stamp(line).map(truth::stamp);
        let until = (0..self.from).rev().find_map(stamp).unwrap();
        let since = if self.to < self.recording.len() { (self.to..).find_map(stamp).unwrap() } else { f64::INFINITY };
        (until, since)
    }

    /// When the bridge could know of a call: a call out is one from its dialling on, which may come after a click or a menu.
    fn begins(&self, row: &Row) -> f64 {
        let Some(party) = row.party.as_ref().filter(|_| row.direction == "outbound") else { return row.start };
        let digits = &party[party.len() - 7..];
        let dials = |line: usize| {
            let frame: Value = serde_json::from_str(self.recording.frame(line)?).ok()?;
            let at = truth::stamp(self.recording.stamp(line)?);
            let number = frame["type"] == "Dial" && frame["dialstring"].as_str()?.contains(digits);
            (number && at > row.start - BLUR).then_some(at)
        };
        (0..self.recording.len()).find_map(dials).unwrap_or(row.start)
    }

    async fn play(&self, world: &World) {
        let (asterisk, recording) = (&world.asterisk, &self.recording);
        recording.play_lines(asterisk, 0..self.from, Speed::AsFast).await.unwrap();
        let connections = asterisk.connections();
        asterisk.refuse(Refuse::Unavailable);
        asterisk.cut();
        assert!(asterisk.wait_disconnected(SOON).await, "{}: the socket is not cut", self.name());
        recording.lose_lines(asterisk, self.from..self.to).await;
        asterisk.refuse(Refuse::Nothing);
        assert!(asterisk.wait_connected(connections + 1, SOON).await, "{}: it does not come back", self.name());
        assert!(asterisk.wait_snapshot_read(SOON).await, "{}: it asks for no snapshot", self.name());
        recording.play_lines(asterisk, self.to..recording.len(), Speed::AsFast).await.unwrap();
        let last = (0..recording.len()).rev().find_map(|line| recording.stamp(line)).unwrap();
        let reel = last_call().reel(last + Duration::from_mins(1), &Ids::new(0)).unwrap();
        perform_at_once(asterisk, &[(Duration::ZERO, reel)]).await;
    }
}

/// How many Tasks there may be, and how many of them with an estimated end.
#[derive(Debug, Default, Clone, Copy)]
struct Bounds {
    least: usize,
    most: usize,
    least_estimated: usize,
    most_estimated: usize,
}

/// By direction and name of the outside party.
type Party = (String, Option<String>);

fn expected(rows: &[Row], people: &People, gap: &Gap) -> BTreeMap<Party, Bounds> {
    let (until, since) = gap.seen();
    let surely = |earlier: f64, later: f64| earlier + BLUR < later;
    let maybe = |earlier: f64, later: f64| earlier - BLUR < later;
    let mut all: BTreeMap<Party, Bounds> = BTreeMap::new();
    for row in rows {
        let name = row.party.as_ref().map(|number| people.names[number].clone());
        let bounds = all.entry((row.direction.clone(), name.clone())).or_default();
        if !row.logged {
            // A consultation outside is a call of its own to one who did not see it joined with the other.
            let joined_unseen = row.direction == "outbound" && row.party.is_some() && maybe(until, row.end);
            bounds.most += usize::from(joined_unseen);
            bounds.most_estimated += usize::from(joined_unseen);
            continue;
        }
        let (begins, ends) = (gap.begins(row), row.end);
        // What the PBX places by itself to the outside looks like a call from there once it is up.
        let backwards = row.direction == "outbound" && !row.rung.is_empty() && maybe(until, begins);
        if backwards && maybe(row.start, since) {
            all.entry(("inbound".to_owned(), None)).or_default().most += 1;
        }
        let bounds = all.entry((row.direction.clone(), name)).or_default();
        // One that began and ended in the gap is known to nobody.
        bounds.most += usize::from(!(surely(until, row.start) && surely(ends, since)));
        bounds.least += usize::from(!(backwards || maybe(until, begins) && maybe(ends, since)));
        let ended_unseen = surely(begins, until) && surely(until, ends) && surely(ends, since);
        let perhaps = maybe(row.start, until) && maybe(until, ends) && maybe(ends, since);
        bounds.least_estimated += usize::from(ended_unseen && !row.end_estimated);
        bounds.most_estimated += usize::from(perhaps || row.end_estimated);
    }
    all
}

fn party(task: &Record, contacts: &BTreeMap<String, String>) -> Party {
    let who = task.get("WhoId").and_then(Value::as_str).map(|id| contacts[id].clone());
    (task["CallType"].as_str().unwrap().to_lowercase(), who)
}

fn text<'a>(row: &'a Record, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

async fn faults(gap: Gap) -> Vec<String> {
    let rows = truth::rows(&gap.path);
    let people = people(&rows);
    let world = World::new(&people.seed).await;
    gap.play(&world).await;
    wait(&format!("the last call: {}", gap.name()), || world.tasks().iter().any(is_last)).await;
    wait(&format!("the end of all calls: {}", gap.name()), || world.bridge.journal().counts().open == 0).await;
    world.settled().await;
    let mut faults = compare(&world, &rows, &people, &gap);
    let live = live_calls(&world).await;
    if live > 0 {
        faults.push(format!("{live} ghosts"));
    }
    world.bridge.stop().await;
    faults.iter().map(|fault| format!("{}: {fault}", gap.name())).collect()
}

fn is_last(task: &Record) -> bool {
    text(task, "Description").contains(LAST_CALLER)
}

/// How many calls the bridge shows as running.
async fn live_calls(world: &World) -> usize {
    let url = format!("http://{}/api/v1/calls", world.bridge.address());
    let request = crate::support::world::http().get(url).bearer_auth(world.bridge.admin_token().expose());
    let body = request.send().await.unwrap().bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    answer["calls"].as_array().unwrap().iter().filter(|call| call["state"] != "ended").count()
}

fn compare(world: &World, rows: &[Row], people: &People, gap: &Gap) -> Vec<String> {
    let contacts: BTreeMap<String, String> = world
        .salesforce
        .rows("Contact")
        .iter()
        .map(|row| (text(row, "Id").to_owned(), text(row, "LastName").to_owned()))
        .collect();
    let mut tasks = world.tasks();
    tasks.retain(|task| !is_last(task));
    let mut faults = Vec::new();
    let keys: BTreeSet<&str> = tasks.iter().map(|task| text(task, "CallObject")).collect();
    if keys.len() < tasks.len() {
        faults.push(format!("{} Tasks with {} keys", tasks.len(), keys.len()));
    }
    let mut expected = expected(rows, people, gap);
    for party in tasks.iter().map(|task| party(task, &contacts)) {
        expected.entry(party).or_default();
    }
    for (party_of, bounds) in expected {
        let of_it: Vec<_> = tasks.iter().filter(|task| party(task, &contacts) == party_of).collect();
        let estimated = of_it.iter().filter(|task| text(task, "Description").contains("estimated")).count();
        let right = (bounds.least..=bounds.most).contains(&of_it.len())
            && (bounds.least_estimated..=bounds.most_estimated).contains(&estimated);
        if !right {
            faults.push(format!("{} Tasks of {party_of:?}, {estimated} estimated, not {bounds:?}", of_it.len()));
        }
    }
    faults
}

async fn check(folder: &str) {
    let gaps: Vec<Gap> = truth::recordings(folder).iter().flat_map(|path| gaps(path)).collect();
    assert!(gaps.len() >= 20, "{} gaps", gaps.len());
    let (room, mut worlds) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for gap in gaps {
        let room = Arc::clone(&room);
        worlds.spawn(async move {
            let _place = room.acquire().await.unwrap();
            faults(gap).await
        });
    }
    let mut wrong = String::new();
    for fault in worlds.join_all().await.into_iter().flatten() {
        writeln!(wrong, "{fault}").unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_any_recording_leaves_no_ghost_and_logs_no_call_twice() {
    check("asterisk-ari").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_a_recording_with_linkedid_leaves_no_ghost_and_logs_no_call_twice() {
    check("asterisk-ari-linkedid").await;
}
