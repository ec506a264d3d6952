//! Who the agents are and which token is whose.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::config::Agent;
use super::token::{self, TokenHash};
use crate::calls::record::Extension;
use crate::secret::Secret;
use crate::state_file;

/// In the state folder: `{"101": "<SHA-256 in hex>"}`.
const FILE: &str = "agent-tokens.json";

/// The agents' tokens, from the settings and from the state folder. Where the settings have one, it alone counts.
#[derive(Clone)]
pub struct AgentStore(Arc<Inner>);

struct Inner {
    state_dir: PathBuf,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    names: BTreeMap<Extension, String>,
    settings: BTreeMap<Extension, Key>,
    made: BTreeMap<Extension, Key>,
}

#[derive(Clone)]
struct Key {
    hash: TokenHash,
    details: Secret,
}

/// Why the tokens cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    #[error("token_sha256 of agent {0} is no SHA-256; expected 64 lower-case hex digits")]
    Settings(Extension),
    #[error("agent {0} has token_sha256 in the settings, which wins; remove it there first")]
    InSettings(Extension),
    #[error(
        "{0} is damaged; expected JSON of extensions and SHA-256 hex; repair it, or remove it and make the tokens anew"
    )]
    Damaged(PathBuf),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

impl AgentStore {
    /// Reads the tokens of the settings and those in the state folder.
    ///
    /// # Errors
    /// When a hash is none or the file cannot be read.
    pub fn open(state_dir: &Path, agents: &[Agent]) -> Result<Self, AgentsError> {
        let mut held = from_settings(agents)?;
        held.made = read_file(&state_dir.join(FILE))?;
        Ok(Self(Arc::new(Inner { state_dir: state_dir.to_owned(), held: RwLock::new(held) })))
    }

    /// Takes the agents of settings that were read again; on an error the old ones stay.
    ///
    /// # Errors
    /// When a hash is none.
    pub fn reload(&self, agents: &[Agent]) -> Result<(), AgentsError> {
        let fresh = from_settings(agents)?;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        held.names = fresh.names;
        held.settings = fresh.settings;
        Ok(())
    }

    /// Makes a token and ends the agent's older ones. It is on disk when this returns, and the token is told only here. Blocks on the disk.
    ///
    /// # Errors
    /// When the settings have a token for the agent, or the file cannot be written; the older token then stays.
    pub fn make_token(&self, extension: &Extension) -> Result<Secret, AgentsError> {
        let token = token::make().map_err(AgentsError::NoRandomness)?;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.settings.contains_key(extension) {
            return Err(AgentsError::InSettings(extension.clone()));
        }
        let mut made = read_file(&self.0.state_dir.join(FILE))?;
        made.insert(extension.clone(), Key::of(TokenHash::of(token.expose())));
        write_file(&self.0.state_dir, &made)?;
        held.made = made;
        Ok(token)
    }

    /// Whose token this is. Takes the same time whether it is the first agent's, the last one's or nobody's.
    #[must_use]
    pub fn who(&self, token: &str) -> Option<Extension> {
        let hash = TokenHash::of(token);
        self.find(|key| key.hash.is(hash))
    }

    /// Whose details key this is.
    #[must_use]
    pub fn who_by_details_key(&self, key: &str) -> Option<Extension> {
        self.find(|held| held.details.is(key))
    }

    /// The key for `/details?k=` on phones and PBX clients that keep no cookie; it changes with the agent's token.
    #[must_use]
    pub fn details_key(&self, extension: &Extension) -> Option<Secret> {
        self.read().key(extension).map(|key| key.details.clone())
    }

    /// The name that the settings give.
    #[must_use]
    pub fn name(&self, extension: &Extension) -> Option<String> {
        self.read().names.get(extension).filter(|name| !name.is_empty()).cloned()
    }

    fn find(&self, is: impl Fn(&Key) -> bool) -> Option<Extension> {
        let held = self.read();
        let mut found = None;
        for (extension, key) in held.current() {
            if is(key) {
                found = Some(extension.clone());
            }
        }
        found
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn current(&self) -> impl Iterator<Item = (&Extension, &Key)> {
        let made = self.made.iter().filter(|(extension, _)| !self.settings.contains_key(extension));
        self.settings.iter().chain(made)
    }

    fn key(&self, extension: &Extension) -> Option<&Key> {
        self.settings.get(extension).or_else(|| self.made.get(extension))
    }
}

impl Key {
    fn of(hash: TokenHash) -> Self {
        Self { hash, details: hash.details_key() }
    }
}

fn from_settings(agents: &[Agent]) -> Result<Held, AgentsError> {
    let mut held = Held::default();
    for agent in agents {
        let extension = Extension(agent.extension.clone());
        if !agent.token_sha256.is_empty() {
            let hash =
                TokenHash::from_hex(&agent.token_sha256).ok_or_else(|| AgentsError::Settings(extension.clone()))?;
            held.settings.insert(extension.clone(), Key::of(hash));
        }
        held.names.insert(extension, agent.name.clone());
    }
    Ok(held)
}

fn read_file(path: &Path) -> Result<BTreeMap<Extension, Key>, AgentsError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(failed(path, source)),
    };
    let damaged = || AgentsError::Damaged(path.to_owned());
    let entries: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|_| damaged())?;
    entries
        .into_iter()
        .map(|(extension, hex)| {
            let hash = TokenHash::from_hex(&hex).ok_or_else(damaged)?;
            Ok((Extension(extension), Key::of(hash)))
        })
        .collect()
}

