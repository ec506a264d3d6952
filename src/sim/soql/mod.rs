//! SOQL: reads a query and answers it from the org's rows.

pub(crate) mod bind;
mod children;
mod group;
pub(crate) mod parse;
mod range;
mod reach;
pub(crate) mod test;
#[cfg(test)]
mod tests;
pub(crate) mod token;

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::org::{
    Fields, Org, Refusal, id,
    schema::{Kind, Object},
    text,
};
use bind::{Bound, bind};
use children::Children;
use parse::{Condition, Item, Literal, Order, Path, Query};
use reach::Reach;
use test::{Test, prepare};

/// Who asks, and what time it is there for date literals.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
    /// The user's id; empty: one who sees everything.
    pub(crate) user: String,
}

/// An answer before it is paged: rows as they were when it was asked, made into records page by page.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) total: usize,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Stored(Shape, Vec<Arc<Fields>>),
    Made(Vec<Value>),
}

impl Found {
    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        match &self.rows {
            Rows::Stored(_, rows) => rows.len(),
            Rows::Made(records) => records.len(),
        }
    }

    /// The records from the number `from` on, at most `count`.
    pub(crate) fn page(&self, org: &Org, from: usize, count: usize) -> Vec<Value> {
        match &self.rows {
            Rows::Stored(shape, rows) => rows.iter().skip(from).take(count).map(|row| shape.record(org, row)).collect(),
            Rows::Made(records) => records.iter().skip(from).take(count).cloned().collect(),
        }
    }

    /// The rows and how their fields are found; `None` for counts and aggregates.
    pub(crate) fn stored(&self) -> Option<(&Shape, &[Arc<Fields>])> {
        if let Rows::Stored(shape, rows) = &self.rows { Some((shape, rows)) } else { None }
    }
}

/// How the answer's records are built: the version in their URLs is put in by [`Shape::record`].
#[derive(Debug)]
pub(crate) struct Shape {
    object: String,
    fields: Vec<Bound>,
    children: Vec<Children>,
}

/// Runs a query; `all` includes deleted rows. Record URLs hold `{base}`-less paths that begin at `/sobjects`.
pub(crate) fn run(org: &Org, query: &Query, clock: &Clock, all: bool) -> Result<Found, Refusal> {
    let object = org.known(&query.object).map_err(|_| no_object(query))?;
    let test = condition(org, &object, query, clock)?;
    let grouped = !query.group.is_empty() || query.items.iter().any(|item| matches!(item, Item::Aggregate(..)));
    if grouped {
        let rows = org.rows(&object.name).filter(|row| all || !row.is_deleted()).map(|row| &row.fields);
        let rows = rows.filter(|row| test.as_ref().is_none_or(|test| test.holds(org, row)));
        let rows = rows.filter(|row| org.shows(&clock.user, text(row, "Id").unwrap_or_default()));
        let records = group::records(org, &object, query, &rows.cloned().collect::<Vec<_>>())?;
        return Ok(Found { total: records.len(), rows: Rows::Made(records) });
    }
    let sorting = Sorting::of(org, &object, query)?;
    let counts = query.items == [Item::CountAll];
    let hides = org.hides(&clock.user);
    if counts && test.is_none() && !all && !hides && query.limit.is_none() && query.offset == 0 {
        return Ok(Found { total: org.live_count(&object.name), rows: Rows::Made(Vec::new()) });
    }
    let made: Vec<Arc<Fields>> = access_rows(org, &object, query).into_iter().map(Arc::new).collect();
    let reach = Reach::of(test.as_ref(), &query.order, all);
    let rows = reach.rows(org, &object.name, all).chain(&made);
    let rows = rows.filter(|row| test.as_ref().is_none_or(|test| test.holds(org, row)));
    let rows = rows.filter(|row| !hides || org.shows(&clock.user, text(row, "Id").unwrap_or_default()));
    let rows: Vec<Arc<Fields>> = if reach.is_in(&query.order) {
        sorting.cut(rows).cloned().collect()
    } else {
        let mut rows: Vec<_> = rows.cloned().collect();
        rows.sort_by(|a, b| sorting.compare(org, a, b));
        sorting.cut(rows.into_iter()).collect()
    };
    answer(org, &object, query, rows, clock)
}

