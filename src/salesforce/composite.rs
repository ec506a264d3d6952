//! Several queries in one API call.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Method;
use reqwest::header::{DATE, HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Call, Client};
use super::error::Error;
use super::found::{Found, Page};
use super::query::{QueryError, Soql};
use super::refusal;

/// The most queries that Salesforce takes in one call.
pub const MAX_QUERIES: usize = 5;
/// The largest answer that is read: five pages of 2,000 rows with thirty phone fields each.
const MAX_ANSWER: usize = 48 * 1024 * 1024;
/// Salesforce ends a query after two minutes.
const PATIENCE: Duration = Duration::from_secs(150);

/// What several queries brought.
#[derive(Debug)]
pub struct Answers {
    /// The org's own time, as its answer says; none when it does not say.
    pub at: Option<Timestamp>,
    /// An outcome for each query, in the same order.
    pub pages: Vec<Result<Rows, Error>>,
}

/// The first page of a query.
#[derive(Debug)]
pub struct Rows {
    pub rows: Vec<Found>,
    /// How many rows there are on all pages; for `COUNT()` the count.
    pub total: u64,
    /// Whether there is no further page.
    pub done: bool,
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
        let body = serde_json::to_vec(&Request { all_or_none: false, parts }).map_err(|_| QueryError::Together)?;
        let call = Call { method: Method::POST, body: Some(body), patience: Some(PATIENCE), ..Call::get("composite") };
        let (headers, body) = self.call_for(call, MAX_ANSWER).await?;
        let response: Response = refusal::parse(&body, "an outcome for each query was expected")?;
        if response.parts.len() != queries.len() {
            return Err(Error::Results { sent: queries.len(), answered: response.parts.len() });
        }
        Ok(Answers { at: date(&headers), pages: response.parts.into_iter().map(Done::read).collect() })
    }
}

fn part(version: &str, nth: usize, query: &Soql) -> Part {
    let resource = if query.all_rows { "queryAll" } else { "query" };
    let url = format!("/services/data/{version}/{resource}?q={}", escaped(&query.text()));
    Part { method: "GET", url, reference: format!("q{nth}") }
}

/// For an address (RFC 3986 section 2.1): everything but unreserved characters.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

impl Done {
    fn read(self) -> Result<Rows, Error> {
        if !(200..300).contains(&self.status) {
            return Err(refusal::of_part(self.status, &self.body));
        }
        let page: Page = serde_json::from_value(self.body)
            .map_err(|_| Error::Garbage { status: self.status, what: "a page of records was expected" })?;
        Ok(Rows { total: page.total, done: page.done, rows: page.records()? })
    }
}

/// RFC 9110 section 6.6.1.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    Some(rfc2822::parse(text).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Org;
    use super::*;

    #[tokio::test]
    async fn one_refused_query_leaves_the_others() {
        let org = Org::start(|seen| {
            seen.path.ends_with("/composite").then(|| {
                let page = r#"{"totalSize":1,"done":true,"records":[{"attributes":{"type":"Contact"},"Id":"003xx000004TmiQ"}]}"#;
                let refused = r#"[{"message":"No such column 'X'","errorCode":"INVALID_FIELD"}]"#;
                let part = |status: u16, body: &str| format!(r#"{{"body":{body},"httpStatusCode":{status},"referenceId":"q"}}"#);
                (200, format!(r#"{{"compositeResponse":[{},{}]}}"#, part(200, page), part(400, refused)))
            })
        })
        .await;
        let queries = [Soql::select("Contact", &["Id"]).unwrap().including_deleted(), Soql::count("Lead").unwrap()];
        let answers = org.client().query_together(&queries).await.unwrap();
        assert_eq!(answers.pages[0].as_ref().unwrap().rows.len(), 1);
        assert_eq!(answers.pages[1].as_ref().unwrap_err().code(), Some("INVALID_FIELD"));
        assert!(answers.at.is_some(), "hyper tells the time");
        let asked = &org.requests("/composite")[0].body;
        assert!(asked.contains("/services/data/v68.0/queryAll?q=SELECT%20Id%20FROM%20Contact"), "{asked}");
        assert!(asked.contains("/services/data/v68.0/query?q=SELECT%20COUNT%28%29%20FROM%20Lead"), "{asked}");
    }
}
