//! Recorded notifications of extensions' dialogs through documents, calls and tracker, with the times that they had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ctibridge::calls::Site;
use ctibridge::calls::feed::{FeedMessage, Snapshot};
use ctibridge::calls::record::{CallRecord, Extension};
use ctibridge::calls::step::Step;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds;
use ctibridge::feeds::sip_dialog::info::Document;
use ctibridge::feeds::sip_dialog::map::Map;
use ctibridge::feeds::sip_dialog::view::View;
use ctibridge::phone::NumberPlan;
use ctibridge::secret::Secret;
use ctibridge::sim::pbx::Notifier;
use ctibridge::sim::pbx::notifier::{Exchange, Manners, Transport};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::truth::{self, Row};
use crate::support::world::{LOOPBACK, Record, World, wait};

pub struct Told {
    pub records: Vec<CallRecord>,
    /// Extensions that got a pop, by call.
    pops: BTreeMap<String, Vec<String>>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialog-info")
}

/// Plays a recording without sockets, its time passing as fast as it can be computed.
fn play(path: &Path, plan: &NumberPlan, extensions: &[&str]) -> Told {
    let exchange = Exchange::load(path).unwrap();
    let all = exchange.notifications();
    let (zero, began) = (all[0].at, Instant::now());
    let at = |stamp: Timestamp| began + stamp.duration_since(zero).unsigned_abs();
    let site = Site { bridge: "hq".into(), plan: plan.clone() };
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".to_owned()], Vec::new(), began);
    let mut map = Map::new(plan.clone(), extensions.iter().map(|it| Extension((*it).to_owned())));
    let mut views = BTreeMap::<String, View>::new();
    let (mut steps, mut last) = (Vec::new(), zero);
    let mut all = all.into_iter().peekable();
    loop {
        let due = map.deadline().filter(|due| all.peek().is_none_or(|next| *due <= next.at));
        let (events, now) = if let Some(due) = due {
            (map.clock(due).events, due)
        } else if let Some(next) = all.next() {
            if next.state == "terminated" || next.body.is_empty() {
                continue;
            }
            let extension = Extension(next.extension.clone());
            let is_new = !views.contains_key(&next.extension);
            let view = views.entry(next.extension).or_default();
            view.apply(Document::read(next.body.as_bytes()).unwrap());
            let events = map.shows(&extension, view.dialogs(), next.at).events;
            if is_new {
                let known = Snapshot::Known(map.known(&extension));
                steps.extend(tracker.handle("pbx1", FeedMessage::Up(known), at(next.at)));
            }
            (events, next.at)
        } else {
            break;
        };
        last = now;
        steps.extend(tracker.handle_timeout(at(now)));
        for event in events {
            steps.extend(tracker.handle("pbx1", FeedMessage::Call(event), at(now)));
        }
    }
    steps.extend(tracker.handle_timeout(at(last + SignedDuration::from_secs(30))));
    let mut told = Told { records: Vec::new(), pops: BTreeMap::new() };
    for step in steps {
        match step {
            Step::Ended(record) => told.records.push(record),
            Step::Pop { call, extension, .. } => {
                told.pops.entry(call.key.to_string()).or_default().push(extension.0);
            }
            Step::Keep(_) | Step::Update { .. } | Step::Withdraw { .. } | Step::Forget { .. } => {}
        }
    }
    told
}

/// What is asked of one call.
pub struct Asked {
    pub direction: &'static str,
    /// E.164; `None`: withheld or unreadable.
    pub party: Option<String>,
    pub dispositions: Vec<String>,
    pub talk: f64,
    /// Who talked longest; `None`: it is not told, or nobody.
    pub owner: Option<String>,
    /// `None`: left open.
    pub rung: Option<Vec<String>>,
    pub estimated: bool,
}

