//! The files that settings name: secrets, keys and certificates.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// No secret is longer.
const MAX_SECRET: u64 = 64 * 1024;

/// Where files are looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Folders {
    pub(super) credentials: Option<PathBuf>,
    /// The settings file's folder.
    pub(super) settings: PathBuf,
}

/// A file that was found.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// More than its owner may read it.
    pub(super) open: bool,
}

impl Folders {
    /// A relative path is looked up among the credentials first, then beside the settings file.
    pub(super) fn find(&self, name: &str) -> Result<Found, String> {
        let name = Path::new(name);
        let credential = self.credentials.as_ref().map(|folder| folder.join(name));
        if let Some(path) = credential.filter(|path| name.is_relative() && path.is_file()) {
            return Ok(Found { path, open: false });
        }
        let path = self.settings.join(name);
        let metadata =
            std::fs::metadata(&path).map_err(|error| format!("cannot be found at {}: {error}", path.display()))?;
        Ok(Found { open: metadata.permissions().mode() & 0o077 != 0, path })
    }
}

/// The text of a file less the newline at its end.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET + 1).read_to_string(&mut text))
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if text.len() as u64 > MAX_SECRET {
        return Err(format!("{} is too large for a secret", path.display()));
    }
    let trimmed = text.strip_suffix('\n').unwrap_or(&text);
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(trimmed.to_owned())
}
