//! What may be written to the calls on disk, and what comes back once it is safe.

use jiff::Timestamp;

use super::entry::{EntryId, Event, Reason, Repairs};
use super::note::{Note, Noted};
use crate::calls::record::Extension;
use crate::salesforce::RecordId;

/// One change. Texts are JSON already, so that the writer does nothing but write.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Keep {
        call: String,
        json: String,
    },
    Ended {
        call: String,
        record: String,
        answer: Option<String>,
    },
    Forget {
        call: String,
    },
    /// Changes nothing: answered when all before it is safe.
    Flush,
    Note {
        call: String,
        note: Note,
    },
    Retry(EntryId),
    Drop(EntryId),
    Split(Vec<Split>),
    /// Who the callers were.
    Answered(Vec<(EntryId, String)>),
    PutOnWire {
        /// Each with the count of notes that it was read with.
        entries: Vec<(EntryId, i64)>,
        at: Timestamp,
    },
    Settle(Vec<Settlement>),
    /// What a comparison with Salesforce has found of each: its Task, or that there is none.
    Compared {
        entries: Vec<(EntryId, Option<RecordId>)>,
        at: Timestamp,
    },
    /// A new run begins: no wait of the last one holds, and what was on the wire is to be looked up.
    Resume {
        at: Timestamp,
    },
    /// Entries that cannot even be read.
    Park {
        ids: Vec<EntryId>,
        at: Timestamp,
        reason: Reason,
    },
    /// Forgets what was done before this time.
    Prune {
        before: Timestamp,
    },
}

/// One entry for each of these agents in place of one for the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    pub id: EntryId,
    /// The key of each new entry and whose it is.
    pub agents: Vec<(String, Extension)>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settlement {
    pub id: EntryId,
    pub what: Settled,
    pub attempts: u32,
    pub repairs: Repairs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settled {
    /// The Task is there.
    Task(RecordId, Timestamp),
    Event(Event),
}

/// What comes back for an [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Safe,
    Noted(Noted),
    Changed(Changed),
    OnWire(Vec<EntryId>),
}

/// What became of an operator's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Done,
    /// The entry is on the wire or done already.
    NotNow,
    NotFound,
}

/// Puts the latest state of a call in the place of an earlier one that is not written yet.
///
/// Nothing else is reordered, and nothing is moved across the end of its call.
pub(super) fn coalesce(batch: &mut Vec<super::writer::Job>, job: super::writer::Job) {
    let Op::Keep { call, json } = &job.op else {
        batch.push(job);
        return;
    };
    let earlier = batch.iter_mut().rev().find(|other| other.op.call() == Some(call.as_str()));
    match earlier.map(|other| &mut other.op) {
        Some(Op::Keep { json: older, .. }) => older.clone_from(json),
        Some(_) | None => batch.push(job),
    }
}

impl Op {
    fn call(&self) -> Option<&str> {
        match self {
            Self::Keep { call, .. } | Self::Ended { call, .. } | Self::Forget { call } | Self::Note { call, .. } => {
                Some(call)
            }
            Self::Flush
            | Self::Retry(_)
            | Self::Drop(_)
            | Self::Split(_)
            | Self::Answered(_)
            | Self::PutOnWire { .. }
            | Self::Settle(_)
            | Self::Compared { .. }
            | Self::Resume { .. }
            | Self::Park { .. }
            | Self::Prune { .. } => None,
        }
    }

    /// Whether it is written ahead of the database. The others are made by those who wait for the commit, or can be made again.
    pub fn goes_ahead(&self) -> bool {
        matches!(self, Self::Keep { .. } | Self::Ended { .. } | Self::Forget { .. })
    }

    /// Whether it may give the sender something to do.
    pub fn is_news(&self) -> bool {
        matches!(
            self,
            Self::Ended { .. }
                | Self::Note { .. }
                | Self::Retry(_)
                | Self::Split(_)
                | Self::Settle(_)
                | Self::Compared { .. }
        )
    }
}