fn faults(asked: &Asked, record: &CallRecord, told: &Told) -> Vec<String> {
    let mut faults = Vec::new();
    let disposition = record.disposition.as_str().to_owned();
    if !asked.dispositions.contains(&disposition) {
        faults.push(format!("{disposition}, not {:?}", asked.dispositions));
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds of a call")]
    let seconds = record.duration_seconds() as f64;
    if (seconds - asked.talk).abs() > 1.0 {
        faults.push(format!("talked {seconds} s, not {}", asked.talk));
    }
    let talked = record.call.agents.iter().filter(|part| part.talk_ms > 0).max_by_key(|part| part.talk_ms);
    let owner = talked.map(|part| part.extension.0.clone());
    if asked.owner.is_some() && asked.owner != owner {
        faults.push(format!("{owner:?} talked longest, not {:?}", asked.owner));
    }
    if record.end_estimated.is_some() != asked.estimated {
        faults.push("the end is said to be estimated, or not, wrongly".to_owned());
    }
    if let Some(rung) = &asked.rung {
        let mut popped = told.pops.get(record.call.key.as_str()).cloned().unwrap_or_default();
        popped.sort();
        if popped != *rung {
            faults.push(format!("pops at {popped:?}, not {rung:?}"));
        }
    }
    faults
}

/// Takes the record that fits best out of those that are left.
fn take(asked: &Asked, told: &mut Told) -> Result<(), Vec<String>> {
    let fits = |record: &CallRecord| {
        let party = record.call.party.number.e164();
        record.call.direction.as_str() == asked.direction && party == asked.party.as_deref()
    };
    let candidates = told.records.iter().enumerate().filter(|(_, record)| fits(record));
    let best =
        candidates.map(|(index, record)| (faults(asked, record, told), index)).min_by_key(|(faults, _)| faults.len());
    let Some((faults, index)) = best else {
        return Err(vec![format!("no {} call with {:?}", asked.direction, asked.party)]);
    };
    told.records.remove(index);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

// ---- Kamailio

pub const KAMAILIO: [&str; 5] = ["201", "202", "203", "204", "205"];

pub fn kamailio_plan() -> NumberPlan {
    NumberPlan::new("GB", "", "2-6").unwrap()
}

/// The lines of a truth file: scenario, caller, dialled, rang, answered by, ring s, talk s, ending, …
pub fn kamailio_rows(path: &Path) -> Vec<Asked> {
    let text = std::fs::read_to_string(path.with_extension("tsv")).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).filter_map(kamailio_row).collect()
}

fn kamailio_row(line: &str) -> Option<Asked> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [kind, caller, dialed, rang, answered_by, _, talk, ..] = fields.as_slice() else { panic!("{line}") };
    let is_ours = |text: &str| text.len() == 3;
    let (direction, party) = match (is_ours(caller), is_ours(dialed)) {
        (true, true) => return None,
        (true, false) => ("outbound", Some((*dialed).to_owned())),
        (false, _) => ("inbound", caller.starts_with('+').then(|| (*caller).to_owned())),
    };
    // Of transfers: how long the first leg was up, and the second.
    let talk = match *kind {
        "transfer-attended" => 7.0,
        "transfer-blind" => 5.0,
        _ => talk.parse().unwrap_or(0.0),
    };
    let answered = *answered_by != "-";
    let disposition = match (answered, direction) {
        (true, _) => "Answered",
        (false, "inbound") => "Missed",
        (false, _) => "No answer",
    };
    // In a group Kamailio tells all members `confirmed`: who answered is not told.
    let is_group = kind.starts_with("group");
    let agent = if direction == "outbound" { caller } else { answered_by };
    let owner = (answered && !is_group && is_ours(agent)).then(|| (*agent).to_owned());
    let mut phones: Vec<String> =
        rang.split(|c: char| !c.is_ascii_digit()).filter(|it| is_ours(it)).map(str::to_owned).collect();
    if direction == "outbound" {
        phones = vec![(*caller).to_owned()];
    }
    Some(Asked {
        direction,
        party,
        dispositions: vec![disposition.to_owned()],
        talk,
        owner,
        rung: Some(phones),
        estimated: false,
    })
}

