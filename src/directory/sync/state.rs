//! What the synchroniser remembers across restarts, saved with the index.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::follow::Follow;
use crate::salesforce::{BulkJob, RecordId};

/// Raised when older states cannot be gone on with.
const LAYOUT: u32 = 1;

/// Which org the index is of, and how far each object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    layout: u32,
    /// The org by the settings. Another one there: nothing of the index is used.
    pub endpoint: String,
    /// Id of the org, once it is known.
    pub org: Option<RecordId>,
    /// When the whole index last was as the org.
    pub synced_at: Option<Timestamp>,
    /// When changes were last read, by the org's clock.
    pub polled_at: Option<Timestamp>,
    /// By API name.
    pub objects: BTreeMap<String, ObjectState>,
}

/// How far one object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectState {
    /// What is read of it, see `Source::fingerprint`.
    pub fingerprint: String,
    pub stage: Stage,
    pub follow: Follow,
    pub counted_at: Option<Timestamp>,
    pub compared_at: Option<Timestamp>,
    /// Rows that the org counted more than the index had, right after the last comparison.
    pub surplus: i64,
}

/// What is done with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// It is still to be loaded.
    Waiting,
    Loading(Load),
    /// It was loaded, and its changes are followed.
    Following,
}

/// A reading of the whole object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Load {
    /// From when on changes are read behind it. None: the object had no rows.
    pub since: Option<Timestamp>,
    /// Rows that there were when it began. None: the org could not say.
    pub of: Option<u64>,
    pub loaded: u64,
    pub way: Way,
}

/// How the whole object is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Way {
    /// Page by page, behind this row.
    Pages(Option<RecordId>),
    /// By a job, and from its pages this one on.
    Bulk(Option<BulkJob>, Option<String>),
}

impl State {
    pub fn new(endpoint: &str) -> Self {
        Self {
            layout: LAYOUT,
            endpoint: endpoint.to_owned(),
            org: None,
            synced_at: None,
            polled_at: None,
            objects: BTreeMap::new(),
        }
    }

    /// What was saved, if it can be gone on with.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|state: &Self| state.layout == LAYOUT)
    }

    pub fn write(&self) -> Vec<u8> {
        // Names and numbers always are JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl ObjectState {
    /// Not loaded yet.
    pub fn new(fingerprint: String) -> Self {
        Self {
            fingerprint,
            stage: Stage::Waiting,
            follow: Follow::default(),
            counted_at: None,
            compared_at: None,
            surplus: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_layouts_are_not() {
        let mut state = State::new("https://acme.my.salesforce.com");
        state.objects.insert("Contact".to_owned(), ObjectState::new("Id,Name".to_owned()));
        assert_eq!(State::read(&state.write()).as_ref(), Some(&state));
        state.layout += 1;
        assert_eq!(State::read(&state.write()), None);
        assert_eq!(State::read(b""), None);
    }
}
