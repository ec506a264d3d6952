//! What is wrong outside: passwords, machines that are down, frames that nobody should send. It is told, or made safe, and nothing is lost.

use std::time::{Duration, Instant};

use ctibridge::sim::pbx::{Caller, Script};
use ctibridge::sim::{Fault, FaultKind};
use serde_json::json;

use crate::support::site::{Site, erika, first, short_call, text};
use crate::support::world::wait;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_of_the_pbx_is_told_with_what_to_do_and_the_bridge_runs_on() {
    let mut site = Site::new(|settings| settings.replace("password = \"secret\"", "password = \"wrong\"")).await;
    site.daemon.start();
    site.daemon.logged("check `username` and `password` against ari.conf").await;
    let state = site.daemon.until("/readyz", "an answer", |status, _| status == 503).await;
    assert_eq!((&state["ready"], &state["degraded"]), (&json!(false), &json!(["pbx1"])));
    assert_eq!(site.daemon.ask("/healthz").await.unwrap().0, 200);
    assert!(!site.daemon.log().contains("wrong"), "{}", site.daemon.log());
    assert!(site.daemon.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_wrong_client_secret_calls_wait_on_disk_until_it_is_right() {
    let mut site = Site::new(|settings| settings).await;
    let right = site.salesforce.credentials().client_secret;
    site.daemon.edit(|settings| settings.replace(&right, "not-the-secret"));
    site.daemon.start();
    site.daemon.ready().await;
    site.play(&short_call(&erika())).await;
    site.waiting(1).await;
    let degraded = |body: &serde_json::Value| body["degraded"] == json!(["salesforce"]);
    let state = site.daemon.until("/readyz", "the trouble", |status, body| status == 200 && degraded(body)).await;
    assert!(state["salesforce"]["reason"].as_str().unwrap().contains("client_secret"), "{state}");
    assert!(site.daemon.stop().await.success());
    assert!(!site.daemon.log().contains("not-the-secret"));

    site.daemon.edit(|settings| settings.replace("not-the-secret", &right));
    site.daemon.start();
    assert_eq!(text(&site.tasks(1).await[0], "Subject"), "Inbound call from Muster");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_is_down_at_the_start_is_waited_for() {
    let mut site = Site::new(|settings| settings).await;
    site.asterisk.stop().await;
    site.daemon.start();
    let state = site.daemon.until("/readyz", "an answer", |status, _| status == 503).await;
    assert_eq!(state["feeds"][0]["state"], "connecting");
    site.daemon.logged("check `url`, that Asterisk runs").await;
    site.asterisk.restart().await.unwrap();
    site.daemon.ready().await;
    site.play(&short_call(&erika())).await;
    site.tasks(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_salesforce_down_pops_say_unknown_in_time_and_calls_are_logged_later() {
    let mut site = Site::new(|settings| settings).await;
    site.salesforce.set(|knobs| knobs.down = true);
    site.daemon.start();
    site.daemon.ready().await;
    let screen = site.daemon.screen("101").opened().await;
    let began = Instant::now();
    site.play(&short_call(&erika())).await;
    let pop = first(&screen, "pop").await;
    assert!(pop.at - began < Duration::from_secs(2), "{:?}", pop.at - began);
    assert_eq!((&pop.data["matches"], &pop.data["caller"]["e164"]), (&json!([]), &json!("+493023125444")));
    for _ in 0..2 {
        site.play(&short_call(&erika())).await;
    }
    site.waiting(3).await;
    assert!(site.salesforce.rows("Task").is_empty());
    site.salesforce.set(|knobs| knobs.down = false);
    for task in site.tasks(3).await {
        assert!(task["WhoId"].is_string(), "the caller is looked up again: {task:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_html_instead_of_an_answer_is_survived() {
    let mut site = Site::new(|settings| settings.replace("[log]", "[log]\nsettle_after = \"1s\"")).await;
    site.daemon.start();
    site.daemon.ready().await;
    site.salesforce.fail_next(Fault::new(FaultKind::Html502).times(2).on("composite/sobjects"));
    site.play(&short_call(&erika())).await;
    site.tasks(1).await;
    assert!(!site.daemon.log().contains("<html>"), "{}", site.daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_behind_the_commit_makes_one_task() {
    let mut site = Site::new(|settings| settings.replace("[log]", "[log]\nsettle_after = \"1s\"")).await;
    site.daemon.start();
    site.daemon.ready().await;
    site.salesforce.fail_next(Fault::new(FaultKind::CommitThenDrop).on("composite/sobjects"));
    site.play(&short_call(&erika())).await;
    site.tasks(1).await;
    site.daemon.logged("looked up entries whose answer was lost").await;
    site.salesforce.fail_next(Fault::new(FaultKind::Drop).on("composite/sobjects"));
    site.play(&short_call(&erika())).await;
    site.tasks(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_is_begun_anew() {
    let site = Site::up().await;
    site.play(&short_call(&erika())).await;
    site.tasks(1).await;
    site.salesforce.revoke_sessions();
    site.play(&short_call(&Caller::new("+493023125987", ""))).await;
    site.tasks(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_40_megabytes_ends_the_connection_and_not_the_call() {
    let site = Site::up().await;
    let rest = site.begin(&short_call(&erika()), 45).await;
    let connections = site.asterisk.connections();
    let huge = json!({ "type": "ChannelVarset", "value": "x".repeat(40 << 20) });
    site.asterisk.send(&huge.to_string()).await;
    site.daemon.logged("is not read").await;
    assert!(site.asterisk.wait_connected(connections + 1, Duration::from_secs(20)).await);
    assert!(site.asterisk.wait_snapshot_read(Duration::from_secs(20)).await);
    site.go_on(&rest).await;
    let tasks = site.tasks(1).await;
    assert!(!text(&tasks[0], "Description").contains("estimated"), "{tasks:?}");
    assert_eq!(text(&tasks[0], "CallDisposition"), "Answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_and_types_that_nobody_knows_do_no_harm() {
    let site = Site::up().await;
    let rest = site.begin(&short_call(&erika()), 45).await;
    for frame in ["", "{", "no JSON", "[]", "7", "{}", r#"{"type":7}"#, r#"{"type":"Wonder","channel":{"id":"1.1"}}"#] {
        site.asterisk.send(frame).await;
    }
    for kind in ["ChannelCreated", "ChannelDestroyed", "Dial", "ChannelEnteredBridge", "BridgeAttendedTransfer"] {
        for _ in 0..3 {
            site.asterisk.send(&json!({ "type": kind, "timestamp": "yesterday", "channel": [] }).to_string()).await;
        }
    }
    site.go_on(&rest).await;
    site.tasks(1).await;
    let log = site.daemon.log();
    assert!(!log.contains("no JSON\n") && !log.contains("Wonder"), "{log}");
    assert_eq!(log.matches("is no JSON object").count(), 1, "{log}");
    assert_eq!(log.matches("a ChannelCreated frame lacks").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_with_our_app_is_told_by_its_name_and_not_fought_with() {
    let site = Site::up().await;
    let rest = site.begin(&short_call(&erika()), 45).await;
    let frame = json!({ "type": "ApplicationReplaced", "application": "ctibridge", "timestamp": "2026-11-21T17:26:44.085+0000" });
    site.asterisk.send(&frame.to_string()).await;
    site.daemon.logged("another client connected with app `ctibridge`").await;
    let log = site.daemon.log();
    let line = log.lines().find(|line| line.contains("another client")).unwrap();
    assert!(line.contains(" WARN ") && line.contains("wait=30"), "{line}");
    assert!(site.asterisk.wait_disconnected(Duration::from_secs(20)).await);
    let state = site.daemon.until("/readyz", "the loss", |_, body| body["degraded"] == json!(["pbx1"])).await;
    assert_eq!((&state["ready"], &state["feeds"][0]["state"]), (&json!(true), &json!("lost")));
    site.go_on(&rest).await;
    assert_eq!(site.asterisk.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_made_to_do_harm_reaches_screens_tasks_and_the_log_as_plain_text() {
    let site = Site::up().await;
    let screen = site.daemon.screen("101").opened().await;
    let name = "Eve\r\n\r\nevent: pop\r\ndata: {}\0\u{1b}[31mred\u{202e}<script>alert(1)</script>";
    site.play(&short_call(&Caller::new("+493023125987", name))).await;
    let task = site.tasks(1).await.remove(0);
    wait("the end", || screen.events().iter().any(|event| event.data["state"] == "ended")).await;
    let events = screen.events();
    assert_eq!(events.iter().filter(|event| event.kind == "pop").count(), 1, "{events:?}");
    let shown = events[0].data["caller"]["name"].as_str().unwrap();
    let harmless = |text: &str| !text.chars().any(|it| it.is_control() && it != '\n' || it == '\u{202e}');
    assert!(shown.contains("<script>") && harmless(shown) && !shown.contains('\n'), "{shown:?}");
    let subject = text(&task, "Subject");
    assert!(subject.contains("Eve") && harmless(subject) && !subject.contains('\n'), "{subject:?}");
    assert!(harmless(text(&task, "Description")));
    let log = site.daemon.log();
    assert!(harmless(&log) && log.lines().all(|line| line.starts_with("20")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presentation_that_comes_late_takes_the_number_back() {
    let site = Site::up().await;
    let screen = site.daemon.screen("101").opened().await;
    site.asterisk.set_variable_latency(Duration::from_millis(900));
    let began = Instant::now();
    let script = Script::inbound_private(&erika(), "+493023125101").ring(&["101"]).after(1_800).hangup_by_caller();
    site.play(&script).await;
    let pop = first(&screen, "pop").await;
    let after = pop.at - began;
    assert!((190..900).contains(&after.as_millis()), "{after:?}");
    assert_eq!(pop.data["caller"]["e164"], "+493023125444");
    let update = first(&screen, "update").await;
    assert!(update.at - began >= Duration::from_millis(890), "{:?}", update.at - began);
    assert_eq!((&update.data["caller"]["e164"], &update.data["matches"]), (&json!(null), &json!([])));
    let task = site.tasks(1).await.remove(0);
    let told = serde_json::to_string(&task).unwrap();
    assert!(!told.contains("23125444") && !told.contains("Muster") && !task.contains_key("WhoId"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pop_that_waits_for_a_slow_look_up_is_shown_as_withheld_when_that_is_learnt_meanwhile() {
    let site = Site::up_live().await;
    let screen = site.daemon.screen("101").opened().await;
    site.asterisk.set_variable_latency(Duration::from_millis(400));
    site.salesforce.set(|knobs| knobs.latency_ms = 2_000);
    let script = Script::inbound_private(&erika(), "+493023125101").ring(&["101"]).after(1_000).hangup_by_caller();
    site.play(&script).await;
    let pop = first(&screen, "pop").await;
    assert_eq!((&pop.data["caller"]["e164"], &pop.data["matches"]), (&json!(null), &json!([])));
    site.salesforce.set(|knobs| knobs.latency_ms = 0);
    let task = site.tasks(1).await.remove(0);
    assert!(!serde_json::to_string(&task).unwrap().contains("23125444"));
}
