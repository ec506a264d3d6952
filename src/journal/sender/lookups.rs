//! What is asked of Salesforce before anything is written: what became of an entry, and who the caller was.

use std::collections::{BTreeMap, BTreeSet};
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

/// What each Task says of its call.
const CALL: &str = "CallObject";
/// Look-ups of callers at the same time.
const LOOKUPS: usize = 8;
/// Look-ups of a caller that came too late, before the Task is written without.
const LOOKUP_TRIES: u32 = 3;
const LOOKUP_WAIT: Duration = Duration::from_secs(10);

impl Sender {
    /// Finds out what became of entries whose answer was lost, by one query.
    ///
    /// Those that an earlier run has sent are asked for by the field that each Task has, since the settings may have been
    /// others then.
    pub(super) async fn look_up(&mut self) -> Result<(), Trouble> {
        let now = self.now();
        let unsure = self.journal.reader.unsure(now, ROWS).await?;
        let unsure = self.readable(unsure).await?;
        let updates = unsure.iter().filter(|entry| entry.task.is_some());
        let mut settled: Vec<Settlement> = updates.map(|entry| plan::not_written(entry, None)).collect();
        let (upserted, others): (Vec<&Entry>, Vec<&Entry>) =
            unsure.iter().filter(|entry| entry.task.is_none()).partition(|entry| self.upserted.contains(&entry.id));
        let after = (!self.upsert()).then_some(self.settings.config.settle_after);
        for (field, entries) in [(self.settings.config.external_id_field.clone(), upserted), (CALL.to_owned(), others)]
        {
            if entries.is_empty() {
                continue;
            }
            let keys: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
            let found = self.or_stop(self.client.find_tasks(&field, &keys)).await??;
            settled.extend(entries.into_iter().map(|entry| {
                let task = found.get(&entry.key).map(|task| &task.id);
                plan::looked_up(entry, since(entry, now), task, after, now)
            }));
        }
        for entry in &unsure {
            self.upserted.remove(&entry.id);
        }
        tracing::info!(entries = settled.len(), "looked up entries whose answer was lost");
        self.settle(settled).await
    }

    /// Asks again for callers of whom the call itself did not learn enough, and leaves out those still unknown for a moment.
    pub(super) async fn resolve(&self, mut batch: Vec<Entry>) -> Result<Vec<Entry>, Trouble> {
        let open: BTreeSet<EntryId> = batch
            .iter()
            .filter(|entry| entry.task.is_none() && is_open_question(entry))
            .map(|entry| entry.id)
            .collect();
        if open.is_empty() {
            return Ok(batch);
        }
        if self.tasks_only() {
            for entry in batch.iter_mut().filter(|entry| open.contains(&entry.id)) {
                entry.repairs.not_looked_up = true;
            }
            return Ok(batch);
        }
        let answers = self.ask_for_callers(batch.iter().filter(|entry| open.contains(&entry.id))).await?;
        let (mut later, mut learnt, mut failed) = (BTreeMap::new(), Vec::new(), None);
        for entry in batch.iter_mut().filter(|entry| open.contains(&entry.id)) {
            let answer = entry.record.call.party.number.e164().and_then(|number| answers.get(number));
            match answer {
                None => {}
                Some(Err(error)) if error.retry() == Retry::Never => {}
                Some(Err(error)) => {
                    later.insert(entry.id, None);
                    failed = Some(error.clone());
                }
                Some(Ok(answer)) => {
                    learnt.extend(to_json(answer).map(|json| (entry.id, json)));
                    if !answer.complete && entry.attempts < LOOKUP_TRIES {
                        let again = plan::tried(entry, plan::plus(self.now(), LOOKUP_WAIT));
                        later.insert(entry.id, Some(again));
                    }
                    entry.answer = Some(answer.clone());
                }
            }
        }
        if !learnt.is_empty() {
            self.journal.ask(Op::Answered(learnt)).await?;
        }
        batch.retain(|entry| !later.contains_key(&entry.id));
        let later: Vec<Settlement> = later.into_values().flatten().collect();
        self.settle(later).await?;
        // Those that were answered need not wait for those that were not, which are asked for again in the next round.
        match failed {
            Some(error) if batch.is_empty() => Err(error.into()),
            Some(_) | None => Ok(batch),
        }
    }

    /// Each number once, however many calls came from it.
    async fn ask_for_callers(
        &self,
        entries: impl Iterator<Item = &Entry>,
    ) -> Result<BTreeMap<String, Result<Answer, Error>>, Trouble> {
        let numbers: BTreeMap<String, PhoneNumber> = entries
            .map(|entry| &entry.record.call.party.number)
            .filter_map(|number| Some((number.e164()?.to_owned(), number.clone())))
            .collect();
        let lookups = stream::iter(numbers.into_iter().map(|(e164, number)| {
            let asked = (self.settings.resolve)(number);
            async move { (e164, asked.await) }
        }));
        self.or_stop(lookups.buffer_unordered(LOOKUPS).collect()).await
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
