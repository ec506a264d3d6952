//! The operator's token: from the settings, else made at the first start.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::StartError;
use crate::secret::Secret;

/// Where it is kept in the state folder.
const FILE: &str = "admin-token";

pub fn token(configured: &Secret, state_dir: &Path) -> Result<Secret, StartError> {
    if !configured.is_empty() {
        return Ok(configured.clone());
    }
    let path = state_dir.join(FILE);
    kept_or_made(&path).map_err(|error| StartError::StateDir { path: path.display().to_string(), error })
}

fn kept_or_made(path: &Path) -> io::Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        Ok(_) => make(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Secret> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    Ok(Secret::new(token))
}
