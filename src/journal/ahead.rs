//! Ahead of the database: what the journal is told of calls is first written to plain files, without waiting for the disk.
//!
//! A commit takes as long as the disk does. What was written is the kernel's at once and outlives this process, so that a call may be
//! shown as soon as its line is there. A start puts what a death left here into the database, once.

mod line;
mod pages;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::error::JournalError;
use super::folder::Folder;
use super::op::Op;
use super::writer::Job;
use pages::{Pages, Wrote};

/// A pop waits no longer for its call to be written; then the disk is stuck, and the pop goes first.
const PATIENCE: Duration = Duration::from_millis(200);

/// Lines that are written in one go.
const BATCH: usize = 256;

/// Between two tries to write while there is no room.
const NO_ROOM_WAIT: Duration = Duration::from_millis(500);

/// Bytes of lines that are kept for when there is room again. Behind that only the writer has the changes in memory.
const MOST_OWED: usize = 4 << 20;

/// How far the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// All changes up to this number were taken.
    taken: u64,
    /// The latest of them are in the files; false while there is no room for them.
    written: bool,
}

/// The end of the files at which changes come in. Changes have numbers, which go on after a restart.
pub(super) struct Ahead {
    pages: Pages,
    /// The last number that was given out.
    last: u64,
    /// Lines that there was no room for; empty when all are written.
    owed: String,
    mark: watch::Sender<Mark>,
    /// The database holds all up to this number.
    committed: Arc<AtomicU64>,
}

/// Sees how far the files are, and says how far the database is.
#[derive(Clone)]
pub(super) struct Progress {
    /// Changes that were given to the files.
    told: Arc<AtomicU64>,
    mark: watch::Receiver<Mark>,
    /// The files were stuck before they got here.
    stuck_at: Arc<AtomicU64>,
    pub committed: Arc<AtomicU64>,
}

impl Ahead {
    /// # Errors
    /// When the files cannot be opened or read.
    pub fn open(folder: &Folder) -> Result<Self, JournalError> {
        let pages = Pages::open(folder)?;
        let last = pages.last();
        let mark = watch::Sender::new(Mark { taken: last, written: true });
        Ok(Self { pages, last, owed: String::new(), mark, committed: Arc::default() })
    }

    /// The changes behind this number, which the database lacks.
    pub fn after(&mut self, committed: u64) -> Vec<Op> {
        self.pages.take_found().into_iter().filter(|(number, _)| *number > committed).map(|(_, op)| op).collect()
    }

    /// The last number in the files.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Begins with empty files: the database has it all.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn begin(&mut self, committed: u64) -> Result<Progress, JournalError> {
        self.pages.clear()?;
        self.last = self.last.max(committed);
        self.committed.store(self.last, Ordering::Relaxed);
        self.mark.send_replace(Mark { taken: self.last, written: true });
        Ok(Progress {
            told: Arc::new(AtomicU64::new(self.last)),
            mark: self.mark.subscribe(),
            stuck_at: Arc::default(),
            committed: Arc::clone(&self.committed),
        })
    }

    /// Passes changes on to the writer once they are in the files, until `stop` and then until the queue is empty.
    ///
    /// On a thread of its own, since a disk may keep whoever writes to it waiting.
    pub async fn run(self, queue: mpsc::Receiver<Job>, writer: mpsc::Sender<Job>, stop: CancellationToken) {
        let runtime = Handle::current();
        let ended = spawn_blocking(move || runtime.block_on(self.pass_on(queue, writer, stop))).await;
        if ended.is_err() {
            tracing::error!("the files ahead of the journal are no longer written");
        }
    }

    async fn pass_on(mut self, mut queue: mpsc::Receiver<Job>, writer: mpsc::Sender<Job>, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                job = queue.recv() => job,
                () = tokio::time::sleep(NO_ROOM_WAIT), if !self.owed.is_empty() => {
                    if self.pay().is_err() {
                        return;
                    }
                    continue;
                }
                () = stop.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            let Some(first) = first else {
                return;
            };
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(job) = queue.try_recv()
            {
                batch.push(job);
            }
            if self.write(&mut batch).is_err() {
                return;
            }
            for job in batch {
                // A writer that has stopped ends the daemon. Until then calls are shown, so their lines are written for the next start.
                let _ = writer.send(job).await;
            }
        }
    }

    fn write(&mut self, batch: &mut [Job]) -> Result<(), ()> {
        let before = self.last;
        for job in batch {
            if job.op.goes_ahead() {
                self.last += 1;
                line::push(&mut self.owed, self.last, &job.op);
            }
            job.number = self.last;
        }
        if self.last == before { Ok(()) } else { self.pay() }
    }

    /// Writes what is owed, if there is room.
    fn pay(&mut self) -> Result<(), ()> {
        let committed = self.committed.load(Ordering::Relaxed);
        if committed >= self.last || self.owed.len() > MOST_OWED {
            // An empty line is nothing, and finds out whether there is room.
            "\n".clone_into(&mut self.owed);
        }
        let written = match self.pages.write(&self.owed, self.last, committed) {
            Ok(Wrote::All) => true,
            Ok(Wrote::NoRoom) => false,
            Err(error) => {
                tracing::error!(%error, "the files ahead of the journal cannot be written");
                return Err(());
            }
        };
        if written {
            self.owed.clear();
        }
        let before = self.mark.send_replace(Mark { taken: self.last, written });
        if before.written && !written {
            tracing::error!("the disk of the journal is full; a kill of ctibridge now loses calls");
        }
        Ok(())
    }
}

impl Progress {
    /// Counts a change that is about to be given to the files.
    pub fn tell(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    /// False while there is no room on the disk.
    pub fn is_written(&self) -> bool {
        self.mark.borrow().written
    }

    /// Whether all that was told before outlives this process. Waits for that, but not for a disk that is stuck.
    pub async fn kept(&self) -> bool {
        let told = self.told.load(Ordering::Relaxed);
        let mut mark = self.mark.clone();
        let now = *mark.borrow_and_update();
        if now.taken >= told {
            return now.written;
        }
        if now.taken < self.stuck_at.load(Ordering::Relaxed) {
            return false;
        }
        match tokio::time::timeout(PATIENCE, mark.wait_for(|mark| mark.taken >= told)).await {
            Ok(Ok(mark)) => mark.written,
            Ok(Err(_)) => false,
            Err(_) => {
                self.stuck_at.store(told, Ordering::Relaxed);
                tracing::warn!("the disk of the journal is stuck; pops go before it");
                false
            }
        }
    }
}
