//! Holds the calls on disk against the Tasks in Salesforce, and mends what is missing on either side.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::entry::{Entry, EntryId};
use super::error::JournalError;
use super::op::Op;
use super::{EntryState, Journal};
use crate::salesforce::{Allowance, Client, Error, FoundTask, MAX_ROWS, RecordId};

/// Entries that one call looks at, so that it ends in seconds.
const PAGE: usize = 1_000;

/// Which entries are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Calls that ended since then.
    pub since: Timestamp,
    /// Entries after this one, as the page before said.
    pub after: Option<EntryId>,
    /// Tells what would be done, and does nothing.
    pub dry_run: bool,
}

/// What a page of entries has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub entries: usize,
    /// Those whose state is not that of Salesforce.
    pub differing: Vec<Differing>,
    /// Where to go on; `None`: that was all.
    pub next: Option<EntryId>,
}

/// An entry whose state on disk is not that of Salesforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    pub id: EntryId,
    pub key: String,
    pub how: Difference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Logged, and the Task is not there, not in the recycle bin either: it is sent again.
    Missing,
    /// To be sent or parked, and the Task is there: it is done.
    There,
    /// Logged, and somebody deleted the Task: it stays so.
    Deleted,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Salesforce(#[from] Error),
    #[error("the org's API calls are nearly used up and kept for Tasks; compare later")]
    NoCallsLeft,
}

/// Compares a page of entries that are done, wait or are parked; those on the wire are the sender's to find out.
///
/// A Task is known by its id, and where that is not found by its `CallObject`.
///
/// # Errors
/// When the disk or Salesforce cannot be asked. What earlier pages have mended stays mended.
pub async fn reconcile(journal: &Journal, client: &Client, scope: Scope) -> Result<Compared, CompareError> {
    if client.allowance() >= Allowance::TasksOnly {
        return Err(CompareError::NoCallsLeft);
    }
    let after = scope.after.unwrap_or(EntryId(0));
    let read = journal.reader.after(after, PAGE).await?;
    let last = read.last().map(|one| one.as_ref().map_or_else(|id| *id, |entry| entry.id));
    let next = last.filter(|_| read.len() == PAGE);
    let wanted = |entry: &Entry| entry.record.ended >= scope.since && is_comparable(entry);
    let entries: Vec<Entry> = read.into_iter().flatten().map(|entry| *entry).filter(wanted).collect();
    let mut compared = Compared { entries: entries.len(), differing: Vec::new(), next };
    for batch in entries.chunks(MAX_ROWS) {
        let tasks = tasks_of(client, batch).await?;
        let found = batch.iter().filter_map(|entry| Some((entry, difference(entry, tasks.get(&entry.key))?)));
        let found: Vec<(&Entry, Difference)> = found.collect();
        if !scope.dry_run {
            mend(journal, &found, &tasks).await?;
        }
        let told = found.into_iter().map(|(entry, how)| Differing { id: entry.id, key: entry.key.clone(), how });
        compared.differing.extend(told);
    }
    Ok(compared)
}

/// An entry that waits for an update of its Task is the sender's.
fn is_comparable(entry: &Entry) -> bool {
    match entry.state {
        EntryState::Done { .. } => true,
        EntryState::Waiting { .. } | EntryState::Parked { .. } => entry.task.is_none(),
        EntryState::Wire { .. } => false,
    }
}

/// The Tasks of these entries, by key.
async fn tasks_of(client: &Client, entries: &[Entry]) -> Result<BTreeMap<String, FoundTask>, Error> {
    let ids: Vec<RecordId> = entries.iter().filter_map(|entry| entry.task.clone()).collect();
    let by_id = client.tasks_by_id(&ids).await?;
    let (mut tasks, mut others) = (BTreeMap::new(), Vec::new());
    for entry in entries {
        match entry.task.as_ref().and_then(|id| by_id.get(id)) {
            Some(task) => {
                tasks.insert(entry.key.clone(), task.clone());
            }
            None => others.push(entry.key.clone()),
        }
    }
    tasks.extend(client.find_tasks("CallObject", &others).await?);
    Ok(tasks)
}

fn difference(entry: &Entry, task: Option<&FoundTask>) -> Option<Difference> {
    let is_done = matches!(entry.state, EntryState::Done { .. });
    match (task, is_done) {
        (None, true) => Some(Difference::Missing),
        (Some(task), true) => task.deleted.then_some(Difference::Deleted),
        (Some(task), false) => (!task.deleted).then_some(Difference::There),
        (None, false) => None,
    }
}

async fn mend(
    journal: &Journal,
    found: &[(&Entry, Difference)],
    tasks: &BTreeMap<String, FoundTask>,
) -> Result<(), JournalError> {
    let entries: Vec<(EntryId, Option<RecordId>)> = found
        .iter()
        .filter(|(_, how)| *how != Difference::Deleted)
        .map(|(entry, _)| (entry.id, tasks.get(&entry.key).map(|task| task.id.clone())))
        .collect();
    if !entries.is_empty() {
        journal.ask(Op::Compared { entries, at: Timestamp::now() }).await?;
    }
    Ok(())
}
