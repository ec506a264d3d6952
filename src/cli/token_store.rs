//! The agents' tokens on disk: extension and SHA-256 of the token, never the token itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// 256 bits.
const TOKEN_BYTES: usize = 32;

/// `state_dir/agent-tokens.json`, changed under the lock of `agent-tokens.lock` beside it.
pub(super) struct TokenStore {
    folder: PathBuf,
}

impl TokenStore {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A new token for the agent; the older one ends.
    pub(super) fn renew(&self, extension: &str) -> anyhow::Result<String> {
        let shown = self.folder.display();
        if !self.folder.is_dir() {
            return Err(anyhow!("the state folder {shown} is not there; start ctibridge once, or make it"));
        }
        let lock = self.open("agent-tokens.lock", OpenOptions::new().create(true).truncate(false))?;
        lock.lock().with_context(|| format!("cannot lock the tokens in {shown}"))?;
        let mut hashes = self.read()?;
        let token = new_token()?;
        hashes.insert(extension.to_owned(), hash(&token));
        self.write(&hashes).with_context(|| format!("cannot write the tokens to {shown}"))?;
        Ok(token)
    }

    fn read(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let path = self.path();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; move it away, and make the tokens anew", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Whole or not at all: a new file on disk first, then in place of the old one.
    fn write(&self, hashes: &BTreeMap<String, String>) -> anyhow::Result<()> {
        const NEW: &str = "agent-tokens.json.new";
        let mut file = self.open(NEW, OpenOptions::new().create(true).truncate(true))?;
        file.write_all(&serde_json::to_vec_pretty(hashes)?)?;
        file.sync_all()?;
        std::fs::rename(self.folder.join(NEW), self.path())?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// For its owner only, who is the folder's: root may run this for a daemon that is not root.
    fn open(&self, name: &str, options: &mut OpenOptions) -> anyhow::Result<File> {
        let path = self.folder.join(name);
        let file =
            options.write(true).mode(0o600).open(&path).with_context(|| {
                format!("cannot write {}; run this as root or as the daemon's user", path.display())
            })?;
        let (folder, own) = (std::fs::metadata(&self.folder)?, file.metadata()?);
        if (folder.uid(), folder.gid()) != (own.uid(), own.gid()) {
            // Without the right to give it away it stays ours, which is all that can be done.
            let _ = std::os::unix::fs::fchown(&file, Some(folder.uid()), Some(folder.gid()));
        }
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("agent-tokens.json")
    }
}

fn new_token() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Lower-case hex of the SHA-256 of the token's text.
fn hash(token: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_store_holds_hashes_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::in_folder(folder.path());
        let first = store.renew("101").unwrap();
        let second = store.renew("101").unwrap();
        store.renew("102").unwrap();
        assert_ne!(first, second);
        let hashes = store.read().unwrap();
        assert_eq!(hashes.keys().collect::<Vec<_>>(), ["101", "102"]);
        assert_eq!(hashes["101"], hash(&second));
        let mode = std::fs::metadata(store.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!folder.path().join("agent-tokens.json.new").exists());
    }

    #[test]
    fn a_damaged_store_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::in_folder(folder.path());
        std::fs::write(store.path(), "{").unwrap();
        assert!(store.renew("101").unwrap_err().to_string().contains("damaged"));
        assert_eq!(std::fs::read_to_string(store.path()).unwrap(), "{");
    }
}
