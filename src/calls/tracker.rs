//! The tracker: messages of all feeds and the time come in, steps go out. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::feed::{FeedMessage, Scope, Snapshot};
use super::record::OpenCall;
use super::step::Step;
use super::switchboard::{Site, Switchboard};
use super::twins::Twins;

/// How often the disk is told until when open calls were seen.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Follows the calls of all feeds. A call never spans two of them, unless they watch one phone system.
#[derive(Debug)]
pub struct Tracker {
    feeds: BTreeMap<String, Switchboard>,
    twins: Twins,
    next_heartbeat: Instant,
}

impl Tracker {
    /// For these feeds, with the calls that an earlier run left open. Calls of feeds that are no more end at once.
    #[must_use]
    pub fn new(site: &Site, feeds: &[String], open: Vec<OpenCall>, now: Instant) -> (Self, Vec<Step>) {
        Self::with_twins(site, feeds, BTreeMap::new(), open, now)
    }

    /// As [`new`](Self::new), where feeds (the keys) watch the phone system of another, which leads.
    #[must_use]
    pub fn with_twins(
        site: &Site,
        feeds: &[String],
        leaders: BTreeMap<String, String>,
        open: Vec<OpenCall>,
        now: Instant,
    ) -> (Self, Vec<Step>) {
        let mut boards: BTreeMap<String, Switchboard> =
            feeds.iter().map(|name| (name.clone(), Switchboard::new(site.clone(), name.clone(), now))).collect();
        let mut steps = Vec::new();
        let twins = Twins::new(leaders, &open);
        for call in open {
            if let Some(board) = boards.get_mut(&call.feed) {
                board.restore(call);
            } else {
                let mut orphan = Switchboard::new(site.clone(), call.feed.clone(), now);
                orphan.restore(call);
                steps.extend(orphan.up(super::feed::Known::default(), now));
            }
        }
        (Self { feeds: boards, twins, next_heartbeat: now + HEARTBEAT }, steps)
    }

    /// One message of a feed. What an unknown feed says is not listened to.
    pub fn handle(&mut self, feed: &str, message: FeedMessage, now: Instant) -> Vec<Step> {
        let Some(board) = self.feeds.get_mut(feed) else {
            return Vec::new();
        };
        let steps = match message {
            FeedMessage::Up(Snapshot::Known(known)) => {
                self.twins.up(feed);
                board.up(known, now)
            }
            FeedMessage::Up(Snapshot::Unknowable) => {
                self.twins.up(feed);
                board.up_unknowing(now)
            }
            FeedMessage::Call(event) => board.event(event, now),
            FeedMessage::Lost { scope, .. } => {
                if scope == Scope::Feed {
                    self.twins.lost(feed);
                }
                board.lost(scope, now)
            }
        };
        self.twins.filter(feed, steps, now)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, at the latest.
    pub fn poll_timeout(&self) -> Instant {
        self.feeds
            .values()
            .filter_map(Switchboard::deadline)
            .chain(self.twins.deadline())
            .chain([self.next_heartbeat])
            .min()
            .unwrap_or(self.next_heartbeat)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Step> {
        let is_heartbeat = now >= self.next_heartbeat;
        if is_heartbeat {
            self.next_heartbeat = now + HEARTBEAT;
        }
        let mut steps = self.twins.clock(now);
        for (feed, board) in &mut self.feeds {
            let mut own = board.clock(now);
            if is_heartbeat {
                own.extend(board.expire(now));
                own.extend(board.heartbeat(now));
            }
            steps.extend(self.twins.filter(feed, own, now));
        }
        steps
    }

    /// The calls that are not over.
    pub fn open_calls(&self) -> Vec<OpenCall> {
        let all = self.feeds.values().flat_map(Switchboard::open_calls);
        all.filter(|call| self.twins.shows(&call.key)).map(|call| self.twins.named(call)).collect()
    }
}
