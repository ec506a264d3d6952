//! The layers below the environment: the reference, the file and the folder `conf.d` beside it.

use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::node::{self, Table};
use super::place::Place;

/// A text and where it comes from.
pub(super) struct Document {
    pub(super) place: Place,
    pub(super) text: String,
    /// Everyone on the machine may read it.
    pub(super) open: bool,
}

/// The settings file and what is beside it, in the order in which they count.
pub(super) fn documents(file: &Path, findings: &mut Findings) -> Vec<Document> {
    let mut paths = vec![file.to_owned()];
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    match parts(&folder) {
        Ok(parts) => paths.extend(parts),
        Err(error) => findings.problem_at(
            &Place::file(&folder),
            "",
            format!("cannot be read: {error}"),
            "a folder that may be read, or none",
        ),
    }
    paths.iter().filter_map(|path| document(path, findings)).collect()
}

fn parts(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    parts.sort();
    Ok(parts)
}

fn document(path: &Path, findings: &mut Findings) -> Option<Document> {
    let place = Place::file(path);
    match std::fs::read_to_string(path) {
        Ok(text) => Some(Document { place, text, open: is_open(path) }),
        Err(error) => {
            let expected = "a settings file there; `ctibridge config reference` prints one";
            findings.problem_at(&place, "", format!("cannot be read: {error}"), expected);
            None
        }
    }
}

fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// The document as a tree; `None`, and the reasons told, where it is no TOML.
pub(super) fn parse(document: &Document, findings: &mut Findings) -> Option<Table> {
    match node::parse(&document.text, &document.place) {
        Ok(table) => Some(table),
        Err(errors) => {
            for error in errors {
                findings.problem_at(&error.place, "", error.message, "TOML");
            }
            None
        }
    }
}

/// Warns of a file that everyone may read though it holds secrets.
pub(super) fn warn_if_open(document: &Document, secrets: usize, findings: &mut Findings) {
    if document.open && secrets > 0 {
        let text =
            format!("holds secrets and may be read by everyone; do: chmod o-r {}, or use *_file keys", document.place);
        findings.warning_at(&document.place, "", text);
    }
}

/// The folder of the settings file, as an absolute path where that can be told.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    std::path::absolute(folder.join(".")).map_or_else(|_| folder.to_owned(), |path| path.components().collect())
}
