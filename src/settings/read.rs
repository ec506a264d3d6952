//! From files and environment to [`Settings`], layer by layer.

use std::collections::BTreeMap;
use std::path::Path;

use super::checks;
use super::environment::Environment;
use super::files::Folders;
use super::findings::Findings;
use super::keys::Reader;
use super::layer::{self, Document};
use super::load::Composed;
use super::node::Table;
use super::place::{Place, Problems, Warning};
use super::schema::{BUILT_KINDS, ROOT};
use super::shape::TableShape;
use super::{ENTRIES, REFERENCE, Settings};

pub(super) fn file(path: &Path, environment: &Environment) -> Result<(Settings, Vec<Warning>), Problems> {
    let mut findings = Findings::new(Place::file(path));
    let documents = layer::documents(path, &mut findings);
    let folders = Folders { credentials: environment.credentials.clone(), settings: layer::folder_of(path) };
    read(&documents, &folders, environment, findings)
}

pub(super) fn text(text: &str) -> Result<(Settings, Vec<Warning>), Problems> {
    let place = Place::named("settings");
    let documents = [Document { place: place.clone(), text: text.to_owned(), open: false }];
    let folders = Folders::default();
    read(&documents, &folders, &Environment::default(), Findings::new(place))
}

fn read(
    documents: &[Document],
    folders: &Folders,
    environment: &Environment,
    mut findings: Findings,
) -> Result<(Settings, Vec<Warning>), Problems> {
    let mut raw = Vec::new();
    for document in documents {
        raw.extend(layer::parse(document, &mut findings));
    }
    if findings.has_problems() {
        return Err(findings.into_problems());
    }
    let names = names(&raw);
    raw.push(environment.layer(&names));
    let kinds = kinds(&raw);
    let mut layers = vec![reference(&mut findings), environment.state_layer()];
    for (index, table) in raw.into_iter().enumerate() {
        let mut reader = Reader { folders, kinds: &kinds, findings: &mut findings, secrets: 0 };
        layers.push(reader.read(table));
        let secrets = reader.secrets;
        if let Some(document) = documents.get(index) {
            layer::warn_if_open(document, secrets, &mut findings);
        }
    }
    let composed = match Composed::of(&layers) {
        Ok(composed) => composed,
        Err(error) => {
            findings.problem("", error, "layers that fit together");
            return Err(findings.into_problems());
        }
    };
    findings.note_changed(composed.changed());
    let settings = settings(&composed, &names, &kinds, &mut findings);
    if let Some(settings) = &settings {
        checks::check(settings, &mut findings);
    }
    match settings {
        Some(settings) => findings.conclude(settings),
        None => Err(findings.into_problems()),
    }
}

/// The reference as a layer. Its keys do not count as set.
fn reference(findings: &mut Findings) -> Table {
    let document = Document { place: Place::named("built-in reference"), text: REFERENCE.to_owned(), open: false };
    let mut own = Findings::new(document.place.clone());
    let table = layer::parse(&document, &mut own).unwrap_or_default();
    let mut reader = Reader { folders: &Folders::default(), kinds: &BTreeMap::new(), findings: &mut own, secrets: 0 };
    let clean = reader.read(table);
    findings.absorb(own);
    clean
}

/// The feeds and agents of all layers, in the order in which they first appear.
fn names(layers: &[Table]) -> BTreeMap<&'static str, Vec<String>> {
    let mut all: BTreeMap<&'static str, Vec<String>> = ENTRIES.map(|(section, _)| (section, Vec::new())).into();
    for layer in layers {
        for (section, identity) in ENTRIES {
            let names = all.entry(section).or_default();
            for name in entries(layer, section).filter_map(|entry| text_of(entry, identity)) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
    }
    all
}

/// The kind of each feed; a later layer wins, and within one the first entry of that name.
fn kinds(layers: &[Table]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for layer in layers {
        let mut own = BTreeMap::new();
        for feed in entries(layer, "feed") {
            if let (Some(name), Some(kind)) = (text_of(feed, "name"), text_of(feed, "kind")) {
                own.entry(name.to_owned()).or_insert_with(|| kind.to_owned());
            }
        }
        all.append(&mut own);
    }
    all
}

fn entries<'a>(layer: &'a Table, section: &str) -> impl Iterator<Item = &'a Table> {
    let list = layer.get(section).map(|node| node.value.items());
    list.into_iter().flatten().filter_map(|entry| entry.value.as_table())
}

fn text_of<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key)?.value.as_text()
}

fn settings(
    composed: &Composed,
    names: &BTreeMap<&'static str, Vec<String>>,
    kinds: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<Settings> {
    let feeds = names.get("feed").into_iter().flatten();
    let feeds: Vec<_> = feeds.filter_map(|name| feed(composed, name, kinds.get(name)?, findings)).collect();
    let agents = names.get("agent").into_iter().flatten();
    let agent_list = agents.filter_map(|extension| composed.entry("agent", extension, findings)).collect();
    Some(Settings {
        bridge: composed.section("bridge", findings)?,
        http: composed.section("http", findings)?,
        salesforce: composed.section("salesforce", findings)?,
        directory: composed.section("directory", findings)?,
        pops: composed.section("pops", findings)?,
        log: composed.section("log", findings)?,
        agents: composed.section("agents", findings)?,
        feeds,
        agent_list,
        flat: composed.flat(),
    })
}

/// A feed of a kind that is built; of others it is told that they are not started.
fn feed<T: serde::de::DeserializeOwned>(
    composed: &Composed,
    name: &str,
    kind: &str,
    findings: &mut Findings,
) -> Option<T> {
    let path = format!("feed.{name}");
    let shape = kind_shape(kind)?;
    let set = composed.keys_of("feed", name);
    let missing: Vec<String> = shape
        .keys
        .iter()
        .filter(|(key, known)| known.required && !set.contains(key))
        .map(|(key, _)| format!("{path}.{key}"))
        .filter(|key| !findings.is_wrong(key))
        .collect();
    for key in &missing {
        findings.problem(key, "is not set", format!("a value, since the feed is of the kind {kind}"));
    }
    if !BUILT_KINDS.contains_key(kind) {
        findings.warning(&path, format!("{kind} is not built yet: this feed is not started"));
        return None;
    }
    if !missing.is_empty() || findings.is_wrong(&path) {
        return None;
    }
    composed.entry("feed", name, findings)
}

fn kind_shape(kind: &str) -> Option<&'static TableShape> {
    ROOT.keys.get("feed")?.shape.item()?.as_kinds()?.get(kind)
}
