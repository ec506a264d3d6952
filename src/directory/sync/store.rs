//! The index on disk: found at start, saved now and then.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::state::{ObjectState, Stage, State};
use crate::directory::index::Index;
use crate::directory::row::Change;
use crate::directory::snapshot::{self, SnapshotError};

/// How often an index that follows the org is saved, if anything has changed.
const EVERY: Duration = Duration::from_mins(15);
/// Saving takes at most one part in this many of the time.
const SHARE: u32 = 10;

/// The index as it was found, and how far it is.
pub struct Stored {
    pub(super) index: Index,
    pub(super) state: State,
    pub(super) shelf: Shelf,
}

impl Stored {
    /// Fills the index from the file, if there is one that can be used. Blocks for some 0.4 s with a million numbers. `objects`: API names
    /// of all that are read; what is of others is forgotten. `endpoint`: the org by the settings; an index of another one is not used.
    #[must_use]
    pub fn open(file: &Path, index: Index, endpoint: &str, objects: &[&str]) -> Self {
        let shelf = Shelf::new(Some(file.to_owned()));
        let state = match snapshot::load(file, &index) {
            Ok(state) => State::read(&state).filter(|state| state.endpoint == endpoint),
            Err(SnapshotError::Missing) => None,
            Err(error) => {
                tracing::warn!(%error, "the index on disk is not used; it is loaded anew");
                None
            }
        };
        let Some(mut state) = state else {
            index.clear();
            return Self { index, state: State::new(endpoint), shelf };
        };
        forget_others(&index, &mut state, objects);
        if let Some(at) = state.synced_at {
            index.synced(at);
        }
        tracing::info!(records = index.stats().records, synced_at = ?state.synced_at, "took the index from disk");
        Self { index, state, shelf }
    }

    /// An index that is never saved. A file that an earlier life has left is removed.
    #[must_use]
    pub fn in_memory(file: &Path, index: Index, endpoint: &str) -> Self {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, "the index on disk cannot be removed; remove it by hand: {}", file.display());
            }
            Ok(()) | Err(_) => {}
        }
        Self { index, state: State::new(endpoint), shelf: Shelf::new(None) }
    }
}

fn forget_others(index: &Index, state: &mut State, objects: &[&str]) {
    let others: Vec<String> =
        state.objects.keys().filter(|object| !objects.contains(&object.as_str())).cloned().collect();
    for object in others {
        index.apply(index.ids(&object).into_iter().map(Change::Gone).collect());
        state.objects.remove(&object);
    }
}

/// Where the index is saved, and when.
pub(super) struct Shelf {
    file: Option<PathBuf>,
    /// When it was saved last, and how long that took.
    last: Option<(Instant, Duration)>,
    told: bool,
}

impl Shelf {
    fn new(file: Option<PathBuf>) -> Self {
        Self { file, last: None, told: false }
    }

    /// Whether it is time. What is being loaded is saved often, so that not much has to be loaded again.
    pub fn is_time(&self, objects: &std::collections::BTreeMap<String, ObjectState>) -> bool {
        let loading = objects.values().any(|object| object.stage != Stage::Following);
        let Some((at, took)) = self.last else { return true };
        let pause = took * SHARE;
        at.elapsed() >= if loading { pause } else { pause.max(EVERY) }
    }

    /// Saves it, and says once if that does not work.
    pub async fn save(&mut self, index: &Index, state: &State) {
        let Some(file) = self.file.clone() else { return };
        let (index, state) = (index.clone(), state.write());
        let began = Instant::now();
        let saved = tokio::task::spawn_blocking(move || snapshot::save(&file, &index, &state)).await;
        self.last = Some((Instant::now(), began.elapsed()));
        match saved.unwrap_or_else(|_| Err(io::Error::other("the writer broke off"))) {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                tracing::error!(%error, "the index cannot be saved; it will be loaded anew at the next start");
                self.told = true;
            }
            Err(_) => {}
        }
    }
}
