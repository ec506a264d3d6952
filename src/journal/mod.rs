//! Every call on disk from its first ring, and each finished one as exactly one Task.
//!
//! ```text
//! keep, ended, note ──▶ ahead ──▶ writer ──▶ store (disk)
//!                        (kept)              │ waiting entries
//!                      Salesforce ◀── sender ◀─┘   task: record → row   owner: whose it is   plan: what an answer means
//! ```
//!
//! Everything that changes goes through the one writer in the order in which it came. What is told of calls is written ahead of it,
//! without waiting for the disk: so a call that was shown is known after a kill. The sender puts an entry on the wire
//! on disk before it sends it, so that after a crash an entry on the wire means "find out, then send".

mod ahead;
mod config;
mod description;
mod entry;
mod error;
mod fields;
mod folder;
mod health;
mod link;
mod note;
mod op;
mod owner;
mod pace;
mod people;
mod plan;
mod read;
mod reconcile;
mod seal;
pub mod sender;
mod store;
mod task;
mod template;
mod text;
mod wanted;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

pub use config::{Config, Per, RelatedTo};
pub use entry::{Entry, EntryId, EntryState, Reason, Repairs, Unlinked};
pub use error::JournalError;
pub use fields::{FieldProblem, TaskFields};
pub use health::{SenderHealth, SenderState};
pub use link::links;
pub use note::{Note, Noted};
pub use op::Changed;
pub use owner::{AgentUser, Owner, Owners};
pub use people::{Mapping, mapping};
pub use read::Filter;
pub use reconcile::{CompareError, Compared, Difference, Differing, Scope, reconcile};
pub use task::{Part, TaskSettings, keys, row, update};
pub use template::{TemplateError, Templates};
pub use wanted::wanted;

use crate::calls::record::{CallKey, CallRecord, Extension, OpenCall};
use crate::directory::answer::Answer;
use crate::lifecycle::Tasks;
use ahead::{Ahead, Progress};
use folder::Folder;
use op::{Op, Outcome};
use store::{Reader, Store};
use writer::{Job, QUEUE, Seen};

/// How many calls there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub open: u64,
    /// Not known to be in Salesforce yet, those on the wire included.
    pub waiting: u64,
    pub parked: u64,
    pub done: u64,
}

/// The way to the calls on disk.
#[derive(Clone)]
pub struct Journal {
    queue: mpsc::Sender<Job>,
    reader: Reader,
    progress: Progress,
    seen: Seen,
    sender: watch::Sender<SenderHealth>,
    owners: watch::Sender<Arc<Owners>>,
}

impl Journal {
    /// Takes the state folder and starts the writer, which stops with `tasks` once all that was given to it is on disk.
    ///
    /// # Errors
    /// When another daemon uses the folder, or what is in it cannot be trusted.
    pub async fn open(state_dir: &Path, tasks: &Tasks) -> Result<Self, JournalError> {
        let folder = Folder::take(state_dir)?;
        let mut ahead = Ahead::open(&folder)?;
        let (mut store, reader) = Store::open(folder).await?;
        let through = store.through().await?;
        store.catch_up(&ahead.after(through), ahead.last()).await?;
        let progress = ahead.begin(through)?;
        let seen = Seen {
            writable: Arc::new(AtomicBool::new(true)),
            news: Arc::default(),
            counts: watch::Sender::new(store.counts().await?),
            committed: Arc::clone(&progress.committed),
            lost: Arc::default(),
        };
        let (queue, told) = mpsc::channel(QUEUE);
        let (to_writer, jobs) = mpsc::channel(QUEUE);
        tasks.spawn("journal ahead", ahead.run(told, to_writer, tasks.stopping()));
        tasks.spawn("journal writer", writer::run(store, jobs, seen.clone(), tasks.stopping()));
        let (sender, owners) = (watch::Sender::default(), watch::Sender::default());
        Ok(Self { queue, reader, progress, seen, sender, owners })
    }

