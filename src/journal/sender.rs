//! Takes finished calls from the disk to Salesforce, so that each becomes exactly one Task.
//!
//! An entry is on the wire on disk before it is on the wire. When its answer is lost it is sent again at once where that is
//! harmless (an upsert, an update), and looked up first where it is not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::{Config, Per};
use super::entry::{Entry, EntryId, EntryState, Reason};
use super::error::JournalError;
use super::health::{SenderHealth, SenderState};
use super::op::{Op, Outcome, Settlement};
use super::owner::AgentUser;
use super::pace::{Pace, ROWS};
use super::people::{self, People};
use super::plan::{self, Sent};
use super::store::Ahead;
use super::task::{Part, TaskSettings, keys, row, update};
use super::template::{TemplateError, Templates};
use super::{Journal, to_json};
use crate::directory::answer::Answer;
use crate::phone::PhoneNumber;
use crate::salesforce::{Client, Error, Retry, Row, RowOutcome, Write};

/// Who has this number, asked when the answer came too late for the call itself.
pub type Resolve = Arc<dyn Fn(PhoneNumber) -> BoxFuture<'static, Result<Answer, Error>> + Send + Sync>;

/// Looks at the disk this often even when nobody says that there is something new.
const IDLE: Duration = Duration::from_mins(1);
/// Between two tries to read from a disk that fails.
const DISK_WAIT: Duration = Duration::from_secs(1);
/// How long a batch on the wire may take to finish once the daemon is to stop.
const LAST_BATCH: Duration = Duration::from_secs(10);
/// Users come, leave and change their extension.
const PEOPLE: Duration = Duration::from_hours(1);
/// As [`PEOPLE`], when they could not all be read.
const PEOPLE_SOON: Duration = Duration::from_mins(5);
/// For this long agents may add to a call, and a call that is told of again is known.
const REMEMBER: Duration = Duration::from_hours(7 * 24);
/// Look-ups of callers at the same time.
const LOOKUPS: usize = 8;
/// Look-ups of a caller that came too late, before the Task is written without.
const LOOKUP_TRIES: u32 = 3;
const LOOKUP_WAIT: Duration = Duration::from_secs(10);
/// How long an entry is left alone that was refused without its reason being known.
const SUSPECT_WAIT: Duration = Duration::from_mins(5);

/// What the sender works by.
#[derive(Clone)]
pub struct Settings {
    pub config: Config,
    pub templates: Templates,
    pub agents: Vec<AgentUser>,
    pub match_user_extension: bool,
    pub resolve: Resolve,
    /// For calls whose owner has no time zone.
    pub zone: TimeZone,
}

impl Settings {
    /// # Errors
    /// When a template of the settings does not compile.
    pub fn new(
        config: Config,
        agents: Vec<AgentUser>,
        match_user_extension: bool,
        resolve: Resolve,
        zone: TimeZone,
    ) -> Result<Self, TemplateError> {
        Ok(Self { templates: Templates::new(&config)?, config, agents, match_user_extension, resolve, zone })
    }
}

/// Runs until `stop`; a batch that is on the wire then is finished first. May be run again with other settings.
pub async fn run(journal: Journal, client: Client, settings: Settings, stop: CancellationToken) {
    let mut sender = Sender::new(journal, client, settings, stop);
    loop {
        let wait = match sender.round().await {
            Ok(wait) => wait,
            Err(Trouble::Stopped | Trouble::Journal(JournalError::Stopped)) => return,
            Err(Trouble::Journal(error)) => {
                tracing::error!(%error, "the sender cannot read the journal");
                DISK_WAIT
            }
            Err(Trouble::Salesforce(error)) => sender.down(&error),
        };
        if sender.rest(wait).await.is_err() {
            return;
        }
    }
}

/// What keeps the sender from going on.
enum Trouble {
    Stopped,
    Journal(JournalError),
    Salesforce(Error),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Salesforce(error)
    }
}

struct Sender {
    journal: Journal,
    client: Client,
    settings: Settings,
    stop: CancellationToken,
    pace: Pace,
    people: Option<(People, Instant)>,
    /// The first run of this process has cleared the waits of the last one.
    resumed: bool,
    /// When the first of the entries that now wait was seen.
    company: Option<Instant>,
    /// Waits of this run are measured on a clock that nobody sets.
    anchor: (Timestamp, Instant),
}

