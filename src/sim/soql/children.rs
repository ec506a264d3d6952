//! `SELECT Name, (SELECT Id FROM Contacts) FROM Account`: the children of each row, in a list of their own.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    Clock, Shape, Sorting, condition,
    parse::{Item, Query},
    token::marked,
};
use crate::sim::org::{Fields, Org, Refusal, schema, schema::Object, text};

/// One relation to children, with those of all parents as they were when the query was asked.
#[derive(Debug)]
pub(super) struct Children {
    relation: String,
    shape: Shape,
    by_parent: HashMap<String, Vec<Arc<Fields>>>,
}

impl Children {
    /// All that a query selects.
    pub(super) fn all(org: &Org, parent: &Object, query: &Query, clock: &Clock) -> Result<Vec<Self>, Refusal> {
        let inner =
            query.items.iter().filter_map(|item| if let Item::Children(inner) = item { Some(inner) } else { None });
        inner.map(|inner| Self::new(org, parent, inner, clock)).collect()
    }

    fn new(org: &Org, parent: &Object, query: &Query, clock: &Clock) -> Result<Self, Refusal> {
        let known =
            schema::children(org.objects(), parent).find(|child| child.relation.eq_ignore_ascii_case(&query.object));
        let child = known.ok_or_else(|| no_relation(query))?;
        let test = condition(org, child.object, query, clock)?;
        let sorting = Sorting::of(org, child.object, query)?;
        let mut shape = Shape::of(org, child.object, query)?;
        shape.children = Self::all(org, child.object, query, clock)?;
        let rows = org.rows(&child.object.name).filter(|row| !row.is_deleted()).map(|row| &row.fields);
        let rows = rows.filter(|row| test.as_ref().is_none_or(|test| test.holds(org, row)));
        let rows = rows.filter(|row| org.shows(&clock.user, text(row, "Id").unwrap_or_default()));
        let mut by_parent: HashMap<String, Vec<Arc<Fields>>> = HashMap::new();
        for row in rows {
            if let Some(id) = text(row, &child.field.name) {
                by_parent.entry(id.to_owned()).or_default().push(row.clone());
            }
        }
        for rows in by_parent.values_mut() {
            rows.sort_by(|a, b| sorting.compare(org, a, b));
            *rows = sorting.cut(std::mem::take(rows).into_iter()).collect();
        }
        Ok(Self { relation: child.relation, shape, by_parent })
    }

    /// As the org spells it.
    pub(super) fn relation(&self) -> &str {
        &self.relation
    }

    /// The children of one parent as an answer, null where there are none.
    pub(super) fn of(&self, org: &Org, parent: &str) -> Value {
        match self.by_parent.get(parent).map(Vec::as_slice) {
            None | Some([]) => Value::Null,
            Some(rows) => {
                let records: Vec<Value> = rows.iter().map(|row| self.shape.record(org, row)).collect();
                json!({"totalSize": records.len(), "done": true, "records": records})
            }
        }
    }
}

fn no_relation(query: &Query) -> Refusal {
    let at = query.source.find(&query.object).unwrap_or(0);
    let what = format!(
        "Didn't understand relationship '{}' in FROM part of query call. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.",
        query.object
    );
    Refusal::new("INVALID_TYPE", marked(&query.source, at, &what))
}
