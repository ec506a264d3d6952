//! The journal in the words of HTTP and of the command line.

use crate::http::{
    self, Comparison, ComparisonResult, DifferingEntry, Fate, JournalEntry, JournalQuery, JournalTrouble,
};
use crate::journal::{
    self, Changed, Difference, Entry, EntryId, EntryState, Filter, Journal, JournalError, Note, Noted, Scope,
};
use crate::salesforce::Client;

/// Sends an entry again; gives it as it then is.
///
/// # Errors
/// When there is no such entry, it is under way or done, or the disk does not take it.
pub async fn retry(journal: &Journal, id: &str) -> Result<JournalEntry, JournalTrouble> {
    changed(journal.retry(number(id)?).await)?;
    show(journal, id).await
}

/// There will be no Task for this entry.
///
/// # Errors
/// As [`retry`].
pub async fn give_up(journal: &Journal, id: &str) -> Result<(), JournalTrouble> {
    changed(journal.drop_entry(number(id)?).await)
}

/// Holds a part of the entries against Salesforce.
///
/// # Errors
/// When the disk or Salesforce cannot be asked; the text says why.
pub async fn reconcile(
    journal: &Journal,
    client: &Client,
    wanted: Comparison,
) -> Result<ComparisonResult, JournalTrouble> {
    let after = match &wanted.after {
        Some(id) => Some(
            number(id)
                .map_err(|_| JournalTrouble::Unreadable("after is the `next` of the answer before.".to_owned()))?,
        ),
        None => None,
    };
    let scope = Scope { since: wanted.since, after, dry_run: wanted.dry_run };
    let compared = journal::reconcile(journal, client, scope)
        .await
        .map_err(|error| JournalTrouble::Unavailable(error.to_string()))?;
    let differing = compared.differing.into_iter().map(|differing| DifferingEntry {
        id: differing.id.0.to_string(),
        key: differing.key,
        found: match differing.how {
            Difference::Missing => "missing",
            Difference::There => "there",
            Difference::Deleted => "deleted",
        },
    });
    Ok(ComparisonResult {
        compared: compared.entries,
        differing: differing.collect(),
        next: compared.next.map(|id| id.0.to_string()),
    })
}

/// Keeps what an agent says of a call.
///
/// # Errors
/// When there is no such call, or the disk does not take it.
pub(super) async fn note(journal: &Journal, note: &http::Note) -> Result<(), JournalTrouble> {
    noted(journal.note(note.call.as_str(), note_of(note)).await)
}

fn note_of(note: &http::Note) -> Note {
    Note {
        extension: note.by.as_ref().map(|extension| extension.0.clone()),
        disposition: note.disposition.clone(),
        notes: note.notes.clone(),
        record_id: note.record_id.clone(),
    }
}

fn noted(outcome: Result<Noted, JournalError>) -> Result<(), JournalTrouble> {
    match outcome.map_err(unavailable)? {
        Noted::Open | Noted::Waiting | Noted::Update | Noted::Parked => Ok(()),
        Noted::NotFound => Err(JournalTrouble::NotFound),
    }
}

/// # Errors
/// When the state is no word for one, or the disk cannot be read.
pub async fn list(journal: &Journal, query: JournalQuery) -> Result<Vec<JournalEntry>, JournalTrouble> {
    let word = query.state.unwrap_or_else(|| "pending".to_owned());
    let filter = Filter::parse(&word).ok_or_else(|| {
        JournalTrouble::Unreadable("state is one of pending, waiting, wire, parked, done, all.".to_owned())
    })?;
    let entries = journal.list(filter, query.limit).await.map_err(unavailable)?;
    Ok(entries.iter().map(entry_view).collect())
}

/// # Errors
/// When there is no such entry, or the disk cannot be read.
pub async fn show(journal: &Journal, id: &str) -> Result<JournalEntry, JournalTrouble> {
    let entry = journal.entry(number(id)?).await.map_err(unavailable)?.ok_or(JournalTrouble::NotFound)?;
    Ok(JournalEntry { details: serde_json::to_value(&entry).ok(), ..entry_view(&entry) })
}

fn number(id: &str) -> Result<EntryId, JournalTrouble> {
    id.parse().map(EntryId).map_err(|_| JournalTrouble::NotFound)
}

fn changed(outcome: Result<Changed, JournalError>) -> Result<(), JournalTrouble> {
    match outcome.map_err(unavailable)? {
        Changed::Done => Ok(()),
        Changed::NotNow => {
            Err(JournalTrouble::NotNow("It is on the wire or done already. Look again in a minute.".into()))
        }
        Changed::NotFound => Err(JournalTrouble::NotFound),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made to be given to map_err")]
fn unavailable(error: JournalError) -> JournalTrouble {
    JournalTrouble::Unavailable(error.to_string())
}

fn entry_view(entry: &Entry) -> JournalEntry {
    let (state, reason, next_try) = match &entry.state {
        EntryState::Waiting { not_before, reason } => (Fate::Waiting, reason.as_ref(), *not_before),
        EntryState::Wire { look_at, .. } => (Fate::Wire, None, *look_at),
        EntryState::Done { .. } => (Fate::Done, None, None),
        EntryState::Parked { reason, .. } => (Fate::Parked, Some(reason), None),
    };
    JournalEntry {
        id: entry.id.0.to_string(),
        key: entry.key.clone(),
        call: entry.call.to_string(),
        agent: entry.agent.as_ref().map(|extension| extension.0.clone()),
        state,
        reason: reason.map(|reason| format!("{}: {}; {}", reason.code, reason.message, reason.advice)),
        started: entry.record.call.started,
        next_try,
        attempts: entry.attempts,
        task: entry.task.as_ref().map(ToString::to_string),
        details: None,
    }
}
