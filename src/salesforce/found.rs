//! Records as they come out of searches and queries: an object, an id, and fields as text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::Error;
use super::id::RecordId;
use super::refusal;

/// A record. Fields of parents have dotted names (`Account.Name`); a field without a value is not there.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    pub object: String,
    pub id: RecordId,
    /// Numbers as digits, checkboxes as `true` and `false`.
    pub fields: BTreeMap<String, String>,
}

impl Found {
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    #[must_use]
    pub fn is_true(&self, field: &str) -> bool {
        self.get(field) == Some("true")
    }
}

impl std::fmt::Debug for Found {
    /// Without the fields, so that it may stand in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.object, self.id)
    }
}

/// A page of a query.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(rename = "totalSize", default)]
    pub total: u64,
    records: Vec<Map<String, Value>>,
    pub done: bool,
    #[serde(rename = "nextRecordsUrl")]
    next: Option<String>,
}

impl Page {
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        refusal::parse(body, "a page of records was expected")
    }

    /// Where the next page is, if there is one.
    pub fn next(&self) -> Option<String> {
        self.next.clone().filter(|_| !self.done)
    }

    /// All of them or none: who looks for a row must not take one that could not be read for one that is not there.
    pub fn records(self) -> Result<Vec<Found>, Error> {
        let all: Option<_> = self.records.into_iter().map(record).collect();
        all.ok_or(Error::Garbage { status: 200, what: "each record needs a type and an id" })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SearchAnswer {
    Now {
        #[serde(rename = "searchRecords")]
        records: Vec<Map<String, Value>>,
    },
    Before37(Vec<Map<String, Value>>),
}

pub(super) fn search_records(body: &[u8]) -> Result<Vec<Found>, Error> {
    let answer = refusal::parse(body, "a list of found records was expected")?;
    Ok(match answer {
        SearchAnswer::Now { records: list } | SearchAnswer::Before37(list) => records(list),
    })
}

/// What is no record with an id (a count, for one) is left out.
fn records(list: Vec<Map<String, Value>>) -> Vec<Found> {
    list.into_iter().filter_map(record).collect()
}

fn record(mut wire: Map<String, Value>) -> Option<Found> {
    let attributes = wire.remove("attributes")?;
    let object = attributes.get("type")?.as_str()?.to_owned();
    let id = match wire.remove("Id") {
        Some(Value::String(id)) => RecordId::parse(&id).ok()?,
        _none => RecordId::parse(attributes.get("url")?.as_str()?.rsplit('/').next()?).ok()?,
    };
    let mut fields = BTreeMap::new();
    flatten("", wire, &mut fields);
    Some(Found { object, id, fields })
}

fn flatten(parent: &str, wire: Map<String, Value>, fields: &mut BTreeMap<String, String>) {
    for (name, value) in wire {
        let name = format!("{parent}{name}");
        match value {
            Value::String(text) => drop(fields.insert(name, text)),
            Value::Bool(set) => drop(fields.insert(name, set.to_string())),
            Value::Number(number) => drop(fields.insert(name, number.to_string())),
            Value::Object(mut inner) => {
                inner.remove("attributes");
                flatten(&format!("{name}."), inner, fields);
            }
            Value::Null | Value::Array(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTACT: &str = r#"{"attributes":{"type":"Contact","url":"/services/data/v68.0/sobjects/Contact/003xx000004TmiQAAS"},
        "Id":"003xx000004TmiQAAS","Name":"Erika","Phone":null,"IsDeleted":false,"Age__c":42,
        "Account":{"attributes":{"type":"Account"},"Name":"Acme","Owner":{"Name":"Otto"}}}"#;

    #[test]
    fn parents_have_dotted_names_and_nulls_are_absent() {
        for body in [format!("{{\"searchRecords\":[{CONTACT}]}}"), format!("[{CONTACT}]")] {
            let found = search_records(body.as_bytes()).unwrap();
            let fields: Vec<_> = found[0].fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(
                fields,
                ["Account.Name=Acme", "Account.Owner.Name=Otto", "Age__c=42", "IsDeleted=false", "Name=Erika"]
            );
            assert_eq!(format!("{:?}", found[0]), "Contact/003xx000004TmiQAAS");
        }
    }

    #[test]
    fn a_page_that_is_none_is_an_error() {
        assert!(Page::read(b"<html>").is_err());
        assert!(search_records(br#"{"totalSize":1}"#).is_err());
    }
}
