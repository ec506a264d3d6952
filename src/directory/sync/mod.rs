//! Keeps the index as the org is: loads it once, then asks in intervals what was touched.
//!
//! One task, off the path of the pops, which does one thing at a time: a poll when it is due, else a step of a load, else a check.
//! What it has reached is saved with the index, so that a restart goes on there.

mod changes;
mod checks;
mod fields;
mod follow;
mod loads;
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

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::pass::Pass;
use self::poll::Recent;
use self::source::Source;
use self::state::{Stage, State};
use self::status::Board;
use super::config::Config;
use super::index::Index;
use super::row::Change;
use crate::backoff::Backoff;
use crate::salesforce::{Client, Error, RecordId, Retry};
pub use status::{Phase, Status};
pub use store::Stored;

/// How often the fields are asked for again, and how often while something cannot be read.
const FIELDS: Duration = Duration::from_hours(24);
const FIELDS_MISSED: Duration = Duration::from_hours(1);
/// How long to wait when the org has no calls left for this, and when somebody has to mend something.
const NO_CALLS: Duration = Duration::from_mins(10);
const UNTIL_MENDED: Duration = Duration::from_mins(5);
/// The first wait and the longest one when Salesforce does not answer.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
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
        let stretch = self.client.allowance().stretch().ok_or(Error::Spared)?;
        self.know_the_org().await?;
        self.hear_wishes().await;
        let missed = !self.board.get().unreadable.is_empty();
        if self.learned.is_none_or(|at| at.elapsed() >= if missed { FIELDS_MISSED } else { FIELDS }) {
            self.learn().await?;
        }
        if self.sources.is_empty() {
            return Err(Error::Lacking(
                "no object with phone fields can be read: see what is said of each, and `directory.objects`",
            ));
        }
        self.show_readings();
        let refresh = self.config.refresh * stretch;
        if self.follows_any() && self.polled.is_none_or(|at| at.elapsed() >= refresh) {
            self.poll().await?;
            self.polled = Some(Instant::now());
            self.save_if(false).await;
        }
        if let Some(pass) = self.passes.pop_front() {
            let wait = self.advance(pass).await;
            self.show_readings();
            return wait;
        }
        self.check().await?;
        let rest = self.polled.map_or(Duration::ZERO, |at| refresh.saturating_sub(at.elapsed()));
        Ok(match self.passes.is_empty() {
            true if self.follows_any() => rest,
            true => IDLE,
            false => Duration::ZERO,
        })
    }

    fn show_readings(&self) {
        self.board.change(|status| status.readings = self.passes.len());
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
            (self.polled, self.learned) = (None, None);
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

    /// Of a large index they take their time.
    async fn ids(&self, object: &str) -> Vec<RecordId> {
        let (index, object) = (self.index.clone(), object.to_owned());
        tokio::task::spawn_blocking(move || index.ids(&object)).await.unwrap_or_default()
    }

    async fn save_if(&mut self, at_once: bool) {
        if self.changed && (at_once || self.shelf.is_time(&self.state.objects)) {
            self.changed = false;
            self.shelf.save(&self.index, &self.state).await;
        }
    }
}