impl Sender {
    fn new(journal: Journal, client: Client, settings: Settings, stop: CancellationToken) -> Self {
        Self {
            journal,
            client,
            settings,
            stop,
            pace: Pace::new(),
            people: None,
            resumed: false,
            company: None,
            anchor: (Timestamp::now(), Instant::now()),
        }
    }

    /// One thing at a time, the most urgent first. Says how long there is nothing to do.
    async fn round(&mut self) -> Result<Duration, Trouble> {
        self.resume().await?;
        let now = self.now();
        let ahead = self.journal.reader.ahead(now, ROWS).await?;
        if ahead.due == 0 {
            self.company = None;
        }
        let wait = self.wait(&ahead, now);
        if !ahead.unsure && !wait.is_zero() {
            return Ok(wait);
        }
        self.probe().await?;
        self.know_people().await?;
        if ahead.unsure {
            self.look_up().await?;
        } else {
            self.send(&ahead).await?;
        }
        Ok(Duration::ZERO)
    }

    async fn resume(&mut self) -> Result<(), Trouble> {
        if !self.resumed {
            self.journal.ask(Op::Resume { at: self.now() }).await?;
            self.resumed = true;
        }
        Ok(())
    }

    /// Until there is a full batch or the first of it has waited long enough.
    fn wait(&mut self, ahead: &Ahead, now: Timestamp) -> Duration {
        if ahead.due == 0 {
            let next = ahead.next.map(|next| next.duration_since(now).unsigned_abs());
            return next.unwrap_or(IDLE).min(IDLE).max(Duration::from_millis(1));
        }
        let since = self.company.get_or_insert_with(Instant::now);
        if ahead.due >= ROWS {
            return Duration::ZERO;
        }
        self.settings.config.batch_window.saturating_sub(since.elapsed())
    }

    /// After a failure, a question that changes nothing finds out whether Salesforce is back.
    async fn probe(&mut self) -> Result<(), Trouble> {
        if self.pace.troubled() {
            let nothing = ["ctibridge-probe".to_owned()];
            self.or_stop(self.client.find_tasks("CallObject", &nothing)).await??;
        }
        Ok(())
    }

