//! What one subscription shows: the dialogs of one extension, kept up to date by full and partial documents (RFC 4235 4.3).

use std::collections::BTreeMap;

use super::info::{Dialog, Document};

#[derive(Debug, Default)]
pub struct View {
    version: Option<u64>,
    dialogs: BTreeMap<String, Dialog>,
}

/// What a document did to the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Current,
    /// It is older than what is known, or the same again: nothing changed.
    Old,
    /// It was applied, but others before it were lost: a full one is to be asked for.
    Gap,
}

impl View {
    /// Every dialog that is listed now.
    pub fn dialogs(&self) -> impl Iterator<Item = &Dialog> {
        self.dialogs.values()
    }

    pub fn apply(&mut self, document: Document) -> Applied {
        if let (Some(known), Some(new)) = (self.version, document.version)
            && new <= known
        {
            return Applied::Old;
        }
        let follows = match (self.version, document.version) {
            (Some(known), Some(new)) => new == known + 1,
            (None, _) => document.is_full,
            (Some(_), None) => true,
        };
        self.version = document.version.or(self.version);
        if document.is_full {
            self.dialogs.clear();
        }
        let mut listed: BTreeMap<String, Dialog> = BTreeMap::new();
        for dialog in document.dialogs {
            // One that is listed twice was published twice: it is as far as the further one says.
            if listed.get(dialog.key()).is_none_or(|other| other.state <= dialog.state) {
                listed.insert(dialog.key().to_owned(), dialog);
            }
        }
        self.dialogs.append(&mut listed);
        if document.is_full || follows { Applied::Current } else { Applied::Gap }
    }

    /// Ended dialogs of which nobody needs to hear again.
    pub fn forget_ended(&mut self) {
        self.dialogs.retain(|_, dialog| dialog.state != Some(super::info::State::Terminated));
    }
}

#[cfg(test)]
mod tests {
    use super::super::info::State;
    use super::*;

    fn document(version: u64, is_full: bool, ids: &[&str]) -> Document {
        let dialogs = ids.iter().map(|id| Dialog { id: (*id).to_owned(), ..Dialog::default() }).collect();
        Document { version: Some(version), is_full, dialogs, ..Document::default() }
    }

    fn ids(view: &View) -> Vec<&str> {
        view.dialogs().map(Dialog::key).collect()
    }

    #[test]
    fn a_full_document_replaces_and_a_partial_one_adds() {
        let mut view = View::default();
        assert_eq!(view.apply(document(4, true, &["a"])), Applied::Current);
        assert_eq!(view.apply(document(5, false, &["b"])), Applied::Current);
        assert_eq!(ids(&view), ["a", "b"]);
        assert_eq!(view.apply(document(9, true, &["c"])), Applied::Current);
        assert_eq!(ids(&view), ["c"]);
    }

    #[test]
    fn a_dialog_that_is_listed_twice_is_as_far_as_the_further_one_says() {
        for states in [[State::Early, State::Terminated], [State::Terminated, State::Early]] {
            let mut view = View::default();
            let mut document = document(1, true, &["a", "a"]);
            for (dialog, state) in document.dialogs.iter_mut().zip(states) {
                dialog.state = Some(state);
            }
            view.apply(document);
            assert_eq!(view.dialogs().map(|it| it.state).collect::<Vec<_>>(), [Some(State::Terminated)]);
        }
    }

    #[test]
    fn what_is_not_newer_changes_nothing() {
        let mut view = View::default();
        view.apply(document(4, true, &["a"]));
        assert_eq!(view.apply(document(4, true, &["b"])), Applied::Old);
        assert_eq!(view.apply(document(3, false, &["b"])), Applied::Old);
        assert_eq!(ids(&view), ["a"]);
    }

    #[test]
    fn a_partial_document_behind_a_gap_asks_for_a_full_one() {
        let mut view = View::default();
        assert_eq!(view.apply(document(0, false, &["a"])), Applied::Gap);
        assert_eq!(view.apply(document(1, true, &["a"])), Applied::Current);
        assert_eq!(view.apply(document(3, false, &["b"])), Applied::Gap);
    }
}
