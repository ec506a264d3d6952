//! Takes finished calls from the disk to Salesforce, so that each becomes exactly one Task.
//!
//! An entry is on the wire on disk before it is on the wire. When its answer is lost it is looked up before it is sent again;
//! only an update is simply repeated.

mod batch;
mod lookups;
mod related;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Journal;
use super::config::Config;
use super::entry::{Entry, EntryId, Reason};
use super::error::JournalError;
use super::health::{SenderHealth, SenderState};
use super::op::{Op, Settlement};
use super::owner::AgentUser;
use super::pace::{Pace, ROWS};
use super::people::{self, People};
use super::plan;
use super::store::Ahead;
use super::template::{TemplateError, Templates};
use crate::directory::answer::Answer;
use crate::phone::PhoneNumber;
use crate::salesforce::{Allowance, Client, Error, Retry, RowError, Soql};

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
/// Between two times that what is long done is forgotten.
const PRUNE: Duration = Duration::from_mins(5);

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
        let rested = match sender.round().await {
            Ok(wait) => sender.rest(wait).await,
            Err(Trouble::Stopped | Trouble::Journal(JournalError::Stopped)) => return,
            Err(Trouble::Journal(error)) => {
                tracing::error!(%error, "the sender cannot read the journal");
                sender.keep_off(DISK_WAIT).await
            }
            Err(Trouble::Salesforce(error)) => {
                let wait = sender.down(error.retry(), sender.in_words(&error));
                sender.keep_off(wait).await
            }
            Err(Trouble::Org(error)) => {
                let wait = sender.down(error.retry(), error.to_string());
                sender.keep_off(wait).await
            }
        };
        if rested.is_err() {
            return;
        }
    }
}

