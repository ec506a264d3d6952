//! The state folder: ours alone, and nobody else's to read.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::JournalError;

/// Owner may read and write, others nothing: the file holds phone numbers and names.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

/// Held for as long as this process may write to the state folder; the kernel lets go of it when the process dies.
pub(super) struct Folder {
    _lock: File,
    path: PathBuf,
}

impl Folder {
    /// Takes the folder, and makes it when it is not there.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be written.
    pub fn take(path: &Path) -> Result<Self, JournalError> {
        let folder = |error| JournalError::Folder { path: path.to_owned(), error };
        make(path).map_err(folder)?;
        let lock = private_file(&path.join("journal.lock")).map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(folder(error)),
        }
    }

    /// The database's file, made with the right mode before the database opens it: its companions take the mode from it.
    pub fn database(&self) -> Result<PathBuf, JournalError> {
        self.file("journal.db")?;
        Ok(self.path.join("journal.db"))
    }

    /// A file of this name, for its owner alone, to be read and written; made when it is not there.
    pub fn file(&self, name: &str) -> Result<File, JournalError> {
        let path = self.path.join(name);
        private_file(&path).map_err(|error| JournalError::Folder { path, error })
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(path)?;
    file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_that_the_folder_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::take(dir.path()).unwrap();
        assert!(matches!(Folder::take(dir.path()), Err(JournalError::InUse { .. })));
        drop(first);
        assert!(Folder::take(dir.path()).is_ok());
    }

    #[test]
    fn the_file_is_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("journal.db"), b"").unwrap();
        let file = Folder::take(dir.path()).unwrap().database().unwrap();
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
