//! Queries, searches, describe, and what they cost.

use ctibridge::sim::PhoneTokens;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::desk::{Desk, code, people, text};

#[tokio::test]
async fn versions_are_listed_and_gated() {
    let desk = Desk::open(json!({})).await;
    let at = |path: &str| {
        let request = desk.client.get(format!("{}/services/data{path}", desk.salesforce.url()));
        let request = request.bearer_auth(&desk.token);
        async move { request.send().await.expect("an answer") }
    };
    let versions: Value = at("/").await.json().await.expect("JSON");
    let newest = versions.as_array().and_then(|list| list.last()).expect("one");
    assert_eq!(*newest, json!({"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}));
    assert_eq!(at("/v30.0/limits").await.status(), 410);
    assert_eq!(at("/v69.0/limits").await.status(), 404);
    assert_eq!(at("/v31.0/limits/").await.status(), 200);
}

#[tokio::test]
async fn searches_follow_the_token_mode_and_the_lag() {
    let desk = Desk::open(people()).await;
    let find = "FIND {4155550123} IN PHONE FIELDS RETURNING Contact(Id, Name, Account.Name), Lead(Id)";
    let found = desk.search(find).await;
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    assert_eq!(found[0]["Account"]["Name"], "Kern AG");
    desk.salesforce.set(|knobs| knobs.phone_tokens = PhoneTokens::Suffix);
    assert_eq!(desk.search(find).await.as_array().map(Vec::len), Some(2));
    desk.salesforce.set(|knobs| knobs.search_lag_seconds = 60);
    assert_eq!(desk.search(find).await, json!([]));
    desk.salesforce.set(|knobs| knobs.clock_offset_seconds = 60);
    assert_eq!(desk.search(find).await.as_array().map(Vec::len), Some(2));
    assert_eq!(code(&desk.get("search?q=FIND+%7B%2B14155550123%7D").await), (400, "MALFORMED_SEARCH"));
    assert_eq!(code(&desk.get("search?q=FIND+%7B4%7D").await), (400, "INVALID_SEARCH"));
    let body = json!({"q": "4155550123", "in": "PHONE", "fields": ["Id"], "sobjects": [{"name": "Contact"}]});
    let (_, found) = desk.post("parameterizedSearch", &body).await;
    assert_eq!(found["searchRecords"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn long_answers_come_in_pages() {
    let contacts: Vec<Value> = (0..5).map(|n| json!({"LastName": format!("P{n}")})).collect();
    let desk = Desk::open(json!({"Contact": contacts})).await;
    desk.salesforce.set(|knobs| knobs.page_size = 2);
    let mut page = desk.query("SELECT LastName FROM Contact ORDER BY LastName").await;
    assert_eq!((&page["totalSize"], &page["done"]), (&json!(5), &json!(false)));
    let mut names = Vec::new();
    loop {
        let records = page["records"].as_array().expect("records").clone();
        names.extend(records.iter().map(|record| text(record, "LastName").to_owned()));
        if page["done"] == true {
            break;
        }
        let next = text(&page, "nextRecordsUrl").strip_prefix("/services/data/v68.0/").expect("a path").to_owned();
        page = desk.get(&next).await.1;
    }
    assert_eq!(names.join(" "), "P0 P1 P2 P3 P4");
    assert_eq!(code(&desk.get("query/01gNOPE-2").await), (400, "INVALID_QUERY_LOCATOR"));
}

#[tokio::test]
async fn calls_are_counted_shown_and_limited() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.set(|knobs| knobs.daily_limit = 3);
    let usage = |answer: Response| answer.headers()["sforce-limit-info"].to_str().expect("text").to_owned();
    let get = |path: &'static str| {
        let desk = &desk;
        async move { desk.send(Method::GET, path, None).await.expect("an answer") }
    };
    assert_eq!(usage(get("limits").await), "api-usage=1/3");
    assert_eq!(usage(get("sobjects/Nope/describe").await), "api-usage=2/3");
    let (_, left) = desk.get("limits").await;
    assert_eq!(left["DailyApiRequests"], json!({"Max": 3, "Remaining": 0}));
    let answer = desk.get("limits").await;
    assert_eq!(code(&answer), (403, "REQUEST_LIMIT_EXCEEDED"));
    assert_eq!(answer.1[0]["message"], "TotalRequests Limit exceeded.");
}

#[tokio::test]
async fn describe_names_the_phone_fields() {
    let desk = Desk::open(json!({})).await;
    let (status, contact) = desk.get("sobjects/contact/describe/").await;
    assert_eq!((status, text(&contact, "name")), (200, "Contact"));
    let fields = contact["fields"].as_array().expect("fields");
    let phones = fields.iter().filter(|field| field["type"] == "phone");
    let phones: Vec<&str> = phones.map(|field| text(field, "name")).collect();
    assert_eq!(phones.join(" "), "Phone MobilePhone HomePhone OtherPhone AssistantPhone Fax");
    let (_, all) = desk.get("sobjects").await;
    assert!(all["sobjects"].as_array().expect("objects").iter().any(|object| object["keyPrefix"] == "00T"));
    assert_eq!(code(&desk.get("sobjects/Nope/describe").await), (404, "NOT_FOUND"));
}
