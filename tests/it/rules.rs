//! The org's own rules: what they refuse is parked with the reason, and nothing else is held up by it.

use std::process::{Command, Output};

use ctibridge::journal::Filter;
use ctibridge::sim::pbx::Caller;
use ctibridge::sim::{DuplicateRule, Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::desk::{Desk, found};
use crate::support::site::{Site, erika, first, short_call, text};
use crate::support::world::http;

const CONTACT: &str = "003000000000001AAA";
const SAYS: &str = "No calls with Erika are to be logged";

fn journal(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctibridge"));
    command.args(["journal", "--config"]).arg(site.daemon.settings_file()).args(args).env_clear().output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_validation_rule_refuses_is_parked_and_the_others_of_the_batch_go_on() {
    let people = json!({ "Contact": [{ "Id": CONTACT, "LastName": "Muster" }] });
    let desk = Desk::new(&people, "batch_window = \"300ms\"").await;
    desk.salesforce.set(|knobs| {
        SAYS.clone_into(&mut knobs.task_validation);
        "Erika".clone_into(&mut knobs.task_validation_subject);
    });
    let before = desk.salesforce.api_calls();
    for nth in 0..50 {
        let known = nth % 10 == 3;
        let matches = if known { vec![found("Contact", CONTACT, None)] } else { Vec::new() };
        desk.call(&nth.to_string(), matches).await;
    }
    desk.settled().await;
    assert_eq!((desk.journal.counts().done, desk.journal.counts().parked), (45, 5));
    println!("45 of 50 written with {} API calls", desk.salesforce.api_calls() - before);
    let parked = desk.entries(Filter::Parked).await;
    for entry in &parked {
        let reason = format!("{:?}", entry.state);
        assert!(reason.contains("FIELD_CUSTOM_VALIDATION_EXCEPTION") && reason.contains(SAYS), "{reason}");
        assert!(reason.contains("except the integration user from the rule"), "{reason}");
    }

    desk.journal.retry(parked[0].id).await.unwrap();
    desk.settled().await;
    assert_eq!((desk.journal.counts().done, desk.journal.counts().parked), (45, 5), "the rule still holds");
    desk.salesforce.set(|knobs| knobs.task_validation.clear());
    for entry in &parked {
        desk.journal.retry(entry.id).await.unwrap();
    }
    desk.settled().await;
    assert_eq!((desk.journal.counts().done, desk.journal.counts().parked), (50, 0));
    assert_eq!(desk.tasks().len(), 50);
    assert_eq!(text(&desk.task("3"), "WhoId"), CONTACT);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_what_a_rule_refused_and_sends_it_again_when_the_rule_is_off() {
    let site = Site::up().await;
    site.salesforce.set(|knobs| SAYS.clone_into(&mut knobs.task_validation));
    site.play(&short_call(&erika())).await;
    site.daemon.until("/readyz", "a parked call", |_, body| body["journal"]["parked"] == 1).await;
    let listed = said(&journal(&site, &["list", "--state", "parked"]));
    assert!(listed.contains("FIELD_CUSTOM_VALIDATION_EXCEPTION"), "{listed}");
    let shown = said(&journal(&site, &["show", "1"]));
    assert!(shown.contains(SAYS) && shown.contains("then retry"), "{shown}");
    site.salesforce.set(|knobs| knobs.task_validation.clear());
    let retried = journal(&site, &["retry", "--all"]);
    assert!(retried.status.success(), "{}", said(&retried));
    site.tasks(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_rule_refuses_people_and_no_task() {
    let site = Site::up().await;
    site.salesforce.set(|knobs| knobs.duplicate_rule = DuplicateRule::Block);
    // What an agent would do on the new-record page: refused, with the one who is there.
    let login = site.salesforce.credentials();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", login.client_id.as_str()),
        ("client_secret", login.client_secret.as_str()),
    ];
    let url = site.salesforce.url();
    let token = http().post(format!("{url}/services/oauth2/token")).form(&form).send().await.unwrap();
    let token: Value = token.json().await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let again = json!({ "LastName": "Muster", "Phone": "030 23125444" });
    let request = http().post(format!("{url}/services/data/v68.0/sobjects/Contact")).bearer_auth(token).json(&again);
    let refused: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(refused[0]["errorCode"], "DUPLICATES_DETECTED", "{refused}");

    site.play(&short_call(&erika())).await;
    site.play(&short_call(&erika())).await;
    let tasks = site.tasks(2).await;
    let there = &site.salesforce.rows("Contact")[0]["Id"];
    assert!(tasks.iter().all(|task| task["WhoId"] == *there), "{tasks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_lags_costs_a_name_and_never_a_second_task() {
    let live = "[directory]\nmode = \"live\"\n[log]\nsettle_after = \"1s\"";
    let mut site = Site::new(|settings| settings.replace("[log]", live)).await;
    site.daemon.start();
    site.daemon.ready().await;
    site.salesforce.set(|knobs| knobs.search_lag_seconds = 3_600);
    site.salesforce.insert("Contact", &json!({ "LastName": "Neu", "Phone": "030 23125987" })).unwrap();
    site.salesforce.insert("Contact", &json!({ "LastName": "Neuer", "Phone": "030 23125988" })).unwrap();
    let screen = site.daemon.screen("101").opened().await;
    let new = Caller::new("+493023125987", "");
    for (number, kind) in [FaultKind::CommitThenDrop, FaultKind::LateCommit, FaultKind::Drop].into_iter().enumerate() {
        site.salesforce.fail_next(Fault::new(kind).for_ms(300).on("composite/sobjects"));
        site.play(&short_call(&new)).await;
        site.tasks(number + 1).await;
    }
    assert_eq!(first(&screen, "pop").await.data["matches"], json!([]));
    assert!(site.tasks(3).await.iter().all(|task| !task.contains_key("WhoId")));

    site.salesforce.set(|knobs| knobs.clock_offset_seconds = 3_601);
    // Of a number that was asked for within the last minute the answer is known.
    site.play(&short_call(&Caller::new("+493023125988", ""))).await;
    let tasks = site.tasks(4).await;
    assert_eq!(tasks.iter().filter(|task| text(task, "Subject") == "Inbound call from Neuer").count(), 1, "{tasks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_copy_knows_a_new_contact_whom_the_search_does_not_find_yet() {
    let fast = "[directory]\nrefresh = \"10s\"\n[log]";
    let mut site = Site::new(|settings| settings.replace("[log]", fast)).await;
    site.daemon.start();
    site.daemon.ready().await;
    site.salesforce.set(|knobs| knobs.search_lag_seconds = 3_600);
    site.salesforce.insert("Contact", &json!({ "LastName": "Neu", "Phone": "030 23125987" })).unwrap();
    let path = "/api/v1/lookup?number=%2B493023125987";
    site.daemon.until(path, "the new contact", |_, body| body["matches"][0]["name"] == "Neu").await;
    site.play(&short_call(&Caller::new("+493023125987", ""))).await;
    assert!(site.tasks(1).await[0]["WhoId"].is_string());
}
