//! One batch on its way: from the disk to the wire, and back with what became of each row.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Sender, Trouble};
use crate::journal::config::Per;
use crate::journal::entry::{Entry, EntryId, Reason};
use crate::journal::op::{Op, Outcome, Split};
use crate::journal::plan::{self, Sent};
use crate::journal::store::Ahead;
use crate::journal::task::{Part, TaskSettings, keys, row, update};
use crate::salesforce::{Error, RecordId, Retry, Row, RowError, RowOutcome, Write};

/// How long an entry is left alone that was refused without its reason being known.
const SUSPECT_WAIT: Duration = Duration::from_mins(5);

impl Sender {
    pub(super) async fn send(&mut self, ahead: &Ahead) -> Result<(), Trouble> {
        let due = self.journal.reader.due(self.now(), self.pace.rows()).await?;
        let entries = self.readable(due).await?;
        if self.split(&entries).await? {
            return Ok(());
        }
        let batch = self.resolve(of_one_kind(entries)).await?;
        let related = self.related(&batch).await?;
        if ahead.due <= batch.len() {
            self.company = None;
        }
        let batch = self.put_on_wire(batch).await?;
        if batch.is_empty() {
            return Ok(());
        }
        self.write(batch, &related).await
    }

    /// Where each agent has a Task, makes an entry of each. True: the entries are to be read anew.
    async fn split(&self, entries: &[Entry]) -> Result<bool, Trouble> {
        if self.settings.config.per == Per::Call {
            return Ok(false);
        }
        let whole = entries.iter().filter(|entry| entry.agent.is_none() && !entry.tried);
        let parts = |entry: &Entry| -> Vec<_> {
            keys(&entry.record, Per::Agent).into_iter().filter_map(|(key, agent)| Some((key, agent?))).collect()
        };
        let splits = whole.map(|entry| Split { id: entry.id, agents: parts(entry) });
        let splits: Vec<Split> = splits.filter(|split| !split.agents.is_empty()).collect();
        if splits.is_empty() {
            return Ok(false);
        }
        self.journal.ask(Op::Split(splits)).await?;
        Ok(true)
    }

    async fn put_on_wire(&self, mut batch: Vec<Entry>) -> Result<Vec<Entry>, Trouble> {
        if self.stop.is_cancelled() {
            return Err(Trouble::Stopped);
        }
        let entries = batch.iter().map(|entry| (entry.id, entry.noted)).collect();
        let at = self.now();
        match self.journal.ask(Op::PutOnWire { entries, at }).await? {
            Outcome::OnWire(gone) => batch.retain(|entry| gone.contains(&entry.id)),
            Outcome::Safe | Outcome::Noted(_) | Outcome::Changed(_) => batch.clear(),
        }
        Ok(batch)
    }

    async fn write(&mut self, batch: Vec<Entry>, related: &BTreeMap<EntryId, RecordId>) -> Result<(), Trouble> {
        let rows = self.rows(&batch, related);
        let updates = batch.iter().any(|entry| entry.task.is_some());
        let write = Write {
            object: "Task".to_owned(),
            external_id_field: (self.upsert() && !updates).then(|| self.settings.config.external_id_field.clone()),
            rows: rows.clone(),
        };
        let started = Instant::now();
        // When time is up, the entries stay on the wire on disk, and the next run finds out.
        let answer = self.last(self.client.write(write)).await?;
        match answer {
            Ok(outcomes) => {
                tracing::info!(sf.rows = batch.len(), ms = started.elapsed().as_millis(), "batch answered");
                self.answered(&batch, &rows, &outcomes).await
            }
            Err(error) => self.failed(&batch, error).await,
        }
    }

    fn rows(&mut self, batch: &[Entry], related: &BTreeMap<EntryId, RecordId>) -> Vec<Row> {
        let Some((people, _)) = &self.people else {
            return Vec::new();
        };
        let settings = TaskSettings {
            templates: &self.settings.templates,
            task_fields: &people.task_fields,
            closed_status: &people.closed_status,
            external_id_field: &self.settings.config.external_id_field,
            zone: &self.settings.zone,
        };
        for entry in batch {
            if let Some(extension) = people.owners.unmapped(&entry.record, entry.agent.as_ref())
                && self.told.insert(format!("no user for {extension:?}"))
            {
                tracing::warn!(
                    agent.extension = %extension.0,
                    "no active Salesforce user for this extension; its Tasks go to the fallback owner"
                );
            }
        }
        let build = |entry: &Entry| {
            let part = Part { related: related.get(&entry.id), ..Part::from(entry) };
            match &entry.task {
                Some(task) => update(task, &part, &people.owners, &settings),
                None => row(&part, &people.owners, &settings),
            }
        };
        batch.iter().map(build).collect()
    }

