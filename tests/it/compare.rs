//! `ctibridge journal reconcile`: what is on disk against what is in Salesforce.

use std::process::{Command, Output};
use std::time::Duration;

use ctibridge::journal::{Difference, EntryState, Filter, Note, Scope, reconcile};
use ctibridge::sim::Salesforce;
use jiff::Timestamp;
use serde_json::json;

use crate::support::desk::{Desk, finished, finished_at, key};
use crate::support::site::{Site, erika, short_call, text};
use crate::support::world::Record;

fn since(hours: u64) -> Timestamp {
    Timestamp::now() - Duration::from_secs(hours * 3_600)
}

fn scope() -> Scope {
    Scope { since: since(1), after: None, dry_run: false }
}

/// Takes a Task out of the org as if it had never been, the recycle bin included.
fn lose(salesforce: &Salesforce, task: &Record) {
    let id = text(task, "Id");
    assert!(salesforce.remove("Task", id) && salesforce.purge(id));
}

async fn desk() -> Desk {
    Desk::new(&json!({}), "batch_window = \"20ms\"\nsettle_after = \"1s\"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_salesforce_lost_is_sent_again_and_what_somebody_deleted_is_not() {
    let desk = desk().await;
    for unique in ["1", "2", "3", "4"] {
        desk.call(unique, Vec::new()).await;
    }
    desk.ended(finished_at("old", since(3)), crate::support::desk::answer(Vec::new())).await;
    desk.settled().await;
    for unique in ["1", "old"] {
        lose(&desk.salesforce, &desk.task(unique));
    }
    assert!(desk.salesforce.remove("Task", text(&desk.task("2"), "Id")));
    desk.salesforce.edit("Task", text(&desk.task("3"), "Id"), &json!({ "CallObject": "changed" })).unwrap();

    let told = reconcile(&desk.journal, &desk.client, Scope { dry_run: true, ..scope() }).await.unwrap();
    let how = |told: &ctibridge::journal::Compared| -> Vec<(String, Difference)> {
        told.differing.iter().map(|one| (one.key.clone(), one.how)).collect()
    };
    let expected = [(key("1").to_string(), Difference::Missing), (key("2").to_string(), Difference::Deleted)];
    assert_eq!((told.entries, how(&told), told.next), (4, expected.to_vec(), None));
    assert_eq!(desk.tasks().len(), 2, "a dry run does nothing");

    let told = reconcile(&desk.journal, &desk.client, scope()).await.unwrap();
    assert_eq!(how(&told), expected);
    desk.settled().await;
    desk.task("1");
    assert_eq!(desk.tasks().len(), 3);
    let again = reconcile(&desk.journal, &desk.client, scope()).await.unwrap();
    assert_eq!(how(&again), expected[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_or_is_parked_and_is_there_is_done_with_its_notes() {
    let desk = desk().await;
    desk.salesforce.set(|knobs| knobs.task_validation = "No calls".into());
    for unique in ["1", "2", "3"] {
        desk.call(unique, Vec::new()).await;
    }
    desk.until("parked", Duration::from_secs(20), |counts| counts.parked == 3).await;
    desk.note("2", Note { notes: Some("two boxes".into()), ..Note::default() }).await;
    desk.salesforce.set(|knobs| knobs.task_validation.clear());
    for unique in ["1", "2"] {
        let row = json!({ "Subject": "by hand", "CallObject": key(unique).as_str() });
        desk.salesforce.insert("Task", &row).unwrap();
    }
    let told = reconcile(&desk.journal, &desk.client, scope()).await.unwrap();
    assert_eq!(told.differing.iter().map(|one| one.how).collect::<Vec<_>>(), [Difference::There, Difference::There]);
    desk.settled().await;
    assert_eq!((desk.journal.counts().done, desk.journal.counts().parked), (2, 1));
    assert_eq!(desk.tasks().len(), 2);
    assert!(text(&desk.task("2"), "Description").ends_with("two boxes"), "{:?}", desk.task("2"));
    assert_eq!(text(&desk.task("1"), "Subject"), "by hand");
    let parked = desk.entries(Filter::Parked).await;
    assert!(matches!(parked[0].state, EntryState::Parked { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_are_compared_a_part_at_a_time_for_few_calls() {
    let desk = desk().await;
    for nth in 0..1_300 {
        desk.journal.ended(finished(&nth.to_string()), Some(crate::support::desk::answer(Vec::new()))).await;
    }
    desk.settled().await;
    let before = desk.salesforce.api_calls();
    let first = reconcile(&desk.journal, &desk.client, scope()).await.unwrap();
    let second = reconcile(&desk.journal, &desk.client, Scope { after: first.next, ..scope() }).await.unwrap();
    assert_eq!((first.entries, second.entries, second.next), (1_000, 300, None));
    assert_eq!(desk.salesforce.api_calls() - before, 7, "one for 200");
}

fn command(site: &Site, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctibridge"))
        .args(["journal", "--config"])
        .arg(site.daemon.settings_file())
        .args(args)
        .env_clear()
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_asks_the_daemon_and_works_without_one() {
    let mut site = Site::up().await;
    site.play(&short_call(&erika())).await;
    let task = site.tasks(1).await.remove(0);
    lose(&site.salesforce, &task);
    let output = command(&site, &["reconcile", "--since", "2h", "--dry-run"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("its Task is not in Salesforce; it would be sent again"), "{said}");
    assert!(said.ends_with("1 compared: 1 missing, 0 there already, 0 deleted by somebody\n"), "{said}");
    let output = command(&site, &["reconcile", "--since", "1d"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("it is sent again"));
    let task = site.tasks(1).await.remove(0);

    assert!(site.daemon.stop().await.success());
    lose(&site.salesforce, &task);
    let output = command(&site, &["reconcile", "--since", "2h"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("1 missing"));
    site.daemon.start();
    site.tasks(1).await;
    let output = command(&site, &["reconcile", "--since", "soon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected a duration such as 24h"));
}
