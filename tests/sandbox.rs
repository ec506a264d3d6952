//! The pretend Salesforce over HTTP, as clients meet it.

use std::time::Duration;

use ctibridge::sim::{Credentials, Fault, FaultKind, Options, PhoneTokens, Salesforce, Seed};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// A running org and a client that is logged in to it.
struct Desk {
    salesforce: Salesforce,
    client: Client,
    token: String,
}

impl Desk {
    async fn open(seed: Value) -> Self {
        let options = Options { seed: Seed::from_value(seed).expect("a seed"), ..Options::default() };
        Self::with(options).await
    }

    async fn with(options: Options) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let salesforce = Salesforce::start(options).await.expect("a free port");
        let mut desk = Self { salesforce, client, token: String::new() };
        desk.log_in().await;
        desk
    }

    async fn log_in(&mut self) {
        let known = self.salesforce.credentials();
        let answer = self
            .grant(&[
                ("grant_type", "client_credentials"),
                ("client_id", &known.client_id),
                ("client_secret", &known.client_secret),
            ])
            .await;
        text(&answer.1, "access_token").clone_into(&mut self.token);
    }

    async fn grant(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}/services/oauth2/token", self.salesforce.url());
        let answer = self.client.post(url).form(form).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Response> {
        let url = format!("{}/services/data/v68.0/{path}", self.salesforce.url());
        let request = self.client.request(method, url).bearer_auth(&self.token);
        match body {
            Some(body) => request.json(body),
            None => request,
        }
        .send()
        .await
    }

    /// Status and JSON body, null where there is none.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.send(method, path, body).await.expect("an answer");
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    async fn query(&self, soql: &str) -> Value {
        let url = format!("{}/services/data/v68.0/query/", self.salesforce.url());
        let request = self.client.get(url).query(&[("q", soql)]).bearer_auth(&self.token);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    async fn search(&self, sosl: &str) -> Value {
        let url = format!("{}/services/data/v68.0/search/", self.salesforce.url());
        let request = self.client.get(url).query(&[("q", sosl)]).bearer_auth(&self.token);
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        answer["searchRecords"].clone()
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1[0]["errorCode"].as_str().unwrap_or_default())
}

fn people() -> Value {
    json!({
        "User": [{"Id": "005000000000101", "LastName": "Agent", "FirstName": "Anna", "Extension": "101"},
                 {"Id": "005000000000102", "LastName": "Gone", "IsActive": false}],
        "Account": [{"Id": "001000000000001", "Name": "Kern AG", "Phone": "415 555 0100"}],
        "Contact": [{"Id": "003000000000001", "FirstName": "Eva", "LastName": "Kern", "Phone": "(415) 555-0123",
                     "AccountId": "001000000000001"},
                    {"Id": "003000000000002", "LastName": "Moll", "MobilePhone": "+1 415-555-0123"}],
        "Lead": [{"Id": "00Q000000000001", "LastName": "Lot", "Company": "Lot & Co", "Phone": "4155550199"},
                 {"Id": "00Q000000000002", "LastName": "Old", "Company": "Old Co", "IsConverted": true}],
    })
}

#[tokio::test]
async fn a_token_has_the_real_shape_and_errors_are_the_real_ones() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let good = [
        ("grant_type", "password"),
        ("client_id", known.client_id.as_str()),
        ("client_secret", known.client_secret.as_str()),
        ("username", known.username.as_str()),
    ];
    let right = format!("{}{}", known.password, known.security_token);
    let (status, token) = desk.grant(&[&good[..], &[("password", &right)]].concat()).await;
    assert_eq!(status, 200);
    assert_eq!(token["instance_url"], desk.salesforce.url());
    assert_eq!(token["token_type"], "Bearer");
    assert!(token.get("expires_in").is_none());
    assert!(text(&token, "access_token").starts_with("00D"));
    assert!(text(&token, "issued_at").parse::<u64>().is_ok());

    let wrong = |form: Vec<(&'static str, String)>| {
        let desk = &desk;
        async move {
            let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let (status, body) = desk.grant(&form).await;
            assert_eq!(status, 400);
            format!("{}: {}", text(&body, "error"), text(&body, "error_description"))
        }
    };
    let form = |grant: &str, id: &str, secret: &str| {
        [("grant_type", grant), ("client_id", id), ("client_secret", secret)]
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec()
    };
    let (id, secret) = (known.client_id.as_str(), known.client_secret.as_str());
    assert_eq!(wrong(form("client_credentials", "x", secret)).await, "invalid_client_id: client identifier invalid");
    assert_eq!(wrong(form("client_credentials", id, "x")).await, "invalid_client: invalid client credentials");
    assert_eq!(wrong(form("magic", id, secret)).await, "unsupported_grant_type: grant type not supported");
    let mut without_token = form("password", id, secret);
    without_token.push(("username", known.username.clone()));
    without_token.push(("password", known.password.clone()));
    assert_eq!(wrong(without_token).await, "invalid_grant: authentication failure");
}

#[tokio::test]
async fn client_credentials_may_come_as_basic_and_give_the_same_token_again() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let url = format!("{}/services/oauth2/token", desk.salesforce.url());
    let request = desk.client.post(url).basic_auth(known.client_id, Some(known.client_secret));
    let answer = request.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer");
    let token: Value = answer.json().await.expect("JSON");
    assert_eq!(token["access_token"], desk.token);
}