    /// Row by row; a row that came back without an answer has an unknown fate.
    async fn answered(&mut self, batch: &[Entry], rows: &[Row], outcomes: &[RowOutcome]) -> Result<(), Trouble> {
        if let Some(error) = refused_by_the_org(outcomes) {
            let waiting = batch.iter().map(|entry| plan::waits(entry, error));
            self.settle(waiting.collect()).await?;
            return Err(Trouble::Org(error.clone()));
        }
        let moved = self.moved(rows, outcomes).await;
        let (now, upsert) = (self.now(), self.upsert());
        let mut outcomes = outcomes.iter();
        let mut settled = Vec::new();
        for (entry, row) in batch.iter().zip(rows) {
            let outcome = outcomes.next();
            if let Some(outcome) = outcome {
                self.notice(entry, outcome);
            }
            settled.push(match (outcome, &moved) {
                (Some(Err(error)), None) if !plan::refused_records(row, error).is_empty() => {
                    plan::asked_later(entry, error, now)
                }
                (Some(outcome), moved) => {
                    let (spread, moved) = (fastrand::f64(), moved.as_ref());
                    plan::answered(&Sent { entry, row, upsert, now, spread, moved }, outcome)
                }
                (None, _) => plan::lost(entry),
            });
        }
        self.up();
        self.settle(settled).await
    }

    /// Where the records have gone that Salesforce would not link; `None`: they cannot be asked for now.
    async fn moved(&self, rows: &[Row], outcomes: &[RowOutcome]) -> Option<BTreeMap<RecordId, RecordId>> {
        let refused = rows.iter().zip(outcomes).filter_map(|(row, outcome)| Some((row, outcome.as_ref().err()?)));
        let mut ids: Vec<RecordId> = refused.flat_map(|(row, error)| plan::refused_records(row, error)).collect();
        ids.sort();
        ids.dedup();
        if ids.is_empty() || self.tasks_only() {
            return Some(BTreeMap::new());
        }
        match self.client.moved(&ids).await {
            Ok(moved) => Some(moved),
            Err(error) if error.retry() == Retry::Never => Some(BTreeMap::new()),
            Err(error) => {
                tracing::warn!(%error, "records that Salesforce would not link cannot be followed now");
                None
            }
        }
    }

    fn notice(&mut self, entry: &Entry, outcome: &RowOutcome) {
        let Err(error) = outcome else {
            return;
        };
        tracing::warn!(call.key = %entry.key, code = %error.code, "Salesforce refused a Task; `ctibridge journal list` says whether it waits for you");
        if error.code == "INACTIVE_OWNER_OR_USER" {
            self.doubt_people();
        }
    }

    async fn failed(&mut self, batch: &[Entry], error: Error) -> Result<(), Trouble> {
        let settled = if error.fate_unknown() {
            if self.upsert() {
                self.upserted.extend(batch.iter().map(|entry| entry.id));
            }
            batch.iter().map(plan::lost).collect()
        } else if error.retry() == Retry::Never {
            return self.refused(batch, error).await;
        } else {
            batch.iter().map(|entry| plan::not_written(entry, None)).collect()
        };
        self.settle(settled).await?;
        Err(error.into())
    }

    /// The whole request was refused. One row may be the cause: ever smaller requests find it, at once, so that the others
    /// do not wait for it. That none at all is accepted is an outage, and only rows that went through can tell.
    async fn refused(&mut self, batch: &[Entry], error: Error) -> Result<(), Trouble> {
        // A field of the settings may have been taken from the user meanwhile.
        if matches!(error.code(), Some("INVALID_FIELD")) {
            self.doubt_people();
        }
        let [entry] = batch else {
            self.pace.refused(batch.len());
            self.hurry = true;
            let again = batch.iter().map(|entry| plan::not_written(entry, None));
            return self.settle(again.collect()).await;
        };
        let now = self.now();
        let settled = if self.pace.is_culprit(entry.id, entry.attempts) {
            plan::parked(entry, now, refusal(&error))
        } else {
            plan::tried(entry, plan::plus(now, SUSPECT_WAIT))
        };
        self.settle(vec![settled]).await?;
        Err(error.into())
    }
}

/// The reason for which all rows were refused, where it is the org's own.
fn refused_by_the_org(outcomes: &[RowOutcome]) -> Option<&RowError> {
    let mut errors =
        outcomes.iter().map(|outcome| outcome.as_ref().err().filter(|error| plan::is_about_the_org(error)));
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then_some(first)
}

/// Updates and new Tasks are different requests: those like the first now, the others next.
fn of_one_kind(mut entries: Vec<Entry>) -> Vec<Entry> {
    let is_update = entries.first().is_some_and(|entry| entry.task.is_some());
    entries.retain(|entry: &Entry| entry.task.is_some() == is_update);
    entries
}

fn refusal(error: &Error) -> Reason {
    Reason {
        code: error.code().unwrap_or("REQUEST_REFUSED").to_owned(),
        message: error.message().map_or_else(|| error.to_string(), str::to_owned),
        advice: plan::ADVICE.to_owned(),
    }
}
