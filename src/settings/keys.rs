//! Holds one layer against the known keys: resolves other spellings and files, drops and tells what cannot be.

use std::collections::BTreeMap;

use super::files::{self, Folders};
use super::findings::Findings;
use super::nearest::{Near, nearest};
use super::node::{Node, Table, Value};
use super::place::Place;
use super::schema::{self, ROOT, Spelling};
use super::shape::{Shape, TableShape, one_of};

/// Keys that hold the path of a file of their own.
const PATHS: [&str; 4] = ["ca_file", "private_key_file", "tls_certificate", "tls_key"];

/// What the check of a layer needs to know of the others and of the machine.
pub(super) struct Reader<'a> {
    pub(super) folders: &'a Folders,
    /// The kind of each feed by its name, from all layers.
    pub(super) kinds: &'a BTreeMap<String, String>,
    pub(super) findings: &'a mut Findings,
    /// How many secrets stand in the layer itself.
    pub(super) secrets: usize,
}

impl Reader<'_> {
    /// The layer with canonical keys only, its secrets read, and `feed` and `agent` as tables by name.
    pub(super) fn read(&mut self, layer: Table) -> Table {
        let mut clean = Table::new();
        for (name, node) in layer {
            let identity = super::ENTRIES.iter().find(|(section, _)| *section == name);
            let node = match (ROOT.keys.get(&name), identity) {
                (Some(key), Some((_, identity))) => self.entries(&name, identity, &key.shape, node),
                (Some(key), None) => self.value(&name, &name, &key.shape, node),
                (None, _) => {
                    self.unknown("", &name, &node.place, &ROOT.keys.keys().map(String::as_str).collect::<Vec<_>>());
                    None
                }
            };
            if let Some(node) = node {
                clean.insert(name, node);
            }
        }
        clean
    }

    /// A list of named entries.
    fn entries(&mut self, section: &str, identity: &str, shape: &Shape, node: Node) -> Option<Node> {
        let (Value::List(items), Shape::List(item)) = (node.value, shape) else {
            let what = format!("is no list of entries; each begins with [[{section}]]");
            self.findings.problem_at(&node.place, section, what, format!("[[{section}]]"));
            return None;
        };
        self.findings.note_place(section, &node.place);
        let mut named = Table::new();
        for entry in items {
            let place = entry.place.clone();
            let Some(name) = self.identity(section, identity, &entry) else {
                continue;
            };
            let path = format!("{section}.{name}");
            if named.contains_key(&name) {
                let expected = format!("each {section} once, by {identity}");
                self.findings.problem_at(&place, &path, "stands twice in this file", expected);
                continue;
            }
            self.findings.note_place(&path, &place);
            if let Some(entry) = self.entry(section, &name, item, entry) {
                named.insert(name, entry);
            }
        }
        Some(Node { value: Value::Table(named), place: node.place })
    }

    fn identity(&mut self, section: &str, identity: &str, entry: &Node) -> Option<String> {
        let value = entry.value.as_table().and_then(|keys| keys.get(identity));
        let Some(value) = value else {
            let expected = format!("`{identity}` in each [[{section}]]");
            self.findings.problem_at(&entry.place, section, format!("an entry without `{identity}`"), expected);
            return None;
        };
        let name = value.value.as_text().map(str::to_owned);
        if name.is_none() {
            let what = format!("is {}", value.value.describe());
            self.findings.problem_at(&value.place, &format!("{section}.{identity}"), what, "text in quotes");
        }
        name
    }

    fn entry(&mut self, section: &str, name: &str, shape: &Shape, entry: Node) -> Option<Node> {
        let path = format!("{section}.{name}");
        let Shape::Kinds(kinds) = shape else {
            return self.value(&path, section, shape, entry);
        };
        let known = || one_of(kinds.keys().map(String::as_str));
        let Some(kind) = self.kinds.get(name) else {
            self.findings.problem_at(&entry.place, &path, "has no `kind`", known());
            return None;
        };
        let Some(table) = kinds.get(kind) else {
            let expected = match nearest(kind, kinds.keys().map(String::as_str)) {
                Some(Near::Slip(near)) => format!("\"{near}\", the nearest known kind"),
                Some(Near::Far(_)) | None => known(),
            };
            let what = format!("{kind:?} is no known kind");
            let place = entry.value.as_table().and_then(|keys| keys.get("kind"));
            let place = place.map_or(&entry.place, |kind| &kind.place);
            self.findings.problem_at(place, &format!("{path}.kind"), what, expected);
            return None;
        };
        self.value(&path, section, &Shape::Table(table.clone()), entry)
    }

    fn value(&mut self, path: &str, section: &str, shape: &Shape, node: Node) -> Option<Node> {
        self.findings.note_place(path, &node.place);
        let place = node.place;
        let value = match (shape, node.value) {
            (Shape::Table(table), Value::Table(keys)) => Value::Table(self.table(path, section, table, keys)),
            (Shape::List(item), Value::List(items)) => Value::List(self.list(path, section, item, items)),
            (Shape::Choice(words), Value::Text(word)) if !words.contains(&word) => {
                self.findings.problem_at(&place, path, format!("{word:?} is not known"), shape.describe());
                return None;
            }
            (Shape::Text | Shape::Secret | Shape::Choice(_), value @ Value::Text(_))
            | (Shape::Boolean, value @ Value::Boolean(_))
            | (Shape::Integer, value @ Value::Integer(_))
            | (Shape::Anything, value) => value,
            (_, other) => {
                self.findings.problem_at(&place, path, format!("is {}", other.describe()), shape.describe());
                return None;
            }
        };
        Some(Node { value, place })
    }

    fn list(&mut self, path: &str, section: &str, item: &Shape, items: Vec<Node>) -> Vec<Node> {
        items.into_iter().filter_map(|node| self.value(&format!("{path}[]"), section, item, node)).collect()
    }

    fn table(&mut self, path: &str, section: &str, shape: &TableShape, keys: Table) -> Table {
        let spellings = schema::spellings(shape, section);
        let mut clean = Table::new();
        let mut spelled: BTreeMap<String, String> = BTreeMap::new();
        for (name, node) in keys {
            let Some(spelling) = spellings.get(&name) else {
                self.rest(path, section, shape, (name, node), &mut clean);
                continue;
            };
            let key = format!("{path}.{name}");
            if let Some(other) = spelled.insert(spelling.key.clone(), name.clone()) {
                let what = format!("is the same key as `{other}`, which is set, too");
                self.findings.problem_at(&node.place, &key, what, "one of the two");
                continue;
            }
            let known = shape.keys.get(&spelling.key);
            if let Some(node) = known.and_then(|known| self.known(path, section, spelling, &known.shape, node)) {
                clean.insert(spelling.key.clone(), node);
            }
        }
        clean
    }

    fn known(&mut self, path: &str, section: &str, spelling: &Spelling, shape: &Shape, node: Node) -> Option<Node> {
        let key = format!("{path}.{}", spelling.key);
        if spelling.file {
            return self.secret_file(&key, node);
        }
        let mut node = self.value(&key, section, shape, node)?;
        let given = node.value.as_text().is_some_and(|text| !text.is_empty());
        self.secrets += usize::from(given && matches!(shape, Shape::Secret));
        if PATHS.contains(&spelling.key.as_str()) {
            self.own_file(&key, spelling.key.contains("key"), &mut node);
        }
        required_table_keys(&key, shape, &node, self.findings);
        Some(node)
    }

    /// A key that is not listed: of an open table, or unknown.
    fn rest(&mut self, path: &str, section: &str, shape: &TableShape, entry: (String, Node), clean: &mut Table) {
        let (name, node) = entry;
        let Some(rest) = &shape.rest else {
            let spellings = schema::spellings(shape, section);
            self.unknown(path, &name, &node.place, &spellings.keys().map(String::as_str).collect::<Vec<_>>());
            return;
        };
        if let Some(node) = self.value(&format!("{path}.{name}"), section, rest, node) {
            clean.insert(name, node);
        }
    }

    fn unknown(&mut self, path: &str, name: &str, place: &Place, known: &[&str]) {
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let elsewhere = || ROOT.keys.iter().find(|(_, section)| holds(&section.shape, name));
        let expected = match (nearest(name, known.iter().copied()), elsewhere()) {
            (Some(Near::Slip(near)), _) => format!("`{near}`, the nearest known key"),
            (_, Some((section, _))) => format!("in [{section}]"),
            (Some(Near::Far(near)), None) => {
                format!("`{near}`, the nearest known key, or another of {}", known.join(", "))
            }
            (None, None) => "no key".to_owned(),
        };
        self.findings.problem_at(place, &key, "unknown key", expected);
    }

    /// `x_file`: the key `x` with what the file holds. An empty path sets nothing.
    fn secret_file(&mut self, key: &str, node: Node) -> Option<Node> {
        let spelled = format!("{key}_file");
        let Some(name) = node.value.as_text() else {
            let what = format!("is {}", node.value.describe());
            self.findings.problem_at(&node.place, &spelled, what, "the path of a file, in quotes");
            return None;
        };
        if name.is_empty() {
            return None;
        }
        self.findings.note_place(key, &node.place);
        let read = self.folders.find(name).and_then(|found| Ok((files::read_secret(&found.path)?, found)));
        match read {
            Ok((secret, found)) => {
                if found.open {
                    self.warn_of_open_file(&spelled, &node.place, &found.path);
                }
                Some(Node { value: Value::Text(secret), place: node.place })
            }
            Err(why) => {
                let expected = "a readable file that holds the secret";
                self.findings.problem_at(&node.place, &spelled, &why, expected);
                None
            }
        }
    }

    /// A key or certificate that stays a file: its path is made absolute, and it must be there.
    fn own_file(&mut self, key: &str, private: bool, node: &mut Node) {
        let Some(name) = node.value.as_text().filter(|name| !name.is_empty()) else {
            return;
        };
        match self.folders.find(name) {
            Ok(found) => {
                if found.open && private {
                    self.warn_of_open_file(key, &node.place, &found.path);
                }
                node.value = Value::Text(found.path.to_string_lossy().into_owned());
            }
            Err(why) => self.findings.problem_at(&node.place, key, why, "a readable file"),
        }
    }

    fn warn_of_open_file(&mut self, key: &str, place: &Place, path: &std::path::Path) {
        let path = path.display();
        let text = format!("{path} may be read by others than its owner; do: chmod 600 {path}");
        self.findings.warning_at(place, key, text);
    }
}

/// Entries of lists that are not merged are whole in their layer: what they lack is told here.
fn required_table_keys(key: &str, shape: &Shape, node: &Node, findings: &mut Findings) {
    let Some(table) = shape.item().and_then(Shape::as_table) else {
        return;
    };
    for entry in node.value.items() {
        let Some(keys) = entry.value.as_table() else {
            continue;
        };
        for (name, known) in &table.keys {
            let key = format!("{key}[].{name}");
            if known.required && !keys.contains_key(name) && !findings.is_wrong(&key) {
                findings.problem_at(&entry.place, &key, "is not set", "a value for it");
            }
        }
    }
}

fn holds(shape: &Shape, name: &str) -> bool {
    shape.as_table().is_some_and(|table| table.keys.contains_key(name))
}
