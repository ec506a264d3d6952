//! One connection to a PBX, from its beginning to its loss: subscribe, follow, answer, take leave.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::info::BadDocument;
use super::link::{Link, LinkError};
use super::map::{Map, Mapped};
use super::server::Server;
use super::subscription::{Account, Out};
use super::watch::Watch;
use super::{Config, Limits};
use crate::calls::feed::Snapshot;
use crate::calls::record::Extension;
use crate::feeds::session::{Loss, Outlet};
use crate::feeds::sip::{Message, response};

/// Answers that are kept for requests that come again.
const ANSWERS: usize = 256;
/// With nothing else to do, this long until the next look.
const IDLE: Duration = Duration::from_secs(60);

/// What all connections of one feed share.
pub struct Feed {
    pub config: Config,
    pub extensions: BTreeSet<Extension>,
    pub limits: Limits,
    pub outlet: Outlet,
    /// Lives on from one connection to the next, so that calls do.
    pub map: Mutex<Map>,
    pub stop: CancellationToken,
    /// Leave has been taken.
    pub left: CancellationToken,
    pub is_connected: AtomicBool,
    /// It has been said that far sides are not named.
    pub told_nameless: AtomicBool,
}

impl Feed {
    pub fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lives one connection and says why it ended.
pub async fn live(feed: &Feed) -> Loss {
    match stay(feed).await {
        Ok(never) => match never {},
        Err(loss) => loss,
    }
}

async fn stay(feed: &Feed) -> Result<Infallible, Loss> {
    let server = Server::of(&feed.config).map_err(|error| Loss::new(error.to_string()))?;
    let link = Link::open(&feed.config, &server, feed.limits.connect).await.map_err(|error| lost(&error))?;
    feed.is_connected.store(true, Ordering::Relaxed);
    let mut connection = Connection::new(feed, server, link);
    let loss = connection.follow().await;
    feed.is_connected.store(false, Ordering::Relaxed);
    connection.say_lost(&loss.reason).await;
    Err(loss)
}

fn lost(error: &LinkError) -> Loss {
    Loss::new(error.to_string())
}

struct Connection<'a> {
    feed: &'a Feed,
    link: Link,
    watches: Vec<Watch>,
    /// What was answered to whom, the latest last.
    answers: VecDeque<(String, Vec<u8>)>,
    next_keep_alive: Instant,
    told: BTreeSet<(String, String)>,
    told_bad: BTreeSet<BadDocument>,
}

impl<'a> Connection<'a> {
    fn new(feed: &'a Feed, server: Server, link: Link) -> Self {
        let now = Instant::now();
        let account = Arc::new(Account {
            username: feed.config.username.clone(),
            password: feed.config.password.clone(),
            server,
            local: link.local().to_string(),
            limits: feed.limits.clone(),
        });
        let starts = (0..).map(|nth: u32| now + feed.limits.stagger * nth);
        let watches = if feed.config.list.is_empty() {
            feed.extensions
                .iter()
                .zip(starts)
                .map(|(extension, start)| Watch::extension(&account, extension, start))
                .collect()
        } else {
            let wanted = feed.config.extensions.iter().cloned().map(Extension).collect();
            vec![Watch::list(&account, &feed.config.list, wanted, now)]
        };
        Self {
            feed,
            link,
            watches,
            answers: VecDeque::new(),
            next_keep_alive: now + feed.limits.keep_alive,
            told: BTreeSet::new(),
            told_bad: BTreeSet::new(),
        }
    }

    async fn follow(&mut self) -> Loss {
        loop {
            let due = self.due();
            let done = tokio::select! {
                () = self.feed.stop.cancelled() => return self.leave().await,
                octets = self.link.next() => match octets {
                    Ok(octets) => self.take(&octets).await,
                    Err(error) => Err(lost(&error)),
                },
                () = sleep_until(due.into()) => self.tick().await,
            };
            if let Err(loss) = done {
                return loss;
            }
        }
    }

