//! When the org's API calls run out: first the look-ups go, then everything but a rare try, and no call is lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::site::{Site, erika, short_call, text};
use crate::support::world::http;

/// The org's calls of the last 24 hours, as if others had made them.
async fn used(site: &Site, used: u64, allowed: u64) {
    let url = format!("{}/sandbox/knobs", site.salesforce.url());
    let knobs = json!({ "api_calls": used, "daily_limit": allowed });
    assert!(http().post(url).json(&knobs).send().await.unwrap().status().is_success());
}

async fn look_up(site: &Site, number: &str) -> Value {
    site.daemon.ask(&format!("/api/v1/lookup?number=%2B{number}")).await.unwrap().1
}

async fn allowance(site: &Site, wanted: &str) -> Value {
    site.daemon.until("/readyz", wanted, |_, body| body["salesforce"]["allowance"] == wanted).await
}

fn searches(site: &Site) -> u64 {
    let endpoints = site.salesforce.endpoints();
    endpoints.iter().filter(|(name, _)| name.ends_with("/search")).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_at_last_is_kept_for_the_tasks() {
    let site = Site::up_live().await;
    assert_eq!(look_up(&site, "493023125444").await["matches"][0]["name"], "Muster");
    let ready = allowance(&site, "all").await;
    assert_eq!(ready["salesforce"]["api_allowed"], 150_000);
    assert!(ready["salesforce"]["own_calls"].as_u64().unwrap() >= 2, "{ready}");

    used(&site, 97_000, 100_000).await;
    look_up(&site, "493023125001").await;
    allowance(&site, "tasks-only").await;
    let before = searches(&site);
    let answer = look_up(&site, "493023125002").await;
    assert_eq!((&answer["source"], &answer["matches"]), (&json!("none"), &json!([])), "{answer}");
    site.play(&short_call(&ctibridge::sim::pbx::Caller::new("+493023125003", ""))).await;
    let tasks = site.tasks(1).await;
    assert_eq!(text(&tasks[0], "CallDisposition"), "Answered");
    assert_eq!(searches(&site), before, "nobody is searched for");

    let metrics = http().get(format!("{}/metrics", site.daemon.base())).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ctibridge_salesforce_allowance 3"), "{metrics}");
    for kind in ["login", "search", "query", "describe", "collections"] {
        assert!(
            metrics.contains(&format!("ctibridge_salesforce_calls_total{{kind=\"{kind}\"}} ")),
            "{kind}: {metrics}"
        );
    }

    used(&site, 10, 100_000).await;
    site.play(&short_call(&erika())).await;
    site.tasks(2).await;
    allowance(&site, "all").await;
    look_up(&site, "493023125004").await;
    assert!(searches(&site) > before, "people are looked up again");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_is_left_nothing_is_asked_and_calls_wait() {
    let site = Site::up().await;
    look_up(&site, "493023125444").await;
    used(&site, 100_000, 100_000).await;
    site.play(&short_call(&erika())).await;
    allowance(&site, "nothing").await;
    let down = |body: &Value| body["degraded"] == json!(["salesforce"]);
    let ready = site.daemon.until("/readyz", "Salesforce degraded", |_, body| down(body)).await;
    assert!(ready["salesforce"]["reason"].as_str().unwrap().contains("used up"), "{ready}");
    let before: u64 = site.salesforce.endpoints().values().sum();
    for number in 1..=3 {
        site.play(&short_call(&ctibridge::sim::pbx::Caller::new(&format!("+4930231250{number:02}"), ""))).await;
        look_up(&site, "493023125099").await;
    }
    site.waiting(4).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(site.salesforce.endpoints().values().sum::<u64>(), before, "Salesforce is left alone");
}
