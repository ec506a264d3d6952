//! The org in every mood: whatever is turned while a call ends, it becomes one Task, and the Task is of who called.

use std::path::Path;
use std::time::Duration;

use ctibridge::sim::pbx::Caller;
use ctibridge::sim::{DuplicateRule, Fault, FaultKind, Knobs, PhoneTokens, TaskStatus};
use serde_json::json;
use tokio::time::sleep;

use crate::support::site::{Site, erika, short_call, text};

/// What is turned and how; what the bridge waits out for minutes is in `waits.rs`, what it may not write in `rules.rs`.
type Mood = (&'static str, fn(&mut Knobs));

const MOODS: [Mood; 10] = [
    ("searches find the ends of numbers", |knobs| knobs.phone_tokens = PhoneTokens::Suffix),
    ("the org is slow", |knobs| knobs.latency_ms = 300),
    ("pages have one row", |knobs| knobs.page_size = 1),
    ("sessions are short", |knobs| knobs.session_ttl_seconds = 1),
    ("it is down", |knobs| knobs.down = true),
    ("it closes connections", |knobs| knobs.refuse = true),
    ("its clock is ahead", |knobs| knobs.clock_offset_seconds = 3_600),
    ("an unknown field fails a request", |knobs| knobs.unknown_field_fails_request = true),
    ("duplicates are blocked", |knobs| knobs.duplicate_rule = DuplicateRule::Block),
    ("it names its statuses itself", |knobs| {
        let status = |label: &str, closed, default| TaskStatus { label: label.to_owned(), closed, default };
        knobs.task_statuses = vec![status("Offen", false, true), status("Erledigt", true, false)];
    }),
];

/// The faults that a request can meet once, in the order in which the calls meet them.
const FAULTS: [FaultKind; 8] = [
    FaultKind::Http503,
    FaultKind::Html502,
    FaultKind::LockRow,
    FaultKind::CommitThenDrop,
    FaultKind::LateCommit,
    FaultKind::LostRace,
    FaultKind::Drop,
    FaultKind::SessionExpired,
];

/// Callers are looked up as `mode` says; each mood has a caller of its own, since an answer is known for a minute.
async fn site(mode: &str) -> Site {
    let mode = format!("[directory]\nmode = \"{mode}\"\n[log]\nsettle_after = \"1s\"");
    let mut site = Site::new(|settings| settings.replace("[log]", &mode)).await;
    for nth in 0..MOODS.len() {
        let contact = json!({ "LastName": format!("Person {nth}"), "Phone": format!("(030) 231255-{nth:02}") });
        site.salesforce.insert("Contact", &contact).unwrap();
    }
    site.daemon.start();
    site.daemon.ready().await;
    site
}

async fn moods(mode: &str) {
    let site = site(mode).await;
    for (nth, (mood, turn)) in MOODS.into_iter().enumerate() {
        println!("{mood}");
        site.salesforce.set(turn);
        site.play(&short_call(&Caller::new(&format!("+4930231255{nth:02}"), ""))).await;
        sleep(Duration::from_millis(500)).await;
        site.salesforce.set(|knobs| *knobs = Knobs::default());
        let tasks = site.tasks(nth + 1).await;
        let people = site.salesforce.rows("Contact");
        let person = people.iter().find(|row| text(row, "LastName") == format!("Person {nth}")).unwrap();
        assert!(tasks.iter().any(|task| task["WhoId"] == person["Id"]), "{mood}: {tasks:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_mood_the_org_is_in_each_call_becomes_one_task() {
    moods("index").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_mood_it_is_in_each_becomes_one_when_callers_are_searched_for() {
    moods("live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fault_a_write_meets_each_call_becomes_one_task() {
    let site = site("index").await;
    for (number, kind) in FAULTS.into_iter().enumerate() {
        println!("{kind:?}");
        site.salesforce.fail_next(Fault::new(kind).on("composite").for_ms(300));
        site.play(&short_call(&erika())).await;
        site.tasks(number + 1).await;
    }
    let met = site.salesforce.faults();
    assert!(FAULTS.iter().all(|kind| met.contains_key(kind)), "{met:?}");
}

/// Every test in which the bridge itself meets the sandbox.
const TESTS: [&str; 3] = ["tests/it", "tests/sync", "tests/login.rs"];

fn source(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| source(file)).collect()
}

#[test]
fn the_bridge_is_tried_with_every_knob_and_every_fault() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests: String = TESTS.iter().map(|path| source(&root.join(path))).collect();
    let knobs = serde_json::to_value(Knobs::default()).unwrap();
    let set = |knob: &str| [format!("knobs.{knob}"), format!("\"{knob}\""), format!("        {knob}:")];
    let mut missing: Vec<String> = knobs
        .as_object()
        .unwrap()
        .keys()
        .filter(|knob| !set(knob).iter().any(|text| tests.contains(text)))
        .cloned()
        .collect();
    let faults = FaultKind::ALL.iter().map(|kind| format!("FaultKind::{kind:?}"));
    missing.extend(faults.filter(|kind| !tests.contains(kind.as_str())));
    assert!(missing.is_empty(), "no test turns {missing:?}");
}