#[test]
fn every_call_of_kamailio_is_told_right() {
    let (mut wrong, mut right) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("kamailio") || path.extension().is_none_or(|it| it != "txt") || name.contains("wrong") {
            continue;
        }
        let mut told = play(&path, &kamailio_plan(), &KAMAILIO);
        told.records.retain(|record| record.call.direction.as_str() != "internal");
        let rows = kamailio_rows(&path);
        for row in &rows {
            match take(row, &mut told) {
                Ok(()) => right += 1,
                Err(faults) => wrong.push(format!("{name}: {:?}: {}", row.party, faults.join("; "))),
            }
        }
        wrong
            .extend(told.records.iter().map(|it| format!("{name}: too many: {:?} {}", it.call.party, it.call.started)));
    }
    println!("{right} rows right");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(right, 63);
}

// ---- Asterisk

/// Rows that this feed cannot tell, beside those of [`untold`], and why. The number is the row's in its truth file.
const UNTOLD: [(&str, usize, &str); 16] = [
    (
        "20-blind-transfer-feature-code",
        1,
        "the seconds in which the code is dialled are no hold, so that another talked longest",
    ),
    ("25-transfer-to-outside", 1, "what goes on outside after a transfer is at no extension"),
    ("29-conference", 1, "a conference shows as a call with nobody named"),
    ("32-attended-transfer-to-outside", 1, "what goes on outside after a transfer is at no extension"),
    ("32-attended-transfer-to-outside", 3, "what goes on outside after a transfer is at no extension"),
    ("43-several-devices", 1, "the hint is of the first device; the second one answered"),
    ("43-several-devices", 4, "the first of two registrations is told to be busy at once"),
    ("43-several-devices", 5, "the first of two registrations is told to be busy at once"),
    ("44-phone-forwards", 1, "the phone forwards to outside, which is at no extension"),
    ("45-parking", 1, "a parked call is at no extension, and whoever fetches it is with nobody named"),
    ("45-parking", 2, "a parked call is at no extension, and rings again as one of its own"),
    ("45-parking", 3, "a parked call is at no extension"),
    (
        "28-caller-number-formats",
        10,
        "a caller from outside presents the number of an extension, which is taken for the colleague",
    ),
    ("48-conference-two-outside", 1, "a conference shows as a call with nobody named"),
    ("53-calls-up-at-connect", 1, "it was up before the first notification, which names nobody"),
    ("53-calls-up-at-connect", 3, "it was up before the first notification, which names nobody"),
];

/// Rows of an extension that had another call at the same time, which its one dialog tells wrong: it stays `early` or `confirmed` for
/// both, and names the party of one of them.
const CROSSED: [(&str, &[usize]); 4] = [
    ("13-two-calls-one-agent", &[2, 3, 4]),
    ("31-mixed-25-calls", &[1, 2, 3, 4, 5, 7, 8, 9, 18, 20, 21, 22]),
    ("34-transfer-chain", &[1, 3, 5]),
    ("56-mixed-60-hard", &[5, 7, 11, 15, 16, 21, 22, 23, 24, 36, 38, 39, 40, 46, 48, 49, 60, 61, 63, 64, 66, 70]),
];

/// Why Asterisk's hints do not tell a row right; `None` when they do.
fn untold(recording: &str, row: &Row, all: &[Row]) -> Option<&'static str> {
    if let Some((_, _, why)) = UNTOLD.iter().find(|(name, number, _)| *name == recording && *number == row.number) {
        return Some(why);
    }
    if row.direction != "inbound" {
        return Some("nobody is named on calls that a phone places");
    }
    if row.rung.is_empty() {
        return Some("no phone rang");
    }
    let is_crossed = CROSSED.iter().any(|(name, numbers)| *name == recording && numbers.contains(&row.number));
    if is_crossed {
        assert!(all.iter().any(|other| crosses(row, other)), "{recording} row {} was alone", row.number);
    }
    is_crossed.then_some("one dialog stands for all calls of an extension")
}

