//! The consent of the authorization code flow: the refresh token in the state folder, and who may use it when.
//!
//! The file is the only truth: with rotation each use of a refresh token ends it, and showing an old one again ends them all.
//! So every process takes the lock, reads the file, uses what is in it, and writes what came back before it lets go.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::secret::Secret;
use crate::state_file;

const FILE: &str = "salesforce-grant";
const LOCK: &str = "salesforce-grant.lock";
/// How long another process may hold the grant: longer than one call of the token endpoint takes.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The form of the file.
const VERSION: u32 = 1;

/// Why there is no refresh token to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("nobody has consented yet; run `ctibridge login`")]
    None,
    #[error("the consent in {path} cannot be read; run `ctibridge login` again")]
    Torn { path: String },
    #[error("the consent in {path} was given to another app or on another login host; run `ctibridge login` again")]
    Foreign { path: String },
    #[error("{path} cannot be used: {reason}; expected a file of the daemon's user, on a disk that has room")]
    File { path: String, reason: String },
    #[error("another process has been using the consent in {path} for too long; try again")]
    Busy { path: String },
    #[error("Salesforce gave no refresh token; the app and `salesforce.scopes` need refresh_token or offline_access")]
    NoRefreshToken,
    #[error("the flow {flow} takes no consent; only authorization-code does")]
    OtherFlow { flow: &'static str },
}

/// What is kept of a consent.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub refresh_token: Secret,
    /// When the refresh token was last used, or made.
    pub used_at: Timestamp,
}

/// The file's own form.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    client_id: String,
    token_url: String,
    refresh_token: String,
    used_at: Timestamp,
}

/// Where the consent is kept, and whose it must be.
#[derive(Debug, Clone)]
pub(super) struct GrantFile {
    folder: PathBuf,
    client_id: String,
    token_url: String,
}

/// The consent, for this process alone until it is dropped.
pub(super) struct Held {
    _lock: File,
    file: GrantFile,
}

impl GrantFile {
    pub fn new(state_dir: &Path, client_id: &str, token_url: &str) -> Self {
        Self { folder: state_dir.to_owned(), client_id: client_id.to_owned(), token_url: token_url.to_owned() }
    }

    /// Waits for other processes.
    pub async fn hold(&self) -> Result<Held, GrantError> {
        if !self.folder.is_dir() {
            return Err(GrantError::None);
        }
        let lock = state_file::lock_file(&self.folder.join(LOCK)).map_err(|error| self.failed(&error))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Held { _lock: lock, file: self.clone() }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOOK_AGAIN).await,
                Err(TryLockError::WouldBlock) => return Err(GrantError::Busy { path: self.shown() }),
                Err(TryLockError::Error(error)) => return Err(self.failed(&error)),
            }
        }
    }

    /// Reads without the lock, which is enough to look at it: the file is replaced as a whole.
    pub fn read(&self) -> Result<Kept, GrantError> {
        let text = match std::fs::read(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(GrantError::None),
            Err(error) => return Err(self.failed(&error)),
        };
        let wire: Wire = serde_json::from_slice(&text).map_err(|_| GrantError::Torn { path: self.shown() })?;
        if wire.version != VERSION || wire.refresh_token.is_empty() {
            return Err(GrantError::Torn { path: self.shown() });
        }
        if wire.client_id != self.client_id || wire.token_url != self.token_url {
            return Err(GrantError::Foreign { path: self.shown() });
        }
        Ok(Kept { refresh_token: Secret::new(wire.refresh_token), used_at: wire.used_at })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn shown(&self) -> String {
        self.path().display().to_string()
    }

    fn failed(&self, error: &io::Error) -> GrantError {
        GrantError::File { path: self.shown(), reason: error.to_string() }
    }
}

impl Held {
    pub fn read(&self) -> Result<Kept, GrantError> {
        self.file.read()
    }

    /// On disk when it returns.
    pub async fn write(&self, kept: &Kept) -> Result<(), GrantError> {
        let wire = Wire {
            version: VERSION,
            client_id: self.file.client_id.clone(),
            token_url: self.file.token_url.clone(),
            refresh_token: kept.refresh_token.expose().to_owned(),
            used_at: kept.used_at,
        };
        let path = self.file.path();
        let written = tokio::task::spawn_blocking(move || {
            let text = serde_json::to_vec_pretty(&wire)?;
            state_file::replace(&path, &text)
        });
        let written = written.await.unwrap_or_else(|_| Err(io::Error::other("the write broke off")));
        written.map_err(|error| self.file.failed(&error))
    }

    pub fn remove(&self) -> Result<(), GrantError> {
        state_file::remove(&self.file.path()).map_err(|error| self.file.failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN_URL: &str = "https://acme.my.salesforce.com/services/oauth2/token";

    fn kept(token: &str) -> Kept {
        Kept { refresh_token: Secret::new(token), used_at: Timestamp::now() }
    }

    #[tokio::test]
    async fn what_is_written_is_read_again_by_the_same_app_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = GrantFile::new(folder.path(), "key", TOKEN_URL);
        let held = file.hold().await.unwrap();
        assert_eq!(held.read().unwrap_err(), GrantError::None);
        held.write(&kept("5Aep861")).await.unwrap();
        assert_eq!(held.read().unwrap().refresh_token.expose(), "5Aep861");
        let other = GrantFile::new(folder.path(), "other", TOKEN_URL);
        assert!(matches!(other.read(), Err(GrantError::Foreign { .. })));
        let elsewhere = GrantFile::new(folder.path(), "key", "https://test.salesforce.com/services/oauth2/token");
        assert!(elsewhere.read().unwrap_err().to_string().contains("run `ctibridge login` again"));
        held.remove().unwrap();
        assert_eq!(file.read().unwrap_err(), GrantError::None);
    }

    #[tokio::test]
    async fn before_the_first_start_nobody_has_consented() {
        let folder = tempfile::tempdir().unwrap();
        let file = GrantFile::new(&folder.path().join("nothing"), "key", TOKEN_URL);
        assert_eq!(file.hold().await.err(), Some(GrantError::None));
    }

    #[tokio::test]
    async fn a_torn_file_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = GrantFile::new(folder.path(), "key", TOKEN_URL);
        file.hold().await.unwrap().write(&kept("5Aep861")).await.unwrap();
        let whole = std::fs::read(folder.path().join(FILE)).unwrap();
        for torn in [&whole[..whole.len() / 2], b"", b"[]", b"\xff\xfe", b"{\"version\":2}"] {
            std::fs::write(folder.path().join(FILE), torn).unwrap();
            let told = file.read().unwrap_err().to_string();
            assert!(told.contains("run `ctibridge login` again") && !told.contains("5Aep861"), "{told}");
        }
    }

    #[tokio::test]
    async fn one_holds_it_and_another_waits() {
        let folder = tempfile::tempdir().unwrap();
        let file = GrantFile::new(folder.path(), "key", TOKEN_URL);
        let held = file.hold().await.unwrap();
        let waiting = file.hold();
        assert!(tokio::time::timeout(LOOK_AGAIN * 3, waiting).await.is_err());
        drop(held);
        assert!(file.hold().await.is_ok());
    }
}
