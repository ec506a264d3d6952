//! One layer of settings as a tree whose every value knows where it stands.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::Place;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

pub(super) type Table = BTreeMap<String, Node>;

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// Something that no key takes: a date, a fraction, a number that is too large.
    Other(&'static str),
}

impl Value {
    /// What it is, for a reader of messages; never its content.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(what) => what,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// Of a list; nothing where it is none.
    pub(super) fn items(&self) -> &[Node] {
        if let Self::List(items) = self { items } else { &[] }
    }
}

/// What the TOML reader has to say: a line and why.
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
}

/// Reads a TOML document; all that is wrong with its syntax is told.
pub(super) fn parse(text: &str, source: &Place) -> Result<Table, Vec<SyntaxError>> {
    let lines = Lines { text, source };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(lines.table(document.get_ref()));
    }
    Err(errors.iter().map(|error| lines.error(error)).collect())
}

/// Reads a TOML value, as an environment variable gives it for a list or a table.
pub(super) fn parse_value(text: &str, place: &Place) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let mut node = Lines { text, source: place }.node(&value);
    put_at(&mut node, place);
    Some(node)
}

fn put_at(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| put_at(item, place)),
        Value::Table(table) => table.values_mut().for_each(|entry| put_at(entry, place)),
        Value::Text(_) | Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => {}
    }
}

struct Lines<'a> {
    text: &'a str,
    source: &'a Place,
}

impl Lines<'_> {
    fn table(&self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| {
                let node = Node { place: self.place(key.span().start), ..self.node(value) };
                (key.get_ref().to_string(), node)
            })
            .collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        Node { value: self.value(value.get_ref()), place: self.place(value.span().start) }
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number that is too large"), Value::Integer),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(_) => Value::Other("a date or time"),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }

    fn error(&self, error: &toml::de::Error) -> SyntaxError {
        let offset = error.span().map_or(0, |span| span.start);
        SyntaxError { place: self.place(offset), message: error.message().to_owned() }
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.as_bytes().iter().take(offset);
        self.source.at_line(1 + before.filter(|byte| **byte == b'\n').count())
    }
}