/// Whether another call was at one of the row's extensions at the same time.
fn crosses(row: &Row, other: &Row) -> bool {
    let at = |row: &Row| -> BTreeSet<String> { row.rung.iter().cloned().chain(row.owner.clone()).collect() };
    let at_once = other.start < row.end + 1.0 && row.start < other.end + 1.0;
    other.number != row.number && other.logged && at_once && !at(row).is_disjoint(&at(other))
}

#[test]
fn every_call_that_asterisks_hints_can_tell_is_told_right() {
    let (mut wrong, mut right) = (Vec::new(), 0);
    let mut reasons = BTreeMap::<&str, usize>::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(name) = name.strip_prefix("asterisk-") else { continue };
        let rows = truth::rows(&folder().parent().unwrap().join(format!("asterisk-ari/{name}.jsonl")));
        let mut told = play(&path, &truth::plan(), &["101", "102", "103"]);
        for row in rows.iter().filter(|row| row.logged) {
            if let Some(why) = untold(name, row, &rows) {
                *reasons.entry(why).or_default() += 1;
                continue;
            }
            let mut dispositions = row.dispositions.clone();
            if ["Abandoned", "Voicemail"].iter().any(|word| dispositions.iter().any(|it| it == word)) {
                // Queues and mailboxes do not show.
                dispositions = vec!["Missed".to_owned()];
            }
            let mut rung = row.rung.clone();
            rung.sort();
            let asked = Asked {
                direction: "inbound",
                party: row.party.clone(),
                dispositions,
                talk: row.talk,
                owner: if row.talk > 0.0 { row.owner.clone() } else { None },
                rung: Some(rung),
                estimated: false,
            };
            match take(&asked, &mut told) {
                Ok(()) => right += 1,
                Err(faults) => wrong.push(format!("{name} row {}: {}", row.number, faults.join("; "))),
            }
        }
    }
    println!("{right} rows right; not told: {reasons:#?}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(right, 91);
}

// ---- over sockets

