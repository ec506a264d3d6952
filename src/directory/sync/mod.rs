//! Keeps the index as the org is: loads it once, then asks in intervals what was touched.
//!
//! One task, off the path of the pops, which does one thing at a time: a poll when it is due, else a step of a load, else a check.
//! What it has reached is saved with the index, so that a restart goes on there.

mod fields;
mod follow;
mod night;
mod pass;
mod poll;
mod source;
mod state;
mod status;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use jiff::{Timestamp, Zoned};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::fields::Learned;
use self::follow::Follow;
use self::pass::{Pass, Step, Why};
use self::poll::{Ask, Recent};
use self::source::Source;
use self::state::{ObjectState, Stage, State};
use self::status::Board;
use super::config::Config;
use super::index::Index;
use super::row::Change;
use crate::backoff::Backoff;
use crate::salesforce::{Client, Error, MAX_QUERIES, RecordId, Retry, Soql};
pub use status::{Phase, Status};
pub use store::Stored;

/// How often the fields are asked for again, and how soon at the earliest when one of them is refused.
const FIELDS: Duration = Duration::from_hours(24);
const FIELDS_SOON: Duration = Duration::from_mins(10);
/// How long to wait when the org has no calls left for this, or somebody has to mend something.
const NO_CALLS: Duration = Duration::from_mins(10);
const UNTIL_MENDED: Duration = Duration::from_mins(5);
/// The first wait and the longest one when Salesforce does not answer.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How often progress is logged.
const PROGRESS: Duration = Duration::from_secs(30);
/// Deleted rows can be asked for at least this long; what slept longer compares.
const RECYCLE_BIN: Duration = Duration::from_hours(14 * 24);
/// How long the checks of a night wait when there is nothing to do.
const IDLE: Duration = Duration::from_mins(1);

/// Brings the index up to date; see [`Sync::run`].
pub struct Sync {
    client: Client,
    config: Config,
    index: Index,
    state: State,
    shelf: store::Shelf,
    sources: BTreeMap<String, Source>,
    recent: BTreeMap<String, Recent>,
    passes: VecDeque<Pass>,
    /// When the fields were asked for, and when changes were.
    learned: Option<Instant>,
    polled: Option<Instant>,
    /// The object that the next poll begins with, where there are more than one call asks for.
    turn: usize,
    org_is_sure: bool,
    /// Something is to be saved.
    changed: bool,
    board: Board,
    wishes: Arc<Wishes>,
    backoff: Backoff,
    told_progress: Option<Instant>,
    /// Rows of the first loads that are done.
    loaded_before: u64,
}

/// Looks at a [`Sync`] that runs, and asks it to hurry.
#[derive(Clone)]
pub struct SyncHandle {
    board: Board,
    wishes: Arc<Wishes>,
}

#[derive(Default)]
struct Wishes {
    wish: AtomicU8,
    woken: Notify,
}

/// What somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To ask for changes now.
    Changes,
    /// To compare all rows now.
    Comparison,
}

impl SyncHandle {
    #[must_use]
    pub fn status(&self) -> Status {
        self.board.get()
    }

    /// Asks for it; it is done soon.
    pub fn wish(&self, wish: Wish) {
        let bit = match wish {
            Wish::Changes => 1,
            Wish::Comparison => 2,
        };
        self.wishes.wish.fetch_or(bit, Ordering::Relaxed);
        self.wishes.woken.notify_one();
    }
}

impl Sync {
    #[must_use]
    pub fn new(client: Client, config: Config, stored: Stored) -> Self {
        let board = Board::default();
        board.change(|status| status.synced_at = stored.state.synced_at);
        Self {
            client,
            config,
            index: stored.index,
            state: stored.state,
            shelf: stored.shelf,
            sources: BTreeMap::new(),
            recent: BTreeMap::new(),
            passes: VecDeque::new(),
            learned: None,
            polled: None,
            turn: 0,
            org_is_sure: false,
            changed: false,
            board,
            wishes: Arc::default(),
            backoff: Backoff::new(AGAIN.0, AGAIN.1),
            told_progress: None,
            loaded_before: 0,
        }
    }

    #[must_use]
    pub fn handle(&self) -> SyncHandle {
        SyncHandle { board: self.board.clone(), wishes: Arc::clone(&self.wishes) }
    }

    /// Goes on until it is told to stop; then saves what it has.
    pub async fn run(mut self, stop: CancellationToken) {
        let endless = async {
            loop {
                let wait = self.go_on().await;
                let woken = tokio::time::timeout(wait, self.wishes.woken.notified()).await;
                drop(woken);
            }
        };
        stop.run_until_cancelled(endless).await;
        self.save_if(true).await;
    }

