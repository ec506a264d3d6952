//! The pump: feeds' messages and the time go into the tracker, its steps go to the journal and to the screens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::policy::Policy;
use super::screens::{Act, Answered, Screens};
use super::spoken;
use crate::calls::feed::{FeedMessage, Scope};
use crate::calls::step::Step;
use crate::calls::tracker::Tracker;
use crate::directory::Directory;
use crate::journal::Journal;
use crate::metrics::{FeedState, Metrics};

/// The pump's clock ticks at least this often, so that the watchdog is fed.
const TICK: Duration = Duration::from_secs(1);
/// Messages that are taken in one go before the other sources have their turn.
const BURST: usize = 256;

/// A message of the feed of this name.
pub type Told = (Arc<str>, FeedMessage);

pub struct Pump {
    pub tracker: Tracker,
    pub journal: Journal,
    pub directory: Directory,
    pub screens: Screens,
    pub board: Board,
    pub metrics: Metrics,
    pub policy: watch::Receiver<Arc<Policy>>,
    pub messages: mpsc::Receiver<Told>,
    pub answers: mpsc::Receiver<Answered>,
}

impl Pump {
    /// Runs until `stop`, then takes what the feeds have said until then.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticked = Instant::now();
        loop {
            let due = self.tracker.poll_timeout().min(ticked + TICK);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(answered) = self.answers.recv() => {
                    let policy = self.policy();
                    self.screens.answered(answered, &policy);
                }
                Some(told) = self.messages.recv() => self.take(told).await,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            // However many messages wait: time goes on.
            if due <= Instant::now() {
                self.tick().await;
                ticked = Instant::now();
            }
        }
        while let Ok((feed, message)) = self.messages.try_recv() {
            self.handle(&feed, message).await;
        }
        for call in self.tracker.open_calls() {
            if self.policy().keeps(&call) {
                self.journal.keep(call).await;
            }
        }
        self.journal.flush().await;
    }

    async fn take(&mut self, first: Told) {
        let mut next = Some(first);
        for _ in 0..BURST {
            let Some((feed, message)) = next else { return };
            self.handle(&feed, message).await;
            next = self.messages.try_recv().ok();
        }
        if let Some((feed, message)) = next {
            self.handle(&feed, message).await;
        }
    }

    async fn handle(&mut self, feed: &str, message: FeedMessage) {
        match &message {
            FeedMessage::Up(_) => self.metrics.feed(feed, FeedState::Up),
            FeedMessage::Lost { scope: Scope::Feed, .. } => self.metrics.feed(feed, FeedState::Lost),
            FeedMessage::Lost { scope: Scope::Extension(_), .. } | FeedMessage::Call(_) => {}
        }
        let steps = self.tracker.handle(feed, message, Instant::now());
        self.perform(steps).await;
    }

    async fn tick(&mut self) {
        let steps = self.tracker.handle_timeout(Instant::now());
        self.perform(steps).await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }

    /// Carries out steps, in order.
    pub async fn perform(&mut self, steps: Vec<Step>) {
        if steps.is_empty() {
            return;
        }
        let policy = self.policy();
        for step in steps {
            self.step(step, &policy).await;
        }
        self.metrics.calls_open(self.board.open());
    }

    async fn step(&mut self, step: Step, policy: &Policy) {
        match step {
            Step::Keep(call) => {
                if policy.shows(&call) {
                    self.screens.call(&call, policy);
                }
                self.board.keep(call.clone());
                if policy.keeps(&call) {
                    self.journal.keep(call).await;
                }
            }
            Step::Pop { call, extension, state } => {
                self.keep_first().await;
                let key = call.key.clone();
                self.screens.act(&key, Act::Pop(call, extension, state), policy);
            }
            Step::Update { call, extension, state } => {
                self.keep_first().await;
                let key = call.key.clone();
                self.screens.act(&key, Act::Update(call, extension, state), policy);
            }
            Step::Withdraw { call, extension, reason } => {
                self.screens.act(&call, Act::Withdraw(extension, reason), policy);
            }
            Step::Ended(record) => {
                let answer = self.screens.ended(&record.call);
                spoken::ended(&self.directory, &record, answer.as_ref());
                self.metrics.call_ended(record.disposition.as_str());
                self.board.ended(record.clone());
                if policy.logs(&record) {
                    self.journal.ended(record, answer).await;
                } else {
                    self.journal.forget(record.call.key).await;
                }
            }
            Step::Forget { call, .. } => {
                self.screens.forget(&call);
                self.board.forget(&call);
                self.journal.forget(call).await;
            }
        }
    }

    /// No screen shows a call that a kill of this process would forget.
    async fn keep_first(&self) {
        if !self.journal.kept().await {
            self.metrics.pop_not_kept();
        }
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }
}
