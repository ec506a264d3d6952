//! The client against a small Salesforce on a real socket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::testing::{Org, Seen, config};
use super::*;
use crate::secret::Secret;

const EMPTY_PAGE: &str = r#"{"totalSize":0,"done":true,"records":[]}"#;

fn is_query(seen: &Seen) -> bool {
    seen.path.contains("/query")
}

fn users() -> Soql {
    Soql::select("User", &["Id"]).unwrap()
}

fn task(key: &str) -> Row {
    Row { id: None, fields: BTreeMap::from([("CallObject".to_owned(), Value::Text(key.to_owned()))]) }
}

fn tasks(keys: &[&str]) -> Write {
    Write { object: "Task".to_owned(), external_id_field: None, rows: keys.iter().map(|key| task(key)).collect() }
}

#[tokio::test]
async fn a_hundred_ended_sessions_are_renewed_by_one_login() {
    let org = Org::start(|seen| is_query(seen).then(|| (200, EMPTY_PAGE.to_owned()))).await;
    let client = org.client();
    client.query(&users()).await.unwrap();
    assert_eq!(org.logins(), 1);
    org.end_sessions();
    let soql = users();
    let answers = join_all((0..100).map(|_| client.query(&soql))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(org.logins(), 2);
    assert_eq!(client.health().state, State::Up);
    assert_eq!(client.health().api_used, Some((18, 5000)));
}

#[tokio::test]
async fn a_hundred_refused_logins_are_one_call_and_a_plain_sentence() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let org = Org::start(move |seen| {
        seen.path.ends_with("/token").then(|| {
            counted.fetch_add(1, Ordering::SeqCst);
            (400, r#"{"error":"invalid_grant","error_description":"authentication failure"}"#.to_owned())
        })
    })
    .await;
    let client = org.client();
    let soql = users();
    let answers = join_all((0..100).map(|_| client.query(&soql))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Login(_)))));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let health = client.health();
    assert_eq!(health.state, State::Down);
    assert!(health.last_error.unwrap().contains("security token"));
}

#[tokio::test]
async fn the_password_flow_appends_the_security_token() {
    let org = Org::start(|_| None).await;
    let mut settings = config(&org.url);
    settings.flow = FlowName::Unset;
    settings.username = "api@acme.example".to_owned();
    settings.password = Secret::new("p&w");
    settings.security_token = Secret::new("TOK");
    let client = Client::new(&settings).unwrap();
    let user = client.login_user().await.unwrap();
    assert_eq!(user.as_str(), "005xx000001SwiUAAS");
    let body = &org.requests("/token")[0].body;
    for part in [
        "grant_type=password",
        "username=api%40acme.example",
        "password=p%26wTOK",
        "client_id=key",
        "client_secret=s3cret",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!(client.instance_url().as_deref(), Some(org.url.as_str()));
}

#[tokio::test]
async fn a_session_that_stays_refused_is_told_after_one_renewal() {
    let ended = r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#;
    let org = Org::start(|seen| is_query(seen).then(|| (401, ended.to_owned()))).await;
    let client = org.client();
    let error = client.query(&users()).await.unwrap_err();
    assert!(matches!(error, Error::Session));
    assert_eq!(error.retry(), Retry::Soon);
    assert_eq!(org.logins(), 2);
    assert_eq!(org.requests("/query").len(), 2);
    assert!(client.query(&users()).await.is_err());
    assert_eq!(org.logins(), 2, "the next call does not log in again");
}

#[tokio::test]
async fn a_401_that_is_not_about_the_session_is_not_renewed() {
    let body =
        r#"[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]"#;
    let org = Org::start(|seen| is_query(seen).then(|| (401, body.to_owned()))).await;
    let error = org.client().query(&users()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::WhenMended);
    assert_eq!(org.logins(), 1);
}

#[tokio::test]
async fn a_token_for_a_foreign_host_is_not_used() {
    let org = Org::start(|seen| {
        let token = r#"{"access_token":"x!1","instance_url":"https://evil.example","token_type":"Bearer"}"#;
        seen.path.ends_with("/token").then(|| (200, token.to_owned()))
    })
    .await;
    let error = org.client().query(&users()).await.unwrap_err();
    assert!(matches!(&error, Error::Instance { host } if host == "evil.example"));
    assert!(error.to_string().contains("evil.example"));
}

#[tokio::test]
async fn a_flow_that_lacks_a_key_is_told_and_nothing_is_sent() {
    let org = Org::start(|_| None).await;
    let mut settings = config(&org.url);
    settings.flow = FlowName::JwtBearer;
    let client = Client::new(&settings).unwrap();
    let error = client.query(&users()).await.unwrap_err();
    assert!(matches!(error, Error::Settings(ConfigError::Missing { key: "username", flow: "jwt-bearer" })));
    assert!(org.requests("").is_empty());
}

#[tokio::test]
async fn a_consent_that_lies_idle_is_used_before_a_day_is_over() {
    let org = Org::start(|seen| {
        let token =
            r#"{"access_token":"x!1","refresh_token":"newer","instance_url":"http://127.0.0.1","token_type":"Bearer"}"#;
        seen.path.ends_with("/token").then(|| (200, token.to_owned()))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("salesforce-grant");
    let mut settings = config(&org.url);
    settings.flow = FlowName::AuthorizationCode;
    settings.redirect_url = "http://localhost:8461/callback".to_owned();
    let client = Client::with_state(&settings, folder.path()).unwrap();
    client.keep(Secret::new("older")).await.unwrap();
    client.look_after_consent().await;
    assert_eq!(org.requests("/token").len(), 0);

    let mut kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    kept["used_at"] = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(21)).to_string().into();
    std::fs::write(&file, kept.to_string()).unwrap();
    client.look_after_consent().await;
    client.look_after_consent().await;
    assert_eq!(org.requests("/token").len(), 1);
    assert!(org.requests("/token")[0].body.contains("refresh_token=older"));
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"newer\""));
}

