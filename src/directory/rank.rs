//! Which of the found records are matches, and which comes first. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::answer::Match;
use super::reading::{Fit, Wanted};
use super::shape::Shape;
use crate::phone::{NumberPlan, PhoneNumber};
use crate::salesforce::{Found, RecordId};

/// A record that has the number, with what it is ranked by.
pub(super) struct Candidate {
    pub fit: Fit,
    /// Its group and its reason are not said yet.
    pub found: Match,
}

/// What decides before the name: the fit, then a person before a lead before a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    fit: Fit,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Person,
    Lead,
    Company,
    Other,
}

/// The records whose own words, read anew, are the number. What found them does not count.
pub(super) fn candidates(plan: &NumberPlan, number: &PhoneNumber, shapes: &[Shape], found: &[Found]) -> Vec<Candidate> {
    let wanted = Wanted::new(number);
    found
        .iter()
        .filter(|record| !record.is_true("IsConverted"))
        .filter_map(|record| weigh(plan, &wanted, shapes, record))
        .collect()
}

fn weigh(plan: &NumberPlan, wanted: &Wanted<'_>, shapes: &[Shape], record: &Found) -> Option<Candidate> {
    let shape = shapes.iter().find(|shape| shape.object == record.object)?;
    let (fit, field) = shape
        .phones
        .iter()
        .filter_map(|field| {
            let fit = wanted.fit(plan, record.get(field)?)?;
            Some((fit, field))
        })
        .min_by_key(|(fit, _)| *fit)?;
    Some(Candidate { fit, found: describe(shape, record, fit, field) })
}

fn describe(shape: &Shape, record: &Found, fit: Fit, field: &str) -> Match {
    let text = |field: &str| record.get(field).map(str::to_owned);
    let id = |field: &str| record.get(field).and_then(|id| RecordId::parse(id).ok());
    Match {
        object: record.object.clone(),
        id: record.id.clone(),
        name: text(&shape.name).unwrap_or_default(),
        account: text("Account.Name").or_else(|| text("Company")),
        account_id: id("AccountId"),
        owner_id: id("OwnerId"),
        person_contact_id: id("PersonContactId"),
        field: field.to_owned(),
        exactness: fit.exactness(),
        group: 0,
        class: 0,
        reason: String::new(),
    }
}

/// Best first.
pub(super) fn ranked(candidates: Vec<Candidate>) -> Vec<Match> {
    let mut ranked: Vec<_> = candidates
        .into_iter()
        .map(|Candidate { fit, found }| {
            let group = Group { fit, kind: kind(&found) };
            ((group, found.name.to_lowercase(), found.id.clone()), found)
        })
        .collect();
    ranked.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut matches = without_doubles(ranked.into_iter().map(|((group, ..), found)| (group, found)).collect());
    say_what_is_shared(&mut matches);
    matches
}

/// Puts the record that the number last spoke with before its equals.
pub(super) fn spoken_first(matches: &mut [Match], spoken: &RecordId) {
    let Some(at) = matches.iter().position(|found| found.id == *spoken) else { return };
    let Some(group) = matches.get(at).map(|found| found.group) else { return };
    let equals = matches.iter().filter(|found| found.group == group).count();
    let first = matches.iter().position(|found| found.group == group).unwrap_or(at);
    if let Some(found) = matches.get_mut(first..=at) {
        found.rotate_right(1);
    }
    for (nth, found) in matches.iter_mut().enumerate().skip(first) {
        if nth == first {
            found.reason.push_str("; last spoken with on this number");
        } else if equals > 1 {
            found.group = found.group.saturating_add(1);
        }
    }
}

fn reason(group: Group, field: &str) -> String {
    let is = match group.fit {
        Fit::WithExtension => "is this number with this extension",
        Fit::Number => "is this number",
        Fit::OtherExtension => "is this number with another extension",
        Fit::Digits => "has these digits, and no country with them",
    };
    format!("{field} {is}")
}

fn kind(found: &Match) -> Kind {
    match found.object.as_str() {
        "Contact" => Kind::Person,
        "Account" if found.person_contact_id.is_some() => Kind::Person,
        "Lead" => Kind::Lead,
        "Account" => Kind::Company,
        _other => Kind::Other,
    }
}

