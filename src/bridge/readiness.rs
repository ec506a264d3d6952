//! How the parts are, in one look: for `/readyz` and the metrics.

use super::handles::Parts;
use crate::feeds::{FeedStatus, State, StatusHandle};
use crate::http::{DirectoryState, FeedPhase, FeedState, JournalState, Readiness, SalesforceState};
use crate::journal::SenderState;
use crate::salesforce;

pub fn readiness(parts: &Parts) -> Readiness {
    let feeds: Vec<FeedStatus> = parts.statuses.iter().map(StatusHandle::get).collect();
    let (health, sender) = (parts.client.health(), parts.journal.sender_health());
    let index = parts.directory.index();
    let spent = parts.client.spent();
    let (counts, writable) = (parts.journal.counts(), parts.journal.writable());
    let salesforce_is_down = health.state == salesforce::State::Down || sender.state == SenderState::Down;
    let mut degraded: Vec<String> =
        feeds.iter().filter(|feed| feed.state != State::Up).map(|feed| feed.name.to_string()).collect();
    if salesforce_is_down {
        degraded.insert(0, "salesforce".to_owned());
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
        directory: DirectoryState { numbers: index.stats().numbers, synced_at: index.synced_at() },
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
