//! Knobs that change what the org lets a user see and do.

use ctibridge::sim::DuplicateRule;
use serde_json::{Value, json};

use crate::desk::{Desk, code, people, text};

const EVA: &str = "003000000000001AAA";
const MOLL: &str = "003000000000002AAA";

#[tokio::test]
async fn every_knob_is_told_on_one_page() {
    let desk = Desk::open(json!({})).await;
    let url = format!("{}/sandbox", desk.salesforce.url());
    let page: Value = desk.client.get(url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(page["knobs"]["daily_limit"]["value"], 150_000);
    assert!(text(&page["knobs"]["phone_tokens"], "meaning").contains("suffix"));
    assert!(page["faults"].as_array().expect("faults").contains(&json!("commit_then_drop")));
    assert!(page["requests"]["POST /sandbox/merge"].is_string());
}

#[tokio::test]
async fn a_record_can_be_hidden_from_a_user() {
    let desk = Desk::open(people()).await;
    let me = desk.query("SELECT Id FROM User WHERE LastName = 'User'").await["records"][0]["Id"].clone();
    let agent = "005000000000101AAA";
    let hide = |from: &str| json!({"hidden": {from: [EVA]}});
    let knobs = format!("{}/sandbox/knobs", desk.salesforce.url());
    desk.client.post(&knobs).json(&hide(agent)).send().await.expect("an answer");
    let rights = format!(
        "SELECT RecordId, HasReadAccess FROM UserRecordAccess WHERE UserId = '{agent}' \
         AND RecordId IN ('{EVA}', '003000000000002')"
    );
    let rows = desk.query(&rights).await["records"].clone();
    assert_eq!((&rows[0]["HasReadAccess"], &rows[1]["HasReadAccess"]), (&json!(false), &json!(true)));
    assert_eq!(desk.query("SELECT Id FROM Contact").await["totalSize"], 2, "others still see it");

    desk.client.post(&knobs).json(&hide(me.as_str().expect("an id"))).send().await.expect("an answer");
    assert_eq!(desk.query("SELECT Id FROM Contact").await["totalSize"], 1);
    assert_eq!(desk.query("SELECT COUNT() FROM Contact").await["totalSize"], 1);
    let find = "FIND {4155550123} IN PHONE FIELDS RETURNING Contact(Id)";
    assert_eq!(desk.search(find).await, json!([]));
    assert_eq!(code(&desk.get(&format!("sobjects/Contact/{EVA}")).await), (404, "NOT_FOUND"));
    let change = desk.patch(&format!("sobjects/Contact/{EVA}"), &json!({"Title": "x"})).await;
    assert_eq!(code(&change), (403, "INSUFFICIENT_ACCESS_OR_READONLY"));
}

#[tokio::test]
async fn a_duplicate_is_refused_by_the_rule() {
    let desk = Desk::open(people()).await;
    let again = json!({"LastName": "moll", "MobilePhone": "+1 415-555-0123"});
    let save = async |allow: &str| {
        let url = format!("{}/services/data/v68.0/sobjects/Contact", desk.salesforce.url());
        let request = desk.client.post(url).bearer_auth(&desk.token).json(&again);
        let answer = request.header("Sforce-Duplicate-Rule-Header", allow).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    desk.salesforce.set(|knobs| knobs.duplicate_rule = DuplicateRule::Alert);
    let refused = save("allowSave=false").await;
    assert_eq!(code(&refused), (400, "DUPLICATES_DETECTED"));
    // Salesforce's own spelling, and the documented one.
    let found = &refused.1[0]["duplicateResut"];
    assert_eq!(&refused.1[0]["duplicateResult"], found);
    assert_eq!((&found["allowSave"], &found["duplicateRuleEntityType"]), (&json!(true), &json!("Contact")));
    let records = &found["matchResults"][0]["matchRecords"];
    let url = format!("/services/data/v68.0/sobjects/Contact/{MOLL}");
    let record = json!({"attributes": {"type": "Contact", "url": url}, "Id": MOLL});
    assert_eq!((&records[0]["record"], &records[1]), (&record, &Value::Null));
    let details = save("allowSave=false; includeRecordDetails=true").await.1;
    let record = &details[0]["duplicateResut"]["matchResults"][0]["matchRecords"][0]["record"];
    assert_eq!((&record["Id"], &record["LastName"]), (&json!(MOLL), &json!("Moll")));
    let row = json!({"attributes": {"type": "Contact"}, "LastName": "Moll", "MobilePhone": "+1 415-555-0123"});
    let (_, rows) = desk.post("composite/sobjects", &json!({"records": [row]})).await;
    assert_eq!(
        rows[0]["errors"],
        json!([{"statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": []}])
    );
    assert_eq!(save("allowSave=true").await.0, 201);
    desk.salesforce.set(|knobs| knobs.duplicate_rule = DuplicateRule::Block);
    assert_eq!(code(&save("allowSave=true").await), (400, "DUPLICATES_DETECTED"));
    assert_eq!(desk.post("sobjects/Contact", &json!({"LastName": "Moll"})).await.0, 201);
}

#[tokio::test]
async fn records_that_were_touched_are_recent() {
    let desk = Desk::open(people()).await;
    assert_eq!(desk.get("recent").await.1, json!([]));
    desk.get(&format!("sobjects/Contact/{EVA}")).await;
    desk.patch("sobjects/Account/001000000000001", &json!({"Industry": "Retail"})).await;
    let (_, recent) = desk.get("recent?limit=5").await;
    let names: Vec<&str> = recent.as_array().expect("records").iter().map(|record| text(record, "Name")).collect();
    assert_eq!(names, ["Kern AG", "Eva Kern"]);
    desk.get("query?q=SELECT+Id+FROM+Contact+ORDER+BY+Id+LIMIT+2+FOR+VIEW").await;
    let (_, recent) = desk.get("recent?limit=2").await;
    assert_eq!(recent[0]["Id"], EVA, "the first of a query that says so was looked at last");
    assert_eq!(recent[1]["attributes"]["type"], "Contact");
    let (_, contact) = desk.get("sobjects/Contact").await;
    assert_eq!(contact["recentItems"][0]["Id"], EVA);
}

#[tokio::test]
async fn a_search_page_leads_to_the_records() {
    let desk = Desk::open(people()).await;
    let page = async |path: &str| {
        let answer = desk.client.get(format!("{}/{path}", desk.salesforce.url())).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let (status, found) = page("_ui/search/ui/UnifiedSearchResults?str=%28415%29%20555-0123").await;
    assert_eq!(status, 200);
    assert!(found.contains(&format!("/lightning/r/Contact/{EVA}/view")), "{found}");
    assert!(page("_ui/search/ui/UnifiedSearchResults?str=Kern").await.1.contains("Account: <a"));
    let (status, new) = page("lightning/o/Lead/new?defaultFieldValues=Phone%3D%252B14155550199").await;
    assert!(status == 200 && new.contains("<h1>New Lead</h1>") && new.contains("+14155550199"), "{new}");
}
