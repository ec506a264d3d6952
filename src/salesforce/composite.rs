//! Several queries in one API call.

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Call, Client};
use super::error::Error;
use super::found::{Found, Page};
use super::query::{QueryError, Soql};
use super::refusal::{self, Answer};

/// The most queries that Salesforce takes in one call.
pub const MAX_QUERIES: usize = 5;

/// What several queries brought.
#[derive(Debug)]
pub struct Answers {
    /// An outcome for each query, in the same order.
    pub pages: Vec<Result<Rows, Error>>,
}

/// The first page of a query: up to 2,000 rows.
#[derive(Debug)]
pub struct Rows {
    pub rows: Vec<Found>,
}

#[derive(Serialize)]
struct Request {
    #[serde(rename = "allOrNone")]
    all_or_none: bool,
    #[serde(rename = "compositeRequest")]
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    method: &'static str,
    url: String,
    #[serde(rename = "referenceId")]
    reference: String,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "compositeResponse")]
    parts: Vec<Done>,
}

#[derive(Deserialize)]
struct Done {
    body: Value,
    #[serde(rename = "httpStatusCode")]
    status: u16,
}

impl Client {
    /// Asks up to [`MAX_QUERIES`] queries in one API call, and gives the first page of each.
    ///
    /// # Errors
    /// When there is no outcome for each: see [`Error`].
    pub async fn query_together(&self, queries: &[Soql]) -> Result<Answers, Error> {
        if queries.len() > MAX_QUERIES {
            return Err(QueryError::Together.into());
        }
        let version = self.api_version().await?;
        let parts = queries.iter().enumerate().map(|(nth, query)| part(&version, nth, query)).collect();
        // Names and quoted text always are JSON.
        let body = serde_json::to_vec(&Request { all_or_none: false, parts }).map_err(|_| QueryError::Together)?;
        let call = Call { method: Method::POST, body: Some(body), ..Call::get("composite") };
        let response: Response = refusal::parse(&self.call(call).await?, "an outcome for each query was expected")?;
        if response.parts.len() != queries.len() {
            return Err(Error::Results { sent: queries.len(), answered: response.parts.len() });
        }
        Ok(Answers { pages: response.parts.into_iter().map(Done::read).collect() })
    }
}

fn part(version: &str, nth: usize, query: &Soql) -> Part {
    let resource = if query.all_rows { "queryAll" } else { "query" };
    let escaped = Url::parse_with_params("http://localhost", [("q", query.text())]);
    let question = escaped.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
    let url = format!("/services/data/{version}/{resource}?{question}");
    Part { method: "GET", url, reference: format!("q{nth}") }
}

impl Done {
    fn read(self) -> Result<Rows, Error> {
        let status = reqwest::StatusCode::from_u16(self.status)
            .map_err(|_| Error::Garbage { status: 200, what: "an HTTP status was expected" })?;
        let body = self.body.to_string().into_bytes();
        let answer = Answer { status, headers: reqwest::header::HeaderMap::new(), body };
        Ok(Rows { rows: Page::read(&answer.judge()?)?.records()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Org;
    use super::*;

    #[tokio::test]
    async fn several_queries_are_one_request_and_each_has_its_own_answer() {
        let org = Org::start(|seen| {
            seen.path.ends_with("/composite").then(|| {
                let body = r#"{"compositeResponse":[
                    {"body":{"done":true,"records":[{"attributes":{"type":"Case"},"Id":"500xx0000000001"}]},
                     "httpHeaders":{},"httpStatusCode":200,"referenceId":"q0"},
                    {"body":[{"errorCode":"INVALID_TYPE","message":"no"}],
                     "httpHeaders":{},"httpStatusCode":400,"referenceId":"q1"}]}"#;
                (200, body.to_owned())
            })
        })
        .await;
        let cases = Soql::select("Case", &["Id"]).unwrap().equals("Subject", "a & b").unwrap();
        let secrets = Soql::select("Secret__c", &["Id"]).unwrap().including_deleted();
        let answers = org.client().query_together(&[cases, secrets]).await.unwrap().pages;
        assert_eq!(answers[0].as_ref().unwrap().rows[0].object, "Case");
        assert_eq!(answers[1].as_ref().unwrap_err().code(), Some("INVALID_TYPE"));
        let sent: serde_json::Value = serde_json::from_str(&org.requests("/composite")[0].body).unwrap();
        let url = |nth: usize| sent["compositeRequest"][nth]["url"].as_str().unwrap();
        assert_eq!(url(0), "/services/data/v68.0/query?q=SELECT+Id+FROM+Case+WHERE+Subject+%3D+%27a+%26+b%27");
        assert_eq!(url(1), "/services/data/v68.0/queryAll?q=SELECT+Id+FROM+Secret__c");
        assert_eq!(org.seen.lock().unwrap().iter().filter(|seen| seen.path.contains("/v68.0/")).count(), 1);
    }
}
