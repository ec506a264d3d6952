//! The index on disk, with what the synchroniser wants to remember: checksummed, private, and replaced as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::index::Index;
use super::row::{Change, Row};
use crate::phone::NumberPlan;
use crate::salesforce::RecordId;

/// Raised with every change of what follows it in the file.
const MAGIC: &[u8; 16] = b"ctibridge index0";
const CHECKSUM: usize = 32;

/// Why a snapshot cannot be used. In each case the index is to be loaded from the org again.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("there is none")]
    Missing,
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it was written by another version of ctibridge or with another number plan")]
    OtherVersion,
    #[error("it is torn or was changed")]
    Torn,
}

#[derive(Serialize, Deserialize)]
struct Content {
    state: Vec<u8>,
    rows: Vec<StoredRow>,
}

#[derive(Serialize, Deserialize)]
struct StoredRow {
    object: String,
    id: RecordId,
    name: String,
    account: Option<String>,
    account_id: Option<RecordId>,
    owner_id: Option<RecordId>,
    person_contact_id: Option<RecordId>,
    phones: Vec<(String, String)>,
}

/// Writes beside, syncs and renames, so that there is always a whole one. Blocks: not for the async threads.
///
/// # Errors
/// When the disk does not take it; the older one is still there then.
pub fn save(path: &Path, index: &Index, sync_state: &[u8]) -> io::Result<()> {
    let rows = index.rows().into_iter().map(|row| {
        let Row { object, id, name, account, account_id, owner_id, person_contact_id, phones } = row;
        StoredRow { object, id, name, account, account_id, owner_id, person_contact_id, phones }
    });
    let content = Content { state: sync_state.to_vec(), rows: rows.collect() };
    let body = serde_json::to_vec(&content)?;
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(&body))?;
    file.write_all(&body)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The index and the synchroniser's state, as they were saved. Blocks: not for the async threads.
///
/// # Errors
/// When there is none that can be used.
pub fn load(path: &Path, plan: NumberPlan) -> Result<(Index, Vec<u8>), SnapshotError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SnapshotError::Missing),
        Err(error) => return Err(error.into()),
    };
    let rest = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::OtherVersion)?;
    let (checksum, body) = rest.split_at_checked(CHECKSUM).ok_or(SnapshotError::Torn)?;
    if Sha256::digest(body)[..] != *checksum {
        return Err(SnapshotError::Torn);
    }
    let content: Content = serde_json::from_slice(body).map_err(|_| SnapshotError::Torn)?;
    let index = Index::new(plan);
    let rows = content.rows.into_iter().map(|row| {
        let StoredRow { object, id, name, account, account_id, owner_id, person_contact_id, phones } = row;
        Change::Put(Row { object, id, name, account, account_id, owner_id, person_contact_id, phones })
    });
    index.apply(rows.collect());
    Ok((index, content.state))
}
