//! Faults that clients must survive.

use std::time::Duration;

use ctibridge::sim::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::desk::{Desk, code, people};

#[tokio::test]
async fn a_dropped_answer_leaves_the_row_behind() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.fail_next(Fault::new(FaultKind::CommitThenDrop));
    // A read is not hit: the fault waits for a write.
    assert_eq!(desk.get("limits").await.0, 200);
    let path = "sobjects/Task/CTI_Call_Id__c/k1";
    let body = json!({"Subject": "Call"});
    let lost = desk.send(Method::PATCH, path, Some(&body)).await;
    assert!(lost.is_err());
    assert_eq!(desk.salesforce.rows("Task").len(), 1);
    assert_eq!(desk.patch(path, &body).await.0, 200);
    assert_eq!(desk.salesforce.rows("Task").len(), 1);

    desk.salesforce.fail_next(Fault::new(FaultKind::Drop));
    assert!(desk.send(Method::PATCH, "sobjects/Task/CTI_Call_Id__c/k2", Some(&body)).await.is_err());
    assert_eq!(desk.salesforce.rows("Task").len(), 1);
}

#[tokio::test]
async fn faults_happen_in_their_order_and_then_end() {
    let mut desk = Desk::open(json!({})).await;
    let knobs = format!("{}/sandbox/knobs", desk.salesforce.url());
    let body = json!({"next": [
        {"kind": "http_503", "count": 2}, {"kind": "html_502"}, {"kind": "request_limit"},
        {"kind": "lock_row", "rows": 1}, {"kind": "session_expired"},
    ]});
    let answer = desk.client.post(&knobs).json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(code(&desk.get("limits").await), (503, "SERVER_UNAVAILABLE"));
    assert_eq!(desk.get("limits").await.0, 503);
    assert_eq!(desk.get("limits").await, (502, Value::Null));
    assert_eq!(code(&desk.get("limits").await), (403, "REQUEST_LIMIT_EXCEEDED"));
    let row = json!({"attributes": {"type": "Task"}, "Subject": "Call"});
    let (_, results) = desk.post("composite/sobjects", &json!({"records": [row, row]})).await;
    assert_eq!(results[0]["errors"][0]["statusCode"], "UNABLE_TO_LOCK_ROW");
    assert_eq!(results[1]["success"], true);
    assert_eq!(code(&desk.get("limits").await), (401, "INVALID_SESSION_ID"));
    assert_eq!(desk.get("limits").await.0, 401);
    desk.log_in().await;
    assert_eq!(desk.get("limits").await.0, 200);

    let wrong = desk.client.post(&knobs).json(&json!({"latency": 3})).send().await.expect("an answer");
    assert_eq!(wrong.status(), 400);
    assert!(wrong.text().await.expect("text").contains("unknown field `latency`"));
}

#[tokio::test]
async fn chance_is_the_same_for_the_same_seed() {
    let desk = Desk::open(json!({})).await;
    let mut runs = Vec::new();
    for seed in [7, 8, 7] {
        desk.salesforce.set(|knobs| {
            knobs.fault_rate = 0.5;
            knobs.fault_seed = seed;
            knobs.fault_kinds = vec![FaultKind::Http503];
        });
        let mut statuses = Vec::new();
        for _ in 0..12 {
            statuses.push(desk.get("limits").await.0);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[2]);
    assert_ne!(runs[0], runs[1]);
    assert!(runs[0].contains(&503) && runs[0].contains(&200));
}

#[tokio::test]
async fn an_outage_ends_connections_and_keeps_the_data() {
    let mut desk = Desk::open(people()).await;
    assert_eq!(desk.get("limits").await.0, 200);
    desk.salesforce.stop().await;
    assert!(desk.send(Method::GET, "limits", None).await.is_err());
    desk.salesforce.resume().await.expect("the same port");
    assert_eq!(desk.query("SELECT COUNT() FROM Contact").await["totalSize"], 2);
    desk.salesforce.set(|knobs| knobs.down = true);
    assert_eq!(desk.get("limits").await.0, 503);
    desk.salesforce.set(|knobs| (knobs.down, knobs.refuse) = (false, true));
    assert!(desk.send(Method::GET, "limits", None).await.is_err());
    desk.salesforce.set(|knobs| (knobs.refuse, knobs.read_only) = (false, true));
    let refused = desk.post("sobjects/Task", &json!({})).await;
    assert_eq!(code(&refused), (503, "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"));
    assert_eq!(desk.get("limits").await.0, 200);
}

#[tokio::test]
async fn a_late_commit_comes_after_its_sender_gave_up() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.fail_next(Fault::new(FaultKind::LateCommit).for_ms(50));
    let body = json!({"CallObject": "k1"});
    let lost = desk.send(Method::POST, "sobjects/Task", Some(&body)).await;
    assert!(lost.is_err());
    for _ in 0..200 {
        if !desk.salesforce.rows("Task").is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the row never came");
}

#[tokio::test]
async fn the_loser_of_a_race_is_told_so_and_then_updates() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.fail_next(Fault::new(FaultKind::LostRace).times(2));
    let path = "sobjects/Task/CTI_Call_Id__c/k1";
    assert_eq!(code(&desk.patch(path, &json!({})).await), (400, "DUPLICATE_VALUE"));
    let row = |key: &str| json!({"attributes": {"type": "Task"}, "CTI_Call_Id__c": key});
    let rows = json!({"records": [row("k1"), row("k2")]});
    let path = "composite/sobjects/Task/CTI_Call_Id__c";
    let (_, results) = desk.patch(path, &rows).await;
    assert_eq!(results[0]["created"], false);
    assert_eq!(results[1]["errors"][0]["statusCode"], "DUPLICATE_VALUE");
    let (_, results) = desk.patch(path, &rows).await;
    assert_eq!(results[1]["created"], false);
    assert_eq!(desk.salesforce.rows("Task").len(), 2);
}