    fn due(&self) -> Instant {
        let now = Instant::now();
        let map = self.feed.map().deadline();
        let map = map.map(|at| now + Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
        let watches = self.watches.iter().filter_map(|watch| watch.subscription.deadline());
        watches.chain(map).chain([self.next_keep_alive, now + IDLE]).min().unwrap_or(now)
    }

    async fn tick(&mut self) -> Result<(), Loss> {
        let now = Instant::now();
        if self.next_keep_alive <= now {
            self.next_keep_alive = now + self.feed.limits.keep_alive;
            self.link.keep_alive().await.map_err(|error| lost(&error))?;
        }
        for index in 0..self.watches.len() {
            let Some(watch) = self.watches.get_mut(index) else { continue };
            if watch.subscription.deadline().is_some_and(|at| at <= now) {
                let out = watch.subscription.clock(now);
                self.carry_out(index, out).await?;
            }
        }
        let mapped = self.feed.map().clock(Timestamp::now());
        self.tell(mapped).await;
        Ok(())
    }

    // ---- messages

    async fn take(&mut self, octets: &[u8]) -> Result<(), Loss> {
        self.feed.outlet.status().count_frame();
        let Ok(message) = Message::read(octets) else {
            self.feed.outlet.status().count_bad();
            return Ok(());
        };
        let of = message.call_id().and_then(|id| self.watches.iter().position(|it| it.subscription.call_id() == id));
        match (message.code(), message.method(), of) {
            (Some(_), _, Some(index)) => {
                let now = Instant::now();
                let out = self.watches.get_mut(index).map(|watch| watch.subscription.response(&message, now));
                self.carry_out(index, out.unwrap_or_default()).await
            }
            (Some(_), _, None) | (None, Some("ACK") | None, _) => Ok(()),
            (None, Some("NOTIFY"), Some(index)) => self.notified(index, &message).await,
            (None, Some("NOTIFY"), None) => {
                self.feed.outlet.status().count_unknown();
                self.send(&response(&message, 481, &[])).await
            }
            (None, Some("OPTIONS"), _) => self.send(&response(&message, 200, &allow())).await,
            (None, Some(_), _) => self.send(&response(&message, 405, &allow())).await,
        }
    }

    async fn notified(&mut self, index: usize, message: &Message<'_>) -> Result<(), Loss> {
        let branch = message.via().map(|via| via.branch().to_owned()).unwrap_or_default();
        let cseq = message.cseq().map_or(0, |cseq| cseq.number);
        let key = format!("{index} {cseq} {branch}");
        if let Some((_, answer)) = self.answers.iter().find(|(of, _)| *of == key) {
            let answer = answer.clone();
            return self.send(&answer).await;
        }
        let Some(watch) = self.watches.get_mut(index) else { return Ok(()) };
        let brought = watch.notify(message, Instant::now());
        let answer = response(message, brought.code, &[]);
        self.send(&answer).await?;
        if brought.code != 200 {
            self.feed.outlet.status().count_unknown();
            return Ok(());
        }
        if self.answers.len() >= ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back((key, answer));
        if let Some(bad) = brought.bad {
            self.bad(bad);
        }
        for (extension, is_new) in brought.changed {
            self.shows(index, &extension, is_new).await;
        }
        self.carry_out(index, brought.out).await
    }

    async fn shows(&mut self, index: usize, extension: &Extension, is_new: bool) {
        let Some(view) = self.watches.get_mut(index).and_then(|watch| watch.view(extension)) else {
            return;
        };
        let (mapped, known) = {
            let mut map = self.feed.map();
            let mapped = map.shows(extension, view.dialogs(), Timestamp::now());
            (mapped, is_new.then(|| map.known(extension)))
        };
        view.forget_ended();
        if let Some(known) = known {
            tracing::debug!(agent.extension = extension.0, legs = known.legs.len(), "the extension is watched");
            self.feed.outlet.up(Snapshot::Known(known)).await;
        }
        self.tell(mapped).await;
    }

    async fn tell(&self, mapped: Mapped) {
        for event in mapped.events {
            self.feed.outlet.call(event).await;
        }
        if mapped.nameless && !self.feed.told_nameless.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an extension is in a call and the PBX does not name the other side: what it does not name cannot be shown or logged. \
                 Asterisk names callers while they ring only (chan_sip: notifycid=yes; chan_pjsip: a version that does, and \
                 notify_early_inuse_ringing=yes for second calls), and outbound calls never: see docs/sip.md, or use asterisk-ari"
            );
        }
    }

    fn bad(&mut self, bad: BadDocument) {
        self.feed.outlet.status().count_bad();
        if self.told_bad.insert(bad) {
            tracing::warn!(problem = %bad, "a notification is not understood; more of the kind are only counted");
        }
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), Loss> {
        self.link.send(octets).await.map_err(|error| lost(&error))
    }

    // ---- what subscriptions want

    async fn carry_out(&mut self, index: usize, out: Vec<Out>) -> Result<(), Loss> {
        for out in out {
            match out {
                Out::Send(octets) => self.send(&octets).await?,
                Out::Lost(reason) => self.part_lost(index, &reason).await,
                Out::Refused(reason) => self.refused(index, reason),
                Out::Unauthorized(reason) => return Err(Loss::new(reason).pausing(self.feed.limits.long_pause)),
            }
        }
        Ok(())
    }

    async fn part_lost(&mut self, index: usize, reason: &str) {
        let Some(watch) = self.watches.get_mut(index) else { return };
        tracing::info!(agent.extension = watch.what(), reason, "a subscription is lost and made anew");
        for extension in watch.lost() {
            self.feed.outlet.part_lost(extension, reason).await;
        }
        self.say_if_none_is_up(reason);
    }

    fn refused(&mut self, index: usize, reason: String) {
        let Some(watch) = self.watches.get(index) else { return };
        let what = watch.what().to_owned();
        self.say_if_none_is_up(&reason);
        if self.told.insert((what.clone(), reason.clone())) {
            tracing::warn!(agent.extension = what, reason, "an extension cannot be watched; it is tried again");
        }
    }

    fn say_if_none_is_up(&self, reason: &str) {
        if !self.watches.iter().any(Watch::is_up) {
            self.feed.outlet.status().lost(reason);
        }
    }

    /// Each extension by itself, so that each is settled by itself.
    async fn say_lost(&mut self, reason: &str) {
        for watch in &mut self.watches {
            for extension in watch.lost() {
                self.feed.outlet.part_lost(extension, reason).await;
            }
        }
    }

    async fn leave(&mut self) -> Loss {
        let (limit, left) = (self.feed.limits.leave, self.feed.left.clone());
        let farewell = async {
            for index in 0..self.watches.len() {
                let out =
                    self.watches.get_mut(index).map(|it| it.subscription.leave(Instant::now())).unwrap_or_default();
                self.carry_out(index, out).await?;
            }
            while self.watches.iter().any(|watch| !watch.subscription.is_over()) {
                let octets = self.link.next().await.map_err(|error| lost(&error))?;
                self.hear_out(&octets).await?;
            }
            Ok::<(), Loss>(())
        };
        let _ = timeout(limit, farewell).await;
        left.cancel();
        // Whoever runs the feed ends it now.
        std::future::pending().await
    }

    /// While leave is taken, notifications are answered and no more.
    async fn hear_out(&mut self, octets: &[u8]) -> Result<(), Loss> {
        let Ok(message) = Message::read(octets) else { return Ok(()) };
        if message.code().is_none() {
            return self.send(&response(&message, 200, &[])).await;
        }
        self.take(octets).await
    }
}

fn allow() -> [(&'static str, String); 1] {
    [("Allow", "NOTIFY, OPTIONS".to_owned())]
}
