//! The index on disk, with what the synchroniser wants to remember: checksummed, private, and replaced as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::index::{Content, Index, Unreadable};

/// The last byte is the version: raised with every change of what follows it in the file, or of how phone fields are read.
const MAGIC: &[u8; 16] = b"ctibridge index\x01";
const BUFFER: usize = 1 << 16;
/// The longest state of a synchroniser.
const MAX_STATE: u32 = 1 << 24;

/// Why a snapshot cannot be used. In each case the index is to be loaded from the org again.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("there is none")]
    Missing,
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it was written by another version of ctibridge")]
    OtherVersion,
    #[error("its numbers were read with other settings of [bridge]")]
    OtherPlan,
    #[error("it is torn or was changed")]
    Torn,
}

impl From<Unreadable> for SnapshotError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => Self::Io(error),
            Unreadable::Io(_) | Unreadable::Torn => Self::Torn,
            Unreadable::OtherPlan => Self::OtherPlan,
        }
    }
}

/// Writes beside, syncs and renames, so that there is always a whole one. Changes to the index wait; look-ups do not. Blocks: not for
/// the async threads.
///
/// # Errors
/// When the disk does not take it; the older one is still there then.
pub fn save(path: &Path, index: &Index, sync_state: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let mut out = Summing { inner: BufWriter::with_capacity(BUFFER, file), sum: Sha256::new() };
    out.write_all(MAGIC)?;
    let length = u32::try_from(sync_state.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(sync_state)?;
    index.write_to(&mut out)?;
    let Summing { inner: mut file, sum } = out;
    file.write_all(&sum.finalize())?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Makes the index what was saved, and gives the synchroniser's state. Blocks: not for the async threads.
///
/// # Errors
/// When there is no snapshot that can be used. The index is as it was.
pub fn load(path: &Path, index: &Index) -> Result<Vec<u8>, SnapshotError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SnapshotError::Missing),
        Err(error) => return Err(error.into()),
    };
    let mut from = Summing { inner: BufReader::with_capacity(BUFFER, file), sum: Sha256::new() };
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic).map_err(Unreadable::from)?;
    if magic != *MAGIC {
        return Err(SnapshotError::OtherVersion);
    }
    let state = sync_state(&mut from)?;
    let content = Content::read(index.plan(), &mut from)?;
    let Summing { inner: mut file, sum } = from;
    let mut checksum = Vec::new();
    file.read_to_end(&mut checksum)?;
    if checksum != sum.finalize()[..] {
        return Err(SnapshotError::Torn);
    }
    index.adopt(content)?;
    Ok(state)
}

fn sync_state(from: &mut impl Read) -> Result<Vec<u8>, SnapshotError> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(Unreadable::from)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_STATE {
        return Err(SnapshotError::Torn);
    }
    let mut state = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut state)?;
    Ok(state)
}

/// Sums up what passes.
struct Summing<T> {
    inner: T,
    sum: Sha256,
}

impl<T: Write> Write for Summing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.sum.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Summing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.sum.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }
}
