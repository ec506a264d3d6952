//! What is found while settings are read: every problem and warning, and where each key was last set.

use std::collections::{BTreeMap, BTreeSet};

use super::place::{Place, Problem, Problems, Warning};

/// Collects, so that all that is wrong is told at once.
#[derive(Debug)]
pub(super) struct Findings {
    /// The settings file, for what stands in no line.
    whole: Place,
    set_at: BTreeMap<String, Place>,
    changed: BTreeSet<String>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Findings {
    pub(super) fn new(whole: Place) -> Self {
        Self { whole, set_at: BTreeMap::new(), changed: BTreeSet::new(), problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn note_place(&mut self, key: &str, place: &Place) {
        self.set_at.insert(key.to_owned(), place.clone());
    }

    /// Whether a file or a variable sets this key, rather than the reference.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.set_at.contains_key(key)
    }

    pub(super) fn note_changed(&mut self, keys: BTreeSet<String>) {
        self.changed = keys;
    }

    /// Whether this key has another value than the reference's.
    pub(super) fn is_changed(&self, key: &str) -> bool {
        self.changed.contains(key)
    }

    pub(super) fn problem(&mut self, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        let place = self.place_of(key);
        self.problem_at(&place, key, what, expected);
    }

    pub(super) fn problem_at(
        &mut self,
        place: &Place,
        key: &str,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.problems.push(Problem {
            place: place.clone(),
            key: key.to_owned(),
            what: what.into(),
            expected: expected.into(),
        });
    }

    pub(super) fn warning(&mut self, key: &str, text: impl Into<String>) {
        let place = self.place_of(key);
        self.warning_at(&place, key, text);
    }

    pub(super) fn warning_at(&mut self, place: &Place, key: &str, text: impl Into<String>) {
        self.warnings.push(Warning { place: place.clone(), key: key.to_owned(), text: text.into() });
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Whether this very key has been found wrong, so that nothing that follows from it need be told.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.key.strip_suffix("_file").unwrap_or(&problem.key) == key || problem.key == key)
    }

    /// Takes over what was found elsewhere, but not where keys were set.
    pub(super) fn absorb(&mut self, other: Self) {
        self.problems.extend(other.problems);
        self.warnings.extend(other.warnings);
    }

    /// The value if nothing was wrong with the settings.
    pub(super) fn conclude<T>(self, value: T) -> Result<(T, Vec<Warning>), Problems> {
        if self.problems.is_empty() {
            return Ok((value, self.warnings));
        }
        Err(self.into_problems())
    }

    pub(super) fn into_problems(mut self) -> Problems {
        self.problems.sort_by(|one, other| one.place.cmp(&other.place));
        Problems { problems: self.problems, warnings: self.warnings }
    }

    /// Where the key was set, or the nearest section or entry that holds it.
    fn place_of(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.set_at.get(key) {
                return place.clone();
            }
            let Some((parent, _)) = key.rsplit_once('.') else {
                return self.whole.clone();
            };
            key = parent;
        }
    }
}
