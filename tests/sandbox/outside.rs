//! What is not Salesforce: the knobs, the pages, the seed.

use ctibridge::sim::{Options, Salesforce, Seed};
use serde_json::{Value, json};

use crate::desk::{Desk, people};

#[tokio::test]
async fn the_state_can_be_seen_from_outside() {
    let desk = Desk::open(people()).await;
    desk.post("sobjects/Task", &json!({"Subject": "Call"})).await;
    let url = format!("{}/sandbox/state?object=task", desk.salesforce.url());
    let state: Value = desk.client.get(url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(state["api_calls"], 1);
    assert_eq!(state["endpoints"]["POST /services/data/v68.0/sobjects/Task"], 1);
    assert_eq!(state["rows"][0]["Subject"], "Call");
}

#[tokio::test]
async fn links_lead_to_a_page_about_the_record() {
    let desk = Desk::open(people()).await;
    for path in ["lightning/r/Contact/003000000000001AAA/view", "lightning/r/003000000000001/view", "003000000000001"] {
        let url = format!("{}/{path}", desk.salesforce.url());
        let answer = desk.client.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.text().await.expect("text").contains("<h1>Contact: Eva Kern</h1>"), "{path}");
    }
}

#[tokio::test]
async fn a_seed_with_an_unknown_field_does_not_start() {
    let options = Options {
        seed: Seed::from_json(r#"{"Contact": [{"LastName": "A"}, {"LastName": "B", "Tel": "1"}]}"#).expect("JSON"),
        ..Options::default()
    };
    let error = Salesforce::start(options).await.expect_err("a wrong seed");
    assert_eq!(error.to_string(), "seed data: Contact[1] has no field \"Tel\"");
}
