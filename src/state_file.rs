//! Files of the state folder: for their owner alone, and after a crash the old one or the new one, never half of one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Owner may read and write, others nothing.
const PRIVATE: u32 = 0o600;

/// Writes beside the file, to the disk, and then in its place. On disk when it returns.
///
/// # Errors
/// When the folder cannot be written; the file is then what it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    remove(&beside)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&beside)?;
    give_to_owner(&file, folder(path))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder(path))?.sync_all()
}

/// Removes the file, if it is there. Gone from the disk when it returns.
///
/// # Errors
/// When the folder cannot be written.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => File::open(folder(path))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a file to lock it, and makes it when it is not there.
///
/// # Errors
/// When it cannot be opened for writing.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)?;
    give_to_owner(&file, folder(path))?;
    if file.metadata()?.mode() & 0o777 != PRIVATE {
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    Ok(file)
}

/// Root may work for a daemon that is not root: the file becomes the folder's owner's.
fn give_to_owner(file: &File, folder: &Path) -> io::Result<()> {
    let (owner, own) = (fs::metadata(folder)?, file.metadata()?);
    if (owner.uid(), owner.gid()) == (own.uid(), own.gid()) || own.uid() != 0 {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_is_private_whatever_a_crash_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grant");
        fs::write(folder.path().join("grant.new"), "half").unwrap();
        for text in ["one", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_is_held_by_one_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grant.lock");
        fs::write(&path, "").unwrap();
        let (one, other) = (lock_file(&path).unwrap(), lock_file(&path).unwrap());
        one.try_lock().unwrap();
        assert!(other.try_lock().is_err());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
    }
}
