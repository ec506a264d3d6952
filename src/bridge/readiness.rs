//! How the parts are, in one look: for `/readyz` and the metrics.

use super::handles::Parts;
use crate::directory::sync::SyncHandle;
use crate::feeds::{FeedStatus, State, StatusHandle};
use crate::http::{DirectoryState, FeedPhase, FeedState, JournalState, Readiness, SalesforceState};
use crate::journal::SenderState;
use crate::salesforce;

pub fn readiness(parts: &Parts) -> Readiness {
    let feeds: Vec<FeedStatus> = parts.statuses.iter().map(StatusHandle::get).collect();
    let (health, sender) = (parts.client.health(), parts.journal.sender_health());
    let spent = parts.client.spent();
    let (counts, writable) = (parts.journal.counts(), parts.journal.writable());
    let salesforce_is_down = health.state == salesforce::State::Down || sender.state == SenderState::Down;
    let mut degraded: Vec<String> =
        feeds.iter().filter(|feed| feed.state != State::Up).map(|feed| feed.name.to_string()).collect();
    if salesforce_is_down {
        degraded.insert(0, "salesforce".to_owned());
    }
    let directory = directory_state(parts);
    if !directory.unreadable.is_empty() || (directory.reason.is_some() && !salesforce_is_down) {
        degraded.push("directory".to_owned());
    }
    if !writable {
        degraded.insert(0, "journal".to_owned());
    }
    Readiness {
        ready: writable && feeds.iter().all(|feed| feed.been_up),
        degraded,
        feeds: feeds.iter().map(feed_state).collect(),
        salesforce: SalesforceState {
            allowance: parts.client.allowance().name(),
            api_used: health.api_used.map(|(used, _)| used),
            api_allowed: health.api_used.map(|(_, allowed)| allowed),
            own_calls: spent.last_day,
            own_calls_over: spent.over.as_secs(),
            state: match health.state {
                _ if salesforce_is_down => FeedPhase::Lost,
                salesforce::State::Unknown => FeedPhase::Connecting,
                salesforce::State::Up | salesforce::State::Down => FeedPhase::Up,
            },
            since: health.since,
            reason: health.last_error.or(sender.last_error).filter(|_| salesforce_is_down),
        },
        journal: JournalState { writable, waiting: counts.waiting, parked: counts.parked },
        directory,
    }
}

fn directory_state(parts: &Parts) -> DirectoryState {
    let index = parts.directory.index();
    let (numbers, status) = (index.stats().numbers, parts.sync.as_ref().map(SyncHandle::status));
    let phase = status.as_ref().map_or("live", |status| status.phase.as_str());
    let status = status.unwrap_or_default();
    DirectoryState {
        numbers,
        synced_at: index.synced_at(),
        phase,
        readings: status.readings,
        loaded: status.loaded,
        of: status.of,
        unreadable: status.unreadable.into_iter().map(|(object, _)| object).collect(),
        reason: status.trouble,
    }
}

fn feed_state(status: &FeedStatus) -> FeedState {
    FeedState {
        name: status.name.to_string(),
        state: match status.state {
            State::Up => FeedPhase::Up,
            State::Connecting => FeedPhase::Connecting,
            State::Lost => FeedPhase::Lost,
        },
        since: status.since,
        reason: status.reason.clone().filter(|_| status.state != State::Up),
    }
}
