//! All keys of the settings in one tree, and its JSON Schema for editors.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use super::planned::PlannedFeed;
use super::shape::{Key, Shape, TableShape};
use super::{Bridge, node};
use crate::directory;
use crate::feeds;
use crate::http;
use crate::journal;
use crate::pops;
use crate::salesforce;

/// Other names of keys, as the settings of 1stream call them: section, other name, key.
pub(super) const ALIASES: [(&str, &str, &str); 6] = [
    ("salesforce", "api_key", "client_id"),
    ("salesforce", "api_private_key", "client_secret"),
    ("salesforce", "crm_username", "username"),
    ("salesforce", "crm_password", "password"),
    ("salesforce", "integration_code", "security_token"),
    ("salesforce", "crm_details_link", "details_link"),
];

/// The whole file.
pub(super) static ROOT: LazyLock<TableShape> = LazyLock::new(|| TableShape {
    keys: BTreeMap::from([
        section::<Bridge>("bridge"),
        section::<http::Config>("http"),
        section::<salesforce::Config>("salesforce"),
        section::<directory::Config>("directory"),
        section::<pops::Config>("pops"),
        section::<journal::Config>("log"),
        section::<pops::AgentsConfig>("agents"),
        list("agent", Shape::of::<pops::Agent>()),
        list("feed", Shape::Kinds(feed_kinds())),
    ]),
    rest: None,
});

/// The kinds of feeds that this build starts.
pub(super) static BUILT_KINDS: LazyLock<BTreeMap<String, TableShape>> =
    LazyLock::new(|| kinds(&Shape::of::<feeds::Config>()));

fn section<T: schemars::JsonSchema>(name: &str) -> (String, Key) {
    (name.to_owned(), Key::section(Shape::of::<T>()))
}

fn list(name: &str, item: Shape) -> (String, Key) {
    (name.to_owned(), Key::section(Shape::List(Box::new(item))))
}

fn feed_kinds() -> BTreeMap<String, TableShape> {
    let mut all = kinds(&Shape::of::<PlannedFeed>());
    all.extend(BUILT_KINDS.clone());
    all
}

fn kinds(shape: &Shape) -> BTreeMap<String, TableShape> {
    shape.as_kinds().cloned().unwrap_or_default()
}

/// The JSON Schema of a settings file, with aliases, `_file` spellings and the reference's defaults.
#[must_use]
pub fn json_schema() -> Json {
    let defaults = node::parse(super::REFERENCE, &super::place::Place::named("reference"));
    let mut properties = Map::new();
    for (name, key) in &ROOT.keys {
        let mut schema = shape_schema(&key.shape, name);
        if let Ok(defaults) = &defaults {
            add_defaults(&mut schema, defaults.get(name));
        }
        properties.insert(name.clone(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of ctibridge",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn shape_schema(shape: &Shape, section: &str) -> Json {
    match shape {
        Shape::Text | Shape::Secret => json!({"type": "string"}),
        Shape::Choice(words) => json!({"type": "string", "enum": words}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Integer => json!({"type": "integer"}),
        Shape::List(item) => json!({"type": "array", "items": shape_schema(item, section)}),
        Shape::Table(table) => table_schema(table, section),
        Shape::Kinds(kinds) => json!({
            "oneOf": kinds.values().map(|kind| table_schema(kind, section)).collect::<Vec<_>>(),
        }),
        Shape::Anything => json!({}),
    }
}

/// Nothing but what tells entries apart is required, since a key may come from another layer.
fn table_schema(table: &TableShape, section: &str) -> Json {
    let mut properties = Map::new();
    for (name, key) in &table.keys {
        properties.insert(name.clone(), key_schema(key, section));
    }
    for (spelling, of) in spellings(table, section) {
        let text =
            if of.file { format!("A file that holds `{}`.", of.key) } else { format!("The same as `{}`.", of.key) };
        properties.entry(spelling).or_insert_with(|| json!({"type": "string", "description": text}));
    }
    let identity =
        ["name", "extension"].into_iter().filter(|name| table.keys.get(*name).is_some_and(|key| key.required));
    let rest = table.rest.as_ref().map_or(Json::Bool(false), |rest| shape_schema(rest, section));
    json!({
        "type": "object",
        "properties": properties,
        "required": identity.collect::<Vec<_>>(),
        "additionalProperties": rest,
    })
}

fn key_schema(key: &Key, section: &str) -> Json {
    let mut schema = shape_schema(&key.shape, section);
    if let Some(object) = schema.as_object_mut() {
        if !key.description.is_empty() {
            object.insert("description".to_owned(), json!(key.description));
        }
        if let Some(default) = &key.default {
            object.insert("default".to_owned(), default.clone());
        }
    }
    schema
}

fn add_defaults(schema: &mut Json, section: Option<&node::Node>) {
    let Some(defaults) = section.and_then(|section| section.value.as_table()) else {
        return;
    };
    for (name, default) in defaults {
        let property = schema.pointer_mut(&format!("/properties/{name}")).and_then(Json::as_object_mut);
        if let (Some(property), Some(default)) = (property, plain(default)) {
            property.insert("default".to_owned(), default);
        }
    }
}

fn plain(node: &node::Node) -> Option<Json> {
    match &node.value {
        node::Value::Text(text) => Some(json!(text)),
        node::Value::Integer(number) => Some(json!(number)),
        node::Value::Boolean(flag) => Some(json!(flag)),
        node::Value::List(items) => Some(items.iter().filter_map(plain).collect()),
        node::Value::Table(_) | node::Value::Other(_) => None,
    }
}

/// How else a key may be spelled.
#[derive(Debug, Clone)]
pub(super) struct Spelling {
    pub(super) key: String,
    /// The value is the path of a file that holds it.
    pub(super) file: bool,
}

/// Every spelling of every key of a table.
pub(super) fn spellings(table: &TableShape, section: &str) -> BTreeMap<String, Spelling> {
    let mut all = BTreeMap::new();
    let names = table.keys.keys().map(|key| (key.as_str(), key.as_str()));
    let aliases = ALIASES.iter().filter(|(of, _, _)| *of == section).map(|(_, alias, key)| (*alias, *key));
    for (name, key) in names.chain(aliases) {
        let secret = table.keys.get(key).is_some_and(|key| matches!(key.shape, Shape::Secret));
        let spelling = |file| Spelling { key: key.to_owned(), file };
        if secret {
            all.insert(format!("{name}_file"), spelling(true));
        }
        all.insert(name.to_owned(), spelling(false));
    }
    all
}
