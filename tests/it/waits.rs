//! Long waits, played in short: the daemon's clock is set forward, by which it also waits, and the org's is not.
//!
//! Needs libfaketime, as `clock.rs` does.

use std::time::Duration;

use ctibridge::sim::{Denial, Fault, FaultKind, Knobs};
use serde_json::{Value, json};

use crate::clock::library;
use crate::support::site::{Site, erika, first, short_call, text};
use crate::support::world::{SOON, http, wait};

/// A site whose daemon's clock has been set forward by so many seconds.
struct Ahead {
    site: Site,
    seconds: u64,
}

impl Ahead {
    /// Up, with a call logged; `None` without the library.
    async fn up(settings: &str) -> Option<Self> {
        let library = library()?;
        let mut site = Site::new(|text| text.replace("[log]", settings)).await;
        site.daemon.fake_waits(&library);
        site.daemon.start();
        site.daemon.ready().await;
        site.play(&short_call(&erika())).await;
        site.tasks(1).await;
        Some(Self { site, seconds: 0 })
    }

    /// So much time passes, in which the phone system too was not heard; its feed is up again then.
    async fn pass(&mut self, seconds: u64) {
        let connections = self.site.asterisk.connections();
        self.seconds += seconds;
        self.site.daemon.set_clock(&format!("+{}", self.seconds));
        // A ping that was answered just then hides the jump from the feed.
        if !self.site.asterisk.wait_connected(connections + 1, SOON / 4).await {
            self.site.asterisk.cut();
        }
        assert!(self.site.asterisk.wait_connected(connections + 1, SOON).await);
        assert!(self.site.asterisk.wait_snapshot_read(SOON).await);
        self.ready("the feed", |ready| ready["feeds"][0]["state"] == "up").await;
    }

    async fn ready(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.site.daemon.until("/readyz", what, |_, body| holds(body)).await
    }

    async fn turn(&self, knobs: Value) {
        let url = format!("{}/sandbox/knobs", self.site.salesforce.url());
        assert!(http().post(url).json(&knobs).send().await.unwrap().status().is_success());
    }

    fn requests(&self) -> u64 {
        self.site.salesforce.endpoints().values().sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_days_api_calls_used_up_one_try_in_ten_minutes_finds_out_when_there_are_more() {
    let Some(mut ahead) = Ahead::up("[log]").await else { return };
    ahead.turn(json!({ "api_calls": 100_000, "daily_limit": 100_000 })).await;
    for _ in 0..3 {
        ahead.site.play(&short_call(&erika())).await;
    }
    ahead.ready("the end of the allowance", |ready| ready["salesforce"]["allowance"] == "nothing").await;
    ahead.site.waiting(3).await;
    for probe in 1..=3 {
        let before = ahead.requests();
        ahead.pass(9 * 60).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ahead.requests(), before, "probe {probe} comes before its time");
        // Ten minutes, and up to a tenth more.
        ahead.pass(2 * 60 + 10).await;
        wait("the probe", || ahead.requests() > before).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ahead.requests(), before + 1, "probe {probe} is one request");
        ahead.site.waiting(3).await;
    }
    ahead.turn(json!({ "api_calls": 10 })).await;
    ahead.pass(12 * 60).await;
    ahead.ready("the allowance", |ready| ready["salesforce"]["allowance"] == "all").await;
    ahead.site.tasks(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_maintenance_callers_are_named_and_calls_are_logged_when_it_is_over() {
    let Some(mut ahead) = Ahead::up("[directory]\nmode = \"live\"\ndeadline = \"10s\"\n[log]").await else { return };
    ahead.site.salesforce.set(|knobs| knobs.read_only = true);
    let screen = ahead.site.daemon.screen("101").opened().await;
    ahead.site.play(&short_call(&erika())).await;
    assert_eq!(first(&screen, "pop").await.data["matches"][0]["name"], "Muster");
    ahead.site.waiting(1).await;
    let ready = ahead.ready("the maintenance", |ready| ready["salesforce"]["reason"].is_string()).await;
    assert!(ready["salesforce"]["reason"].as_str().unwrap().contains("DURING_MAINTENANCE"), "{ready}");
    ahead.site.salesforce.set(|knobs| knobs.read_only = false);
    ahead.pass(40).await;
    let tasks = ahead.site.tasks(2).await;
    assert!(tasks.iter().all(|task| task["WhoId"].is_string()), "{tasks:#?}");
}

/// What is said, and what an administrator has done to the login of a daemon that runs.
type Refused = (&'static str, fn(&mut Knobs));

const LOGINS: [Refused; 6] = [
    ("Flow Enablement", |knobs| knobs.flows.clear()),
    ("less than 20 minutes", |knobs| knobs.app_not_active = true),
    ("set Run As", |knobs| knobs.no_run_as = true),
    ("activate it", |knobs| knobs.user_inactive = true),
    ("address of this machine", |knobs| {
        knobs.deny_login = Some(Denial { error: "invalid_grant".into(), description: "ip restricted".into() });
    }),
    ("choose Unblock", |knobs| {
        knobs.deny_login = Some(Denial { error: "OAUTH_APP_BLOCKED".into(), description: String::new() });
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_while_the_daemon_runs_is_told_and_calls_wait_until_it_is_mended() {
    let Some(mut ahead) = Ahead::up("[log]").await else { return };
    for (number, (says, turn)) in LOGINS.into_iter().enumerate() {
        ahead.site.salesforce.set(turn);
        ahead.site.salesforce.revoke_sessions();
        ahead.site.play(&short_call(&erika())).await;
        let ready = ahead.ready(says, |ready| ready["salesforce"]["reason"].to_string().contains(says)).await;
        assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!(["salesforce"])), "{says}: {ready}");
        let refused = || ahead.site.daemon.log().matches("Salesforce does not take Tasks").count();
        wait("the call's own try", || refused() == number + 1).await;
        ahead.site.waiting(1).await;
        ahead.site.salesforce.set(|knobs| *knobs = Knobs::default());
        ahead.pass(3 * 60).await;
        ahead.site.tasks(number + 2).await;
        ahead.ready("all well", |ready| ready["degraded"] == json!([])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_never_answered_is_given_up_and_its_call_is_one_task() {
    let Some(mut ahead) = Ahead::up("[log]\nsettle_after = \"1s\"").await else { return };
    for (number, kind) in [FaultKind::CommitThenHang, FaultKind::Hang].into_iter().enumerate() {
        ahead.site.salesforce.fail_next(Fault::new(kind).for_ms(600_000).on("composite/sobjects"));
        ahead.site.play(&short_call(&erika())).await;
        wait("the fault", || ahead.site.salesforce.faults().contains_key(&kind)).await;
        ahead.site.waiting(1).await;
        ahead.pass(120).await;
        // What is not found is sent again only when it cannot come any more.
        ahead.site.daemon.logged("looked up entries whose answer was lost").await;
        ahead.pass(120).await;
        ahead.site.tasks(number + 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_for_the_limit_is_waited_out() {
    let Some(mut ahead) = Ahead::up("[log]").await else { return };
    ahead.site.salesforce.fail_next(Fault::new(FaultKind::RequestLimit).on("composite/sobjects"));
    ahead.site.play(&short_call(&erika())).await;
    ahead.ready("the end of the allowance", |ready| ready["salesforce"]["allowance"] == "nothing").await;
    ahead.site.waiting(1).await;
    ahead.pass(12 * 60).await;
    let tasks = ahead.site.tasks(2).await;
    assert_eq!(text(&tasks[1], "Subject"), "Inbound call from Muster");
}
