//! Which records a Task is linked to: `WhoId` and `WhatId`.

use super::entry::Repairs;
use super::note::Note;
use crate::directory::answer::{Answer, Match};
use crate::salesforce::RecordId;

/// The records of a Task and what is to be said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link<'a> {
    pub who: Option<RecordId>,
    pub what: Option<RecordId>,
    /// The record that the Task is about, where one was found or chosen among those found.
    pub record: Option<&'a Match>,
    /// Several that fit equally well, none of which was chosen.
    pub candidates: Vec<&'a Match>,
    /// Whom a case or an opportunity may be looked for, where nobody chose what the Task is related to.
    pub party: Option<Party>,
}

/// Who called, for `log.related_to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    pub contact: Option<RecordId>,
    pub account: Option<RecordId>,
}

/// A record that was converted into another one, which was merged: as many steps as are followed.
const STEPS: usize = 5;

/// What the Task of a call would be linked to if no agent chose: its `WhoId` and its `WhatId`.
#[must_use]
pub fn links(answer: &Answer) -> (Option<RecordId>, Option<RecordId>) {
    let link = link(Some(answer), &[], &Repairs::default());
    (link.who, link.what)
}

/// By the agent's choice, else by the best match.
pub(super) fn link<'a>(answer: Option<&'a Answer>, notes: &[&Note], repairs: &Repairs) -> Link<'a> {
    let best: Vec<&Match> = answer.map(|answer| answer.best().collect()).unwrap_or_default();
    let chosen = notes.iter().rev().find_map(|note| note.record_id.as_ref());
    let link = match chosen {
        Some(id) => by_choice(answer, &best, id),
        None => by_match(best),
    };
    without(moved(link, repairs), repairs)
}

fn by_match(best: Vec<&Match>) -> Link<'_> {
    match best.as_slice() {
        [] => Link::default(),
        [one] => to_match(one),
        several => {
            let account = common_account(several);
            let party = account.clone().map(|account| Party { contact: None, account: Some(account) });
            Link { what: account, candidates: best, party, ..Link::default() }
        }
    }
}

fn to_match(found: &Match) -> Link<'_> {
    let mut link = to_record(&found.object, &found.id, found.person_contact_id.as_ref());
    link.record = Some(found);
    if let (Some(party), "Contact") = (&mut link.party, found.object.as_str()) {
        party.account.clone_from(&found.account_id);
    }
    link
}

fn to_record<'a>(object: &str, id: &RecordId, person: Option<&RecordId>) -> Link<'a> {
    let id = Some(id.clone());
    let party = |contact: Option<&RecordId>, account: Option<&RecordId>| {
        Some(Party { contact: contact.cloned(), account: account.cloned() })
    };
    match (object, person) {
        ("Contact", _) => Link { party: party(id.as_ref(), None), who: id, ..Link::default() },
        ("Lead", _) => Link { who: id, ..Link::default() },
        (_, Some(person)) => {
            Link { party: party(Some(person), id.as_ref()), who: Some(person.clone()), ..Link::default() }
        }
        ("Account", None) => Link { party: party(None, id.as_ref()), what: id, ..Link::default() },
        (_, None) => Link { what: id, ..Link::default() },
    }
}

/// What the agent chose, and beside a case, an opportunity or the like the person who called, where only one contact fits.
fn by_choice<'a>(answer: Option<&'a Answer>, best: &[&'a Match], id: &RecordId) -> Link<'a> {
    let found = answer.and_then(|answer| answer.matches.iter().find(|one| one.id == *id));
    if let Some(found) = found {
        return to_match(found);
    }
    let mut link = to_record(object_of(id), id, None);
    if let (None, [one], true) = (&link.who, best, object_of(id).is_empty()) {
        link.record = Some(one);
        link.who = (one.object == "Contact").then(|| one.id.clone()).or_else(|| one.person_contact_id.clone());
    }
    link
}

/// By the id's first three characters, which are the same in every org for these.
fn object_of(id: &RecordId) -> &'static str {
    match id.as_str().get(..3) {
        Some("003") => "Contact",
        Some("00Q") => "Lead",
        Some("001") => "Account",
        Some(_) | None => "",
    }
}

fn common_account(matches: &[&Match]) -> Option<RecordId> {
    let (first, others) = matches.split_first()?;
    let account = first.account_id.as_ref()?;
    let shared = first.object == "Contact" && others.iter().all(|other| other.account_id.as_ref() == Some(account));
    shared.then(|| account.clone())
}

/// Follows converted leads to their contacts, and merged records to those that stayed.
fn moved<'a>(mut link: Link<'a>, repairs: &Repairs) -> Link<'a> {
    let was = link.who.clone();
    let to = |id: RecordId| (0..STEPS).fold(id, |id, _| repairs.moved.get(&id).cloned().unwrap_or(id));
    link.who = link.who.map(to);
    link.what = link.what.map(to);
    if link.who != was && link.what.is_none() {
        link.party = link.who.clone().map(|contact| Party { contact: Some(contact), account: None });
    }
    link
}

fn without<'a>(mut link: Link<'a>, repairs: &Repairs) -> Link<'a> {
    let records = repairs.unlinked.as_ref().map(|refused| refused.records.as_slice()).unwrap_or_default();
    let kept = |id: &RecordId| !records.contains(id);
    let all = link.who.iter().chain(&link.what).all(kept);
    link.who = link.who.filter(kept);
    link.what = link.what.filter(kept);
    link.party = link.party.filter(|_| all);
    link
}
