//! Writes rows in batches of up to 200, and reads a result for each.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::client::{Call, Client};
use super::error::{Error, Retry, retry_of};
use super::id::RecordId;
use super::query::{self, QueryError};
use super::refusal::{self, Wire};

/// The most rows that Salesforce takes in one call.
pub const MAX_ROWS: usize = 200;

/// A batch of rows of one object.
#[derive(Debug, Clone)]
pub struct Write {
    pub object: String,
    /// A unique external id among the fields: rows are made or changed by it. Not used for rows that carry an id.
    pub external_id_field: Option<String>,
    /// All with an id (they are changed), or none.
    pub rows: Vec<Row>,
}

#[derive(Clone, Default)]
pub struct Row {
    pub id: Option<RecordId>,
    pub fields: BTreeMap<String, Value>,
}

/// What a field is set to.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Text(String),
    Integer(i64),
    Decimal(serde_json::Number),
    Bool(bool),
    Null,
}

/// What became of a row: the id of its record, or why there is none.
pub type RowOutcome = Result<RecordId, RowError>;

/// A row that Salesforce refused.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("Salesforce refused the row: {code}{}", list(.fields))]
pub struct RowError {
    pub code: String,
    /// Salesforce's own words, which may carry data of the org: for the journal, never for a log.
    pub message: String,
    pub fields: Vec<String>,
}

impl RowError {
    /// Whether and when the same row may be accepted. A duplicate value is the other one of two upserts that crossed:
    /// the next one changes the row that the first has made.
    #[must_use]
    pub fn retry(&self) -> Retry {
        retry_of(&self.code)
    }
}

fn list(fields: &[String]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    format!(" ({})", fields.join(", "))
}

impl std::fmt::Debug for RowError {
    /// Without the message, so that it may stand in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.fields.keys()).finish()
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    #[serde(rename = "allOrNone")]
    all_or_none: bool,
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
struct Record<'a> {
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RecordId>,
    #[serde(flatten)]
    fields: &'a BTreeMap<String, Value>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(rename = "type")]
    object: &'a str,
}

#[derive(Deserialize)]
struct Outcome {
    id: Option<String>,
    success: bool,
    errors: Option<Vec<Wire>>,
}

impl Client {
    /// Writes the rows and tells what became of each, in the same order. One call; rows do not depend on each other.
    ///
    /// # Errors
    /// When there is no result for each row: see [`Error::fate_unknown`] for whether they may have been written.
    pub async fn write(&self, write: Write) -> Result<Vec<RowOutcome>, Error> {
        if write.rows.is_empty() {
            return Ok(Vec::new());
        }
        let body = self.call(write.call()?).await?;
        let outcomes: Vec<Outcome> = refusal::parse(&body, "a result for each row was expected")?;
        if outcomes.len() != write.rows.len() {
            return Err(Error::Results { sent: write.rows.len(), answered: outcomes.len() });
        }
        outcomes.into_iter().zip(&write.rows).map(|(outcome, row)| outcome.read(row)).collect()
    }
}

impl Write {
    fn call(&self) -> Result<Call, Error> {
        let object = query::name(&self.object)?;
        let with_id = self.rows.iter().filter(|row| row.id.is_some()).count();
        if self.rows.len() > MAX_ROWS || !(with_id == 0 || with_id == self.rows.len()) {
            return Err(QueryError::Batch.into());
        }
        let (method, place) = match &self.external_id_field {
            _update if with_id > 0 => (Method::PATCH, "composite/sobjects".to_owned()),
            Some(field) => {
                let field = query::name(field)?;
                (Method::PATCH, format!("composite/sobjects/{object}/{field}"))
            }
            None => (Method::POST, "composite/sobjects".to_owned()),
        };
        Ok(Call { method, body: Some(self.body()?), ..Call::get(place) })
    }

    fn body(&self) -> Result<Vec<u8>, Error> {
        let mut records = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            for field in row.fields.keys() {
                query::name(field)?;
            }
            records.push(Record {
                attributes: Attributes { object: &self.object },
                id: row.id.as_ref(),
                fields: &row.fields,
            });
        }
        let batch = Batch { all_or_none: false, records };
        // Names and plain values always are JSON.
        serde_json::to_vec(&batch).map_err(|_| QueryError::Batch.into())
    }
}

impl Outcome {
    fn read(self, row: &Row) -> Result<RowOutcome, Error> {
        if !self.success {
            return Ok(Err(refused(self.errors.unwrap_or_default())));
        }
        let id = self.id.as_deref().and_then(|id| RecordId::parse(id).ok());
        id.or_else(|| row.id.clone()).map(Ok).ok_or(Error::Garbage { status: 200, what: "a written row has no id" })
    }
}

fn refused(errors: Vec<Wire>) -> RowError {
    let refusal = errors.into_iter().next().unwrap_or_default().refusal(200);
    RowError { code: refusal.code, message: refusal.message, fields: refusal.fields }
}

#[cfg(test)]
mod tests {
    use super::super::client::Place;
    use super::*;

    fn row(id: Option<&str>) -> Row {
        Row {
            id: id.map(|id| RecordId::parse(id).unwrap()),
            fields: BTreeMap::from([
                ("CallDurationInSeconds".to_owned(), Value::Integer(7)),
                ("WhoId".to_owned(), Value::Null),
            ]),
        }
    }

    fn call(external: Option<&str>, rows: Vec<Row>) -> Result<Call, Error> {
        Write { object: "Task".to_owned(), external_id_field: external.map(str::to_owned), rows }.call()
    }

    fn place(call: &Call) -> String {
        match &call.place {
            Place::Data(path) | Place::Given(path) => format!("{} {path}", call.method),
        }
    }

    #[test]
    fn rows_are_made_upserted_or_changed() {
        let make = call(None, vec![row(None)]).unwrap();
        assert_eq!(place(&make), "POST composite/sobjects");
        assert_eq!(
            String::from_utf8(make.body.unwrap()).unwrap(),
            r#"{"allOrNone":false,"records":[{"attributes":{"type":"Task"},"CallDurationInSeconds":7,"WhoId":null}]}"#
        );
        let upsert = call(Some("CTI_Call_Id__c"), vec![row(None)]).unwrap();
        assert_eq!(place(&upsert), "PATCH composite/sobjects/Task/CTI_Call_Id__c");
        let change = call(Some("X__c"), vec![row(Some("00Txx0000000001"))]).unwrap();
        assert_eq!(place(&change), "PATCH composite/sobjects");
    }

    #[test]
    fn a_mixed_or_too_large_batch_is_not_sent() {
        assert!(call(None, vec![row(None), row(Some("00Txx0000000001"))]).is_err());
        assert!(call(None, vec![row(None); 201]).is_err());
        let mut wrong = row(None);
        wrong.fields.insert("A b".to_owned(), Value::Null);
        assert!(call(None, vec![wrong]).is_err());
    }
}