/// In which order rows come, and which part of them is wanted.
pub(crate) struct Sorting {
    keys: Vec<(Bound, Order)>,
    offset: usize,
    limit: usize,
}

impl Sorting {
    pub(crate) fn of(org: &Org, object: &Object, query: &Query) -> Result<Self, Refusal> {
        if query.offset > 2000 {
            return Err(Refusal::new("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"));
        }
        if let Some(order) = query.order.iter().find(|order| !order.function.is_empty()) {
            return Err(token::malformed(
                &query.source,
                order.path.at,
                "Ordering by an aggregate needs a GROUP BY clause",
            ));
        }
        let keys = query.order.iter().map(|order| Ok((bind(org, object, &order.path, &query.source)?, order.clone())));
        Ok(Self {
            keys: keys.collect::<Result<_, Refusal>>()?,
            offset: query.offset,
            limit: query.limit.unwrap_or(usize::MAX),
        })
    }

    pub(crate) fn compare(&self, org: &Org, a: &Fields, b: &Fields) -> Ordering {
        let by_key = self.keys.iter().map(|(bound, order)| {
            let (a, b) = (bound.value(org, a), bound.value(org, b));
            by_value(&bound.leaf.kind, &a, &b, (order.descending, order.nulls_last))
        });
        by_key.fold(Ordering::Equal, Ordering::then)
    }

    /// OFFSET and LIMIT of rows that are in their order.
    pub(crate) fn cut<T>(&self, rows: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        rows.skip(self.offset).take(self.limit)
    }
}

/// The condition of a query, ready to be asked.
pub(crate) fn condition(org: &Org, object: &Object, query: &Query, clock: &Clock) -> Result<Option<Test>, Refusal> {
    query.condition.as_ref().map(|condition| prepare(org, object, condition, &query.source, clock)).transpose()
}

impl Shape {
    /// Which fields of its own and of its parents a query selects.
    pub(crate) fn of(org: &Org, object: &Object, query: &Query) -> Result<Self, Refusal> {
        let mut fields = Vec::new();
        for item in &query.items {
            match item {
                Item::Field(path) => fields.push(bind(org, object, path, &query.source)?),
                Item::Everything => {
                    let all = object.fields.iter().map(|leaf| Bound { links: Vec::new(), leaf: leaf.clone() });
                    fields.extend(all);
                }
                Item::Children(_) => {}
                Item::CountAll | Item::Aggregate(..) => return Err(mixed(query)),
            }
        }
        Ok(Self { object: object.name.clone(), fields, children: Vec::new() })
    }

    /// The selected fields by their paths in canonical case, such as `Account.Name`.
    pub(crate) fn columns(&self) -> Vec<String> {
        let columns = self.fields.iter().map(|field| {
            let links = field.links.iter().map(|link| link.relation.as_str());
            links.chain([field.leaf.name.as_str()]).collect::<Vec<_>>().join(".")
        });
        columns.collect()
    }

    /// A row's values in the order of the columns.
    pub(crate) fn values<'a>(&'a self, org: &'a Org, row: &'a Fields) -> impl Iterator<Item = Cow<'a, Value>> {
        self.fields.iter().map(|field| field.value(org, row))
    }

    /// A record with its attributes, its fields, its parents as nested records, and its children as answers of their own.
    pub(crate) fn record(&self, org: &Org, row: &Fields) -> Value {
        let mut record = Map::new();
        record.insert("attributes".to_owned(), attributes(&self.object, row));
        for field in &self.fields {
            put(org, &mut record, row, field);
        }
        for children in &self.children {
            let id = text(row, "Id").unwrap_or_default();
            record.insert(children.relation().to_owned(), children.of(org, id));
        }
        record.into()
    }
}

