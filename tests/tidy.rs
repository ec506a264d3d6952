//! The layering of `src/lib.rs`, checked: a module uses only what its row allows; and every file says what it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LEAVES: &[&str] = &["phone", "backoff", "secret", "state_file", "network", "lifecycle", "telemetry", "metrics"];

/// What a module may use of ours, besides itself. Leaves are allowed to all but `calls` and `sim`.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let leaves = |more: &[&'static str]| LEAVES.iter().chain(more).copied().collect::<Vec<_>>();
    let mut table = BTreeMap::from([
        ("calls", vec!["phone"]),
        ("feeds", leaves(&["calls"])),
        ("salesforce", leaves(&[])),
        ("directory", leaves(&["salesforce"])),
        ("pops", leaves(&["calls", "directory::answer", "salesforce::RecordId"])),
        ("journal", leaves(&["calls", "directory::answer", "salesforce"])),
        ("http", leaves(&["calls", "directory::answer", "pops", "salesforce::RecordId"])),
        ("settings", leaves(&["feeds", "salesforce", "directory", "pops", "journal", "http"])),
        ("sim", vec![]),
    ]);
    for leaf in LEAVES {
        table.insert(leaf, vec!["metrics"]);
    }
    table
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// `calls::event` of `use crate::calls::event::What;` and of `crate::calls::event::What` in running code.
fn uses(text: &str) -> Vec<String> {
    text.split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect::<String>())
        .collect()
}

#[test]
fn data_goes_from_left_to_right_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (table, mut files, mut wrong) = (allowed(), Vec::new(), Vec::new());
    sources(&root, &mut files);
    assert!(files.len() > 50, "found only {} files", files.len());
    for path in files {
        let inside = path.strip_prefix(&root).unwrap();
        let module = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some(may) = table.get(module.as_str()) else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        for used in uses(&text) {
            let own = used.split("::").next() == Some(module.as_str());
            let fine = may.iter().any(|allowed| used == *allowed || used.starts_with(&format!("{allowed}::")));
            if !own && !fine {
                wrong.push(format!("{}: crate::{used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_library_stays_behind_its_door() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let doors: &[(&str, &[&str])] = &[
        ("sqlx::", &["journal/store"]),
        ("oauth2::", &["salesforce/oauth"]),
        ("config::Config as", &["settings/load"]),
        ("rlibphonenumber", &["phone"]),
    ];
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    sources(&root, &mut files);
    for path in files {
        let inside = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for (library, homes) in doors {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            if code.clone().any(|line| line.contains(library)) && !homes.iter().any(|home| inside.starts_with(home)) {
                wrong.push(format!("{inside}: {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        sources(&root.join(folder), &mut files);
    }
    let silent: Vec<_> =
        files.iter().filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}
