//! Recorded notifications of extensions' dialogs through documents, calls and tracker, with the times that they had.

use std::path::Path;
use std::time::Instant;

use ctibridge::calls::Site;
use ctibridge::calls::feed::{FeedMessage, Snapshot};
use ctibridge::calls::record::{CallRecord, Extension};
use ctibridge::calls::step::Step;
use ctibridge::calls::tracker::Tracker;
use ctibridge::feeds::sip_dialog::info::Document;
use ctibridge::feeds::sip_dialog::map::Map;
use ctibridge::feeds::sip_dialog::view::View;
use ctibridge::phone::NumberPlan;
use ctibridge::sim::pbx::notifier::Exchange;
use jiff::{SignedDuration, Timestamp};

use crate::support::truth;

struct Told {
    records: Vec<CallRecord>,
    pops: Vec<(String, String)>,
}

/// Plays a recording without sockets, its time passing as fast as it can be computed.
fn play(path: &Path, plan: &NumberPlan, extensions: &[&str]) -> Told {
    let exchange = Exchange::load(path).unwrap();
    let all = exchange.notifications();
    let (zero, began) = (all[0].at, Instant::now());
    let at = |stamp: Timestamp| began + stamp.duration_since(zero).unsigned_abs();
    let site = Site { bridge: "hq".into(), plan: plan.clone() };
    let (mut tracker, _) = Tracker::new(&site, &["pbx1".to_owned()], Vec::new(), began);
    let watched: Vec<Extension> = extensions.iter().map(|it| Extension((*it).to_owned())).collect();
    let mut map = Map::new(plan.clone(), watched);
    let mut views = std::collections::BTreeMap::<String, View>::new();
    let (mut steps, mut up) = (Vec::new(), std::collections::BTreeSet::new());
    let end = all.last().unwrap().at + SignedDuration::from_secs(30);
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
            let view = views.entry(next.extension.clone()).or_default();
            view.apply(Document::read(next.body.as_bytes()).unwrap());
            let events = map.shows(&extension, view.dialogs(), next.at).events;
            if up.insert(next.extension.clone()) {
                let known = Snapshot::Known(map.known(&extension));
                steps.extend(tracker.handle("pbx1", FeedMessage::Up(known), at(next.at)));
            }
            (events, next.at)
        } else {
            break;
        };
        steps.extend(tracker.handle_timeout(at(now)));
        for event in events {
            steps.extend(tracker.handle("pbx1", FeedMessage::Call(event), at(now)));
        }
    }
    steps.extend(tracker.handle_timeout(at(end)));
    let mut told = Told { records: Vec::new(), pops: Vec::new() };
    for step in steps {
        match step {
            Step::Ended(record) => told.records.push(record),
            Step::Pop { call, extension, .. } => told.pops.push((call.key.to_string(), extension.0)),
            Step::Keep(_) | Step::Update { .. } | Step::Withdraw { .. } | Step::Forget { .. } => {}
        }
    }
    told
}

#[test]
fn explore() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialog-info");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "txt")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let kamailio = name.starts_with("kamailio");
        if name.contains("wrong-password") {
            continue;
        }
        println!("=== {name}");
        let (plan, extensions): (_, &[&str]) = if kamailio {
            (NumberPlan::new("GB", "", "2-6").unwrap(), &["201", "202", "203", "204", "205"])
        } else {
            (truth::plan(), &["101", "102", "103"])
        };
        let told = play(path, &plan, extensions);
        for record in &told.records {
            let talk: Vec<_> = record
                .call
                .agents
                .iter()
                .map(|a| {
                    format!(
                        "{}:{}{}{}",
                        a.extension,
                        a.talk_ms,
                        if a.rang { "r" } else { "" },
                        if a.dialed { "d" } else { "" }
                    )
                })
                .collect();
            println!(
                "  got  {} {:?} {} {:?} talk {} est {} {:?}",
                record.call.started,
                record.call.direction.as_str(),
                record.call.party.number.display().unwrap_or("-"),
                record.disposition.as_str(),
                record.duration_seconds(),
                record.end_estimated.is_some(),
                talk
            );
        }
        if kamailio {
            println!("{}", std::fs::read_to_string(path.with_extension("tsv")).unwrap_or_default());
            continue;
        }
        let truth = folder
            .parent()
            .unwrap()
            .join("asterisk-ari")
            .join(format!("{}.jsonl", name.trim_start_matches("asterisk-")));
        for row in truth::rows(&truth).iter() {
            println!(
                "  want {} {} {:?} {:?} talk {} owner {:?} rung {:?} log {}",
                Timestamp::from_millisecond((row.start * 1000.0) as i64).unwrap(),
                row.direction,
                row.party,
                row.dispositions,
                row.talk,
                row.owner,
                row.rung,
                row.logged
            );
        }
    }
}
