//! Ties the names in a query to the org's fields, and refuses those that are not there.

use std::borrow::Cow;

use super::{parse::Path, token::marked};
use crate::sim::org::{
    Fields, Org, Refusal,
    schema::{Access, Field, Kind, Object},
    text,
};
use serde_json::Value;

/// One step from a row to its parent: the field that holds the id, and the relation's name.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) field: String,
    pub(crate) relation: String,
}

/// A path of which every step is known.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) links: Vec<Link>,
    pub(crate) leaf: Field,
}

impl Bound {
    /// Whether it is a field of the row itself that rows are upserted by.
    pub(crate) fn is_external(&self) -> bool {
        self.links.is_empty() && matches!(self.leaf.kind, Kind::External { .. })
    }

    /// The value at the end of the path, null where a parent is missing.
    pub(crate) fn value<'a>(&self, org: &'a Org, row: &'a Fields) -> Cow<'a, Value> {
        let mut current = row;
        let mut kind = None;
        for link in &self.links {
            let Some((parent, fields)) = parent(org, current, &link.field) else {
                return Cow::Owned(Value::Null);
            };
            current = fields;
            kind = Some(parent);
        }
        if self.leaf.name == "Type"
            && let Some(kind) = kind
            && kind.field("Type").is_none()
        {
            return Cow::Owned(kind.name.clone().into());
        }
        leaf(current, &self.leaf)
    }
}

/// A row's value; a checkbox is never null.
fn leaf<'a>(row: &'a Fields, field: &Field) -> Cow<'a, Value> {
    match row.get(&field.name) {
        Some(value) if !value.is_null() => Cow::Borrowed(value),
        _ if field.kind == Kind::Bool => Cow::Owned(Value::Bool(false)),
        _ => Cow::Owned(Value::Null),
    }
}

/// The row that an id field points at, with its object; deleted parents are shown, as Salesforce does.
pub(crate) fn parent<'a>(org: &'a Org, row: &Fields, field: &str) -> Option<(&'a Object, &'a Fields)> {
    let id = text(row, field)?;
    let object = org.object_of_id(id)?;
    Some((object, &org.row(&object.name, id)?.fields))
}

/// Finds every step of `path` from `object`.
pub(crate) fn bind(org: &Org, object: &Object, path: &Path, source: &str) -> Result<Bound, Refusal> {
    let mut names: Vec<&str> = path.text.split('.').collect();
    // `Contact.Phone` in a query on Contact names the object itself.
    if let [first, _, ..] = names.as_slice()
        && first.eq_ignore_ascii_case(&object.name)
        && object.relation(first).is_none()
    {
        names.remove(0);
    }
    let Some((last, relations)) = names.split_last() else {
        return Err(no_column(object, &path.text, path.at, source));
    };
    let mut links = Vec::new();
    let mut reached = vec![object];
    for relation in relations {
        let field = reached.iter().find_map(|object| object.relation(relation));
        let Some((field, targets, relation)) = field.and_then(targets_of) else {
            return Err(no_relation(relation, path.at, source));
        };
        links.push(Link { field: field.name.clone(), relation: relation.to_owned() });
        reached = targets.iter().filter_map(|name| org.object(name).map(AsRef::as_ref)).collect();
    }
    let found = reached.iter().find_map(|object| object.field(last)).cloned();
    let leaf = found.or_else(|| type_of_parent(last, &links));
    let at = reached.first().copied().unwrap_or(object);
    let leaf = leaf.ok_or_else(|| no_column(at, last, path.at, source))?;
    Ok(Bound { links, leaf })
}

/// `Who.Type` is the name of the parent's object.
fn type_of_parent(name: &str, links: &[Link]) -> Option<Field> {
    (name.eq_ignore_ascii_case("Type") && !links.is_empty()).then(|| Field {
        name: "Type".to_owned(),
        kind: Kind::Text(40),
        access: Access::Read,
    })
}

fn targets_of(field: &Field) -> Option<(&Field, &[String], &str)> {
    if let Kind::Ref { targets, relation } = &field.kind {
        return Some((field, targets, relation));
    }
    None
}

fn no_column(object: &Object, name: &str, at: usize, source: &str) -> Refusal {
    let what = format!(
        "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
        object.name
    );
    Refusal::new("INVALID_FIELD", marked(source, at, &what))
}

fn no_relation(name: &str, at: usize, source: &str) -> Refusal {
    let what = format!(
        "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
    );
    Refusal::new("INVALID_FIELD", marked(source, at, &what))
}
