//! What the bridge hands to HTTP: the parts' answers in HTTP's own words.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::board::Board;
use super::policy::Policy;
use super::{Config, explain, grant, ledger, readiness, spoken};
use crate::calls::record::{CallKey, Extension};
use crate::directory::Directory;
use crate::directory::answer::Answer;
use crate::directory::sync::{SyncHandle, Wish};
use crate::feeds::StatusHandle;
use crate::http::{self, Handles, JournalHandles, JournalQuery, ask};
use crate::journal::Journal;
use crate::metrics::{Frame, Metrics};
use crate::phone::PhoneNumber;
use crate::pops::{AgentStore, Hub, Linker, UnknownCaller};
use crate::salesforce::{Client, Links};
use crate::secret::Secret;

/// The parts of a running bridge that others look at.
#[derive(Clone)]
pub struct Parts {
    pub client: Client,
    pub directory: Directory,
    /// None: the settings want no local copy.
    pub sync: Option<SyncHandle>,
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
        let parts = self.clone();
        made_by(move || {
            let instance = parts.client.instance_url().unwrap_or_else(|| parts.endpoint.clone());
            Links::new(&parts.details_link, Some(&instance))
        })
    }
}

/// Links into an org whose address is known.
#[must_use]
pub fn linker(details_link: &str, instance_url: Option<&str>) -> Linker {
    let links = Links::new(details_link, instance_url);
    made_by(move || links.clone())
}

fn made_by(links: impl Fn() -> Links + Clone + Send + Sync + 'static) -> Linker {
    let (search, new_lead) = (links.clone(), links.clone());
    Linker::new(
        move |object, id| links().record(object, id),
        move |number| search().search(number),
        move |number| new_lead().new_lead(number),
    )
}

pub fn handles(
    parts: &Parts,
    config: &Config,
    admin_token: Secret,
    proxies: http::Proxies,
    unknown: watch::Receiver<UnknownCaller>,
    policy: watch::Receiver<Arc<Policy>>,
) -> Handles {
    let (directory, board) = (parts.directory.clone(), parts.board.clone());
    let (for_readiness, for_metrics, granted) = (parts.clone(), parts.clone(), parts.client.clone());
    let (for_agents, owners, policy_for_agents) = (directory.clone(), parts.journal.clone(), policy.clone());
    let (users, linker, offer) = (parts.journal.clone(), parts.linker(), unknown.clone());
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
            let ignored = policy.borrow().ignores_number(&number);
            async move { if ignored { Answer::unknown(number) } else { directory.find(&number).await } }
        }),
        lookup_for: ask(move |(number, agent): (PhoneNumber, Extension)| {
            let (directory, user) = (for_agents.clone(), owners.owners().user(&agent).cloned());
            let ignored = policy_for_agents.borrow().ignores_number(&number);
            async move {
                if ignored {
                    return Answer::unknown(number);
                }
                let began = Instant::now();
                let answer = directory.find(&number).await;
                let left = directory.deadline().saturating_sub(began.elapsed());
                directory.readable(answer, user.as_ref(), left).await
            }
        }),
        extension: Arc::new(move |user| users.owners().extension(user)),
        explain: Some(ask(move |answer: Answer| {
            let lines = explain(&answer, &linker, *offer.borrow());
            std::future::ready(lines.into())
        })),
        calls: ask(move |()| std::future::ready(board.all())),
        journal: journal_handles(parts),
        grant: ask(move |refresh_token| {
            let client = granted.clone();
            async move { grant::take(&client, &refresh_token).await }
        }),
        sync: parts.sync.clone().map(|sync| {
            ask(move |wish: http::SyncWish| {
                sync.wish(if wish.compare { Wish::Comparison } else { Wish::Changes });
                std::future::ready(())
            })
        }),
        readiness: ask(move |()| std::future::ready(readiness::readiness(&for_readiness))),
        metrics: ask(move |()| std::future::ready(metrics(&for_metrics))),
    }
}

fn metrics(parts: &Parts) -> String {
    for status in &parts.statuses {
        let status = status.get();
        let known = status.frames.saturating_sub(status.unknown + status.bad + status.dropped);
        for (kind, total) in [
            (Frame::Known, known),
            (Frame::Unknown, status.unknown),
            (Frame::Bad, status.bad),
            (Frame::Dropped, status.dropped),
        ] {
            parts.metrics.frames(&status.name, kind, total);
        }
        parts.metrics.overruns(&status.name, status.overruns);
    }
    let counts = parts.journal.counts();
    let index = parts.directory.index().stats();
    let held = [
        ("numbers", index.numbers),
        ("records", index.records),
        ("possible", index.possible_only),
        ("junk", index.junk),
    ];
    parts.metrics.directory(held, index.bytes);
    parts.metrics.journal(counts.waiting, counts.parked, counts.done);
    if let Some(sync) = &parts.sync {
        let status = sync.status();
        parts.metrics.directory_sync(status.synced_at, status.polls, status.changes);
    }
    if let Some((used, allowed)) = parts.client.health().api_used {
        parts.metrics.api_used(used, allowed);
    }
    parts.metrics.allowance(parts.client.allowance() as i64);
    for (kind, total) in parts.client.spent().calls {
        parts.metrics.salesforce_calls(kind.name(), total);
    }
    parts.metrics.render()
}

fn journal_handles(parts: &Parts) -> JournalHandles {
    let journal = || parts.journal.clone();
    let (list, show, retry, drop, note_to, agents_of) =
        (journal(), journal(), journal(), journal(), journal(), journal());
    let (board, live, directory) = (parts.board.clone(), parts.board.clone(), parts.directory.clone());
    let (compared, client) = (journal(), parts.client.clone());
    JournalHandles {
        list: ask(move |query: JournalQuery| {
            let journal = list.clone();
            async move { ledger::list(&journal, query).await }
        }),
        show: ask(move |id: String| {
            let journal = show.clone();
            async move { ledger::show(&journal, &id).await }
        }),
        retry: ask(move |id: String| {
            let journal = retry.clone();
            async move { ledger::retry(&journal, &id).await }
        }),
        drop: ask(move |id: String| {
            let journal = drop.clone();
            async move { ledger::give_up(&journal, &id).await }
        }),
        reconcile: ask(move |wanted: http::Comparison| {
            let (journal, client) = (compared.clone(), client.clone());
            async move { ledger::reconcile(&journal, &client, wanted).await }
        }),
        note: ask(move |note: http::Note| {
            let (journal, live, directory) = (note_to.clone(), live.clone(), directory.clone());
            async move {
                ledger::note(&journal, &note).await?;
                spoken::chosen(&directory, &live, &note);
                Ok(())
            }
        }),
        agents_of: ask(move |key: CallKey| {
            let (journal, board) = (agents_of.clone(), board.clone());
            async move { Ok(board.agents_of(&key).or(journal.agents_of(key.as_str()).await)) }
        }),
    }
}
