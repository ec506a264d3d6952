//! What overtakes the INVITE that it belongs to, and what comes again after the end: a mirror by UDP keeps no order.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Seen;

/// Packets that may wait for their INVITE; the oldest make room.
const MAX_WAITING: usize = 256;
/// No packet overtakes another by more.
const MAX_AGE: Duration = Duration::from_secs(2);
/// Transactions that are remembered when they are over; by then their retransmissions have ended.
const MAX_ENDED: usize = 65_536;

pub(super) struct Waiting {
    call_id: String,
    since: Instant,
    pub at: Timestamp,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub octets: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Early(VecDeque<Waiting>);

impl Early {
    pub fn keep(&mut self, seen: &Seen<'_, '_>) {
        while self.0.len() >= MAX_WAITING || self.0.front().is_some_and(|old| seen.now - old.since > MAX_AGE) {
            self.0.pop_front();
        }
        self.0.push_back(Waiting {
            call_id: seen.it.call_id.to_owned(),
            since: seen.now,
            at: seen.at,
            source: seen.source,
            destination: seen.destination,
            octets: seen.octets.to_vec(),
        });
    }

    pub fn take(&mut self, call_id: &str) -> Vec<Waiting> {
        if self.0.iter().all(|waiting| waiting.call_id != call_id) {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.0).into_iter();
        let (taken, left): (Vec<_>, Vec<_>) = all.partition(|waiting| waiting.call_id == call_id);
        self.0 = left.into();
        taken
    }
}

#[derive(Default)]
pub(super) struct Ended {
    state: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Ended {
    pub fn add(&mut self, call_id: &str, branch: &str) {
        let mark = self.state.hash_one((call_id, branch));
        if self.known.insert(mark) {
            self.order.push_back(mark);
        }
        if self.order.len() > MAX_ENDED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub fn has(&self, call_id: &str, branch: &str) -> bool {
        !self.known.is_empty() && self.known.contains(&self.state.hash_one((call_id, branch)))
    }
}