#[tokio::test]
async fn the_code_flow_checks_the_challenge_and_rotation_ends_replayed_tokens() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.set(|knobs| knobs.rotate_refresh_tokens = true);
    let known = desk.salesforce.credentials();
    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let redirect = "http://localhost:8461/callback";
    let url = format!("{}/services/oauth2/authorize", desk.salesforce.url());
    let query = [
        ("response_type", "code"),
        ("client_id", known.client_id.as_str()),
        ("redirect_uri", redirect),
        ("state", "s 1"),
        ("code_challenge", challenge),
    ];
    let answer = desk.client.get(url).query(&query).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    let (back, state) = location.split_once("&state=").expect("a state");
    assert_eq!(state, "s%201");
    let code = back.strip_prefix("http://localhost:8461/callback?code=").expect("a code");

    let client = [("client_id", known.client_id.as_str()), ("client_secret", known.client_secret.as_str())];
    let exchange =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect), ("code_verifier", verifier)];
    let (status, token) = desk.grant(&[&client[..], &exchange].concat()).await;
    assert_eq!(status, 200);
    let old = text(&token, "refresh_token").to_owned();
    let refresh = |token: String| {
        let (desk, client) = (&desk, &client);
        async move {
            let grant = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            desk.grant(&[&client[..], &grant].concat()).await
        }
    };
    let (status, newer) = refresh(old.clone()).await;
    assert_eq!(status, 200);
    assert_ne!(text(&newer, "refresh_token"), old);
    let (_, replay) = refresh(old).await;
    assert_eq!(replay["error_description"], "expired access/refresh token");
    let (status, _) = refresh(text(&newer, "refresh_token").to_owned()).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_session_that_ended_is_401_and_userinfo_differs() {
    let mut desk = Desk::open(json!({})).await;
    assert_eq!(desk.get("limits").await.0, 200);
    desk.salesforce.revoke_sessions();
    let answer = desk.get("limits").await;
    assert_eq!(answer.0, 401);
    assert_eq!(answer.1, json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]));
    let url = format!("{}/services/oauth2/userinfo", desk.salesforce.url());
    let answer = desk.client.get(&url).bearer_auth("x").send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.text().await.expect("text"), "Bad_OAuth_Token");
    desk.log_in().await;
    let answer = desk.client.get(&url).bearer_auth(&desk.token).send().await.expect("an answer");
    let info: Value = answer.json().await.expect("JSON");
    assert_eq!(info["preferred_username"], desk.salesforce.credentials().username);
}

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
async fn soap_login_gives_a_session_and_ends_with_version_64() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let body = format!(
        "<env:Envelope><env:Body><n1:login xmlns:n1=\"urn:partner.soap.sforce.com\"><n1:username>{}</n1:username>\
         <n1:password>{}{}</n1:password></n1:login></env:Body></env:Envelope>",
        known.username, known.password, known.security_token
    );
    let at = |version: &str| {
        let url = format!("{}/services/Soap/u/{version}", desk.salesforce.url());
        let request = desk.client.post(url).body(body.clone());
        async move { request.send().await.expect("an answer").text().await.expect("text") }
    };
    let answer = at("59.0").await;
    let session = answer.split_once("<sessionId>").and_then(|(_, rest)| rest.split_once('<')).expect("a session").0;
    let url = format!("{}/services/data/v59.0/limits", desk.salesforce.url());
    let status = desk.client.get(url).bearer_auth(session).send().await.expect("an answer").status();
    assert_eq!(status, 200);
    assert!(at("65.0").await.contains("<sf:exceptionCode>UNSUPPORTED_API_VERSION<"));
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

/// The fixture's assertion ends at this second; the org's clock is set to shortly before it.
const ASSERTION_ENDS: i64 = 1_893_456_000;

#[tokio::test]
async fn a_signed_assertion_gives_a_token_until_it_expires() {
    let known = Credentials { client_id: "pretend-app".to_owned(), ..Credentials::generate() };
    let options = Options {
        credentials: Some(known),
        seed: Seed::from_value(json!({"User": [{"Username": "jwt@pretend.example", "LastName": "Jwt"}]}))
            .expect("a seed"),
        ..Options::default()
    };
    let desk = Desk::with(options).await;
    let now = jiff::Timestamp::now().as_second();
    desk.salesforce.set(|knobs| {
        knobs.jwt_public_key = include_str!("fixtures/jwt-public-key.pem").to_owned();
        knobs.clock_offset_seconds = ASSERTION_ENDS - 100 - now;
    });
    let assertion = include_str!("fixtures/jwt-assertion.txt").trim();
    let ask = |assertion: String| {
        let desk = &desk;
        async move {
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            desk.grant(&[("grant_type", grant), ("assertion", &assertion)]).await
        }
    };
    let (status, token) = ask(assertion.to_owned()).await;
    assert_eq!(status, 200, "{token}");
    assert!(token.get("refresh_token").is_none());
    let (_, forged) = ask(format!("{}AAAA", &assertion[..assertion.len() - 4])).await;
    assert_eq!(forged["error_description"], "invalid assertion");
    desk.salesforce.set(|knobs| knobs.clock_offset_seconds += 200);
    let (status, late) = ask(assertion.to_owned()).await;
    assert_eq!((status.as_u16(), text(&late, "error")), (400, "invalid_grant"));
}
