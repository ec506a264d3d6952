//! Several queries in one request, which counts as one API call.

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Call, Client, Place};
use super::error::Error;
use super::found::{Found, Page};
use super::query::{QueryError, Soql};
use super::refusal::{self, Answer};

/// The most queries that Salesforce takes in one composite request.
const MOST: usize = 5;

#[derive(Serialize)]
struct Composite {
    #[serde(rename = "allOrNone")]
    all_or_none: bool,
    #[serde(rename = "compositeRequest")]
    requests: Vec<Subrequest>,
}

#[derive(Serialize)]
struct Subrequest {
    method: &'static str,
    url: String,
    #[serde(rename = "referenceId")]
    reference: String,
}

#[derive(Deserialize)]
struct Answers {
    #[serde(rename = "compositeResponse")]
    answers: Vec<Subanswer>,
}

#[derive(Deserialize)]
struct Subanswer {
    body: Value,
    #[serde(rename = "httpStatusCode")]
    status: u16,
}

impl Client {
    /// The first page of each of up to five queries, in their order: up to 2,000 rows each.
    ///
    /// # Errors
    /// When the request as a whole fails; see [`Error`]. A query that is refused has its own error.
    pub async fn query_together(&self, queries: &[Soql]) -> Result<Vec<Result<Vec<Found>, Error>>, Error> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        if queries.len() > MOST {
            return Err(QueryError::Together.into());
        }
        let base = format!("/services/data/{}", self.api_version().await?);
        let requests = queries.iter().enumerate().map(|(nth, query)| Subrequest {
            method: "GET",
            url: address(&base, query),
            reference: format!("q{nth}"),
        });
        let composite = Composite { all_or_none: false, requests: requests.collect() };
        // Names and quoted text always are JSON.
        let body = serde_json::to_vec(&composite).map_err(|_| QueryError::Together)?;
        let place = Place::Data("composite".to_owned());
        let call = Call { method: Method::POST, place, question: None, body: Some(body) };
        let answers: Answers = refusal::parse(&self.call(call).await?, "an answer for each query was expected")?;
        if answers.answers.len() != queries.len() {
            return Err(Error::Garbage { status: 200, what: "an answer for each query was expected" });
        }
        Ok(answers.answers.into_iter().map(Subanswer::read).collect())
    }
}

impl Subanswer {
    fn read(self) -> Result<Vec<Found>, Error> {
        let status = reqwest::StatusCode::from_u16(self.status)
            .map_err(|_| Error::Garbage { status: 200, what: "an HTTP status was expected" })?;
        let answer =
            Answer { status, headers: reqwest::header::HeaderMap::new(), body: self.body.to_string().into_bytes() };
        Page::read(&answer.judge()?)?.records()
    }
}

fn address(base: &str, query: &Soql) -> String {
    let resource = if query.all_rows { "queryAll" } else { "query" };
    let path = format!("{base}/{resource}");
    let escaped = Url::parse_with_params("http://localhost", [("q", query.text())]);
    let question = escaped.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
    format!("{path}?{question}")
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
        let answers = org.client().query_together(&[cases, secrets]).await.unwrap();
        assert_eq!(answers[0].as_ref().unwrap()[0].object, "Case");
        assert_eq!(answers[1].as_ref().unwrap_err().code(), Some("INVALID_TYPE"));
        let sent: serde_json::Value = serde_json::from_str(&org.requests("/composite")[0].body).unwrap();
        let url = |nth: usize| sent["compositeRequest"][nth]["url"].as_str().unwrap();
        assert_eq!(url(0), "/services/data/v68.0/query?q=SELECT+Id+FROM+Case+WHERE+Subject+%3D+%27a+%26+b%27");
        assert_eq!(url(1), "/services/data/v68.0/queryAll?q=SELECT+Id+FROM+Secret__c");
        assert_eq!(org.seen.lock().unwrap().iter().filter(|seen| seen.path.contains("/v68.0/")).count(), 1);
    }
}
