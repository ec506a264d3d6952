//! What becomes of rows, and that `SystemModstamp` tells of each step.

use serde_json::{Value, json};

use crate::desk::{Desk, people, text};

/// Runs `change` an hour later by the org's clock and says whether the rows' stamps moved.
async fn moved(desk: &Desk, ids: &[&str], change: impl AsyncFnOnce()) -> Vec<bool> {
    let stamps = || {
        let objects = ["Contact", "Lead", "Account", "Task"];
        let rows: Vec<_> = objects.iter().flat_map(|object| all(desk, object)).collect();
        let stamp = |id: &&str| {
            rows.iter().find(|row| text(row, "Id").starts_with(*id)).map(|row| text(row, "SystemModstamp").to_owned())
        };
        ids.iter().map(stamp).collect::<Vec<_>>()
    };
    let before = stamps();
    desk.salesforce.set(|knobs| knobs.clock_offset_seconds += 3600);
    change().await;
    stamps().into_iter().zip(before).map(|(after, before)| after > before).collect()
}

/// The rows that queryAll knows.
fn all(desk: &Desk, object: &str) -> Vec<Value> {
    desk.salesforce.rows_and_bin(object).into_iter().map(Value::Object).collect()
}

const EVA: &str = "003000000000001";
const MOLL: &str = "003000000000002";
const LOT: &str = "00Q000000000001";

#[tokio::test]
async fn every_step_moves_the_stamp_of_the_rows_it_touches() {
    let desk = Desk::open(people()).await;
    let edited = moved(&desk, &[EVA, MOLL], async || {
        desk.patch(&format!("sobjects/Contact/{EVA}"), &json!({"Title": "CEO"})).await;
    });
    assert_eq!(edited.await, [true, false]);
    let deleted = moved(&desk, &[EVA, MOLL], async || assert!(desk.salesforce.remove("Contact", EVA)));
    assert_eq!(deleted.await, [true, false]);
    let undeleted = moved(&desk, &[EVA, MOLL], async || assert!(desk.salesforce.undelete(EVA)));
    assert_eq!(undeleted.await, [true, false]);
    assert_eq!(desk.salesforce.rows("Contact").len(), 2);
    assert!(!desk.salesforce.undelete(EVA));
    let merged = moved(&desk, &[EVA, MOLL, LOT], async || assert!(desk.salesforce.merge(EVA, &[MOLL])));
    assert_eq!(merged.await, [true, true, false]);
    let converted = moved(&desk, &[EVA, LOT], async || assert!(desk.salesforce.convert(LOT, EVA)));
    assert_eq!(converted.await, [false, true]);
}

#[tokio::test]
async fn what_is_merged_names_its_master_and_hands_over_its_tasks() {
    let desk = Desk::open(people()).await;
    desk.post("sobjects/Task", &json!({"Subject": "Call", "WhoId": MOLL})).await;
    let url = format!("{}/sandbox/merge", desk.salesforce.url());
    let answer = desk.client.post(&url).json(&json!({"master": EVA, "losers": [MOLL]})).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let (_, gone) = desk.get("queryAll?q=SELECT+Id,MasterRecordId+FROM+Contact+WHERE+IsDeleted=true").await;
    assert_eq!(gone["records"][0]["Id"], "003000000000002AAA");
    assert_eq!(gone["records"][0]["MasterRecordId"], "003000000000001AAA");
    let task = desk.salesforce.rows("Task")[0].clone();
    assert_eq!((&task["WhoId"], &task["AccountId"]), (&json!("003000000000001AAA"), &json!("001000000000001AAA")));
    let answer = desk.client.post(url).json(&json!({"master": EVA, "losers": [LOT]})).send().await;
    assert_eq!(answer.expect("an answer").status(), 400);
}

#[tokio::test]
async fn a_lead_is_converted_into_a_contact_that_is_made_for_it() {
    let desk = Desk::open(people()).await;
    desk.post("sobjects/Task", &json!({"Subject": "Call", "WhoId": LOT})).await;
    let url = format!("{}/sandbox/convert", desk.salesforce.url());
    let answer = desk.client.post(&url).json(&json!({"lead": LOT})).send().await.expect("an answer");
    let made: Value = answer.json().await.expect("JSON");
    let query = format!("SELECT IsConverted, ConvertedContactId, ConvertedAccountId FROM Lead WHERE Id = '{LOT}'");
    let lead = desk.query(&query).await["records"][0].clone();
    assert_eq!((&lead["IsConverted"], &lead["ConvertedContactId"]), (&json!(true), &made["contact"]));
    assert_eq!(lead["ConvertedAccountId"], made["account"]);
    let contact = desk.get(&format!("sobjects/Contact/{}", text(&made, "contact"))).await.1;
    assert_eq!((text(&contact, "LastName"), text(&contact, "Phone")), ("Lot", "4155550199"));
    assert_eq!(desk.salesforce.rows("Task")[0]["WhoId"], made["contact"]);
    let again = desk.client.post(url).json(&json!({"lead": LOT})).send().await.expect("an answer");
    assert!(again.text().await.expect("text").contains("CANNOT_UPDATE_CONVERTED_LEAD"));
}

#[tokio::test]
async fn what_changed_and_what_is_gone_is_told_for_a_span() {
    let desk = Desk::open(people()).await;
    desk.salesforce.set(|knobs| knobs.clock_offset_seconds = 3_600);
    assert!(desk.salesforce.remove("Contact", MOLL));
    let at = |minutes: i64| {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        now.strftime("%Y-%m-%dT%H%%3A%M%%3A%S%%2B00%%3A00").to_string()
    };
    let span = |what: &str, from: i64, to: i64| format!("sobjects/Contact/{what}/?start={}&end={}", at(from), at(to));
    let (_, first) = desk.get(&span("updated", -5, 5)).await;
    assert_eq!(first["ids"], json!(["003000000000001AAA"]));
    assert_eq!(desk.get(&span("updated", 5, 120)).await.1["ids"], json!([]));
    let (_, gone) = desk.get(&span("deleted", 5, 120)).await;
    assert_eq!(gone["deletedRecords"][0]["id"], "003000000000002AAA");
    assert!(desk.salesforce.purge(MOLL));
    assert_eq!(desk.get(&span("deleted", 5, 120)).await.1["deletedRecords"], json!([]));
}