    /// Goes on until the index is as the org was at some moment from now on, and saves it. `told` is called with each step.
    ///
    /// # Errors
    /// When Salesforce does not answer, or refuses.
    pub async fn bring_up_to_date(&mut self, compare: bool, told: impl Fn(&Status)) -> Result<(), Error> {
        let began = Timestamp::now();
        self.handle().wish(if compare { Wish::Comparison } else { Wish::Changes });
        loop {
            let wait = self.step().await?;
            let status = self.board.get();
            told(&status);
            if self.passes.is_empty() && status.synced_at.is_some_and(|at| at >= began) {
                self.save_if(true).await;
                return Ok(());
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One step; gives how long to wait before the next one.
    async fn go_on(&mut self) -> Duration {
        match self.step().await {
            Ok(wait) => {
                self.backoff.reset();
                if self.board.get().trouble.is_some() {
                    tracing::info!("the directory goes on");
                    self.board.change(|status| status.trouble = None);
                }
                wait
            }
            Err(error) => self.wait_after(&error),
        }
    }

    fn wait_after(&mut self, error: &Error) -> Duration {
        let trouble = error.to_string();
        if self.board.get().trouble.as_ref() != Some(&trouble) {
            tracing::warn!(%error, "the directory is not brought up to date");
            self.board.change(|status| status.trouble = Some(trouble));
        }
        match error.retry() {
            Retry::Soon => self.backoff.next_wait(),
            Retry::After(wait) => wait,
            Retry::Quota => NO_CALLS,
            Retry::Never | Retry::WhenMended => UNTIL_MENDED,
        }
    }

    async fn step(&mut self) -> Result<Duration, Error> {
        let Some(stretch) = self.client.allowance().stretch() else { return Ok(NO_CALLS) };
        self.know_the_org().await?;
        if self.learned.is_none_or(|at| at.elapsed() >= FIELDS) {
            self.learn().await?;
        }
        self.hear_wishes().await;
        let refresh = self.config.refresh * stretch;
        if self.follows_any() && self.polled.is_none_or(|at| at.elapsed() >= refresh) {
            self.poll().await?;
            self.polled = Some(Instant::now());
            self.save_if(false).await;
        }
        if let Some(pass) = self.passes.pop_front() {
            return self.advance(pass).await;
        }
        self.check().await?;
        let rest = self.polled.map_or(Duration::ZERO, |at| refresh.saturating_sub(at.elapsed()));
        Ok(match self.passes.is_empty() {
            true if self.follows_any() => rest,
            true => IDLE,
            false => Duration::ZERO,
        })
    }

    fn follows_any(&self) -> bool {
        self.followed().next().is_some()
    }

    /// Objects whose changes are followed.
    fn followed(&self) -> impl Iterator<Item = &String> {
        let state = &self.state.objects;
        self.sources.keys().filter(|object| state.get(*object).is_some_and(|state| state.stage == Stage::Following))
    }

    async fn hear_wishes(&mut self) {
        let wish = self.wishes.wish.swap(0, Ordering::Relaxed);
        if wish != 0 {
            self.polled = None;
        }
        if wish & 2 != 0 {
            self.compare_all().await;
        }
    }

    /// The index of another org is of no use.
    async fn know_the_org(&mut self) -> Result<(), Error> {
        if self.org_is_sure {
            return Ok(());
        }
        let org = self.client.organization().await?;
        if self.state.org.as_ref().is_some_and(|known| *known != org) {
            tracing::warn!("the settings lead to another org now; the index is loaded anew");
            self.index.clear();
            self.state = State::new(&self.state.endpoint);
            self.board.change(|status| *status = Status::default());
        }
        self.state.org = Some(org);
        self.org_is_sure = true;
        let asleep = self.state.polled_at.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok());
        if asleep.is_some_and(|asleep| asleep > RECYCLE_BIN) {
            self.compare_all().await;
        }
        Ok(())
    }

    /// Asks for the fields, and sees to what that changes.
    async fn learn(&mut self) -> Result<(), Error> {
        let Learned { sources, unreadable } = fields::learn(&self.client, &self.config).await?;
        self.learned = Some(Instant::now());
        for (object, why) in &unreadable {
            if !self.board.get().unreadable.contains(&(object.clone(), why.clone())) {
                tracing::warn!(object, why, "an object cannot be read; the others are");
            }
        }
        self.board.change(|status| status.unreadable = unreadable);
        self.sources = sources.into_iter().map(|source| (source.object().to_owned(), source)).collect();
        self.forget_unreadable().await;
        for source in self.sources.clone().into_values() {
            self.plan(&source).await;
        }
        self.show_progress();
        Ok(())
    }

    /// What is to be done with an object before its changes can be followed.
    async fn plan(&mut self, source: &Source) {
        let object = source.object();
        let state = self.state.objects.entry(object.to_owned());
        let state = state.or_insert_with(|| ObjectState::new(source.fingerprint()));
        let is_same = state.fingerprint == source.fingerprint();
        let is_planned = self.passes.iter().any(|pass| pass.object == *object);
        if is_same && (is_planned || state.stage == Stage::Following) {
            return;
        }
        let pass = match &state.stage {
            Stage::Following => {
                tracing::info!(object, "other fields are read now; it is read anew");
                let known = self.ids(object).await;
                Pass::new(object, Why::Fields, None, &known)
            }
            Stage::Loading(load) if is_same => Pass::new(object, Why::First, Some(load.clone()), &[]),
            Stage::Waiting | Stage::Loading(_) => {
                state.fingerprint = source.fingerprint();
                state.stage = Stage::Waiting;
                Pass::new(object, Why::First, None, &[])
            }
        };
        self.passes.retain(|pass| pass.object != *object);
        self.passes.push_back(pass);
    }

    /// What the bridge's user may not see any more is shown to nobody.
    async fn forget_unreadable(&mut self) {
        let gone: Vec<String> =
            self.state.objects.keys().filter(|object| !self.sources.contains_key(*object)).cloned().collect();
        for object in gone {
            let rows = self.ids(&object).await.into_iter().map(Change::Gone).collect();
            self.take_in(rows).await;
            self.state.objects.remove(&object);
            self.passes.retain(|pass| pass.object != object);
            self.recent.remove(&object);
        }
    }

    async fn poll(&mut self) -> Result<(), Error> {
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

    /// The index reads many numbers at once, which takes its time.
    async fn take_in(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.changed = true;
        let index = self.index.clone();
        if tokio::task::spawn_blocking(move || index.apply(changes)).await.is_err() {
            tracing::error!("the index could not take changes in");
        }
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

    /// A step of a reading, which comes to the front again until it is done.
    async fn advance(&mut self, mut pass: Pass) -> Result<Duration, Error> {
        let Some(source) = self.sources.get(&pass.object).cloned() else { return Ok(Duration::ZERO) };
        let step = match pass.step(&self.client, &source, self.config.bulk_above).await {
            Ok(step) => step,
            Err(error) => return self.pass_failed(pass, error),
        };
        let (changes, wait) = match step {
            Step::More(changes) => (changes, Some(Duration::ZERO)),
            Step::Wait(wait) => (Vec::new(), Some(wait)),
            Step::Done(changes) => (changes, None),
        };
        self.take_in(changes).await;
        let Some(wait) = wait else {
            self.finish(pass, &source).await;
            return Ok(Duration::ZERO);
        };
        self.keep_load(&pass);
        if pass.is_fresh() {
            // All are counted before one is read, so that it is known how much there is.
            self.passes.push_back(pass);
        } else {
            self.passes.push_front(pass);
        }
        self.show_progress();
        self.save_if(false).await;
        Ok(wait)
    }

    fn pass_failed(&mut self, pass: Pass, error: Error) -> Result<Duration, Error> {
        if fields::is_about_the_object(&error) {
            tracing::warn!(object = pass.object, %error, "cannot be read; the others are");
            self.board.change(|status| status.unreadable.push((pass.object.clone(), error.to_string())));
            self.sources.remove(&pass.object);
            return Ok(Duration::ZERO);
        }
        self.passes.push_front(pass);
        Err(error)
    }

    fn keep_load(&mut self, pass: &Pass) {
        if pass.why == Why::First
            && let (Some(state), Some(load)) = (self.state.objects.get_mut(&pass.object), &pass.load)
        {
            state.stage = Stage::Loading(load.clone());
            self.changed = true;
        }
    }

    async fn finish(&mut self, pass: Pass, source: &Source) {
        let missing = pass.missing();
        tracing::debug!(object = pass.object, rows = pass.loaded(), missing = missing.len(), why = ?pass.why, "was read as a whole");
        if pass.why == Why::Comparison && !missing.is_empty() {
            tracing::info!(
                object = pass.object,
                rows = missing.len(),
                "the comparison took rows out that the org has no more"
            );
        }
        self.take_in(missing).await;
        let held = self.ids(&pass.object).await.len();
        let (Some(state), Some(load)) = (self.state.objects.get_mut(&pass.object), pass.load) else { return };
        let now = Timestamp::now();
        if pass.why == Why::First {
            self.loaded_before += load.loaded;
            state.follow = Follow::from(load.since);
        } else {
            // What was read may be older than what its changes told meanwhile.
            state.follow.rewind(load.since);
        }
        state.stage = Stage::Following;
        state.fingerprint = source.fingerprint();
        (state.counted_at, state.compared_at) = (Some(now), Some(now));
        state.surplus = difference(load.loaded, held);
        self.recent.entry(pass.object).or_default().forget();
        (self.changed, self.polled) = (true, None);
        self.show_progress();
        self.save_if(false).await;
    }

    /// Counts and comparisons of the night.
    async fn check(&mut self) -> Result<(), Error> {
        let now = Zoned::now();
        let org = self.state.org.as_ref().map(ToString::to_string).unwrap_or_default();
        let (mut to_count, mut to_compare) = (Vec::new(), Vec::new());
        for (object, state) in &self.state.objects {
            let Some(source) = self.sources.get(object).filter(|source| !source.is_names_only()) else { continue };
            let seed = night::seed(&org, object);
            let is_due = |last: Option<Timestamp>, due: fn(Timestamp, &Zoned, u64) -> bool| {
                last.is_none_or(|at| due(at, &now, seed))
            };
            if is_due(state.compared_at, night::comparison_is_due) {
                to_compare.push(object.clone());
            } else if is_due(state.counted_at, night::count_is_due) {
                to_count.push((object.clone(), source.count()?));
            }
        }
        for object in to_compare {
            self.compare(&object).await;
        }
        for some in to_count.chunks(MAX_QUERIES) {
            self.count(some).await?;
        }
        Ok(())
    }

    async fn count(&mut self, asked: &[(String, Soql)]) -> Result<(), Error> {
        let queries: Vec<Soql> = asked.iter().map(|(_, query)| query.clone()).collect();
        let answers = self.client.query_together(&queries).await?;
        for ((object, _), count) in asked.iter().zip(answers.pages) {
            let held = self.ids(object).await.len();
            let Some(state) = self.state.objects.get_mut(object) else { continue };
            state.counted_at = Some(Timestamp::now());
            self.changed = true;
            match count {
                Ok(count) if difference(count.total, held) != state.surplus => {
                    tracing::info!(object, org = count.total, index = held, "the counts differ; all rows are compared");
                    self.compare(object).await;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(object, %error, "cannot be counted"),
            }
        }
        Ok(())
    }

    async fn compare_all(&mut self) {
        let state = &self.state.objects;
        let objects =
            state.keys().filter(|object| state.get(*object).is_some_and(|state| state.stage == Stage::Following));
        let waiting = |object: &String| self.passes.iter().any(|pass| pass.object == *object);
        let objects: Vec<String> = objects.filter(|object| !waiting(object)).cloned().collect();
        for object in objects {
            self.compare(&object).await;
        }
    }

    async fn compare(&mut self, object: &str) {
        let known = self.ids(object).await;
        self.passes.push_back(Pass::new(object, Why::Comparison, None, &known));
    }

    /// Of a large index they take their time.
    async fn ids(&self, object: &str) -> Vec<RecordId> {
        let (index, object) = (self.index.clone(), object.to_owned());
        tokio::task::spawn_blocking(move || index.ids(&object)).await.unwrap_or_default()
    }

    fn show_progress(&mut self) {
        let loads = self.passes.iter().filter(|pass| pass.why == Why::First);
        let Some((loaded, of)) = loads
            .map(|pass| {
                let expected = pass.load.as_ref().and_then(|load| load.of).unwrap_or_default();
                (pass.loaded(), expected.max(pass.loaded()))
            })
            .reduce(|sum, next| (sum.0 + next.0, sum.1 + next.1))
        else {
            return;
        };
        let (loaded, of) = (self.loaded_before + loaded, self.loaded_before + of);
        self.board.change(|status| (status.phase, status.loaded, status.of) = (Phase::Loading, loaded, of));
        if of > 0 && self.told_progress.is_none_or(|at| at.elapsed() >= PROGRESS) {
            self.told_progress = Some(Instant::now());
            tracing::info!(loaded, of, "loading the directory");
        }
    }

    async fn save_if(&mut self, at_once: bool) {
        if self.changed && (at_once || self.shelf.is_time(&self.state.objects)) {
            self.changed = false;
            self.shelf.save(&self.index, &self.state).await;
        }
    }
}

/// How many more the org has.
fn difference(org: u64, index: usize) -> i64 {
    i64::try_from(org).unwrap_or(i64::MAX) - i64::try_from(index).unwrap_or(i64::MAX)
}