/// A record counts once, and a Person Account and its contact are one person: the account is shown, at the better place.
fn without_doubles(ranked: Vec<(Group, Match)>) -> Vec<Match> {
    let contacts_of_persons: BTreeSet<RecordId> =
        ranked.iter().filter_map(|(_, found)| found.person_contact_id.clone()).collect();
    let mut seen = BTreeSet::new();
    let mut last: Option<Group> = None;
    let mut number = 0;
    ranked
        .into_iter()
        .filter(|(_, found)| !contacts_of_persons.contains(&found.id))
        .filter(|(_, found)| seen.insert(found.id.clone()))
        .map(|(group, mut found)| {
            number += u16::from(last.is_some_and(|last| last != group));
            last = Some(group);
            (found.group, found.class) = (number, number);
            found.reason = reason(group, &found.field);
            found
        })
        .collect()
}

/// Adds to the reasons what a person who chooses wants to know: who else has the number, and what came first.
fn say_what_is_shared(matches: &mut [Match]) {
    let mut contacts: BTreeMap<RecordId, usize> = BTreeMap::new();
    for found in matches.iter() {
        if let Some(account) = &found.account_id {
            *contacts.entry(account.clone()).or_default() += 1;
        }
    }
    let first = matches.first().map(|best| (kind(best), best.object.clone()));
    for found in matches {
        let account = found.account_id.as_ref().unwrap_or(&found.id);
        match contacts.get(account) {
            Some(&count) if found.account_id.is_some() && count > 1 => {
                let _ = write!(found.reason, "; {count} contacts of the account share it");
            }
            Some(&count) if found.account_id.is_none() => {
                let _ = write!(found.reason, "; {count} of its contacts have it, too");
            }
            Some(_) | None => {}
        }
        if let Some((best, object)) = &first
            && kind(found) > *best
        {
            let _ = write!(found.reason, "; comes after a {object}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "+4930231250444";

    fn record(object: &str, id: &str, fields: &[(&str, &str)]) -> Found {
        Found {
            object: object.to_owned(),
            id: RecordId::parse(id).unwrap(),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn ranked(found: &[Found]) -> Vec<String> {
        let plan = NumberPlan::new("DE", "", "2-6").unwrap();
        let shapes: Vec<_> =
            ["Contact", "Lead", "Account"].iter().filter_map(|object| Shape::standard(object)).collect();
        super::ranked(candidates(&plan, &plan.read(NUMBER), &shapes, found))
            .iter()
            .map(|found| format!("{} {}: {}", found.object, found.name, found.reason))
            .collect()
    }

    #[test]
    fn people_come_before_leads_before_companies() {
        let found = [
            record("Account", "001xx0000000001", &[("Name", "Acme"), ("Phone", NUMBER)]),
            record("Lead", "00Qxx0000000001", &[("Name", "Lea"), ("Phone", "030 231250444")]),
            record(
                "Contact",
                "003xx0000000002",
                &[("Name", "Zoe"), ("MobilePhone", NUMBER), ("AccountId", "001xx0000000001")],
            ),
            record(
                "Contact",
                "003xx0000000001",
                &[("Name", "anna"), ("Phone", NUMBER), ("AccountId", "001xx0000000001")],
            ),
            record("Contact", "003xx0000000003", &[("Name", "Decoy"), ("Phone", "040 231250444")]),
        ];
        assert_eq!(
            ranked(&found),
            [
                "Contact anna: Phone is this number; 2 contacts of the account share it",
                "Contact Zoe: MobilePhone is this number; 2 contacts of the account share it",
                "Lead Lea: Phone is this number; comes after a Contact",
                "Account Acme: Phone is this number; 2 of its contacts have it, too; comes after a Contact",
            ]
        );
    }

    #[test]
    fn a_sure_lead_comes_before_a_possible_contact_and_a_converted_one_not_at_all() {
        let found = [
            record("Contact", "003xx0000000001", &[("Name", "Maybe"), ("Phone", "011 49 30 231250444")]),
            record("Lead", "00Qxx0000000001", &[("Name", "Lea"), ("Phone", NUMBER)]),
            record("Lead", "00Qxx0000000002", &[("Name", "Old"), ("Phone", NUMBER), ("IsConverted", "true")]),
        ];
        assert_eq!(
            ranked(&found),
            ["Lead Lea: Phone is this number", "Contact Maybe: Phone has these digits, and no country with them",]
        );
    }

    #[test]
    fn whom_the_number_last_spoke_with_comes_before_the_equals_only() {
        let plan = NumberPlan::new("DE", "", "2-6").unwrap();
        let shapes: Vec<_> = ["Contact", "Lead"].iter().filter_map(|object| Shape::standard(object)).collect();
        let found = [
            record("Contact", "003xx0000000001", &[("Name", "Anna"), ("Phone", NUMBER)]),
            record("Contact", "003xx0000000002", &[("Name", "Bert"), ("Phone", NUMBER)]),
            record("Contact", "003xx0000000003", &[("Name", "Carl"), ("Phone", NUMBER)]),
            record("Lead", "00Qxx0000000001", &[("Name", "Lea"), ("Phone", NUMBER)]),
        ];
        let order = |spoken: &str| {
            let mut matches = super::ranked(candidates(&plan, &plan.read(NUMBER), &shapes, &found));
            spoken_first(&mut matches, &RecordId::parse(spoken).unwrap());
            matches.iter().map(|found| format!("{} {}", found.group, found.name)).collect::<Vec<_>>()
        };
        assert_eq!(order("003xx0000000002"), ["0 Bert", "1 Anna", "1 Carl", "2 Lea"]);
        assert_eq!(order("003xx0000000001"), ["0 Anna", "1 Bert", "1 Carl", "2 Lea"]);
        assert_eq!(order("00Qxx0000000001"), ["0 Anna", "0 Bert", "0 Carl", "1 Lea"]);
        assert_eq!(order("003xx0000000009"), ["0 Anna", "0 Bert", "0 Carl", "1 Lea"]);
    }

    #[test]
    fn only_those_that_nothing_tells_apart_are_of_one_class() {
        let plan = NumberPlan::new("US", "", "2-6").unwrap();
        let shapes: Vec<_> = ["Contact", "Account"].iter().filter_map(|object| Shape::standard(object)).collect();
        let person = [("Phone", "(415) 555-1212"), ("PersonContactId", "003xx0000000001")];
        let found = [
            record("Account", "001xx0000000002", &[("Name", "Acme"), ("Phone", "415 555 1212")]),
            record("Account", "001xx0000000001", &[&[("Name", "Erika")], &person[..]].concat()),
            record("Contact", "003xx0000000009", &[("Name", "Nine"), ("Phone", "(415) 555-1212 x9")]),
            record("Contact", "003xx0000000012", &[("Name", "Twelve"), ("Phone", "(415) 555-1212 x12")]),
        ];
        let classes = |found: &[Found]| {
            let number = plan.read("tel:+14155551212;ext=9");
            let matches = super::ranked(candidates(&plan, &number, &shapes, found));
            matches.iter().map(|found| format!("{} {}", found.class, found.name)).collect::<Vec<_>>()
        };
        assert_eq!(classes(&found), ["0 Nine", "1 Erika", "2 Acme", "3 Twelve"]);
        assert_eq!(classes(&found[..2]), ["0 Erika", "1 Acme"]);
    }

    #[test]
    fn a_person_account_and_its_contact_are_one() {
        let found = [
            record(
                "Account",
                "001xx0000000001",
                &[
                    ("Name", "Erika"),
                    ("Phone", NUMBER),
                    ("IsPersonAccount", "true"),
                    ("PersonContactId", "003xx0000000001"),
                ],
            ),
            record("Contact", "003xx0000000001", &[("Name", "Erika"), ("Phone", NUMBER)]),
            record("Contact", "003xx0000000002", &[("Name", "Zoe"), ("Phone", NUMBER)]),
        ];
        assert_eq!(ranked(&found), ["Account Erika: Phone is this number", "Contact Zoe: Phone is this number",]);
    }
}
