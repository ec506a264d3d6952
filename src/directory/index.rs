//! The local copy of the org's phone numbers: from a number to the records that have it.

mod key;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use self::key::Key;
use super::answer::Match;
use super::rank::{self, Candidate};
use super::reading::{Held, Wanted, held};
use super::row::{Change, Row};
use crate::phone::{NumberPlan, PhoneNumber};
use crate::salesforce::RecordId;

/// Clones are the same index.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    plan: NumberPlan,
    state: RwLock<State>,
    synced_at: RwLock<Option<Timestamp>>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<RecordId, Row>,
    keys: BTreeMap<Key, BTreeSet<RecordId>>,
    accounts: BTreeMap<RecordId, String>,
    junk: u64,
}

/// What the index holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Numbers of records, one that two records have counted twice.
    pub numbers: u64,
    pub records: u64,
    /// Of the numbers: those without a country.
    pub possible_only: u64,
    /// Filled phone fields that hold no number.
    pub junk: u64,
    /// Memory, about.
    pub bytes: u64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({:?})", self.stats())
    }
}

impl Index {
    /// An empty one. `plan`: how the texts of phone fields are read.
    #[must_use]
    pub fn new(plan: NumberPlan) -> Self {
        Self(Arc::new(Inner { plan, state: RwLock::default(), synced_at: RwLock::default() }))
    }

    /// Takes changes in, in order. The same changes once more change nothing. Reads some 300,000 numbers a second and blocks for that
    /// long: not for the async threads. Look-ups go on meanwhile, and see each change as a whole.
    pub fn apply(&self, changes: Vec<Change>) {
        for change in changes {
            let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
            match change {
                Change::Put(row) => state.put(&self.0.plan, row),
                Change::Gone(id) => state.remove(&self.0.plan, &id),
                Change::Renamed { account, name } => drop(state.accounts.insert(account, name)),
            }
        }
    }

    /// All records of one object that are in the index.
    #[must_use]
    pub fn ids(&self, object: &str) -> Vec<RecordId> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        state.rows.values().filter(|row| row.object == object).map(|row| row.id.clone()).collect()
    }

    /// The whole org is in, as of then. Until this is said for the first time, a miss says nothing.
    pub fn synced(&self, at: Timestamp) {
        *self.0.synced_at.write().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When it last was as the org; `None` before the first load is complete.
    #[must_use]
    pub fn synced_at(&self) -> Option<Timestamp> {
        *self.0.synced_at.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all.
    pub fn clear(&self) {
        *self.0.synced_at.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// The records with this number, best first.
    #[must_use]
    pub fn find(&self, number: &PhoneNumber) -> Vec<Match> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = Wanted::new(number);
        let keys = number.e164().and_then(Key::number).into_iter();
        let keys = keys.chain(wanted.spellings().iter().filter_map(|digits| Key::digits(digits)));
        let ids: BTreeSet<&RecordId> = keys.filter_map(|key| state.keys.get(&key)).flatten().collect();
        let rows = ids.into_iter().filter_map(|id| state.rows.get(id));
        rank::ranked(rows.filter_map(|row| state.candidate(&self.0.plan, &wanted, row)).collect(), None)
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        Stats {
            numbers: state.keys.values().map(|ids| ids.len() as u64).sum(),
            records: state.rows.len() as u64,
            possible_only: state.keys.iter().filter(|(key, _)| key.is_digits()).map(|(_, ids)| ids.len() as u64).sum(),
            junk: state.junk,
            bytes: 0,
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        state.rows.values().cloned().collect()
    }
}

impl State {
    fn put(&mut self, plan: &NumberPlan, row: Row) {
        self.remove(plan, &row.id);
        if let (Some(id), Some(name)) = (&row.account_id, &row.account) {
            self.accounts.insert(id.clone(), name.clone());
        }
        if row.phones.is_empty() {
            return;
        }
        for key in keys(plan, &row) {
            self.keys.entry(key).or_default().insert(row.id.clone());
        }
        self.junk += junk(plan, &row);
        self.rows.insert(row.id.clone(), row);
    }

    fn remove(&mut self, plan: &NumberPlan, id: &RecordId) {
        let Some(row) = self.rows.remove(id) else { return };
        self.junk -= junk(plan, &row);
        for key in keys(plan, &row) {
            if let Some(ids) = self.keys.get_mut(&key) {
                ids.remove(id);
            }
        }
    }

    fn candidate(&self, plan: &NumberPlan, wanted: &Wanted<'_>, row: &Row) -> Option<Candidate> {
        let fits = row.phones.iter().filter_map(|(field, text)| Some((wanted.fit(plan, text)?, field)));
        let (fit, field) = fits.min_by_key(|(fit, _)| *fit)?;
        let account = row.account_id.as_ref().and_then(|id| self.accounts.get(id)).or(row.account.as_ref());
        let found = Match {
            object: row.object.clone(),
            id: row.id.clone(),
            name: row.name.clone(),
            account: account.cloned(),
            account_id: row.account_id.clone(),
            owner_id: row.owner_id.clone(),
            person_contact_id: row.person_contact_id.clone(),
            field: field.clone(),
            exactness: fit.exactness(),
            group: 0,
            reason: String::new(),
        };
        Some(Candidate { fit, found })
    }
}

fn keys(plan: &NumberPlan, row: &Row) -> BTreeSet<Key> {
    let held = row.phones.iter().flat_map(|(_, text)| held(plan, text));
    held.filter_map(|held| match held {
        Held::Number { e164, .. } => Key::number(&e164),
        Held::Digits(digits) => Key::digits(&digits),
    })
    .collect()
}

fn junk(plan: &NumberPlan, row: &Row) -> u64 {
    row.phones.iter().filter(|(_, text)| held(plan, text).is_empty()).count() as u64
}
