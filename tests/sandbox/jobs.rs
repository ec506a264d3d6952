//! Bulk API 2.0 as its documentation has it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::desk::{Desk, code, people, text};

/// The CSV of one set of results, its locator and its count.
async fn set(desk: &Desk, path: &str) -> (String, String, String) {
    let answer = desk.send(Method::GET, path, None).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    let (locator, count) = (header("sforce-locator"), header("sforce-numberofrecords"));
    assert_eq!(header("content-type"), "text/csv");
    (answer.text().await.expect("text"), locator, count)
}

async fn done(desk: &Desk, kind: &str, id: &str) -> Value {
    let path = format!("jobs/{kind}/{id}");
    for _ in 0..20 {
        let (status, job) = desk.get(&path).await;
        assert_eq!(status, 200);
        if ["JobComplete", "Failed"].contains(&text(&job, "state")) {
            return job;
        }
    }
    panic!("the job does not end");
}

#[tokio::test]
async fn a_query_job_is_polled_and_read_in_sets() {
    let desk = Desk::open(people()).await;
    desk.salesforce.set(|knobs| knobs.bulk_polls = 2);
    let query = "SELECT id, LastName, Account.Name, CreatedDate FROM Contact ORDER BY Id";
    let (status, job) = desk.post("jobs/query", &json!({"operation": "query", "query": query})).await;
    assert_eq!((status, text(&job, "state"), text(&job, "object")), (200, "UploadComplete", "Contact"));
    assert_eq!((&job["apiVersion"], &job["lineEnding"]), (&json!(68.0), &json!("LF")));
    let path = format!("jobs/query/{}", text(&job, "id"));
    assert_eq!(code(&desk.get(&format!("{path}/results")).await), (400, "INVALIDJOBSTATE"));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(text(&desk.get(&path).await.1, "state").to_owned());
    }
    assert_eq!(seen, ["UploadComplete", "InProgress", "JobComplete"]);
    let (_, job) = desk.get(&path).await;
    assert_eq!((&job["numberRecordsProcessed"], &job["jobType"]), (&json!(2), &json!("V2Query")));

    let (csv, locator, count) = set(&desk, &format!("{path}/results?maxRecords=1")).await;
    let made = desk.salesforce.rows("Contact")[0]["CreatedDate"].as_str().expect("text").replace("+0000", "Z");
    let header = "\"Id\",\"LastName\",\"Account.Name\",\"CreatedDate\"";
    assert_eq!(csv, format!("{header}\n\"003000000000001AAA\",\"Kern\",\"Kern AG\",\"{made}\"\n"));
    assert_eq!(count, "1");
    let (csv, last, _) = set(&desk, &format!("{path}/results?maxRecords=1&locator={locator}")).await;
    assert!(csv.starts_with(&format!("{header}\n\"003000000000002AAA\",\"Moll\",\"\",")), "{csv}");
    assert_eq!(last, "null");
    assert_eq!(code(&desk.get(&format!("{path}/results?locator=nope")).await), (400, "INVALID_QUERY_LOCATOR"));

    let aborted = desk.patch(&path, &json!({"state": "Aborted"})).await;
    assert_eq!(code(&aborted), (400, "INVALIDJOBSTATE"));
    assert_eq!(desk.ask(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(code(&desk.get(&path).await), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn a_query_job_shows_the_rows_as_they_were_and_those_that_are_gone() {
    let desk = Desk::open(people()).await;
    assert!(desk.salesforce.remove("Contact", "003000000000002"));
    let body = json!({"operation": "queryAll", "columnDelimiter": "PIPE", "lineEnding": "CRLF",
                      "query": "SELECT Id, LastName, IsDeleted FROM Contact"});
    let (_, job) = desk.post("jobs/query", &body).await;
    let change = json!({"LastName": "Later \"so\""});
    desk.patch("sobjects/Contact/003000000000001", &change).await;
    done(&desk, "query", text(&job, "id")).await;
    let (csv, _, _) = set(&desk, &format!("jobs/query/{}/results", text(&job, "id"))).await;
    assert_eq!(
        csv,
        "\"Id\"|\"LastName\"|\"IsDeleted\"\r\n\"003000000000001AAA\"|\"Kern\"|\"false\"\r\n\
         \"003000000000002AAA\"|\"Moll\"|\"true\"\r\n"
    );
}

#[tokio::test]
async fn query_jobs_are_refused_aborted_and_fail() {
    let desk = Desk::open(people()).await;
    let create = |operation: &'static str, query: &'static str| {
        let desk = &desk;
        async move { desk.post("jobs/query", &json!({"operation": operation, "query": query})).await }
    };
    assert_eq!(code(&create("query", "SELECT Id FROM").await), (400, "MALFORMED_QUERY"));
    assert_eq!(code(&create("query", "SELECT Fone FROM Contact").await), (400, "INVALID_FIELD"));
    assert_eq!(code(&create("query", "SELECT COUNT() FROM Contact").await), (400, "FUNCTIONALITY_NOT_ENABLED"));
    assert_eq!(code(&create("sing", "SELECT Id FROM Contact").await), (400, "INVALIDJOB"));
    let (_, job) = create("query", "SELECT Id FROM Contact").await;
    let path = format!("jobs/query/{}", text(&job, "id"));
    assert_eq!(code(&desk.ask(Method::DELETE, &path, None).await), (400, "INVALIDJOBSTATE"));
    assert_eq!(desk.patch(&path, &json!({"state": "Aborted"})).await.1["state"], "Aborted");
    assert_eq!(desk.get(&path).await.1["state"], "Aborted");
    desk.salesforce
        .set(|knobs| knobs.bulk_failure = "InternalServerError : Retried more than fifteen times".to_owned());
    let (_, job) = create("query", "SELECT Id FROM Contact").await;
    let job = done(&desk, "query", text(&job, "id")).await;
    assert_eq!(text(&job, "state"), "Failed");
    assert!(text(&job, "errorMessage").starts_with("InternalServerError"));
    let (_, jobs) = desk.get("jobs/query").await;
    assert_eq!((jobs["records"].as_array().map(Vec::len), &jobs["done"]), (Some(2), &json!(true)));
    assert_eq!(desk.get("limits").await.1["DailyBulkV2QueryJobs"]["Remaining"], 9998);
}

#[tokio::test]
async fn ingest_jobs_insert_upsert_update_and_delete_row_by_row() {
    let desk = Desk::open(people()).await;
    let run = |body: Value, csv: String| {
        let desk = &desk;
        async move {
            let (status, job) = desk.post("jobs/ingest", &body).await;
            assert_eq!((status, text(&job, "state")), (200, "Open"), "{job}");
            let url = format!("{}/{}", desk.salesforce.url(), text(&job, "contentUrl"));
            let put = desk.client.put(url).bearer_auth(&desk.token).header("Content-Type", "text/csv");
            assert_eq!(put.body(csv).send().await.expect("an answer").status(), 201);
            let path = format!("jobs/ingest/{}", text(&job, "id"));
            assert_eq!(desk.patch(&path, &json!({"state": "UploadComplete"})).await.1["state"], "UploadComplete");
            let job = done(desk, "ingest", text(&job, "id")).await;
            let mut files = vec![job.to_string()];
            for what in ["successfulResults", "failedResults", "unprocessedrecords"] {
                let answer = desk.send(Method::GET, &format!("{path}/{what}"), None).await.expect("an answer");
                files.push(answer.text().await.expect("text"));
            }
            files
        }
    };
    let body = json!({"object": "Task", "operation": "upsert", "externalIdFieldName": "CTI_Call_Id__c",
                      "contentType": "CSV", "lineEnding": "LF"});
    let csv = "Subject,CTI_Call_Id__c,CallDurationInSeconds\n\"one, two\",a,61\nlong,b,x\n";
    let files = run(body.clone(), csv.to_owned()).await;
    assert!(files[0].contains("\"numberRecordsFailed\":1") && files[0].contains("\"numberRecordsProcessed\":2"));
    let task = desk.salesforce.rows("Task")[0].clone();
    assert_eq!((&task["Subject"], &task["CallDurationInSeconds"]), (&json!("one, two"), &json!(61)));
    let id = task["Id"].as_str().expect("an id");
    assert_eq!(
        files[1],
        format!(
            "\"sf__Id\",\"sf__Created\",\"Subject\",\"CTI_Call_Id__c\",\"CallDurationInSeconds\"\n\
                 \"{id}\",\"true\",\"one, two\",\"a\",\"61\"\n"
        )
    );
    assert!(files[2].contains("\n\"\",\"JSON_PARSER_ERROR:"), "{}", files[2]);
    let files = run(body, "CTI_Call_Id__c,Subject\na,#N/A\n".to_owned()).await;
    assert!(files[1].contains(&format!("\"{id}\",\"false\"")));
    assert_eq!(desk.salesforce.rows("Task")[0]["Subject"], Value::Null);

    let files = run(json!({"object": "Lead", "operation": "insert"}), "LastName\nA\n".to_owned()).await;
    let error = "\"REQUIRED_FIELD_MISSING:Required fields are missing: [Company]:Company --\"";
    assert!(files[2].contains(error), "{}", files[2]);
    let csv = "Id,LastName\n003000000000001,New\n".to_owned();
    run(json!({"object": "Contact", "operation": "update"}), csv).await;
    assert_eq!(desk.salesforce.rows("Contact")[0]["LastName"], "New");
    let files = run(json!({"object": "Contact", "operation": "delete"}), "Id\n003000000000001\n\n".to_owned()).await;
    assert!(files[1].contains("003000000000001AAA") && desk.salesforce.rows("Contact").len() == 1);
    let files = run(json!({"object": "Contact", "operation": "insert"}), "LastName,Fone\nA,1\n".to_owned()).await;
    assert!(files[0].contains("InvalidBatch : Field name not found : Fone"), "{}", files[0]);
    assert!(files[3].contains("\"A\",\"1\""));
    assert_eq!(code(&desk.post("jobs/ingest", &json!({"object": "Nope", "operation": "insert"})).await).0, 400);
}

#[tokio::test]
async fn a_large_org_is_read_by_stamp_and_id_page_by_page() {
    let contacts: Vec<Value> = (0..20_000)
        .map(|n| {
            json!({"LastName": format!("P{n}"), "Phone": format!("+1 415 555 {n:04}"),
                   "SystemModstamp": format!("2026-11-20T10:{:02}:00.000+0000", n / 1_000 % 2)})
        })
        .collect();
    let desk = Desk::open(json!({"Contact": contacts})).await;
    let (mut stamp, mut id, mut seen) = ("2026-11-20T00:00:00Z".to_owned(), "000000000000000AAA".to_owned(), 0);
    let mut last = (String::new(), String::new());
    loop {
        let page = desk
            .query(&format!(
                "SELECT Id, SystemModstamp FROM Contact WHERE SystemModstamp > {stamp} OR (SystemModstamp = {stamp} \
                 AND Id > '{id}') ORDER BY SystemModstamp, Id LIMIT 2000"
            ))
            .await;
        let records = page["records"].as_array().expect("records");
        for record in records {
            let next = (text(record, "SystemModstamp").to_owned(), text(record, "Id").to_owned());
            assert!(next > last, "{next:?} after {last:?}");
            last = next;
        }
        seen += records.len();
        if records.len() < 2_000 {
            break;
        }
        stamp = last.0.replace("+0000", "Z");
        id.clone_from(&last.1);
    }
    assert_eq!(seen, 20_000);
}