/// What keeps the sender from going on.
enum Trouble {
    Stopped,
    Journal(JournalError),
    Salesforce(Error),
    /// All rows were refused for a reason that is the org's: maintenance, storage, quota.
    Org(RowError),
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
    /// When the people were asked for before there was a Task to be written.
    met: Option<Instant>,
    /// When they were last asked for because something spoke against them.
    doubted: Option<Instant>,
    /// What an operator has been told already, and need not be told with each call.
    told: BTreeSet<String>,
    /// Entries on the wire that this run has sent by upsert, and whose answer was lost.
    upserted: BTreeSet<EntryId>,
    /// The first run of this process has cleared the waits of the last one.
    resumed: bool,
    /// When the first of the entries that now wait was seen.
    company: Option<Instant>,
    /// The next batch does not wait for company.
    hurry: bool,
    /// When what is long done was last forgotten.
    pruned: Option<Instant>,
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
            met: None,
            doubted: None,
            told: BTreeSet::new(),
            upserted: BTreeSet::new(),
            resumed: false,
            company: None,
            hurry: false,
            pruned: None,
            anchor: (Timestamp::now(), Instant::now()),
        }
    }

    /// One thing at a time, the most urgent first. Says how long there is nothing to do.
    async fn round(&mut self) -> Result<Duration, Trouble> {
        self.resume().await?;
        self.prune().await?;
        let now = self.now();
        let ahead = self.journal.reader.ahead(now, ROWS).await?;
        if ahead.due == 0 {
            self.company = None;
        }
        if ahead.due == 0 && !ahead.unsure && ahead.next.is_none() {
            self.nothing_waits();
        }
        let wait = self.wait(&ahead, now);
        if !ahead.unsure && !wait.is_zero() {
            self.meet_people().await?;
            return Ok(wait);
        }
        if ahead.unsure {
            self.look_up().await?;
            return Ok(Duration::ZERO);
        }
        self.probe().await?;
        self.know_people().await?;
        self.send(&ahead).await?;
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
        if ahead.due >= ROWS || std::mem::take(&mut self.hurry) {
            return Duration::ZERO;
        }
        self.settings.config.batch_window.saturating_sub(since.elapsed())
    }

    /// After a failure, a question that changes nothing finds out whether Salesforce is back.
    async fn probe(&mut self) -> Result<(), Trouble> {
        if !self.pace.troubled() {
            return Ok(());
        }
        let own = Soql::select("Organization", &["Id"]).map_err(Error::from)?.limit(1);
        match self.or_stop(self.client.query(&own)).await? {
            Err(error) if error.retry() != Retry::Never => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Once at the start, since pops and routing want to know the users before the first call is over.
    async fn meet_people(&mut self) -> Result<(), Trouble> {
        let tried = self.met.is_some_and(|at| at.elapsed() < IDLE);
        if self.people.is_some() || tried || self.pace.troubled() {
            return Ok(());
        }
        self.met = Some(Instant::now());
        match self.know_people().await {
            Err(Trouble::Salesforce(error)) => tracing::debug!(%error, "the users of the org are not known yet"),
            other => other?,
        }
        Ok(())
    }

    async fn know_people(&mut self) -> Result<(), Trouble> {
        let is_known = self.people.as_ref().is_some_and(|(_, until)| Instant::now() < *until);
        if is_known || (self.people.is_some() && self.tasks_only()) {
            return Ok(());
        }
        let asked = self.or_stop(people::ask(&self.client, &self.settings)).await?;
        match (asked, &mut self.people) {
            (Ok(people), known) => {
                let wait = if people.partial { PEOPLE_SOON } else { PEOPLE };
                self.journal.owners.send_replace(Arc::new(people.owners.clone()));
                let told = known.as_ref().map(|(before, _)| before.notices.clone()).unwrap_or_default();
                for notice in people.notices.difference(&told) {
                    tracing::warn!("{notice}");
                }
                *known = Some((people, Instant::now() + wait));
            }
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some((_, until))) => {
                tracing::warn!(%error, "the users of the org could not be read again");
                *until = Instant::now() + PEOPLE_SOON;
            }
        }
        Ok(())
    }

    /// The users and the fields are read again before the next batch, unless that was done a moment ago.
    fn doubt_people(&mut self) {
        if self.doubted.is_some_and(|at| at.elapsed() < PEOPLE_SOON) {
            return;
        }
        self.doubted = Some(Instant::now());
        if let Some((_, until)) = &mut self.people {
            *until = Instant::now();
        }
    }

    /// The org's API calls are nearly used up: what is left is for the Tasks.
    fn tasks_only(&self) -> bool {
        self.client.allowance() >= Allowance::TasksOnly
    }

    async fn prune(&mut self) -> Result<(), Trouble> {
        if self.pruned.is_some_and(|at| at.elapsed() < PRUNE) {
            return Ok(());
        }
        self.pruned = Some(Instant::now());
        let age = SignedDuration::try_from(self.settings.config.keep_done).unwrap_or(SignedDuration::MAX);
        if let Ok(before) = self.now().checked_sub(age) {
            self.journal.ask(Op::Prune { before }).await?;
        }
        Ok(())
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
                message: "damaged on disk, or written by another version of ctibridge".to_owned(),
                advice: "run the version that wrote it, restore the file from a backup, or drop this entry".to_owned(),
            };
            self.journal.ask(Op::Park { ids, at, reason }).await?;
        }
        Ok(entries)
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
        self.healthy(SenderState::Up, "Salesforce takes Tasks again");
    }

    /// Also without a batch that was written: what was lost has been found, or was dropped.
    fn nothing_waits(&self) {
        if self.journal.sender_health().state == SenderState::Down {
            self.healthy(SenderState::Idle, "nothing waits for Salesforce any more");
        }
    }

    fn healthy(&self, state: SenderState, news: &str) {
        let before = self.journal.sender.send_replace(SenderHealth { state, ..SenderHealth::default() });
        if before.state == SenderState::Down {
            tracing::info!("{news}");
        }
    }

    /// How long to leave Salesforce alone.
    fn down(&mut self, retry: Retry, reason: String) -> Duration {
        let wait = self.pace.failed(retry);
        let before = self.journal.sender_health();
        if before.state != SenderState::Down {
            tracing::warn!(reason, "Salesforce does not take Tasks; they wait on disk");
        }
        self.journal.sender.send_replace(SenderHealth {
            state: SenderState::Down,
            last_error: Some(reason),
            waiting_since: before.waiting_since.or_else(|| Some(Timestamp::now())),
        });
        wait
    }

    /// An upsert by a field that is not there is refused as a whole.
    fn in_words(&self, error: &Error) -> String {
        match error.code() {
            Some("NOT_FOUND" | "INVALID_FIELD") if self.upsert() => {
                let field = &self.settings.config.external_id_field;
                format!(
                    "{error}; is log.external_id_field ({field}) an external id on Activity that the user may read and edit?"
                )
            }
            Some(_) | None => error.to_string(),
        }
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

    /// Until the time has passed or there is something new on disk.
    async fn rest(&self, wait: Duration) -> Result<(), Trouble> {
        let news = self.journal.seen.news.notified();
        self.or_stop(async {
            // Either is a reason to look again.
            let _ = tokio::time::timeout(wait, news).await;
        })
        .await
    }

    /// Until the time has passed, whatever comes in: after a failure.
    async fn keep_off(&self, wait: Duration) -> Result<(), Trouble> {
        self.or_stop(tokio::time::sleep(wait)).await
    }
}
