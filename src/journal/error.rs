//! What can go wrong with the calls on disk.

use std::path::PathBuf;

/// Why the journal cannot be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{path}: another ctibridge uses this state folder; stop it, or give each its own bridge.state_dir", path = path.display())]
    InUse { path: PathBuf },
    #[error("bridge.state_dir: {path}: {error}; expected a folder that ctibridge may write to", path = path.display())]
    Folder { path: PathBuf, error: std::io::Error },
    #[error("{path}: the calls on disk are damaged ({detail}); restore the file from a backup, or move it and its -wal away to begin anew", path = path.display())]
    Damaged { path: PathBuf, detail: String },
    #[error("{path}: written by a newer ctibridge (layout {found}, this one knows {known}); run that version", path = path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{path}: could not be brought from layout {from} to {to} ({detail}); it is as it was, the earlier ctibridge can use it", path = path.display())]
    Migration { path: PathBuf, from: i64, to: i64, detail: String },
    #[error("built with SQLite {found}; 3.51.3 or later is needed, earlier ones can damage a database")]
    OldLibrary { found: String },
    #[error("{path}: there is no room on the disk for the calls that an earlier run left; make room and start again", path = path.display())]
    NoRoom { path: PathBuf },
    #[error("the files ahead of the journal (journal.ahead-0 and -1): {0}")]
    Ahead(std::io::Error),
    #[error("{path}: {detail}", path = path.display())]
    Open { path: PathBuf, detail: String },
    #[error("the calls on disk could not be read: {0}")]
    Read(String),
    #[error("the journal has stopped writing")]
    Stopped,
}