fn put(org: &Org, record: &mut Map<String, Value>, row: &Fields, field: &Bound) {
    let mut place = record;
    let mut current = row;
    for link in &field.links {
        let Some((object, fields)) = bind::parent(org, current, &link.field) else {
            place.insert(link.relation.clone(), Value::Null);
            return;
        };
        let slot = place
            .entry(link.relation.clone())
            .or_insert_with(|| json!({"attributes": attributes(&object.name, fields)}));
        let Some(inner) = slot.as_object_mut() else {
            return;
        };
        place = inner;
        current = fields;
    }
    let value = field.value(org, row).into_owned();
    place.insert(field.leaf.name.clone(), value);
}

/// `{"type", "url"}`; the URL begins at `/sobjects` and gets its version where the answer leaves.
fn attributes(object: &str, row: &Fields) -> Value {
    let id = text(row, "Id").unwrap_or_default();
    json!({"type": object, "url": format!("/sobjects/{object}/{id}")})
}

fn answer(org: &Org, object: &Object, query: &Query, rows: Vec<Arc<Fields>>, clock: &Clock) -> Result<Found, Refusal> {
    if query.items == [Item::CountAll] {
        return Ok(Found { total: rows.len(), rows: Rows::Made(Vec::new()) });
    }
    let mut shape = Shape::of(org, object, query)?;
    shape.children = Children::all(org, object, query, clock)?;
    Ok(Found { total: rows.len(), rows: Rows::Stored(shape, rows) })
}

/// Orders two values of one field; nulls come first in both directions unless asked otherwise. Ids go by their case.
fn by_value(kind: &Kind, a: &Value, b: &Value, (descending, nulls_last): (bool, bool)) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => return Ordering::Equal,
        (true, false) => {
            return if nulls_last { Ordering::Greater } else { Ordering::Less };
        }
        (false, true) => {
            return if nulls_last { Ordering::Less } else { Ordering::Greater };
        }
        (false, false) => {}
    }
    let order = if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        if matches!(kind, Kind::Id | Kind::Ref { .. } | Kind::DateTime | Kind::Date) {
            a.cmp(b)
        } else {
            a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| a.cmp(b))
        }
    } else if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
        a.total_cmp(&b)
    } else {
        a.as_bool().cmp(&b.as_bool())
    };
    if descending { order.reverse() } else { order }
}

fn mixed(query: &Query) -> Refusal {
    token::malformed(&query.source, 0, "Grouped query needs a GROUP BY clause")
}

fn no_object(query: &Query) -> Refusal {
    let at = query.source.find(&query.object).unwrap_or(0);
    let what = format!(
        "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
        query.object
    );
    Refusal::new("INVALID_TYPE", token::marked(&query.source, at, &what))
}

/// `UserRecordAccess` has no rows of its own: each record asked for is answered.
fn access_rows(org: &Org, object: &Object, query: &Query) -> Vec<Fields> {
    if object.name != "UserRecordAccess" {
        return Vec::new();
    }
    let (mut users, mut records) = (Vec::new(), Vec::new());
    if let Some(condition) = &query.condition {
        ids_in(condition, "UserId", &mut users);
        ids_in(condition, "RecordId", &mut records);
    }
    let user = users.into_iter().next().unwrap_or_default();
    records.iter().map(|record| access_row(&user, record, org.shows(&user, record))).collect()
}

fn access_row(user: &str, record: &str, visible: bool) -> Fields {
    let mut row = Fields::new();
    row.insert("UserId".to_owned(), user.into());
    row.insert("RecordId".to_owned(), record.into());
    for right in ["Read", "Edit", "Delete", "Transfer"] {
        row.insert(format!("Has{right}Access"), visible.into());
    }
    row.insert("HasAllAccess".to_owned(), visible.into());
    row.insert("MaxAccessLevel".to_owned(), if visible { "All" } else { "None" }.into());
    row
}

fn ids_in(condition: &Condition, field: &str, found: &mut Vec<String>) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                ids_in(part, field, found);
            }
        }
        Condition::Not(part) => ids_in(part, field, found),
        Condition::Compare(Path { text, .. }, _, literals) if text.eq_ignore_ascii_case(field) => {
            for literal in literals {
                if let Literal::Text(text) = literal {
                    found.extend(id::normal(text));
                }
            }
        }
        Condition::Compare(..) | Condition::SubQuery(..) => {}
    }
}