#[tokio::test]
async fn pages_and_broken_json_are_typed_errors() {
    let page = "<html>Bad Gateway</html>";
    for (status, body, unknown) in [(502, page, true), (200, page, true), (200, "[{", true), (403, page, false)] {
        let org = Org::start(move |seen| seen.path.contains("/composite").then(|| (status, body.to_owned()))).await;
        let error = org.client().write(tasks(&["a"])).await.unwrap_err();
        assert_eq!(error.fate_unknown(), unknown, "{status} {body}");
        assert_eq!(error.retry(), Retry::Soon);
        assert!(!error.to_string().contains("html"));
    }
}

#[tokio::test]
async fn a_login_host_that_answers_with_a_page_is_told() {
    for (status, retry) in [(503, Retry::Soon), (404, Retry::WhenMended)] {
        let org = Org::start(move |seen| {
            let page = "<html>".to_owned();
            seen.path.ends_with("/token").then_some((status, page))
        })
        .await;
        let error = org.client().write(tasks(&["a"])).await.unwrap_err();
        assert_eq!(error.retry(), retry, "{error}");
        assert!(!error.fate_unknown());
    }
}

#[tokio::test]
async fn each_row_has_its_own_outcome_in_order() {
    let answer = r#"[{"id":"00Txx0000000001AAA","success":true,"errors":[]},
        {"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"secret","fields":[]}]},
        {"success":false,"errors":[{"statusCode":"STRING_TOO_LONG","message":"Erika","fields":["Subject"]}]}]"#;
    let org = Org::start(move |seen| seen.path.contains("/composite").then(|| (200, answer.to_owned()))).await;
    let client = org.client();
    let outcomes = client.write(tasks(&["a", "b", "c"])).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap().as_str(), "00Txx0000000001AAA");
    assert_eq!(outcomes[1].as_ref().unwrap_err().retry(), Retry::Soon);
    let refused = outcomes[2].as_ref().unwrap_err();
    assert_eq!(refused.retry(), Retry::Never);
    assert_eq!(refused.to_string(), "Salesforce refused the row: STRING_TOO_LONG (Subject)");
    let short = client.write(tasks(&["a"])).await.unwrap_err();
    assert!(matches!(short, Error::Results { sent: 1, answered: 3 }));
    assert!(short.fate_unknown());
}

/// Answers as the org does until a batch comes; then it reads it and hangs up.
async fn dropping_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let token = format!(r#"{{"access_token":"x!1","instance_url":"{url}","token_type":"Bearer"}}"#);
    TaskTracker::new().spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 65536];
            let read = socket.read(&mut bytes).await.unwrap();
            let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let body = if head.contains("/oauth2/token") {
                token.as_str()
            } else if head.starts_with("GET /services/data ") {
                r#"[{"version":"68.0"}]"#
            } else {
                continue;
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_connection_lost_after_the_batch_leaves_its_fate_open() {
    let url = dropping_server().await;
    let client = Client::new(&config(&url)).unwrap();
    let error = client.write(tasks(&["a"])).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error:?}");
    assert!(error.fate_unknown());
    assert_eq!(client.health().state, State::Down);
}