    /// The calls that were not over when the journal was last written.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn open_calls(&self) -> Result<Vec<OpenCall>, JournalError> {
        self.reader.open_calls().await
    }

    /// Whether all calls that were told before are known after a kill of this process. Waits for that a few microseconds as a rule, and
    /// not for a disk that is stuck.
    pub async fn kept(&self) -> bool {
        self.progress.kept().await
    }

    /// A call as it is now. Waits only for room in the queue.
    pub async fn keep(&self, call: OpenCall) {
        let Some(json) = to_json(&call) else {
            return;
        };
        let call = call.key.to_string();
        self.tell(Op::Keep { call, json }).await;
    }

    /// A call is over and is to become a Task. Waits only for room in the queue.
    pub async fn ended(&self, record: CallRecord, answer: Option<Answer>) {
        let Some(json) = to_json(&record) else {
            return;
        };
        self.tell(Op::Ended {
            call: record.call.key.to_string(),
            record: json,
            answer: answer.as_ref().and_then(to_json),
        })
        .await;
    }

    /// A call that is not to be logged, or was none.
    pub async fn forget(&self, key: CallKey) {
        let call = key.to_string();
        self.tell(Op::Forget { call }).await;
    }

    /// Returns when all that was given before is on disk, or never will be because the writer has stopped.
    pub async fn flush(&self) {
        let _ = self.ask(Op::Flush).await;
    }

    /// Adds to a call what an agent says of it, whether or not its Task is written.
    ///
    /// # Errors
    /// When the journal is no longer written.
    pub async fn note(&self, key: &str, note: Note) -> Result<Noted, JournalError> {
        let call = key.to_owned();
        match self.ask(Op::Note { call, note }).await? {
            Outcome::Noted(noted) => Ok(noted),
            Outcome::Safe | Outcome::Changed(_) | Outcome::OnWire(_) => Err(JournalError::Stopped),
        }
    }

    /// The agents that had a part in this call. `None`: no such call.
    pub async fn agents_of(&self, key: &str) -> Option<Vec<Extension>> {
        self.reader.agents_of(key).await.unwrap_or_else(|error| {
            tracing::error!(%error, call.key = key, "whose call it is could not be read");
            None
        })
    }

    /// # Errors
    /// When the file cannot be read.
    pub async fn entry(&self, id: EntryId) -> Result<Option<Entry>, JournalError> {
        self.reader.entry(id).await
    }

    /// The latest first. An entry that this version cannot read is left out and named in the log.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn list(&self, filter: Filter, limit: u32) -> Result<Vec<Entry>, JournalError> {
        let entries = self.reader.list(filter, limit).await?;
        Ok(entries.into_iter().flatten().map(|entry| *entry).collect())
    }

    /// Another try for an entry that is parked or waits; one whose fate is unknown is looked up at once.
    ///
    /// # Errors
    /// When the journal is no longer written.
    pub async fn retry(&self, id: EntryId) -> Result<Changed, JournalError> {
        self.change(Op::Retry(id)).await
    }

    /// Gives up an entry that is parked or waits: there will be no Task.
    ///
    /// # Errors
    /// When the journal is no longer written.
    pub async fn drop_entry(&self, id: EntryId) -> Result<Changed, JournalError> {
        self.change(Op::Drop(id)).await
    }

    /// As of the last commit.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.seen.counts.borrow()
    }

    /// False while the disk is full or can no longer be trusted.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.seen.writable.load(Ordering::Relaxed) && self.progress.is_written()
    }

    /// How the way into Salesforce is.
    #[must_use]
    pub fn sender_health(&self) -> SenderHealth {
        self.sender.borrow().clone()
    }

    /// The agents' users in Salesforce, as last read; none before that.
    #[must_use]
    pub fn owners(&self) -> Arc<Owners> {
        Arc::clone(&self.owners.borrow())
    }

    async fn change(&self, op: Op) -> Result<Changed, JournalError> {
        match self.ask(op).await? {
            Outcome::Changed(changed) => Ok(changed),
            Outcome::Safe | Outcome::Noted(_) | Outcome::OnWire(_) => Err(JournalError::Stopped),
        }
    }

    /// A writer that has stopped is reported by its owner, who stops the daemon. While the disk is full nobody waits for it: what is
    /// more than may be kept in memory is lost.
    async fn tell(&self, op: Op) {
        let room = if self.seen.writable.load(Ordering::Relaxed) {
            self.queue.reserve().await.map_err(|_| TrySendError::Closed(()))
        } else {
            self.queue.try_reserve()
        };
        match room {
            Ok(room) => {
                self.progress.tell();
                room.send(Job { op, number: 0, reply: None });
            }
            Err(TrySendError::Full(())) => self.seen.lose(),
            Err(TrySendError::Closed(())) => {}
        }
    }

    async fn ask(&self, op: Op) -> Result<Outcome, JournalError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { op, number: 0, reply: Some(reply) };
        self.queue.send(job).await.map_err(|_| JournalError::Stopped)?;
        answer.await.map_err(|_| JournalError::Stopped)
    }
}

fn to_json(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).inspect_err(|error| tracing::error!(%error, "a call could not be put in writing")).ok()
}

#[cfg(test)]
mod tests;
