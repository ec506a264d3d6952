//! What the bridge hands to HTTP: the parts' answers in HTTP's own words.

use tokio::sync::watch;

use super::board::Board;
use super::{Config, readiness};
use crate::calls::record::CallKey;
use crate::directory::Directory;
use crate::feeds::StatusHandle;
use crate::http::{self, Fate, Handles, JournalEntry, JournalHandles, JournalQuery, JournalTrouble, ask};
use crate::journal::{Changed, Entry, EntryId, EntryState, Filter, Journal, JournalError, Note, Noted};
use crate::metrics::{Frame, Metrics};
use crate::pops::{AgentStore, Hub, Linker, UnknownCaller};
use crate::salesforce::{Client, Links};
use crate::secret::Secret;

/// The parts of a running bridge that others look at.
#[derive(Clone)]
pub struct Parts {
    pub client: Client,
    pub directory: Directory,
    pub journal: Journal,
    pub hub: Hub,
    pub agents: AgentStore,
    pub board: Board,
    pub metrics: Metrics,
    pub statuses: Vec<StatusHandle>,
    pub details_link: String,
    pub endpoint: String,
}

impl Parts {
    /// Links go to where the login says the org is, and until then to where the settings say.
    pub fn linker(&self) -> Linker {
        let links = {
            let parts = self.clone();
            move || {
                let instance = parts.client.instance_url().unwrap_or_else(|| parts.endpoint.clone());
                Links::new(&parts.details_link, Some(&instance))
            }
        };
        let (search, new_lead) = (links.clone(), links.clone());
        Linker::new(
            move |object, id| links().record(object, id),
            move |number| search().search(number),
            move |number| new_lead().new_lead(number),
        )
    }
}

pub fn handles(
    parts: &Parts,
    config: &Config,
    admin_token: Secret,
    proxies: http::Proxies,
    unknown: watch::Receiver<UnknownCaller>,
) -> Handles {
    let (directory, board) = (parts.directory.clone(), parts.board.clone());
    let (for_readiness, for_metrics) = (parts.clone(), parts.clone());
    Handles {
        name: config.name.clone(),
        public_url: config.http.public_url.clone(),
        admin_token,
        proxies,
        plan: config.site.plan.clone(),
        hub: parts.hub.clone(),
        agents: parts.agents.clone(),
        linker: parts.linker(),
        unknown,
        lookup: ask(move |number| {
            let directory = directory.clone();
            async move { directory.find(&number).await }
        }),
        explain: None,
        calls: ask(move |()| std::future::ready(board.all())),
        journal: journal_handles(parts),
        readiness: ask(move |()| std::future::ready(readiness::readiness(&for_readiness))),
        metrics: ask(move |()| std::future::ready(metrics(&for_metrics))),
    }
}

fn metrics(parts: &Parts) -> String {
    for status in &parts.statuses {
        let status = status.get();
        let known = status.frames.saturating_sub(status.unknown + status.bad);
        for (kind, total) in [(Frame::Known, known), (Frame::Unknown, status.unknown), (Frame::Bad, status.bad)] {
            parts.metrics.frames(&status.name, kind, total);
        }
    }
    let counts = parts.journal.counts();
    parts.metrics.journal(counts.waiting, counts.parked, counts.done);
    if let Some((used, allowed)) = parts.client.health().api_used {
        parts.metrics.api_used(used, allowed);
    }
    parts.metrics.render()
}

fn journal_handles(parts: &Parts) -> JournalHandles {
    let journal = || parts.journal.clone();
    let (list, show, retry, drop, note_to, agents_of) =
        (journal(), journal(), journal(), journal(), journal(), journal());
    let board = parts.board.clone();
    JournalHandles {
        list: ask(move |query: JournalQuery| {
            let journal = list.clone();
            async move { listed(&journal, query).await }
        }),
        show: ask(move |id: String| {
            let journal = show.clone();
            async move { shown(&journal, &id).await }
        }),
        retry: ask(move |id: String| {
            let journal = retry.clone();
            async move {
                changed(journal.retry(number(&id)?).await)?;
                shown(&journal, &id).await
            }
        }),
        drop: ask(move |id: String| {
            let journal = drop.clone();
            async move { changed(journal.drop_entry(number(&id)?).await) }
        }),
        note: ask(move |note: http::Note| {
            let journal = note_to.clone();
            async move { noted(journal.note(note.call.as_str(), note_of(&note)).await) }
        }),
        agents_of: ask(move |key: CallKey| {
            let (journal, board) = (agents_of.clone(), board.clone());
            async move { Ok(board.agents_of(&key).or(journal.agents_of(key.as_str()).await)) }
        }),
    }
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

async fn listed(journal: &Journal, query: JournalQuery) -> Result<Vec<JournalEntry>, JournalTrouble> {
    let word = query.state.unwrap_or_else(|| "pending".to_owned());
    let filter = Filter::parse(&word).ok_or_else(|| {
        JournalTrouble::Unreadable("state is one of pending, waiting, wire, parked, done, all.".to_owned())
    })?;
    let entries = journal.list(filter, query.limit).await.map_err(unavailable)?;
    Ok(entries.iter().map(entry_view).collect())
}

async fn shown(journal: &Journal, id: &str) -> Result<JournalEntry, JournalTrouble> {
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
