//! Large queries by the Bulk API 2.0: a job that Salesforce works off, and pages of CSV that are read as they come.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde::{Deserialize, Serialize};

use super::client::{Call, Client};
use super::composite::escaped;
use super::csv::{Reader, TooLong};
use super::error::{Error, Refusal};
use super::found::Found;
use super::id::RecordId;
use super::query::{QueryError, Soql};
use super::{refusal, transport};

/// Rows of one page: each costs an API call.
const PAGE: u32 = 50_000;
/// How long a page may take: some 15 MB on a slow line.
const PATIENCE: Duration = Duration::from_mins(10);

/// A query that Salesforce works off by itself. Its results are there for seven days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkJob(RecordId);

/// How far a job is.
#[derive(Debug)]
pub enum BulkState {
    /// Rows so far, as far as Salesforce tells.
    Running(u64),
    /// All rows can be read.
    Complete(u64),
    Failed(Error),
}

/// A page of results on its way.
pub struct BulkPage {
    object: String,
    response: Response,
    reader: Option<Reader>,
    header: Vec<String>,
    rows: u64,
    announced: Option<u64>,
    /// Where the next page begins; none: this is the last one.
    pub next: Option<String>,
}

#[derive(Serialize)]
struct NewJob<'a> {
    operation: &'a str,
    query: &'a str,
}

#[derive(Deserialize)]
struct Job {
    id: RecordId,
    state: String,
    #[serde(rename = "numberRecordsProcessed", default)]
    rows: u64,
    #[serde(rename = "errorMessage")]
    message: Option<String>,
}

impl Client {
    /// Hands a query over to be worked off.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bulk_start(&self, query: &Soql) -> Result<BulkJob, Error> {
        let operation = if query.all_rows { "queryAll" } else { "query" };
        let body = serde_json::to_vec(&NewJob { operation, query: &query.text() }).map_err(|_| QueryError::Together)?;
        let call = Call { method: Method::POST, body: Some(body), ..Call::get("jobs/query") };
        let job: Job = refusal::parse(&self.call(call).await?, "a bulk job was expected")?;
        Ok(BulkJob(job.id))
    }

    /// How far a job is.
    ///
    /// # Errors
    /// See [`Error`]; `NOT_FOUND` when there is no such job any more.
    pub async fn bulk_state(&self, job: &BulkJob) -> Result<BulkState, Error> {
        let body = self.call(Call::get(format!("jobs/query/{}", job.0))).await?;
        let job: Job = refusal::parse(&body, "a bulk job was expected")?;
        Ok(match job.state.as_str() {
            "JobComplete" => BulkState::Complete(job.rows),
            "Failed" | "Aborted" => BulkState::Failed(failed(job.message)),
            _under_way => BulkState::Running(job.rows),
        })
    }

    /// The page of a complete job that a locator names; none: the first. `object`: what the query asked for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bulk_page(&self, object: &str, job: &BulkJob, locator: Option<&str>) -> Result<BulkPage, Error> {
        let mut place = format!("jobs/query/{}/results?maxRecords={PAGE}", job.0);
        if let Some(locator) = locator {
            place.push_str("&locator=");
            place.push_str(&escaped(locator));
        }
        let call = Call { accept: "text/csv", patience: Some(PATIENCE), ..Call::get(place) };
        let response = self.open(call).await?;
        let headers = response.headers();
        Ok(BulkPage {
            object: object.to_owned(),
            reader: Some(Reader::default()),
            header: Vec::new(),
            rows: 0,
            announced: text(headers, "sforce-numberofrecords").and_then(|rows| rows.parse().ok()),
            next: text(headers, "sforce-locator").filter(|locator| *locator != "null").map(str::to_owned),
            response,
        })
    }

    /// Tells Salesforce that a job's results are not needed any more.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bulk_forget(&self, job: &BulkJob) -> Result<(), Error> {
        let call = Call { method: Method::DELETE, ..Call::get(format!("jobs/query/{}", job.0)) };
        self.call(call).await.map(drop)
    }
}

impl BulkPage {
    /// The rows of the next piece that came; none at the end.
    ///
    /// # Errors
    /// When the page breaks off or is none of Salesforce's.
    pub async fn rows(&mut self) -> Result<Option<Vec<Found>>, Error> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let piece = self.response.chunk().await.map_err(|error| transport::failed(&error))?;
        let records = match piece {
            Some(piece) => reader.push(&piece).map_err(too_long)?,
            None => self.last()?,
        };
        let rows = self.found(records)?;
        self.rows += rows.len() as u64;
        if self.reader.is_none() && self.announced.is_some_and(|announced| announced != self.rows) {
            return Err(Error::NoAnswer { what: "a page of a bulk query broke off".to_owned() });
        }
        Ok(Some(rows))
    }

    fn last(&mut self) -> Result<Vec<Vec<String>>, Error> {
        let Some(reader) = self.reader.take() else { return Ok(Vec::new()) };
        if !reader.is_within() {
            return Ok(Vec::new());
        }
        let broken = || Error::NoAnswer { what: "a page of a bulk query broke off".to_owned() };
        Ok(vec![reader.finish().ok_or_else(broken)?])
    }

    fn found(&mut self, records: Vec<Vec<String>>) -> Result<Vec<Found>, Error> {
        let mut records = records.into_iter();
        if self.header.is_empty() {
            let Some(header) = records.next() else { return Ok(Vec::new()) };
            self.header = header;
        }
        let all: Option<Vec<Found>> = records.map(|record| self.row(record)).collect();
        all.ok_or(Error::Garbage {
            status: 200,
            what: "a row of a bulk query needs an id and as many fields as its head",
        })
    }

    /// A field without a value is empty there.
    fn row(&self, record: Vec<String>) -> Option<Found> {
        if record.len() != self.header.len() {
            return None;
        }
        let mut fields: BTreeMap<String, String> =
            self.header.iter().cloned().zip(record).filter(|(_, value)| !value.is_empty()).collect();
        let id = RecordId::parse(&fields.remove("Id")?).ok()?;
        Some(Found { object: self.object.clone(), id, fields })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn too_long(_: TooLong) -> Error {
    Error::TooLarge { limit: "what a row of a bulk query may be" }
}

/// Salesforce's words, `INVALID_FIELD: …`, begin with a code.
fn failed(message: Option<String>) -> Error {
    let message = message.unwrap_or_default();
    let code = message.split([':', ' ']).next().unwrap_or_default();
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let code = if is_code { code.to_owned() } else { "BULK_JOB_FAILED".to_owned() };
    Error::Refused(Refusal { status: 400, code, fields: Vec::new(), message })
}