    async fn know_people(&mut self) -> Result<(), Trouble> {
        if self.people.as_ref().is_some_and(|(_, until)| Instant::now() < *until) {
            return Ok(());
        }
        let asked = self.or_stop(people::ask(&self.client, &self.settings)).await?;
        match (asked, &mut self.people) {
            (Ok(people), known) => {
                let wait = if people.partial { PEOPLE_SOON } else { PEOPLE };
                *known = Some((people, Instant::now() + wait));
            }
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some((_, until))) => {
                tracing::warn!(%error, "the users of the org could not be read again");
                *until = Instant::now() + PEOPLE_SOON;
            }
        }
        let before = self.now().checked_sub(SignedDuration::try_from(REMEMBER).unwrap_or_default());
        if let Ok(before) = before {
            self.journal.ask(Op::Prune { before }).await?;
        }
        Ok(())
    }

    /// Finds out what became of entries whose answer was lost.
    async fn look_up(&mut self) -> Result<(), Trouble> {
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

    async fn send(&mut self, ahead: &Ahead) -> Result<(), Trouble> {
        let due = self.journal.reader.due(self.now(), self.pace.rows()).await?;
        let entries = self.readable(due).await?;
        if self.split(&entries).await? {
            return Ok(());
        }
        let batch = self.resolve(of_one_kind(entries)).await?;
        if ahead.due <= batch.len() {
            self.company = None;
        }
        let batch = self.put_on_wire(batch).await?;
        if batch.is_empty() {
            return Ok(());
        }
        self.write(batch).await
    }

    /// One that this version cannot read is parked, so that the others pass.
    async fn readable(&self, read: Vec<super::store::Read>) -> Result<Vec<Entry>, Trouble> {
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for one in read {
            match one {
                Ok(entry) => entries.push(*entry),
                Err(id) => unreadable.push(id),
            }
        }
        if !unreadable.is_empty() {
            let (ids, at) = (unreadable, self.now());
            let reason = Reason {
                code: "UNREADABLE".to_owned(),
                message: "written by another version of ctibridge".to_owned(),
                advice: "run the version that wrote it, or drop this entry".to_owned(),
            };
            self.journal.ask(Op::Park { ids, at, reason }).await?;
        }
        Ok(entries)
    }

    /// Where each agent has a Task, makes an entry of each. True: the entries are to be read anew.
    async fn split(&self, entries: &[Entry]) -> Result<bool, Trouble> {
        if self.settings.config.per == Per::Call {
            return Ok(false);
        }
        let mut split = false;
        for entry in entries.iter().filter(|entry| entry.agent.is_none() && !entry.tried) {
            let agents: Vec<_> =
                keys(&entry.record, Per::Agent).into_iter().filter_map(|(key, agent)| Some((key, agent?))).collect();
            if !agents.is_empty() {
                let id = entry.id;
                self.journal.ask(Op::Split { id, agents }).await?;
                split = true;
            }
        }
        Ok(split)
    }

    /// Asks again for callers of whom the call itself did not learn enough, and leaves out those still unknown for a moment.
    async fn resolve(&self, mut batch: Vec<Entry>) -> Result<Vec<Entry>, Trouble> {
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
        let mut later = Vec::new();
        for (id, answer) in answers {
            let Some(entry) = batch.iter_mut().find(|entry| entry.id == id) else {
                continue;
            };
            let complete = self.take_answer(entry, answer).await?;
            if !complete && entry.attempts < LOOKUP_TRIES {
                later.push(plan::tried(entry, plan::plus(self.now(), LOOKUP_WAIT)));
            }
        }
        batch.retain(|entry| later.iter().all(|settled| settled.id != entry.id));
        self.settle(later).await?;
        Ok(batch)
    }

    /// Whether no later look-up can know more.
    async fn take_answer(&self, entry: &mut Entry, answer: Result<Answer, Error>) -> Result<bool, Trouble> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.retry() == Retry::Never => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let complete = answer.complete;
        if let Some(json) = to_json(&answer) {
            let (id, answer) = (entry.id, json);
            self.journal.ask(Op::Answered { id, answer }).await?;
        }
        entry.answer = Some(answer);
        Ok(complete)
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

    async fn write(&mut self, batch: Vec<Entry>) -> Result<(), Trouble> {
        let rows = self.rows(&batch);
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
                tracing::info!(sf.rows = batch.len(), ms = started.elapsed().as_millis(), "batch written");
                self.answered(&batch, &rows, &outcomes).await
            }
            Err(error) => self.failed(&batch, error).await,
        }
    }

    fn rows(&self, batch: &[Entry]) -> Vec<Row> {
        let Some((people, _)) = &self.people else {
            return Vec::new();
        };
        let settings = TaskSettings {
            templates: &self.settings.templates,
            closed_status: &people.closed_status,
            external_id_field: &self.settings.config.external_id_field,
            zone: &self.settings.zone,
        };
        let build = |entry: &Entry| {
            let part = Part::from(entry);
            match &entry.task {
                Some(task) => update(task, &part, &people.owners, &settings),
                None => row(&part, &people.owners, &settings),
            }
        };
        batch.iter().map(build).collect()
    }

    /// Row by row; a row that came back without an answer has an unknown fate.
    async fn answered(&mut self, batch: &[Entry], rows: &[Row], outcomes: &[RowOutcome]) -> Result<(), Trouble> {
        let (now, upsert) = (self.now(), self.upsert());
        let mut outcomes = outcomes.iter();
        let mut settled = Vec::new();
        for (entry, row) in batch.iter().zip(rows) {
            let spread = fastrand::f64();
            let sent = Sent { entry, row, upsert, now, spread };
            settled.push(match outcomes.next() {
                Some(outcome) => {
                    self.notice(entry, outcome);
                    plan::answered(&sent, outcome)
                }
                None => plan::lost(entry, upsert),
            });
        }
        self.up();
        self.settle(settled).await
    }

    fn notice(&mut self, entry: &Entry, outcome: &RowOutcome) {
        let Err(error) = outcome else {
            return;
        };
        tracing::warn!(call.key = %entry.key, code = %error.code, "Salesforce refused a Task");
        if error.code == "INACTIVE_OWNER_OR_USER"
            && let Some((_, until)) = &mut self.people
        {
            *until = Instant::now();
        }
    }

    async fn failed(&mut self, batch: &[Entry], error: Error) -> Result<(), Trouble> {
        let upsert = self.upsert();
        let settled = if error.fate_unknown() {
            batch.iter().map(|entry| plan::lost(entry, upsert)).collect()
        } else if error.retry() == Retry::Never {
            self.refused(batch, &error)
        } else {
            batch.iter().map(|entry| plan::not_written(entry, None)).collect()
        };
        self.settle(settled).await?;
        Err(error.into())
    }

    /// The whole request was refused: one row may be the cause, or the login is, and only rows that went through can tell.
    fn refused(&mut self, batch: &[Entry], error: &Error) -> Vec<Settlement> {
        let [entry] = batch else {
            self.pace.refused(batch.len());
            return batch.iter().map(|entry| plan::not_written(entry, None)).collect();
        };
        let now = self.now();
        if !self.pace.is_culprit(entry.id, entry.attempts) {
            return vec![plan::tried(entry, plan::plus(now, SUSPECT_WAIT))];
        }
        let reason = Reason {
            code: "REQUEST_REFUSED".to_owned(),
            message: error.to_string(),
            advice: "see what Salesforce says, correct it there or in [log], then retry; or drop this entry".to_owned(),
        };
        vec![plan::parked(entry, now, reason)]
    }

    async fn settle(&self, settled: Vec<Settlement>) -> Result<(), Trouble> {
        if !settled.is_empty() {
            self.journal.ask(Op::Settle(settled)).await?;
        }
        Ok(())
    }

    fn upsert(&self) -> bool {
        !self.settings.config.external_id_field.is_empty()
    }

    fn up(&mut self) {
        self.pace.written();
        let before =
            self.journal.sender.send_replace(SenderHealth { state: SenderState::Up, ..SenderHealth::default() });
        if before.state == SenderState::Down {
            tracing::info!("Salesforce takes Tasks again");
        }
    }

    /// How long to leave Salesforce alone.
    fn down(&mut self, error: &Error) -> Duration {
        let wait = self.pace.failed(error.retry());
        let before = self.journal.sender_health();
        if before.state != SenderState::Down {
            tracing::warn!(%error, "Salesforce does not take Tasks; they wait on disk");
        }
        self.journal.sender.send_replace(SenderHealth {
            state: SenderState::Down,
            last_error: Some(error.to_string()),
            waiting_since: before.waiting_since.or_else(|| Some(Timestamp::now())),
        });
        wait
    }

    fn now(&self) -> Timestamp {
        let (began, instant) = self.anchor;
        plan::plus(began, instant.elapsed())
    }

    async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Trouble::Stopped),
            done = work => Ok(done),
        }
    }

    /// As [`or_stop`](Self::or_stop), with time to finish.
    async fn last<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        let time_is_up = async {
            self.stop.cancelled().await;
            tokio::time::sleep(LAST_BATCH).await;
        };
        tokio::select! {
            done = work => Ok(done),
            () = time_is_up => Err(Trouble::Stopped),
        }
    }

    /// Until the time has passed or, when Salesforce is well, there is something new on disk.
    async fn rest(&self, wait: Duration) -> Result<(), Trouble> {
        let news = async {
            if self.pace.troubled() {
                std::future::pending::<()>().await;
            }
            self.journal.seen.news.notified().await;
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Trouble::Stopped),
            () = tokio::time::sleep(wait) => Ok(()),
            () = news => Ok(()),
        }
    }
}

/// Updates and new Tasks are different requests: those like the first now, the others next.
fn of_one_kind(mut entries: Vec<Entry>) -> Vec<Entry> {
    let is_update = entries.first().is_some_and(|entry| entry.task.is_some());
    entries.retain(|entry: &Entry| entry.task.is_some() == is_update);
    entries
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
