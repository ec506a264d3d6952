//! Puts the layers together and makes the types of them; the only file that knows the `config` crate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use config::{Config, ConfigError, Map, Source, Value as Merged, ValueKind};
use serde::de::DeserializeOwned;

use super::findings::Findings;
use super::node::{Node, Table, Value};

/// All layers as one, later ones over earlier ones; lists of named entries are tables by name.
pub(super) struct Composed {
    whole: Config,
    /// The reference alone, for what stands in where a value cannot be read.
    reference: Config,
}

impl Composed {
    /// `layers`: the reference first.
    pub(super) fn of(layers: &[Table]) -> Result<Self, String> {
        let reference = layers.get(..1).unwrap_or_default();
        Ok(Self {
            whole: build(layers).map_err(|error| error.to_string())?,
            reference: build(reference).map_err(|error| error.to_string())?,
        })
    }

    /// A section as its type. What cannot be read is told, and the reference's value put in its place to find the next.
    pub(super) fn section<T: DeserializeOwned>(&self, name: &str, findings: &mut Findings) -> Option<T> {
        let table = self.whole.get_table(name).unwrap_or_default();
        let defaults = self.reference.get_table(name).unwrap_or_default();
        read(name, table, &defaults, findings)
    }

    /// A named entry of a list as its type.
    pub(super) fn entry<T: DeserializeOwned>(&self, section: &str, name: &str, findings: &mut Findings) -> Option<T> {
        let mut entries = self.whole.get_table(section).unwrap_or_default();
        let table = entries.remove(name)?.into_table().ok()?;
        read(&format!("{section}.{name}"), table, &Map::new(), findings)
    }

    /// The keys that a named entry has in any layer.
    pub(super) fn keys_of(&self, section: &str, name: &str) -> Vec<String> {
        let mut entries = self.whole.get_table(section).unwrap_or_default();
        let table = entries.remove(name).and_then(|entry| entry.into_table().ok());
        table.into_iter().flatten().map(|(key, _)| key).collect()
    }

    /// Every value by its dotted key, to tell two readings of the settings apart.
    pub(super) fn flat(&self) -> BTreeMap<String, String> {
        flat(&self.whole)
    }

    /// The keys that have another value than the reference's.
    pub(super) fn changed(&self) -> BTreeSet<String> {
        let reference = flat(&self.reference);
        self.flat().into_iter().filter(|(key, value)| reference.get(key) != Some(value)).map(|(key, _)| key).collect()
    }
}

fn flat(config: &Config) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    let root: HashMap<String, Merged> = config.clone().try_deserialize().unwrap_or_default();
    for (name, value) in root {
        flatten(name, &value, &mut flat);
    }
    flat
}

fn flatten(key: String, value: &Merged, into: &mut BTreeMap<String, String>) {
    if let ValueKind::Table(table) = &value.kind {
        for (name, value) in table {
            flatten(format!("{key}.{name}"), value, into);
        }
        return;
    }
    into.insert(key, format!("{:?}", plain(value)));
}

/// Without its origin, which is no part of what it says.
fn plain(value: &Merged) -> ValueKind {
    let ValueKind::Array(items) = &value.kind else {
        return value.kind.clone();
    };
    let plain_items = items.iter().map(|item| Merged::new(None, plain(item)));
    ValueKind::Array(plain_items.collect())
}

fn build(layers: &[Table]) -> Result<Config, ConfigError> {
    let builder = Config::builder();
    let builder = layers.iter().fold(builder, |builder, layer| builder.add_source(Layer(table(layer))));
    builder.build()
}

fn read<T: DeserializeOwned>(
    path: &str,
    mut table: Map<String, Merged>,
    defaults: &Map<String, Merged>,
    findings: &mut Findings,
) -> Option<T> {
    loop {
        let error = match Merged::new(None, table.clone()).try_deserialize::<T>() {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let (key, what, expected) = explain(&error);
        let full = if key.is_empty() { path.to_owned() } else { format!("{path}.{key}") };
        if !findings.is_wrong(&full) {
            findings.problem(&full, what, expected);
        }
        let first = key.split('.').next().unwrap_or_default();
        let default = defaults.get(first)?;
        if table.insert(first.to_owned(), default.clone()).is_none_or(|old| old.kind == default.kind) {
            return None;
        }
    }
}

/// The key, what is wrong with it and what was expected. The check of keys lets no wrong type through, so that it is nearly
/// always a duration.
fn explain(error: &ConfigError) -> (String, String, &'static str) {
    let (key, text) = if let ConfigError::At { error, key, .. } = error {
        (key.clone(), error.to_string())
    } else if let ConfigError::Type { key, expected, .. } = error {
        (key.clone(), format!("not {expected}"))
    } else {
        (None, error.to_string())
    };
    let key = key.unwrap_or_default();
    if text.contains("duration") {
        let expected = "a number and its unit, such as \"800ms\", \"2s\" or \"11m\"";
        return (key, "is no duration".to_owned(), expected);
    }
    let line = text.lines().next().unwrap_or_default();
    (key, format!("cannot be read: {line}"), "another value")
}

#[derive(Debug, Clone)]
struct Layer(Map<String, Merged>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Merged>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn table(layer: &Table) -> Map<String, Merged> {
    layer.iter().map(|(key, node)| (key.clone(), value(node))).collect()
}

fn value(node: &Node) -> Merged {
    let kind = match &node.value {
        Value::Text(text) => ValueKind::String(text.clone()),
        Value::Integer(number) => ValueKind::I64(*number),
        Value::Boolean(flag) => ValueKind::Boolean(*flag),
        Value::List(items) => ValueKind::Array(items.iter().map(value).collect()),
        Value::Table(inner) => ValueKind::Table(table(inner)),
        Value::Other(_) => ValueKind::Nil,
    };
    Merged::new(None, kind)
}
