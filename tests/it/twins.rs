//! The same calls seen by Asterisk's REST Interface and by subscriptions, or by a mirror, at once: each is one call, under the leader's key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use ctibridge::calls::Site;
use ctibridge::calls::feed::{FeedMessage, Known, Scope, Snapshot};
use ctibridge::calls::record::Extension;
use ctibridge::calls::step::Step;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::asterisk;
use ctibridge::feeds::asterisk::wire::Frame;
use ctibridge::feeds::hep;
use ctibridge::feeds::hep::packet::{Packet, Payload};
use ctibridge::feeds::sip_dialog::info::Document;
use ctibridge::feeds::sip_dialog::map::Map;
use ctibridge::feeds::sip_dialog::view::View;
use ctibridge::sim::pbx::notifier::{Exchange, Notification};
use jiff::{SignedDuration, Timestamp};

use crate::support::mirror::{ASTERISK, timed};
use crate::support::truth;

enum Told {
    Frame(Box<Frame>),
    Notified(Notification),
    Mirrored(Vec<u8>),
}

/// What came of it: the key, how it ended, how long it was talked; and pops by key and extension.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    ended: BTreeSet<(String, &'static str, i64)>,
    pops: BTreeMap<(String, String), u32>,
}

struct Play {
    tracker: Tracker,
    ari: asterisk::map::Map,
    vars: serde_json::Value,
    map: Map,
    views: BTreeMap<String, View>,
    mirror: hep::map::Map,
    began: (Instant, Timestamp),
    steps: Vec<Step>,
}

impl Play {
    fn new(began: Timestamp, vars: serde_json::Value) -> Self {
        let now = Instant::now();
        let site = Site { bridge: "hq".into(), plan: truth::plan() };
        let names = ["pbx1".to_owned(), "blf".to_owned()];
        let leaders = BTreeMap::from([("blf".to_owned(), "pbx1".to_owned())]);
        let (tracker, _) = Tracker::with_twins(&site, &names, leaders, Vec::new(), now);
        let trunks = ["PJSIP/trunk".to_owned(), "PJSIP/trunk-berlin".to_owned()];
        let devices = BTreeMap::from([("PJSIP/101-web".to_owned(), Extension("101".into()))]);
        let carriers = ASTERISK.trunks.iter().map(|trunk| hep::map::Trunk::parse(trunk).unwrap()).collect();
        let phones = ASTERISK.devices.iter().map(|it| ((*it).to_owned(), Extension("101".into()))).collect();
        let watched = ["101", "102", "103"].map(|it| Extension(it.to_owned()));
        let mut play = Self {
            tracker,
            ari: asterisk::map::Map::new(&trunks, &devices),
            vars,
            map: Map::new(truth::plan(), watched),
            views: BTreeMap::new(),
            mirror: hep::map::Map::new(carriers, &phones),
            began: (now, began),
            steps: Vec::new(),
        };
        play.tell("pbx1", FeedMessage::Up(Snapshot::Known(Known::default())), began);
        play
    }

    fn now(&self, at: Timestamp) -> Instant {
        self.began.0 + at.duration_since(self.began.1).unsigned_abs()
    }

    fn tell(&mut self, feed: &str, message: FeedMessage, at: Timestamp) {
        let now = self.now(at);
        self.steps.extend(self.tracker.handle(feed, message, now));
    }

    /// Time passes until then.
    fn passes(&mut self, until: Timestamp) {
        loop {
            let map = self.map.deadline().filter(|due| *due <= until);
            let tracker = self.tracker.poll_timeout();
            if let Some(due) = map.filter(|due| self.now(*due) <= tracker) {
                for event in self.map.clock(due).events {
                    self.tell("blf", FeedMessage::Call(event), due);
                }
            } else if tracker <= self.now(until) {
                self.steps.extend(self.tracker.handle_timeout(tracker));
            } else {
                return;
            }
        }
    }

    fn take(&mut self, at: Timestamp, told: Told) {
        match told {
            Told::Frame(frame) => {
                let mapped = self.ari.frame(*frame);
                let mut events = mapped.events;
                if let Some(channel) = mapped.ask_presentation {
                    let answer = self.vars[&channel]["CALLERID(pres)"].as_str().map(str::to_owned);
                    events.extend(self.ari.presentation(&channel, answer.as_deref()));
                }
                for event in events {
                    self.tell("pbx1", FeedMessage::Call(event), at);
                }
            }
            Told::Mirrored(octets) => {
                let packet = Packet::read(&octets).unwrap();
                let Payload::Sip(sip) = &packet.payload else { return };
                for event in self.mirror.packet(&packet, sip, self.now(at)).unwrap_or_default() {
                    self.tell("blf", FeedMessage::Call(event), at);
                }
            }
            Told::Notified(told) => {
                let extension = Extension(told.extension.clone());
                let is_new = !self.views.contains_key(&told.extension);
                let view = self.views.entry(told.extension).or_default();
                view.apply(Document::read(told.body.as_bytes()).unwrap());
                let events = self.map.shows(&extension, view.dialogs(), at).events;
                if is_new {
                    let known = self.map.known(&extension);
                    self.tell("blf", FeedMessage::Up(Snapshot::Known(known)), at);
                }
                for event in events {
                    self.tell("blf", FeedMessage::Call(event), at);
                }
            }
        }
    }

