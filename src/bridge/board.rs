//! The calls that run and those that ended lately, for whoever wants to look.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::calls::record::{CallKey, CallRecord, Extension, OpenCall};
use crate::http::CallView;
use crate::phone::PhoneNumber;

/// How many finished calls are remembered; older ones are Tasks in Salesforce.
const RECENT: usize = 200;

/// A shared look at the calls.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    live: BTreeMap<CallKey, OpenCall>,
    recent: VecDeque<CallRecord>,
}

impl Board {
    pub fn keep(&self, call: OpenCall) {
        self.lock().live.insert(call.key.clone(), call);
    }

    pub fn forget(&self, key: &CallKey) {
        self.lock().live.remove(key);
    }

    pub fn ended(&self, record: CallRecord) {
        let mut calls = self.lock();
        calls.live.remove(&record.call.key);
        calls.recent.push_front(record);
        calls.recent.truncate(RECENT);
    }

    pub fn open(&self) -> usize {
        self.lock().live.len()
    }

    /// Who of us has to do with a live call; `None` when there is no such call.
    pub fn agents_of(&self, key: &CallKey) -> Option<Vec<Extension>> {
        let calls = self.lock();
        Some(calls.live.get(key)?.agents.iter().map(|part| part.extension.clone()).collect())
    }

    /// The outside party's number, of a live or a recent call.
    pub fn number_of(&self, key: &CallKey) -> Option<PhoneNumber> {
        let calls = self.lock();
        let recent = || calls.recent.iter().map(|record| &record.call).find(|call| call.key == *key);
        calls.live.get(key).or_else(recent).map(|call| call.party.number.clone())
    }

    /// Live calls first, then those that ended, the latest first.
    pub fn all(&self) -> Vec<CallView> {
        let calls = self.lock();
        let live = calls.live.values().rev().map(|call| CallView::Live(Box::new(call.clone())));
        let recent = calls.recent.iter().map(|record| CallView::Over(Box::new(record.clone())));
        live.chain(recent).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
