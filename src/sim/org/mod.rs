//! The org as plain data: objects, their rows, and what keeps the rows consistent. No sessions, no HTTP.

mod derive;
pub(crate) mod describe;
pub(crate) mod id;
mod lifetime;
mod refusal;
pub(crate) mod schema;
mod seed;
mod table;
pub(crate) mod time;
mod value;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use refusal::Refusal;
pub use seed::{Seed, SeedError};
pub(crate) use table::{Key, Row};

use schema::Object;
use table::Table;

/// The fields of one row by canonical name.
pub type Fields = Map<String, Value>;

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) user: String,
    pub(crate) now: Timestamp,
    /// The same as rows show it.
    stamp: String,
}

impl Writer {
    pub(crate) fn of(user: &str, now: Timestamp) -> Self {
        Self { user: user.to_owned(), now, stamp: time::write(now) }
    }
}

/// All data of the pretend org.
#[derive(Debug)]
pub(crate) struct Org {
    objects: BTreeMap<String, Arc<Object>>,
    tables: BTreeMap<String, Table>,
    sequence: u64,
    pub(crate) person_accounts: bool,
    /// What to put back if the transaction at hand fails: object, id, the row before.
    undo: Vec<(String, String, Option<Row>)>,
    /// How many transactions are open, one within the other.
    open: usize,
    /// Which records a user may not see, by the user's id.
    hidden: BTreeMap<String, BTreeSet<String>>,
    /// The ids of accounts that contacts of the seed name, by that name.
    named: BTreeMap<String, String>,
}

