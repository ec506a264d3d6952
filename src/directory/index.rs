//! The local copy of the org's phone numbers: from a number to the records that have it.
//!
//! One who writes, and any number who look up. A writer reads the texts first and then holds the content for a few records at a
//! time, so that no look-up waits longer than some ten microseconds.

mod bytes;
mod card;
mod entry;
mod id;
mod key;
mod pages;
mod saved;
mod shelf;
mod store;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use self::entry::Entry;
use self::id::Id;
use self::key::Key;
use self::store::Store;
use super::answer::Match;
use super::rank::{self, Candidate};
use super::reading::Wanted;
use super::row::Change;
use crate::phone::{NumberPlan, PhoneNumber};
use crate::salesforce::RecordId;

pub(super) use saved::{Content, Unreadable};

/// Changes for which the content is held at once.
const AT_ONCE: usize = 16;

/// Clones are the same index.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    plan: NumberPlan,
    /// Held by the one who writes.
    turn: Mutex<()>,
    store: RwLock<Store>,
    synced_at: Mutex<Option<Timestamp>>,
}

/// What the index holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Numbers of records: one that two records have counts twice.
    pub numbers: u64,
    /// Those with a phone field that is filled.
    pub records: u64,
    /// Of the numbers: those without a country, which are never more than a possible match.
    pub possible_only: u64,
    /// Filled phone fields that hold no number.
    pub junk: u64,
    /// Memory.
    pub bytes: u64,
}

/// What the index takes of memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// To get from a number to the ids of its records.
    pub numbers: u64,
    /// To get from an id to what is known of the record, when it changes.
    pub ids: u64,
    /// Names, accounts, owners, and what waits to be used again.
    pub details: u64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let store = self.read();
        write!(f, "Index of {} numbers", store.numbers())
    }
}

impl Index {
    /// An empty one. `plan`: how the texts of phone fields are read.
    #[must_use]
    pub fn new(plan: NumberPlan) -> Self {
        let (turn, store, synced_at) = (Mutex::default(), RwLock::default(), Mutex::default());
        Self(Arc::new(Inner { plan, turn, store, synced_at }))
    }

    pub(super) fn plan(&self) -> &NumberPlan {
        &self.0.plan
    }

    /// Takes changes in, in order. The same changes once more change nothing. Reading phone texts takes some microseconds each: not
    /// for the async threads when there are many. Look-ups go on meanwhile, and see a record either as it was or as it is.
    pub fn apply(&self, changes: Vec<Change>) {
        let _turn = self.turn();
        let mut changes = changes.into_iter();
        while changes.len() > 0 {
            let some = changes.by_ref().take(AT_ONCE);
            let entries: Vec<Entry> = some.map(|change| Entry::read(&self.0.plan, change)).collect();
            let mut store = self.write();
            for entry in entries {
                store.apply(entry);
            }
            store.tidy(3 * AT_ONCE);
        }
    }

    /// All records of one object that are in the index.
    #[must_use]
    pub fn ids(&self, object: &str) -> Vec<RecordId> {
        let _turn = self.turn();
        let chunks = self.read().shelf.chunks();
        // A look-up that came while this one read on and on would wait only if someone wrote.
        (0..chunks).flat_map(|chunk| self.read().ids_in(chunk, object)).filter_map(|id| id.record()).collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.become_store(Store::default());
    }

    /// Becomes what was saved. It stays as it is when that is no whole index.
    pub(super) fn adopt(&self, content: Content) -> Result<(), Unreadable> {
        self.become_store(content.store()?);
        Ok(())
    }

    fn become_store(&self, store: Store) {
        let _turn = self.turn();
        *self.0.synced_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // What was there is dropped when nobody is kept waiting.
        let old = std::mem::replace(&mut *self.write(), store);
        drop(old);
    }

    /// The whole org is in, as of then. Until this is said for the first time, a miss says nothing.
    pub fn synced(&self, at: Timestamp) {
        *self.0.synced_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When it last was as the org; `None` before the first load is complete.
    #[must_use]
    pub fn synced_at(&self) -> Option<Timestamp> {
        *self.0.synced_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records with this number, best first.
    #[must_use]
    pub fn find(&self, number: &PhoneNumber) -> Vec<Match> {
        rank::ranked(self.candidates(number, None))
    }

    /// The records with this number, in no order. `spoken` is among them if it has the number, however many there are.
    pub(super) fn candidates(&self, number: &PhoneNumber, spoken: Option<&RecordId>) -> Vec<Candidate> {
        let wanted = Wanted::new(number);
        self.read().candidates(&wanted, spoken.map(Id::of).as_ref())
    }

    /// Calls with the 15 characters of each id that has this number: country code and all, as digits.
    pub fn each_id(&self, number: u64, mut each: impl FnMut([u8; 15])) {
        let Some(key) = Key::of_number(number) else { return };
        let store = self.read();
        store.each_with(key, |(_, card), _, _| {
            if let Some(id) = card.id.id(&store.words.kins) {
                each(id.0);
            }
        });
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        let store = self.read();
        Stats {
            numbers: store.numbers() as u64,
            records: store.records() as u64,
            possible_only: store.counts.possible_only,
            junk: store.counts.junk,
            bytes: store.bytes() as u64,
        }
    }

    /// Counted card by card: takes a second for millions.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.read().memory()
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.0.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.0.store.write().unwrap_or_else(PoisonError::into_inner)
    }
}
