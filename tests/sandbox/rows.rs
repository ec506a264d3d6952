//! Rows: created, changed, refused, one by one and many at once.

use ctibridge::sim::{Options, Seed};
use reqwest::Method;
use serde_json::{Value, json};

use crate::desk::{Desk, code, people, text};

#[tokio::test]
async fn rows_are_created_read_changed_and_deleted() {
    let desk = Desk::open(people()).await;
    let body =
        json!({"Subject": "Call", "status": "Completed", "WhoId": "003000000000001", "ActivityDate": "2026-11-21"});
    let (status, made) = desk.post("sobjects/Task/", &body).await;
    let id = text(&made, "id").to_owned();
    assert_eq!(status, 201);
    assert_eq!(made, json!({"id": id, "success": true, "errors": []}));
    assert_eq!(id.len(), 18);

    let (status, row) = desk.get(&format!("sobjects/Task/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(row["attributes"]["url"], format!("/services/data/v68.0/sobjects/Task/{id}"));
    assert_eq!(row["Status"], "Completed");
    assert_eq!(row["IsClosed"], true);
    assert_eq!(row["Priority"], "Normal");
    assert_eq!(row["AccountId"], "001000000000001AAA");
    assert_eq!(row["Description"], Value::Null);
    let made_at = text(&row, "CreatedDate");
    assert!(made_at.ends_with(".000+0000") && made_at.len() == 28, "{made_at}");

    let change = json!({"CallDisposition": "Answered"});
    let path = format!("sobjects/Task/{}", &id[..15]);
    assert_eq!(desk.patch(&path, &change).await, (204, Value::Null));
    assert_eq!(desk.salesforce.rows("Task")[0]["CallDisposition"], "Answered");
    assert_eq!(desk.ask(Method::DELETE, &path, None).await, (204, Value::Null));
    assert_eq!(code(&desk.get(&path).await), (404, "NOT_FOUND"));
    assert_eq!(code(&desk.patch(&path, &change).await), (404, "ENTITY_IS_DELETED"));
    assert!(desk.salesforce.rows("Task").is_empty());
    let (_, all) = desk.get("queryAll?q=SELECT+Id,IsDeleted+FROM+Task").await;
    assert_eq!(all["records"][0]["IsDeleted"], true);
}

#[tokio::test]
async fn tasks_that_break_a_rule_are_refused_with_its_code() {
    let desk = Desk::open(people()).await;
    for (body, expected) in [
        (json!({"Subject": "x".repeat(256)}), "STRING_TOO_LONG"),
        (json!({"Description": "x".repeat(32_001)}), "STRING_TOO_LONG"),
        (json!({"Nonsense__c": 1}), "INVALID_FIELD"),
        (json!({"WhoId": "001000000000001"}), "FIELD_INTEGRITY_EXCEPTION"),
        (json!({"WhatId": "00Q000000000001"}), "FIELD_INTEGRITY_EXCEPTION"),
        (json!({"WhoId": "00Q000000000001", "WhatId": "001000000000001"}), "FIELD_INTEGRITY_EXCEPTION"),
        (json!({"WhoId": "00Q000000000002"}), "CANNOT_UPDATE_CONVERTED_LEAD"),
        (json!({"WhoId": "003000000000099"}), "INVALID_CROSS_REFERENCE_KEY"),
        (json!({"OwnerId": "nobody"}), "MALFORMED_ID"),
        (json!({"OwnerId": "005000000000102"}), "INACTIVE_OWNER_OR_USER"),
        (json!({"CallType": "Sideways"}), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        (json!({"CallDurationInSeconds": 1.5}), "JSON_PARSER_ERROR"),
        (json!({"ActivityDate": "21.11.2026"}), "JSON_PARSER_ERROR"),
        (json!({"IsClosed": true}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
        (json!({"Id": "00T000000000001"}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ] {
        assert_eq!(code(&desk.post("sobjects/Task", &body).await), (400, expected), "{body}");
    }
    let answer = desk.post("sobjects/Lead", &json!({"FirstName": "A"})).await;
    assert_eq!(answer.1[0]["message"], "Required fields are missing: [LastName, Company]");
    let (status, made) = desk.post("sobjects/Task", &json!({"WhoId": "00Q000000000001", "TaskSubtype": "Call"})).await;
    assert_eq!(status, 201);
    let path = format!("sobjects/Task/{}", text(&made, "id"));
    assert_eq!(code(&desk.patch(&path, &json!({"TaskSubtype": "Email"})).await).1, "INVALID_FIELD_FOR_INSERT_UPDATE");
    assert_eq!(code(&desk.patch(&path, &json!({"WhatId": "001000000000001"})).await).1, "FIELD_INTEGRITY_EXCEPTION");
    assert_eq!(desk.salesforce.rows("Task").len(), 1);
}

#[tokio::test]
async fn an_upsert_creates_then_updates_and_never_doubles() {
    let desk = Desk::open(json!({})).await;
    let path = "sobjects/Task/CTI_Call_Id__c/hq-pbx1-7";
    let body = json!({"Subject": "Call"});
    let only = format!("{path}?updateOnly=true");
    assert_eq!(code(&desk.patch(&only, &body).await), (404, "NOT_FOUND"));
    let (status, first) = desk.patch(path, &body).await;
    assert_eq!((status, &first["created"]), (201, &json!(true)));
    let (status, second) = desk.patch(path, &body).await;
    assert_eq!((status, &second["created"]), (200, &json!(false)));
    assert_eq!(first["id"], second["id"]);
    assert_eq!(desk.get(path).await.1["CTI_Call_Id__c"], "hq-pbx1-7");

    let old = format!("{}/services/data/v45.0/{path}", desk.salesforce.url());
    let answer = desk.client.patch(old).bearer_auth(&desk.token).json(&body).send().await;
    assert_eq!(answer.expect("an answer").status(), 204);

    let with_key = json!({"CTI_Call_Id__c": "hq-pbx1-7"});
    assert_eq!(code(&desk.patch(path, &with_key).await), (400, "INVALID_FIELD"));
    let wrong = desk.patch("sobjects/Task/Nope__c/1", &body).await;
    assert_eq!(code(&wrong), (404, "NOT_FOUND"));
    assert!(text(&wrong.1[0], "message").starts_with("Provided external ID field"));
    let twice = desk.post("sobjects/Task", &with_key).await;
    assert_eq!(code(&twice), (400, "DUPLICATE_VALUE"));
    let short = &text(&first, "id")[..15];
    assert_eq!(
        twice.1[0]["message"],
        format!("duplicate value found: CTI_Call_Id__c duplicates value on record with id: {short}")
    );
    let other_case = desk.post("sobjects/Task", &json!({"CTI_Call_Id__c": "HQ-PBX1-7"})).await;
    assert_eq!(other_case.0, 201);
}

#[tokio::test]
async fn a_key_that_is_not_unique_is_answered_with_a_list() {
    let desk = Desk::open(json!({
        "$fields": {"UpsertTable__c": ["ExtId__c ext:40"]},
        "UpsertTable__c": [{"Name": "a", "ExtId__c": "1"}, {"Name": "b", "ExtId__c": "1"}],
    }))
    .await;
    let (status, urls) = desk.patch("sobjects/UpsertTable__c/ExtId__c/1", &json!({"Name": "c"})).await;
    assert_eq!(status, 300);
    assert_eq!(urls.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn collections_answer_row_by_row() {
    let desk = Desk::open(people()).await;
    let task = |fields: Value| {
        let mut task = json!({"attributes": {"type": "Task"}});
        task.as_object_mut().expect("an object").extend(fields.as_object().cloned().unwrap_or_default());
        task
    };
    let rows = json!({"allOrNone": false, "records": [
        task(json!({"Subject": "good", "CTI_Call_Id__c": "a"})),
        task(json!({"OwnerId": "nobody"})),
        task(json!({"Subject": "x".repeat(300)})),
    ]});
    let (status, results) = desk.post("composite/sobjects", &rows).await;
    assert_eq!(status, 200);
    assert_eq!(results[0]["success"], true);
    assert_eq!(results[1]["success"], false);
    assert_eq!(results[1]["errors"][0]["statusCode"], "MALFORMED_ID");
    assert!(results[1].get("id").is_none());
    assert_eq!(results[2]["errors"][0]["fields"], json!(["Subject"]));
    assert_eq!(desk.salesforce.rows("Task").len(), 1);

    let rows = json!({"allOrNone": true, "records": [
        task(json!({"CTI_Call_Id__c": "a", "Subject": "again"})),
        task(json!({"CTI_Call_Id__c": "b", "OwnerId": "005000000000102"})),
    ]});
    let path = "composite/sobjects/Task/CTI_Call_Id__c";
    let (_, results) = desk.patch(path, &rows).await;
    assert_eq!(results[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(results[1]["errors"][0]["statusCode"], "INACTIVE_OWNER_OR_USER");
    assert_eq!(desk.salesforce.rows("Task")[0]["Subject"], "good");

    let rows = json!({"records": [task(json!({"CTI_Call_Id__c": "a"})), task(json!({"CTI_Call_Id__c": "b"}))]});
    let (_, results) = desk.patch(path, &rows).await;
    assert_eq!((&results[0]["created"], &results[1]["created"]), (&json!(false), &json!(true)));
    let (first, second) = (text(&results[0], "id"), text(&results[1], "id"));

    let change = json!({"records": [{"attributes": {"type": "Task"}, "id": first, "Subject": "new"}]});
    assert_eq!(desk.patch("composite/sobjects", &change).await.1[0]["success"], true);
    let wanted = json!({"ids": [first, "00T000000000099"], "fields": ["Id", "Subject"]});
    let (_, found) = desk.post("composite/sobjects/Task", &wanted).await;
    assert_eq!((&found[0]["Subject"], &found[1]), (&json!("new"), &Value::Null));
    let path = format!("composite/sobjects?ids={first},{second}&allOrNone=false");
    let (_, gone) = desk.ask(Method::DELETE, &path, None).await;
    assert_eq!((&gone[0]["success"], &gone[1]["success"]), (&json!(true), &json!(true)));
    let many = json!({"records": vec![task(json!({})); 201]});
    assert_eq!(code(&desk.post("composite/sobjects", &many).await).1, "EXCEEDED_ID_LIMIT");
}

#[tokio::test]
async fn a_composite_request_is_one_call_and_passes_results_on() {
    let desk = Desk::open(people()).await;
    let before = desk.salesforce.api_calls();
    let base = "/services/data/v68.0";
    let body = json!({"compositeRequest": [
        {"method": "POST", "url": format!("{base}/sobjects/Contact"), "referenceId": "c", "body": {"LastName": "New"}},
        {"method": "POST", "url": format!("{base}/sobjects/Task"), "referenceId": "t",
         "body": {"Subject": "Call", "WhoId": "@{c.id}"}},
        {"method": "GET", "referenceId": "q",
         "url": format!("{base}/query?q=SELECT+Who.Name+FROM+Task+WHERE+WhoId='@{{c.id}}'")},
        {"method": "PATCH", "url": format!("{base}/sobjects/Task/@{{nope.id}}"), "referenceId": "x", "body": {}},
    ]});
    let (status, answer) = desk.post("composite", &body).await;
    assert_eq!(status, 200);
    let part = |number: usize| &answer["compositeResponse"][number];
    assert_eq!(part(0)["httpStatusCode"], 201);
    assert!(text(&part(0)["httpHeaders"], "Location").starts_with(base));
    assert_eq!(part(2)["body"]["records"][0]["Who"]["Name"], "New");
    assert_eq!(part(3)["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(desk.salesforce.api_calls() - before, 1);
}

#[tokio::test]
async fn a_person_account_has_a_contact_of_its_own() {
    let options = Options {
        person_accounts: true,
        seed: Seed::from_value(json!({"Account": [
            {"FirstName": "Ida", "LastName": "Falk", "PersonMobilePhone": "+49 171 3920001"}, {"Name": "Firm"},
        ]}))
        .expect("a seed"),
        ..Options::default()
    };
    let desk = Desk::with(options).await;
    let found = desk.query("SELECT Name, PersonContactId FROM Account WHERE IsPersonAccount = true").await;
    assert_eq!(found["totalSize"], 1);
    assert_eq!(found["records"][0]["Name"], "Ida Falk");
    let contacts = desk.salesforce.rows("Contact");
    assert_eq!(contacts[0]["Id"], found["records"][0]["PersonContactId"]);
    assert_eq!(contacts[0]["MobilePhone"], "+49 171 3920001");
}

#[tokio::test]
async fn an_org_has_its_own_task_statuses() {
    let desk = Desk::open(json!({})).await;
    let statuses = json!([{"label": "Offen", "default": true}, {"label": "Erledigt", "closed": true}]);
    desk.salesforce.set(|knobs| {
        knobs.task_statuses = serde_json::from_value(statuses).expect("statuses");
    });
    let closed = desk.query("SELECT ApiName FROM TaskStatus WHERE IsClosed = true").await;
    assert_eq!(closed["records"][0]["ApiName"], "Erledigt");
    desk.post("sobjects/Task", &json!({})).await;
    desk.post("sobjects/Task", &json!({"Status": "Erledigt"})).await;
    let tasks = desk.salesforce.rows("Task");
    assert_eq!((&tasks[0]["Status"], &tasks[0]["IsClosed"]), (&json!("Offen"), &json!(false)));
    assert_eq!(tasks[1]["IsClosed"], true);
}
