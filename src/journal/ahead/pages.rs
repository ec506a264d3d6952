//! The two files, written in turn: one takes what comes while the other waits for the database to have it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use super::line;
use crate::journal::error::JournalError;
use crate::journal::folder::Folder;
use crate::journal::op::Op;

const NAMES: [&str; 2] = ["journal.ahead-0", "journal.ahead-1"];

/// Bytes after which the other file is taken, as soon as the database has what is in it.
const FULL: u64 = 1 << 18;

/// What came of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    All,
    /// The disk is full; the files are as they were.
    NoRoom,
}

pub(super) struct Pages {
    /// The first is written now.
    pages: [Page; 2],
    /// What was in them when they were opened, in order.
    found: Vec<(u64, Op)>,
}

struct Page {
    file: File,
    size: u64,
    /// The number of its last line.
    last: u64,
}

impl Pages {
    /// # Errors
    /// When the files cannot be opened or read.
    pub fn open(folder: &Folder) -> Result<Self, JournalError> {
        let mut found = Vec::new();
        let [first, second] = NAMES.map(|name| open(folder, name, &mut found));
        found.sort_by_key(|(number, _)| *number);
        Ok(Self { pages: [first?, second?], found })
    }

    pub fn last(&self) -> u64 {
        self.found.last().map_or(0, |(number, _)| *number)
    }

    pub fn take_found(&mut self) -> Vec<(u64, Op)> {
        std::mem::take(&mut self.found)
    }

    /// # Errors
    /// When a file cannot be written.
    pub fn clear(&mut self) -> Result<(), JournalError> {
        self.pages.iter_mut().try_for_each(Page::clear).map_err(JournalError::Ahead)
    }

    /// Writes lines of which the last has the number `last`; the database has all up to `committed`.
    ///
    /// # Errors
    /// When the disk fails otherwise than by being full.
    pub fn write(&mut self, lines: &str, last: u64, committed: u64) -> io::Result<Wrote> {
        let [now, other] = &mut self.pages;
        if now.size >= FULL && other.last <= committed {
            other.clear()?;
            self.pages.swap(0, 1);
        }
        let [now, _] = &mut self.pages;
        now.write(lines, last)
    }
}

impl Page {
    fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.size = 0;
        Ok(())
    }

    fn write(&mut self, lines: &str, last: u64) -> io::Result<Wrote> {
        match self.file.write_all(lines.as_bytes()) {
            Ok(()) => {
                self.size += lines.len() as u64;
                self.last = last;
                Ok(Wrote::All)
            }
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                self.file.set_len(self.size)?;
                self.file.seek(SeekFrom::Start(self.size))?;
                Ok(Wrote::NoRoom)
            }
            Err(error) => Err(error),
        }
    }
}

fn open(folder: &Folder, name: &str, found: &mut Vec<(u64, Op)>) -> Result<Page, JournalError> {
    let mut file = folder.file(name)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(JournalError::Ahead)?;
    let (lines, damaged) = line::read(&bytes);
    if damaged > 0 {
        tracing::error!(
            file = name,
            damaged,
            whole = lines.len(),
            "lines of calls are damaged; the whole ones are used"
        );
    }
    found.extend(lines);
    Ok(Page { file, size: bytes.len() as u64, last: 0 })
}
