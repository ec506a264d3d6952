//! The known keys and their types, taken from the modules' own `Config` types, so that the two cannot drift.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Text,
    /// A text that must not be shown, and may be given as a file.
    Secret,
    Choice(Vec<String>),
    Boolean,
    Integer,
    List(Box<Shape>),
    Table(TableShape),
    /// A table whose keys depend on its `kind`.
    Kinds(BTreeMap<String, TableShape>),
    Anything,
}

/// The keys of a section.
#[derive(Debug, Clone, Default)]
pub(super) struct TableShape {
    pub(super) keys: BTreeMap<String, Key>,
    /// What keys that are not listed hold; none: there are no others.
    pub(super) rest: Option<Box<Shape>>,
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) shape: Shape,
    pub(super) description: String,
    pub(super) required: bool,
    pub(super) default: Option<Json>,
}

impl Key {
    pub(super) fn section(shape: Shape) -> Self {
        Self { shape, description: String::new(), required: false, default: None }
    }
}

impl Shape {
    /// What is expected, for a reader of messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text | Self::Secret => "text in quotes".to_owned(),
            Self::Choice(words) => one_of(words.iter().map(String::as_str)),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::List(item) => format!("a list, each of it {}", item.describe()),
            Self::Table(_) | Self::Kinds(_) => "a table".to_owned(),
            Self::Anything => "anything".to_owned(),
        }
    }

    pub(super) fn as_table(&self) -> Option<&TableShape> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    pub(super) fn as_kinds(&self) -> Option<&BTreeMap<String, TableShape>> {
        if let Self::Kinds(kinds) = self { Some(kinds) } else { None }
    }

    /// Of a list.
    pub(super) fn item(&self) -> Option<&Self> {
        if let Self::List(item) = self { Some(item) } else { None }
    }

    /// From a schema as `schemars` derives it.
    pub(super) fn of<T: schemars::JsonSchema>() -> Self {
        let schema = schemars::schema_for!(T).to_value();
        Definitions(schema.get("$defs")).shape(&schema)
    }
}

/// `"a", "b" or "c"`.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

struct Definitions<'a>(Option<&'a Json>);

impl Definitions<'_> {
    fn shape(&self, schema: &Json) -> Shape {
        if let Some(reference) = text(schema, "$ref") {
            return self.referred(reference);
        }
        if let Some(words) = choice(schema) {
            return Shape::Choice(words);
        }
        if let Some(variants) = schema.get("oneOf").and_then(Json::as_array) {
            return Shape::Kinds(variants.iter().filter_map(|variant| self.kind(variant)).collect());
        }
        match text(schema, "type") {
            Some("string") => Shape::Text,
            Some("boolean") => Shape::Boolean,
            Some("integer") => Shape::Integer,
            Some("array") => {
                Shape::List(Box::new(schema.get("items").map_or(Shape::Anything, |items| self.shape(items))))
            }
            Some("object") => Shape::Table(self.table(schema)),
            Some(_) | None => Shape::Anything,
        }
    }

    fn referred(&self, reference: &str) -> Shape {
        match reference.strip_prefix("#/$defs/") {
            Some("Secret") => Shape::Secret,
            Some(name) => match self.0.and_then(|definitions| definitions.get(name)) {
                Some(definition) => self.shape(definition),
                None => Shape::Anything,
            },
            None => Shape::Anything,
        }
    }

    fn kind(&self, variant: &Json) -> Option<(String, TableShape)> {
        let mut table = self.table(variant);
        let kind = variant.pointer("/properties/kind/const")?.as_str()?.to_owned();
        if let Some(key) = table.keys.get_mut("kind") {
            key.shape = Shape::Choice(vec![kind.clone()]);
        }
        Some((kind, table))
    }

    fn table(&self, schema: &Json) -> TableShape {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Json::as_array)
            .map(|names| names.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        let keys = schema.get("properties").and_then(Json::as_object);
        // A variant is its `kind` beside a reference to the rest.
        let mut table = self.referred_table(schema);
        for (name, key) in keys.into_iter().flatten() {
            let required = required.contains(&name.as_str());
            table.keys.insert(name.clone(), self.key(key, required));
        }
        if let Some(rest) = schema.get("additionalProperties").filter(|rest| **rest != Json::Bool(false)) {
            table.rest = Some(Box::new(self.shape(rest)));
        }
        table
    }

    fn referred_table(&self, schema: &Json) -> TableShape {
        let referred = text(schema, "$ref").map(|reference| self.referred(reference));
        referred.as_ref().and_then(Shape::as_table).cloned().unwrap_or_default()
    }

    fn key(&self, schema: &Json, required: bool) -> Key {
        Key {
            shape: self.shape(schema),
            description: text(schema, "description").unwrap_or_default().to_owned(),
            required,
            default: schema.get("default").cloned(),
        }
    }
}

fn text<'a>(schema: &'a Json, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Json::as_str)
}

/// An enumeration: `enum`, or `oneOf` of constants where the variants are described.
fn choice(schema: &Json) -> Option<Vec<String>> {
    let words = |list: &Json, pick: fn(&Json) -> Option<&str>| -> Option<Vec<String>> {
        list.as_array()?.iter().map(|word| pick(word).map(str::to_owned)).collect()
    };
    match (schema.get("enum"), schema.get("oneOf")) {
        (Some(list), _) => words(list, Json::as_str),
        (None, Some(list)) => words(list, |variant| text(variant, "const")),
        (None, None) => None,
    }
}
