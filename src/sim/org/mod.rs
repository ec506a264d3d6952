//! The org as plain data: objects, their rows, and what keeps the rows consistent. No sessions, no HTTP.

mod derive;
pub(crate) mod describe;
pub(crate) mod id;
mod refusal;
pub(crate) mod schema;
mod seed;
pub(crate) mod time;
mod value;
mod write;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use refusal::Refusal;
pub use seed::{Seed, SeedError};

use schema::Object;

/// The fields of one row by canonical name.
pub type Fields = Map<String, Value>;

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) user: String,
    pub(crate) now: Timestamp,
}

impl Writer {
    pub(crate) fn of(user: &str, now: Timestamp) -> Self {
        Self { user: user.to_owned(), now }
    }
}

/// A stored row and what the search index still knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) fields: Fields,
    /// The version before the last write, for a search index that lags.
    pub(crate) before: Option<Fields>,
    pub(crate) written: Timestamp,
}

impl Row {
    pub(crate) fn is_deleted(&self) -> bool {
        flag(&self.fields, "IsDeleted")
    }
}

#[derive(Clone, Debug, Default)]
struct Table {
    rows: BTreeMap<String, Row>,
    /// (field, value) of unique fields of rows that are not deleted, to the row's id.
    unique: HashMap<(String, String), String>,
}

/// All data of the pretend org.
#[derive(Clone, Debug)]
pub(crate) struct Org {
    objects: BTreeMap<String, Object>,
    tables: BTreeMap<String, Table>,
    sequence: u64,
    pub(crate) person_accounts: bool,
}

impl Org {
    /// An org without people: the organization's own row and the usual task statuses.
    pub(crate) fn new(person_accounts: bool) -> Self {
        let mut org =
            Self { objects: schema::objects(person_accounts), tables: BTreeMap::new(), sequence: 0, person_accounts };
        org.add_standard_rows();
        org
    }

    /// The object of this name in any case.
    pub(crate) fn object(&self, name: &str) -> Option<&Object> {
        self.objects.get(name).or_else(|| self.objects.values().find(|object| object.name.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// The object whose ids begin like this one.
    pub(crate) fn object_of_id(&self, id: &str) -> Option<&Object> {
        let prefix = id.get(..3)?;
        self.objects.values().find(|object| object.prefix == prefix)
    }

    /// All rows of an object in the order of their ids, deleted ones included.
    pub(crate) fn rows(&self, object: &str) -> impl Iterator<Item = &Row> {
        self.tables.get(object).into_iter().flat_map(|table| table.rows.values())
    }

    /// A row by its 15- or 18-character id, deleted or not.
    pub(crate) fn row(&self, object: &str, id: &str) -> Option<&Row> {
        self.tables.get(object)?.rows.get(&id::normal(id)?)
    }

    /// A row that is not deleted.
    pub(crate) fn live(&self, object: &str, id: &str) -> Option<&Row> {
        self.row(object, id).filter(|row| !row.is_deleted())
    }

    /// Ids of the live rows whose external id field has this value.
    pub(crate) fn by_external_id(&self, object: &str, field: &str, value: &str) -> Vec<String> {
        let Some(table) = self.tables.get(object) else {
            return Vec::new();
        };
        if let Some(id) = table.unique.get(&(field.to_owned(), value.to_owned())) {
            return vec![id.clone()];
        }
        table
            .rows
            .iter()
            .filter(|(_, row)| !row.is_deleted() && text(&row.fields, field) == Some(value))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The organization's 18-character id.
    pub(crate) fn organization(&self) -> String {
        self.rows("Organization").next().and_then(|row| text(&row.fields, "Id")).unwrap_or_default().to_owned()
    }

    /// Replaces the rows of `TaskStatus` by these: label, closed, default.
    pub(crate) fn set_task_statuses(&mut self, statuses: &[(String, bool, bool)]) {
        self.tables.remove("TaskStatus");
        for (order, (label, closed, default)) in statuses.iter().enumerate() {
            let row = serde_json::json!({
                "MasterLabel": label, "ApiName": label, "SortOrder": order + 1,
                "IsClosed": closed, "IsDefault": default,
            });
            self.store_plain("TaskStatus", row);
        }
    }

    fn add_standard_rows(&mut self) {
        self.store_plain(
            "Organization",
            serde_json::json!({
                "Name": "Pretend GmbH", "OrganizationType": "Enterprise Edition", "InstanceName": "SIM1",
                "IsSandbox": true, "LanguageLocaleKey": "en_US", "DefaultLocaleSidKey": "de_DE",
                "TimeZoneSidKey": "Europe/Berlin",
            }),
        );
        let usual = [
            ("Not Started", false, true),
            ("In Progress", false, false),
            ("Completed", true, false),
            ("Waiting on someone else", false, false),
            ("Deferred", false, false),
        ];
        self.set_task_statuses(&usual.map(|(label, closed, default)| (label.to_owned(), closed, default)));
    }

    /// Stores a row of our own making without the rules for clients.
    fn store_plain(&mut self, object: &str, row: Value) {
        if let Value::Object(fields) = row {
            let writer = Writer { user: String::new(), now: Timestamp::now() };
            let id = self.next_id(object);
            self.store(object, &id, fields, &writer);
        }
    }

    fn next_id(&mut self, object: &str) -> String {
        self.sequence += 1;
        let prefix = self.object(object).map_or("000", |object| object.prefix.as_str());
        id::make(prefix, self.sequence)
    }

    /// Puts a finished version of a row in place, stamps it, and keeps the unique index and the search history.
    fn store(&mut self, object: &str, id: &str, mut fields: Fields, by: &Writer) {
        stamp(&mut fields, id, by);
        let unique = self.unique_values(object, &fields);
        let stale = match self.row(object, id) {
            Some(row) => self.unique_values(object, &row.fields),
            None => Vec::new(),
        };
        let table = self.tables.entry(object.to_owned()).or_default();
        let before = table.rows.remove(id).map(|row| row.fields);
        for key in stale {
            table.unique.remove(&key);
        }
        for key in unique {
            table.unique.insert(key, id.to_owned());
        }
        let row = Row { fields, before, written: by.now };
        table.rows.insert(id.to_owned(), row);
    }

    fn unique_values(&self, object: &str, fields: &Fields) -> Vec<(String, String)> {
        if flag(fields, "IsDeleted") {
            return Vec::new();
        }
        let Some(object) = self.object(object) else {
            return Vec::new();
        };
        object
            .fields
            .iter()
            .filter(|field| matches!(field.kind, schema::Kind::External { unique: true, .. }))
            .filter_map(|field| Some((field.name.clone(), text(fields, &field.name)?.to_owned())))
            .collect()
    }
}

fn stamp(fields: &mut Fields, id: &str, by: &Writer) {
    let now = time::write(by.now);
    fields.insert("Id".to_owned(), id.into());
    fields.entry("IsDeleted").or_insert(false.into());
    fields.entry("CreatedDate").or_insert(now.clone().into());
    if !by.user.is_empty() {
        fields.entry("CreatedById").or_insert(by.user.clone().into());
        fields.insert("LastModifiedById".to_owned(), by.user.clone().into());
    }
    fields.insert("LastModifiedDate".to_owned(), now.clone().into());
    fields.insert("SystemModstamp".to_owned(), now.into());
}

/// A text field's value, if it has one.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// A checkbox; absent is false.
pub(crate) fn flag(fields: &Fields, name: &str) -> bool {
    fields.get(name).and_then(Value::as_bool).unwrap_or(false)
}
