//! What an agent adds to a call: how it came out, a text, the record that it was about.

use serde::{Deserialize, Serialize};

use crate::salesforce::RecordId;

/// Fields that are `None` leave what the same agent said before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Who says it. `None`: an administrator.
    pub extension: Option<String>,
    /// Takes the place of the Task's `CallDisposition`.
    pub disposition: Option<String>,
    pub notes: Option<String>,
    /// The record that the call belongs to.
    pub record_id: Option<RecordId>,
}

/// What became of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The call is not over; the note will be in its Task.
    Open,
    /// The Task is not written yet; the note will be in it.
    Waiting,
    /// The Task is written and will be updated.
    Update,
    /// Salesforce refused the Task; the note is kept with it.
    Parked,
    /// No such call.
    NotFound,
}

/// One note for each agent, the latest last: the same note sent twice is one.
pub(super) fn merge(mut notes: Vec<Note>, new: Note) -> Vec<Note> {
    let earlier = notes
        .iter()
        .position(|note| note.extension == new.extension)
        .map(|index| notes.remove(index))
        .unwrap_or_default();
    notes.push(Note {
        extension: new.extension,
        disposition: new.disposition.or(earlier.disposition),
        notes: new.notes.or(earlier.notes),
        record_id: new.record_id.or(earlier.record_id),
    });
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(extension: &str, disposition: Option<&str>, notes: Option<&str>) -> Note {
        Note {
            extension: Some(extension.into()),
            disposition: disposition.map(str::to_owned),
            notes: notes.map(str::to_owned),
            record_id: None,
        }
    }

    #[test]
    fn an_agent_has_one_note_and_says_only_what_is_new() {
        let notes = merge(Vec::new(), note("101", Some("Sold"), None));
        let notes = merge(notes, note("102", None, Some("called back")));
        let notes = merge(notes, note("101", None, Some("two boxes")));
        assert_eq!(notes, [note("102", None, Some("called back")), note("101", Some("Sold"), Some("two boxes"))]);
    }
}