#[tokio::test]
async fn a_refused_connection_leaves_no_doubt() {
    let client = Client::new(&config("http://127.0.0.1:9")).unwrap();
    let error = client.write(tasks(&["a"])).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(!error.fate_unknown());
    assert_eq!(error.retry(), Retry::Soon);
}

#[tokio::test]
async fn pages_are_followed_on_the_same_host_only() {
    let row = r#"{"attributes":{"type":"User"},"Id":"005xx000001SwiUAAS"}"#;
    let org = Org::start(move |seen| {
        let next = match (seen.path.as_str(), seen.question.contains("Account")) {
            ("/services/data/v68.0/query", false) => "/services/data/v68.0/query/01g-2000",
            ("/services/data/v68.0/query", true) => "https://evil.example/steal",
            ("/services/data/v68.0/query/01g-2000", _) => {
                let last = format!(r#"{{"done":true,"records":[{row}]}}"#);
                return Some((200, last));
            }
            _other => return None,
        };
        let page = format!(r#"{{"done":false,"nextRecordsUrl":"{next}","records":[{row}]}}"#);
        Some((200, page))
    })
    .await;
    let client = org.client();
    assert_eq!(client.query(&users()).await.unwrap().len(), 2);
    let stolen = Soql::select("Account", &["Id"]).unwrap();
    assert!(matches!(client.query(&stolen).await, Err(Error::Garbage { .. })));
    let headers = &org.requests("/query")[0].headers;
    assert_eq!(headers["sforce-query-options"], "batchSize=2000");
    assert!(headers["sforce-call-options"].to_str().unwrap().starts_with("client=ctibridge/"));
}

#[tokio::test]
async fn tasks_are_found_by_their_exact_keys_even_when_deleted() {
    let row = |id: &str, key: &str, deleted: bool, at: &str| {
        format!(
            r#"{{"attributes":{{"type":"Task"}},"Id":"{id}","CallObject":"{key}","IsDeleted":{deleted},"CreatedDate":"{at}"}}"#
        )
    };
    let rows = [
        row("00Txx0000000001AAA", "hq-a", true, "2026-01-01"),
        row("00Txx0000000002AAA", "hq-a", false, "2026-01-03"),
        row("00Txx0000000003AAA", "hq-a", false, "2026-01-02"),
        row("00Txx0000000004AAA", "HQ-B", false, "2026-01-02"),
        row("00Txx0000000005AAA", "hq-c", true, "2026-01-02"),
    ]
    .join(",");
    let org = Org::start(move |seen| {
        seen.path.ends_with("/queryAll").then(|| (200, format!(r#"{{"done":true,"records":[{rows}]}}"#)))
    })
    .await;
    let keys = ["hq-a", "hq-b", "hq-c"].map(str::to_owned);
    let found = org.client().find_tasks("CallObject", &keys).await.unwrap();
    let found: Vec<_> = found.iter().map(|(key, task)| format!("{key}={} {}", task.id, task.deleted)).collect();
    assert_eq!(found, ["hq-a=00Txx0000000003AAA false", "hq-c=00Txx0000000005AAA true"]);
}

#[tokio::test]
async fn users_and_the_closed_status_are_read() {
    let org = Org::start(|seen| {
        let records = if seen.question.contains("FROM User") {
            r#"{"attributes":{"type":"User"},"Id":"005xx000001SwiU","Username":"anna@acme.example","Extension":"101","TimeZoneSidKey":"Europe/Berlin","IsActive":true}"#
        } else if seen.question.contains("FROM TaskStatus") {
            r#"{"attributes":{"type":"TaskStatus"},"Id":"01Jxx0000000001","MasterLabel":"Offen","ApiName":"Open","IsClosed":false,"IsDefault":true},
               {"attributes":{"type":"TaskStatus"},"Id":"01Jxx0000000002","MasterLabel":"Erledigt","ApiName":"Done","IsClosed":true,"IsDefault":false}"#
        } else {
            return None;
        };
        Some((200, format!(r#"{{"done":true,"records":[{records}]}}"#)))
    })
    .await;
    let client = org.client();
    let users = client.users().await.unwrap();
    assert_eq!(users[0].extension.as_deref(), Some("101"));
    assert_eq!(users[0].time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(client.closed_task_status().await.unwrap(), "Done");
}

#[tokio::test]
async fn an_old_org_is_refused() {
    let org = Org::start(|seen| {
        let old = r#"[{"version":"59.0"}]"#.to_owned();
        (seen.path == "/services/data").then_some((200, old))
    })
    .await;
    let error = org.client().query(&users()).await.unwrap_err();
    assert!(matches!(error, Error::Version { .. }));
}
