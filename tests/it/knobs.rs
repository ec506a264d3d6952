//! The org in every mood: whatever is turned while a call ends, it becomes one Task, and the Task is of who called.

use std::time::Duration;

use ctibridge::sim::{DuplicateRule, Fault, FaultKind, Knobs, PhoneTokens, TaskStatus};
use tokio::time::sleep;

use crate::support::site::{Site, erika, short_call};

/// What is turned and how; maintenance is left out, since the bridge then waits for minutes.
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

async fn site() -> Site {
    let mut site = Site::new(|settings| settings.replace("[log]", "[log]\nsettle_after = \"1s\"")).await;
    site.daemon.start();
    site.daemon.ready().await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_mood_the_org_is_in_each_call_becomes_one_task() {
    let site = site().await;
    for (number, (mood, turn)) in MOODS.into_iter().enumerate() {
        println!("{mood}");
        site.salesforce.set(turn);
        site.play(&short_call(&erika())).await;
        sleep(Duration::from_millis(500)).await;
        site.salesforce.set(|knobs| *knobs = Knobs::default());
        let tasks = site.tasks(number + 1).await;
        assert!(tasks.iter().all(|task| task["WhoId"].is_string()), "{mood}: {tasks:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fault_a_write_meets_each_call_becomes_one_task() {
    let site = site().await;
    for (number, kind) in FAULTS.into_iter().enumerate() {
        println!("{kind:?}");
        site.salesforce.fail_next(Fault::new(kind).on("composite").for_ms(300));
        site.play(&short_call(&erika())).await;
        site.tasks(number + 1).await;
    }
    let met = site.salesforce.faults();
    assert!(FAULTS.iter().all(|kind| met.contains_key(kind)), "{met:?}");
}
