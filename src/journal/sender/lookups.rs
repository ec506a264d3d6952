//! What is asked of Salesforce before anything is written: what became of an entry, and who the caller was.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::{Sender, Trouble};
use crate::directory::answer::Answer;
use crate::journal::entry::{Entry, EntryId, EntryState};
use crate::journal::op::{Op, Settlement};
use crate::journal::pace::ROWS;
use crate::journal::{plan, to_json};
use crate::phone::PhoneNumber;
use crate::salesforce::{Error, Retry};

/// Look-ups of callers at the same time.
const LOOKUPS: usize = 8;
/// Look-ups of a caller that came too late, before the Task is written without.
const LOOKUP_TRIES: u32 = 3;
const LOOKUP_WAIT: Duration = Duration::from_secs(10);

impl Sender {
    /// Finds out what became of entries whose answer was lost.
    pub(super) async fn look_up(&mut self) -> Result<(), Trouble> {
        let now = self.now();
        let unsure = self.journal.reader.unsure(now, ROWS).await?;
        let (repeatable, unsure): (Vec<Entry>, Vec<Entry>) =
            self.readable(unsure).await?.into_iter().partition(|entry| self.upsert() || entry.task.is_some());
        let mut settled: Vec<Settlement> = repeatable.iter().map(|entry| plan::not_written(entry, None)).collect();
        if !unsure.is_empty() {
            let keys: Vec<String> = unsure.iter().map(|entry| entry.key.clone()).collect();
            let found = self.or_stop(self.client.find_tasks("CallObject", &keys)).await??;
            let after = self.settings.config.settle_after;
            settled.extend(
                unsure.iter().map(|entry| plan::looked_up(entry, since(entry, now), found.get(&entry.key), after, now)),
            );
        }
        tracing::info!(entries = settled.len(), "looked up entries whose answer was lost");
        self.settle(settled).await
    }

    /// Asks again for callers of whom the call itself did not learn enough, and leaves out those still unknown for a moment.
    pub(super) async fn resolve(&self, mut batch: Vec<Entry>) -> Result<Vec<Entry>, Trouble> {
        let wanted: Vec<(EntryId, PhoneNumber)> = batch
            .iter()
            .filter(|entry| entry.task.is_none() && is_open_question(entry))
            .map(|entry| (entry.id, entry.record.call.party.number.clone()))
            .collect();
        if wanted.is_empty() {
            return Ok(batch);
        }
        let lookups = stream::iter(wanted.into_iter().map(|(id, number)| {
            let asked = (self.settings.resolve)(number);
            async move { (id, asked.await) }
        }));
        let answers: Vec<(EntryId, Result<Answer, Error>)> =
            self.or_stop(lookups.buffer_unordered(LOOKUPS).collect()).await?;
        let (mut later, mut failed) = (Vec::new(), None);
        for (id, answer) in answers {
            let Some(place) = batch.iter().position(|entry| entry.id == id) else {
                continue;
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if error.retry() == Retry::Never => continue,
                Err(error) => {
                    batch.remove(place);
                    failed = Some(error);
                    continue;
                }
            };
            let Some(entry) = batch.get_mut(place) else {
                continue;
            };
            let complete = self.take_answer(entry, answer).await?;
            if !complete && entry.attempts < LOOKUP_TRIES {
                later.push(plan::tried(entry, plan::plus(self.now(), LOOKUP_WAIT)));
            }
        }
        batch.retain(|entry| later.iter().all(|settled| settled.id != entry.id));
        self.settle(later).await?;
        // Those that were answered need not wait for those that were not, which are asked for again in the next round.
        match failed {
            Some(error) if batch.is_empty() => Err(error.into()),
            Some(_) | None => Ok(batch),
        }
    }

    /// Whether no later look-up can know more.
    async fn take_answer(&self, entry: &mut Entry, answer: Answer) -> Result<bool, Trouble> {
        let complete = answer.complete;
        if let Some(json) = to_json(&answer) {
            let (id, answer) = (entry.id, json);
            self.journal.ask(Op::Answered { id, answer }).await?;
        }
        entry.answer = Some(answer);
        Ok(complete)
    }
}

/// Whether a look-up may know more than the entry does.
fn is_open_question(entry: &Entry) -> bool {
    let known = entry.answer.as_ref().is_some_and(|answer| answer.complete);
    !known && entry.record.call.party.number.e164().is_some()
}

fn since(entry: &Entry, now: Timestamp) -> Timestamp {
    match entry.state {
        EntryState::Wire { since, .. } => since,
        EntryState::Waiting { .. } | EntryState::Done { .. } | EntryState::Parked { .. } => now,
    }
}
