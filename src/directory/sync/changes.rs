//! What was touched in the org since the last poll.

use std::time::Duration;

use jiff::Timestamp;

use super::poll::{self, Ask};
use super::state::Stage;
use super::status::Phase;
use super::{Sync, fields};
use crate::salesforce::Error;

/// How soon the fields are asked for again at the earliest, when one of them is refused.
const FIELDS_SOON: Duration = Duration::from_mins(10);

impl Sync {
    pub(super) async fn poll(&mut self) -> Result<(), Error> {
        self.board.change(|status| status.polls += 1);
        let mut asks = self.first_asks()?;
        let mut trouble = None;
        for _call in 0..poll::MAX_CALLS {
            if asks.is_empty() {
                break;
            }
            let polled = poll::ask(&self.client, asks).await?;
            for (ask, page) in polled.pages {
                match page {
                    Ok(page) => self.take_page(&ask, page, polled.asked).await,
                    Err(error) => trouble = self.refused(&ask.object, error).or(trouble),
                }
            }
            self.state.polled_at = polled.asked.or(self.state.polled_at);
            if trouble.is_some() {
                break;
            }
            asks = self.further_asks(polled.asked)?;
        }
        if let Some(error) = trouble {
            return Err(error);
        }
        self.note_synced();
        Ok(())
    }

    /// A part of a poll was refused. Gives the error when it is not about this object alone.
    fn refused(&mut self, object: &str, error: Error) -> Option<Error> {
        if !fields::is_about_the_object(&error) {
            return Some(error);
        }
        tracing::debug!(object, %error, "its changes are refused; its fields are asked for again");
        if self.learned.is_some_and(|at| at.elapsed() >= FIELDS_SOON) {
            self.learned = None;
        }
        None
    }

    /// The pages that a poll begins with: of as many objects as one call can ask for, the others with the next poll.
    fn first_asks(&mut self) -> Result<Vec<Ask>, Error> {
        let objects: Vec<String> = self.followed().cloned().collect();
        let turn = self.turn % objects.len().max(1);
        let (before, from) = objects.split_at_checked(turn).unwrap_or((&objects, &[]));
        let mut asks = Vec::new();
        for object in from.iter().chain(before) {
            if let (Some(source), Some(state)) = (self.sources.get(object), self.state.objects.get(object)) {
                asks.push(Ask::new(source, state.follow.first())?);
            }
        }
        let count = asks.len();
        let asks = poll::fitting(asks);
        self.turn = if asks.len() < count { turn + asks.len() } else { 0 };
        Ok(asks)
    }

    fn further_asks(&mut self, now: Option<Timestamp>) -> Result<Vec<Ask>, Error> {
        let objects: Vec<String> = self.followed().cloned().collect();
        let mut asks = Vec::new();
        for object in objects {
            if let (Some(source), Some(state)) = (self.sources.get(&object), self.state.objects.get_mut(&object))
                && let Some(next) = state.follow.next(now.unwrap_or(Timestamp::MIN))
            {
                asks.push(Ask::new(source, next)?);
            }
        }
        Ok(poll::fitting(asks))
    }

    async fn take_page(&mut self, ask: &Ask, page: poll::Page, asked: Option<Timestamp>) {
        let (Some(source), Some(state)) = (self.sources.get(&ask.object), self.state.objects.get_mut(&ask.object))
        else {
            return;
        };
        let recent = self.recent.entry(ask.object.clone()).or_default();
        let changes = page.take(ask, source, &mut state.follow, recent, asked);
        self.board.change(|status| status.changes += changes.len() as u64);
        self.take_in(changes).await;
    }

    /// The index is as the org when all that can be read is loaded and nothing is known to wait.
    fn note_synced(&mut self) {
        let waits = |object: &String| {
            let state = self.state.objects.get(object);
            state.is_none_or(|state| state.stage != Stage::Following || state.follow.has_more())
        };
        if self.sources.keys().any(waits) {
            return;
        }
        let now = Timestamp::now();
        if self.state.synced_at.is_none() {
            tracing::info!(
                records = self.index.stats().records,
                "the directory is loaded; callers are found without asking Salesforce"
            );
            self.changed = true;
        }
        self.state.synced_at = Some(now);
        self.index.synced(now);
        self.board.change(|status| (status.phase, status.synced_at) = (Phase::Following, Some(now)));
    }
}