/// A bridge that watches a pretend PBX, which notifies what Kamailio once did, at the pace that it had.
async fn faults_over_sockets(name: &str) -> Vec<String> {
    let path = folder().join(format!("{name}.txt"));
    let pbx = Notifier::start(LOOPBACK, Transport::Udp, Manners::default()).await.unwrap();
    let server = pbx.uri();
    let world = World::with(&serde_json::json!({}), |config| {
        config.site.plan = kamailio_plan();
        config.feeds = vec![feeds::Config::SipDialog(feeds::sip_dialog::Config {
            name: "blf".to_owned(),
            server,
            domain: "pbx.example".to_owned(),
            username: "cti".to_owned(),
            password: Secret::new("ctisecret"),
            extensions: KAMAILIO.map(str::to_owned).to_vec(),
            list: String::new(),
            same_pbx_as: String::new(),
            ca_file: String::new(),
            insecure: false,
        })];
    })
    .await;
    let behind = pbx.play(&Exchange::load(&path).unwrap()).await.as_secs_f64();
    let rows = kamailio_rows(&path);
    wait("the Tasks", || world.tasks().len() >= rows.len()).await;
    let (mut tasks, mut wrong) = (world.tasks(), Vec::new());
    for row in rows {
        let fits = |task: &Record| {
            let told = task["Description"].as_str().unwrap();
            let seconds = task["CallDurationInSeconds"].as_f64().unwrap();
            task["CallType"].as_str().unwrap().to_lowercase() == row.direction
                && row.dispositions.iter().any(|word| task["CallDisposition"] == **word)
                && row.party.as_ref().is_none_or(|number| told.contains(number.as_str()))
                && (row.party.is_some() || task["Subject"].as_str().unwrap().contains("withheld"))
                && (seconds - row.talk).abs() <= 2.0 + behind
        };
        match tasks.iter().position(fits) {
            Some(index) => drop(tasks.remove(index)),
            None => wrong.push(format!(
                "{name}: no Task for {} {:?} {:?} {} s",
                row.direction, row.party, row.dispositions, row.talk
            )),
        }
    }
    let of =
        |task: &Record| format!("{} {} {} s", task["Subject"], task["CallDisposition"], task["CallDurationInSeconds"]);
    wrong.extend(tasks.iter().map(|task| format!("{name}: too many: {}", of(task))));
    world.bridge.stop().await;
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_notified_over_a_socket_becomes_tasks() {
    let mut worlds = tokio::task::JoinSet::new();
    for name in [
        "answered",
        "anonymous",
        "hold",
        "group-parallel",
        "group-serial",
        "missed",
        "outbound",
        "internal",
        "transfer-blind",
        "transfer-attended",
        "many",
    ] {
        worlds.spawn(async move { faults_over_sockets(&format!("kamailio-{name}")).await });
    }
    let wrong: Vec<String> = worlds.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

// ---- documents that nobody should send

const DOCUMENT: &str = r#"<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1" state="full" entity="sip:201@pbx.example"><dialog id="d1" call-id="c1" direction="recipient"><state event="cancelled" code="487">early</state><duration>7</duration><remote><identity display="A &amp; B">sip:+447700900123@x</identity></remote><local><identity>sip:201@x</identity><target uri="x"><param pname="+sip.rendering" pval="no"/></target></local></dialog></dialog-info>"#;

/// Kamailio lists a dialog that two of its processes published at once for as long as a publication lasts: as `early`, over or not.
#[test]
fn a_dialog_that_has_ended_does_not_ring_again() {
    let extension = Extension("201".to_owned());
    let mut map = Map::new(kamailio_plan(), [extension.clone()]);
    let mut view = View::default();
    let dialog = |word: &str| {
        let (from, to) = (DOCUMENT.find("<dialog ").unwrap(), DOCUMENT.find("</dialog-info>").unwrap());
        DOCUMENT[from..to].replace(">early<", &format!(">{word}<"))
    };
    let mut told = Vec::new();
    let lists: [&[&str]; 5] =
        [&["early"], &["terminated"], &["terminated", "early"], &["early"], &["early", "confirmed"]];
    for (version, words) in lists.into_iter().enumerate() {
        let dialogs: String = words.iter().map(|word| dialog(word)).collect();
        let text = format!("{}{dialogs}</dialog-info>", DOCUMENT.split("<dialog ").next().unwrap());
        let text = text.replace("version=\"1\" s", &format!("version=\"{version}\" s"));
        view.apply(Document::read(text.as_bytes()).unwrap());
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(version).unwrap());
        told.push(map.shows(&extension, view.dialogs(), now).events.len());
        view.forget_ended();
    }
    assert_eq!(told, [3, 1, 0, 0, 0]);
    assert_eq!(map.known(&extension).legs, []);
}

proptest! {
    #[test]
    fn no_octets_break_the_reader_of_documents(octets in vec(any::<u8>(), 0..2000)) {
        let _ = Document::read(&octets);
    }

    #[test]
    fn changed_octets_break_neither_the_reader_nor_what_is_behind_it(
        changes in vec((0..DOCUMENT.len(), any::<u8>()), 0..6),
        states in vec(0_usize..4, 1..12),
    ) {
        let extension = Extension("201".to_owned());
        let mut map = Map::new(kamailio_plan(), [extension.clone()]);
        let (mut view, mut now) = (View::default(), Timestamp::UNIX_EPOCH);
        for (version, state) in states.into_iter().enumerate() {
            let word = ["trying", "early", "confirmed", "terminated"][state];
            let text = DOCUMENT.replace(">early<", &format!(">{word}<")).replace("version=\"1\" s", &format!("version=\"{version}\" s"));
            let mut octets = text.into_bytes();
            for (at, octet) in &changes {
                if let Some(place) = octets.get_mut(*at) {
                    *place = *octet;
                }
            }
            now += SignedDuration::from_millis(700);
            let Ok(document) = Document::read(&octets) else { continue };
            view.apply(document);
            let _ = map.clock(now);
            let _ = map.shows(&extension, view.dialogs(), now);
            let _ = map.known(&extension);
        }
        let mut turns = 0;
        while let Some(due) = map.deadline() {
            turns += 1;
            prop_assert!(turns < 1000, "the clock never stops");
            let _ = map.clock(due);
        }
    }
}