    fn outcome(self) -> Outcome {
        let mut outcome = Outcome::default();
        for step in self.steps {
            match step {
                Step::Ended(record) => {
                    let key = record.call.key.to_string();
                    outcome.ended.insert((key, record.disposition.as_str(), record.duration_seconds()));
                }
                Step::Pop { call, extension, .. } => {
                    *outcome.pops.entry((call.key.to_string(), extension.0)).or_default() += 1;
                }
                Step::Keep(_) | Step::Update { .. } | Step::Withdraw { .. } | Step::Forget { .. } => {}
            }
        }
        outcome
    }
}

fn stamp(frame: &str) -> Option<Timestamp> {
    let value: serde_json::Value = serde_json::from_str(frame).unwrap();
    let text = value["timestamp"].as_str()?;
    // ARI writes +0000.
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()
}

/// Which feed there is beside the leader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twin {
    None,
    Subscription,
    Mirror,
}

/// Plays the frames and what the other feed was told in the same minutes; `cut`: when ARI is lost for good.
fn play(name: &str, twin: Twin, cut: Option<SignedDuration>) -> Outcome {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let frames = fixtures.join(format!("asterisk-ari/{name}.jsonl"));
    let exchange = Exchange::load(&fixtures.join(format!("dialog-info/asterisk-{name}.txt"))).unwrap();
    let mut all: Vec<(Timestamp, Told)> = Vec::new();
    let mut last = exchange.messages[0].at;
    for line in std::fs::read_to_string(&frames).unwrap().lines() {
        last = stamp(line).unwrap_or(last).max(last);
        all.push((last, Told::Frame(Box::new(serde_json::from_str(line).unwrap()))));
    }
    let notified = exchange.notifications().into_iter().filter(|it| it.state != "terminated" && !it.body.is_empty());
    match twin {
        Twin::None => {}
        Twin::Subscription => all.extend(notified.map(|it| (it.at, Told::Notified(it)))),
        Twin::Mirror => {
            let packets = timed(&format!("asterisk-{name}"));
            all.extend(packets.into_iter().map(|(at, packet)| (at, Told::Mirrored(packet))));
        }
    }
    all.sort_by_key(|(at, _)| *at);
    let began = all[0].0.min(exchange.messages[0].at);
    let end = all.last().unwrap().0 + SignedDuration::from_secs(60);
    let cut = cut.map(|after| began + after);
    let vars = truth::load(&frames.with_extension("vars.json")).unwrap_or_default();
    let mut play = Play::new(began, vars);
    let mut is_cut = false;
    for (at, told) in all {
        play.passes(at);
        if cut.is_some_and(|cut| at >= cut) && !is_cut {
            is_cut = true;
            play.tell("pbx1", FeedMessage::Lost { scope: Scope::Feed, reason: "cut".into() }, at);
        }
        if !(is_cut && matches!(told, Told::Frame(_))) {
            play.take(at, told);
        }
    }
    play.passes(end);
    play.outcome()
}

/// Those of which both were recorded at the same time.
fn recorded_at_once() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialog-info");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().strip_prefix("asterisk-")?.to_owned();
            let ari = path.parent().unwrap().parent().unwrap().join("asterisk-ari");
            let has_rest = ari.join(format!("{name}.rest.json")).exists();
            (ari.join(format!("{name}.jsonl")).exists() && !has_rest).then_some(name)
        })
        .collect();
    names.sort();
    names
}

#[test]
fn what_rest_and_subscriptions_see_is_one_call_under_the_leaders_key() {
    one_call_under_the_leaders_key(Twin::Subscription);
}

#[test]
fn what_rest_and_a_mirror_see_is_one_call_under_the_leaders_key() {
    one_call_under_the_leaders_key(Twin::Mirror);
}

fn one_call_under_the_leaders_key(twin: Twin) {
    let names = recorded_at_once();
    assert!(names.len() > 45, "{}", names.len());
    let (mut wrong, mut calls) = (Vec::new(), 0);
    for name in &names {
        let (alone, both) = (play(name, Twin::None, None), play(name, twin, None));
        calls += alone.ended.len();
        let too_many: Vec<_> = both.ended.difference(&alone.ended).collect();
        let missing: Vec<_> = alone.ended.difference(&both.ended).collect();
        if !too_many.is_empty() || !missing.is_empty() {
            wrong.push(format!("{name}: too many {too_many:?}, missing {missing:?}"));
        }
        if both.pops != alone.pops {
            let more: Vec<_> = both.pops.iter().filter(|(key, count)| alone.pops.get(*key) != Some(count)).collect();
            wrong.push(format!("{name}: other pops {more:?}"));
        }
    }
    println!("{calls} calls in {} recordings", names.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_call_goes_on_under_its_key_when_the_leader_is_lost() {
    // 101 answers after three seconds and talks for six; the leader is cut in the fifth.
    let alone = play("01-inbound-answered", Twin::None, None);
    for twin in [Twin::Subscription, Twin::Mirror] {
        let both = play("01-inbound-answered", twin, Some(SignedDuration::from_secs(5)));
        assert_eq!(both.ended, alone.ended);
        assert_eq!(both.pops, alone.pops);
    }
}
