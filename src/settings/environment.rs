//! What the environment says: where systemd put things, and `CTIBRIDGE__SECTION__KEY` variables as a layer of settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::node::{self, Node, Table, Value};
use super::place::Place;
use super::schema::{self, ROOT};
use super::shape::{Shape, TableShape};

const PREFIX: &str = "CTIBRIDGE__";

/// The part of the environment that settings depend on.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `CTIBRIDGE__…` and their values.
    pub variables: Vec<(String, String)>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// `$STATE_DIRECTORY`, the first of them.
    pub state: Option<String>,
}

impl Environment {
    /// This process's.
    #[must_use]
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            environment.take(&name.to_string_lossy(), value);
        }
        environment.variables.sort();
        environment
    }

    fn take(&mut self, name: &str, value: OsString) {
        match name {
            "CREDENTIALS_DIRECTORY" if !value.is_empty() => self.credentials = Some(value.into()),
            "STATE_DIRECTORY" if !value.is_empty() => {
                let folders = value.to_string_lossy();
                self.state = folders.split(':').next().map(str::to_owned);
            }
            name if name.starts_with(PREFIX) => {
                self.variables.push((name.to_owned(), value.to_string_lossy().into_owned()));
            }
            _ => {}
        }
    }

    /// The default of `state_dir` that systemd gives.
    pub(super) fn state_layer(&self) -> Table {
        let mut root = Table::new();
        if let Some(state) = &self.state {
            let place = Place::named("environment variable STATE_DIRECTORY");
            put(&mut root, &["bridge".to_owned(), "state_dir".to_owned()], text(state, &place), &place);
        }
        root
    }

    /// The variables as a layer. `names`: the feeds and agents of the other layers, by section.
    pub(super) fn layer(&self, names: &BTreeMap<&str, Vec<String>>) -> Table {
        let mut root = Table::new();
        for (name, value) in &self.variables {
            let place = Place::named(&format!("environment variable {name}"));
            let path = path(name, names);
            let value = typed(value, shape_at(&path), &place);
            put(&mut root, &path, value, &place);
        }
        entries_as_lists(&mut root);
        root
    }
}

/// `CTIBRIDGE__SALESFORCE__CLIENT_ID` is `salesforce.client_id`. A feed's or an agent's name and the key of an open table keep
/// their case where that can be told.
fn path(variable: &str, names: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let rest = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let mut parts = rest.splitn(3, "__");
    let section = parts.next().unwrap_or_default().to_lowercase();
    let second = parts.next().unwrap_or_default();
    let third = parts.next();
    let entries = names.get(section.as_str());
    let mut known = entries.into_iter().flatten();
    let second = match known.find(|name| name.eq_ignore_ascii_case(second)) {
        Some(name) => name.clone(),
        None => second.to_lowercase(),
    };
    let third = third.map(|third| match entries {
        Some(_) => third.to_lowercase(),
        None => third.to_owned(),
    });
    [section, second].into_iter().chain(third).collect()
}

/// What the key at this path takes; text where it is not known, which the check of keys then says.
fn shape_at(path: &[String]) -> &'static Shape {
    known_shape(path).unwrap_or(&Shape::Text)
}

fn known_shape(path: &[String]) -> Option<&'static Shape> {
    let (section, rest) = path.split_first()?;
    let shape = &ROOT.keys.get(section)?.shape;
    match (shape.item(), rest) {
        (Some(entry), [_name, key]) => Some(entry_shape(entry, section, key)),
        (None, [key]) => Some(key_shape(shape.as_table()?, section, key)),
        (None, [key, _inner]) => key_shape(shape.as_table()?, section, key).as_table()?.rest.as_deref(),
        _ => None,
    }
}

fn entry_shape<'a>(entry: &'a Shape, section: &str, key: &str) -> &'a Shape {
    let mut kinds = entry.as_kinds().into_iter().flat_map(BTreeMap::values).chain(entry.as_table());
    kinds.find(|table| table.keys.contains_key(key)).map_or(&Shape::Text, |table| key_shape(table, section, key))
}

fn key_shape<'a>(table: &'a TableShape, section: &str, name: &str) -> &'a Shape {
    schema::spellings(table, section)
        .get(name)
        .filter(|spelling| !spelling.file)
        .and_then(|spelling| table.keys.get(&spelling.key))
        .map_or(&Shape::Text, |key| &key.shape)
}

/// The text of a variable as the type of its key; text that does not fit stays text, which the check of keys then says.
fn typed(text_value: &str, shape: &Shape, place: &Place) -> Node {
    let plain = || text(text_value, place);
    let of = |value| Node { value, place: place.clone() };
    match shape {
        Shape::Boolean => text_value.parse().map_or_else(|_| plain(), |flag| of(Value::Boolean(flag))),
        Shape::Integer => text_value.parse().map_or_else(|_| plain(), |number| of(Value::Integer(number))),
        Shape::List(_) if text_value.trim_start().starts_with('[') => {
            node::parse_value(text_value.trim(), place).unwrap_or_else(plain)
        }
        Shape::List(_) => of(Value::List(
            text_value
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| text(item, place))
                .collect(),
        )),
        Shape::Table(_) => node::parse_value(text_value.trim(), place).unwrap_or_else(plain),
        Shape::Text | Shape::Secret | Shape::Choice(_) | Shape::Kinds(_) | Shape::Anything => plain(),
    }
}

fn text(value: &str, place: &Place) -> Node {
    Node { value: Value::Text(value.to_owned()), place: place.clone() }
}

fn put(table: &mut Table, path: &[String], node: Node, place: &Place) {
    let [first, rest @ ..] = path else {
        return;
    };
    if rest.is_empty() {
        table.insert(first.clone(), node);
        return;
    }
    let inner =
        table.entry(first.clone()).or_insert_with(|| Node { value: Value::Table(Table::new()), place: place.clone() });
    if let Value::Table(inner) = &mut inner.value {
        put(inner, rest, node, place);
    }
}

/// `feed.pbx1.url` becomes an entry of the list `feed` with the name `pbx1`, as a file has it.
fn entries_as_lists(root: &mut Table) {
    for (section, identity) in super::ENTRIES {
        let Some(node) = root.get_mut(section) else {
            continue;
        };
        let Value::Table(entries) = &mut node.value else {
            continue;
        };
        let items = std::mem::take(entries).into_iter().map(|(name, mut entry)| {
            if let Value::Table(keys) = &mut entry.value {
                keys.insert(identity.to_owned(), text(&name, &entry.place));
            }
            entry
        });
        node.value = Value::List(items.collect());
    }
}