impl Org {
    /// An org without people: the organization's own row and the usual task statuses.
    pub(crate) fn new(person_accounts: bool) -> Self {
        let objects = schema::objects(person_accounts).into_iter();
        let mut org = Self {
            objects: objects.map(|(name, object)| (name, Arc::new(object))).collect(),
            tables: BTreeMap::new(),
            sequence: 0,
            person_accounts,
            undo: Vec::new(),
            open: 0,
            hidden: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        org.add_standard_rows();
        org
    }

    /// The object of this name in any case.
    pub(crate) fn object(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(name).or_else(|| self.objects.values().find(|object| object.name.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// The object whose ids begin like this one.
    pub(crate) fn object_of_id(&self, id: &str) -> Option<&Arc<Object>> {
        let prefix = id.get(..3)?;
        self.objects.values().find(|object| object.prefix == prefix)
    }

    /// All rows of an object in the order of their ids, deleted ones included.
    pub(crate) fn rows(&self, object: &str) -> impl Iterator<Item = &Row> {
        self.tables.get(object).into_iter().flat_map(Table::rows)
    }

    /// The rows of an object whose ids are greater than `after`.
    pub(crate) fn rows_after(&self, object: &str, after: &str) -> impl Iterator<Item = &Row> {
        self.tables.get(object).into_iter().flat_map(move |table| table.rows_after(after))
    }

    /// The rows of an object by `SystemModstamp` and id: of these seconds, and after the row `after` of the first.
    pub(crate) fn stamped(
        &self,
        object: &str,
        seconds: RangeInclusive<i64>,
        after: &str,
    ) -> impl Iterator<Item = &Row> {
        self.tables.get(object).into_iter().flat_map(move |table| table.stamped(seconds.clone(), after))
    }

    /// How many rows of an object are not deleted.
    pub(crate) fn live_count(&self, object: &str) -> usize {
        self.tables.get(object).map_or(0, Table::live)
    }

    /// A row by its 15- or 18-character id, deleted or not.
    pub(crate) fn row(&self, object: &str, id: &str) -> Option<&Row> {
        let table = self.tables.get(object)?;
        table.row(id).or_else(|| table.row(&id::normal(id)?))
    }

    /// A row that is not deleted.
    pub(crate) fn live(&self, object: &str, id: &str) -> Option<&Row> {
        self.row(object, id).filter(|row| !row.is_deleted())
    }

    /// Ids of the live rows whose external id field has this value.
    pub(crate) fn by_external_id(&self, object: &str, field: &str, value: &str) -> Vec<String> {
        let ids = self.tables.get(object).map_or(&[][..], |table| table.external(field, value));
        ids.iter().map(ToString::to_string).collect()
    }

    /// Ids of rows whose phone fields hold a number of these digits, or one that ends in them.
    pub(crate) fn by_phone(&self, object: &str, digits: &str, whole: bool) -> Vec<Key> {
        let table = self.tables.get(object);
        table.map_or_else(Vec::new, |table| table.phones(digits, whole).cloned().collect())
    }

    /// Hides records from users: user id to record ids.
    pub(crate) fn hide(&mut self, hidden: &BTreeMap<String, Vec<String>>) {
        let users = hidden.iter().filter_map(|(user, records)| {
            let records = records.iter().filter_map(|record| id::normal(record));
            Some((id::normal(user)?, records.collect()))
        });
        self.hidden = users.collect();
    }

    /// Whether anything is hidden from a user.
    pub(crate) fn hides(&self, user: &str) -> bool {
        self.hidden.contains_key(user)
    }

    /// Whether a user may see a record.
    pub(crate) fn shows(&self, user: &str, record: &str) -> bool {
        self.hidden.get(user).is_none_or(|hidden| !hidden.contains(record))
    }

    /// Remembers from here on how to undo what is written, and answers the mark that [`Self::end`] wants.
    pub(crate) fn begin(&mut self) -> usize {
        self.open += 1;
        self.undo.len()
    }

    /// Ends the transaction that began at `mark`, and undoes it unless `keep`.
    pub(crate) fn end(&mut self, mark: usize, keep: bool) {
        self.open -= 1;
        if !keep {
            for (object, id, row) in self.undo.split_off(mark).into_iter().rev() {
                self.swap(&object, &id, row);
            }
        }
        if self.open == 0 {
            self.undo.clear();
        }
    }

    /// The organization's 18-character id.
    pub(crate) fn organization(&self) -> String {
        self.rows("Organization").next().and_then(|row| text(&row.fields, "Id")).unwrap_or_default().to_owned()
    }

    /// Replaces the rows of `TaskStatus` by these: label, closed, default.
    pub(crate) fn set_task_statuses(&mut self, statuses: &[(String, bool, bool)]) {
        let old: Vec<String> =
            self.rows("TaskStatus").filter_map(|row| Some(text(&row.fields, "Id")?.to_owned())).collect();
        for id in old {
            self.place("TaskStatus", &id, None);
        }
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
            let writer = Writer::of("", Timestamp::now());
            let id = self.next_id(object);
            self.store(object, &id, fields, &writer);
        }
    }

    fn next_id(&mut self, object: &str) -> String {
        self.sequence += 1;
        let prefix = self.object(object).map_or("000", |object| object.prefix.as_str());
        id::make(prefix, self.sequence)
    }

    /// Puts a finished version of a row in place, stamps it, and keeps the version before for the search index.
    fn store(&mut self, object: &str, id: &str, fields: Fields, by: &Writer) {
        self.store_with(object, id, fields, by, None);
    }

    /// The same with a `SystemModstamp` of its own, as rows have that were committed long after they were stamped.
    fn store_with(&mut self, object: &str, id: &str, mut fields: Fields, by: &Writer, stamped: Option<Value>) {
        stamp(&mut fields, id, by);
        let mut second = by.now.as_second();
        if let Some(stamped) = stamped {
            second = stamped.as_str().and_then(time::read).map_or(second, Timestamp::as_second);
            fields.insert("SystemModstamp".to_owned(), stamped);
        }
        let before = self.row(object, id).map(|row| row.fields.clone());
        self.place(object, id, Some(Row { fields: Arc::new(fields), before, written: by.now, stamp: second }));
    }

    fn place(&mut self, object: &str, id: &str, row: Option<Row>) {
        let old = self.swap(object, id, row);
        if self.open > 0 {
            self.undo.push((object.to_owned(), id.to_owned(), old));
        }
    }

    fn swap(&mut self, object: &str, id: &str, row: Option<Row>) -> Option<Row> {
        let definition = self.object(object)?.clone();
        if !self.tables.contains_key(object) {
            self.tables.insert(object.to_owned(), Table::default());
        }
        self.tables.get_mut(object)?.put(&definition, id, row)
    }
}

fn stamp(fields: &mut Fields, id: &str, by: &Writer) {
    let now = &by.stamp;
    fields.insert("Id".to_owned(), id.into());
    fields.entry("IsDeleted").or_insert(false.into());
    fields.entry("CreatedDate").or_insert_with(|| now.clone().into());
    if !by.user.is_empty() {
        fields.entry("CreatedById").or_insert_with(|| by.user.clone().into());
        fields.insert("LastModifiedById".to_owned(), by.user.clone().into());
    }
    fields.insert("LastModifiedDate".to_owned(), now.clone().into());
    fields.insert("SystemModstamp".to_owned(), now.clone().into());
}

/// A text field's value, if it has one.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// A checkbox; absent is false.
pub(crate) fn flag(fields: &Fields, name: &str) -> bool {
    fields.get(name).and_then(Value::as_bool).unwrap_or(false)
}