fn write_file(state_dir: &Path, made: &BTreeMap<Extension, Key>) -> Result<(), AgentsError> {
    let path = state_dir.join(FILE);
    let entries: BTreeMap<&str, String> =
        made.iter().map(|(extension, key)| (extension.0.as_str(), key.hash.to_hex())).collect();
    let text = serde_json::to_string_pretty(&entries).map_err(|error| failed(&path, error.into()))?;
    state_file::replace(&path, text.as_bytes()).map_err(|source| failed(&path, source))
}

fn failed(path: &Path, source: io::Error) -> AgentsError {
    AgentsError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn agent(extension: &str, token: &str) -> Agent {
        Agent {
            extension: extension.into(),
            name: "Anna Agent".into(),
            devices: Vec::new(),
            salesforce_user: String::new(),
            token_sha256: TokenHash::of(token).to_hex(),
        }
    }

    fn extension(digits: &str) -> Extension {
        Extension(digits.into())
    }

    #[test]
    fn a_made_token_outlives_a_restart_and_ends_the_older_ones() {
        let state = tempfile::tempdir().unwrap();
        let store = AgentStore::open(state.path(), &[]).unwrap();
        let first = store.make_token(&extension("101")).unwrap();
        let second = store.make_token(&extension("101")).unwrap();
        let other = store.make_token(&extension("202")).unwrap();

        let again = AgentStore::open(state.path(), &[]).unwrap();
        for store in [store, again] {
            assert_eq!(store.who(first.expose()), None);
            assert_eq!(store.who(second.expose()), Some(extension("101")));
            assert_eq!(store.who(other.expose()), Some(extension("202")));
            assert_eq!(store.who(""), None);
        }
        let mode = fs::metadata(state.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let text = fs::read_to_string(state.path().join(FILE)).unwrap();
        assert!(!text.contains(second.expose()));
    }

    #[test]
    fn a_token_in_the_settings_is_the_only_one() {
        let state = tempfile::tempdir().unwrap();
        let store = AgentStore::open(state.path(), &[]).unwrap();
        let made = store.make_token(&extension("101")).unwrap();
        store.reload(&[agent("101", "from settings")]).unwrap();
        assert_eq!(store.who(made.expose()), None);
        assert_eq!(store.who("from settings"), Some(extension("101")));
        let error = store.make_token(&extension("101")).err().unwrap();
        assert!(error.to_string().contains("token_sha256"), "{error}");
    }

    #[test]
    fn the_details_key_is_neither_token_nor_hash_and_ends_with_the_token() {
        let state = tempfile::tempdir().unwrap();
        let store = AgentStore::open(state.path(), &[]).unwrap();
        let token = store.make_token(&extension("101")).unwrap();
        let key = store.details_key(&extension("101")).unwrap();
        assert_eq!(store.who_by_details_key(key.expose()), Some(extension("101")));
        assert_eq!(store.who(key.expose()), None);
        assert_eq!(store.who_by_details_key(token.expose()), None);
        store.make_token(&extension("101")).unwrap();
        assert_eq!(store.who_by_details_key(key.expose()), None);
    }

    #[test]
    fn what_is_no_hash_is_named() {
        let state = tempfile::tempdir().unwrap();
        let mut wrong = agent("101", "t");
        wrong.token_sha256 = wrong.token_sha256.to_uppercase();
        let error = AgentStore::open(state.path(), &[wrong]).err().unwrap();
        assert!(error.to_string().contains("agent 101"), "{error}");
        fs::write(state.path().join(FILE), "{\"101\": 7}").unwrap();
        let error = AgentStore::open(state.path(), &[]).err().unwrap();
        assert!(error.to_string().contains(FILE), "{error}");
    }

    #[test]
    fn settings_that_are_read_again_bring_and_end_tokens() {
        let state = tempfile::tempdir().unwrap();
        let store = AgentStore::open(state.path(), &[agent("101", "a")]).unwrap();
        store.reload(&[agent("102", "b")]).unwrap();
        assert_eq!((store.who("a"), store.who("b")), (None, Some(extension("102"))));
    }
}
