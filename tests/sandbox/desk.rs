//! A running org, and a client that is logged in to it.

use std::time::Duration;

use ctibridge::sim::{Options, Salesforce, Seed};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// A running org and a client that is logged in to it.
pub struct Desk {
    pub salesforce: Salesforce,
    pub client: Client,
    pub token: String,
}

impl Desk {
    pub async fn open(seed: Value) -> Self {
        let options = Options { seed: Seed::from_value(seed).expect("a seed"), ..Options::default() };
        Self::with(options).await
    }

    pub async fn with(options: Options) -> Self {
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

    pub async fn log_in(&mut self) {
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

    pub async fn grant(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}/services/oauth2/token", self.salesforce.url());
        let answer = self.client.post(url).form(form).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Response> {
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
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.send(method, path, body).await.expect("an answer");
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn query(&self, soql: &str) -> Value {
        let url = format!("{}/services/data/v68.0/query/", self.salesforce.url());
        let request = self.client.get(url).query(&[("q", soql)]).bearer_auth(&self.token);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    pub async fn search(&self, sosl: &str) -> Value {
        let url = format!("{}/services/data/v68.0/search/", self.salesforce.url());
        let request = self.client.get(url).query(&[("q", sosl)]).bearer_auth(&self.token);
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        answer["searchRecords"].clone()
    }
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

pub fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1[0]["errorCode"].as_str().unwrap_or_default())
}

pub fn people() -> Value {
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
