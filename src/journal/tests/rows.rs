//! What lands in Salesforce.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::super::entry::{Entry, Unlinked};
use super::super::fields::TaskFields;
use super::super::note::Note;
use super::super::owner::{Owner, Owners};
use super::super::task::{Part, TaskSettings, keys, row, update};
use super::super::{Config, Per, Templates};
use super::{agent, at, config, ended, entry, id, number};
use crate::calls::record::{CallRecord, Direction, Disposition, Extension, Happening, HungUpBy, JourneyStep};
use crate::directory::answer::{Answer, Exactness, Match, Source};
use crate::phone::PhoneNumber;
use crate::salesforce::Value;

fn owners() -> Owners {
    let anna = Owner { id: id("005000000000001"), time_zone: Some("Europe/Berlin".into()) };
    Owners {
        by_extension: BTreeMap::from([("101".into(), anna)]),
        names: BTreeMap::from([("101".into(), "Anna Agent".into())]),
        fallback: Some(Owner { id: id("005000000000009"), time_zone: Some("America/New_York".into()) }),
        fallback_is_named: true,
    }
}

fn with<T>(config: &Config, look: impl FnOnce(&TaskSettings) -> T) -> T {
    let templates = Templates::new(config).unwrap();
    look(&TaskSettings {
        templates: &templates,
        task_fields: &TaskFields::default(),
        closed_status: "Completed",
        external_id_field: &config.external_id_field,
        zone: &TimeZone::UTC,
    })
}

fn built(entry: &Entry) -> BTreeMap<String, Value> {
    built_by(entry, &config())
}

fn built_by(entry: &Entry, config: &Config) -> BTreeMap<String, Value> {
    with(config, |settings| row(&Part::from(entry), &owners(), settings).fields)
}

fn text(fields: &BTreeMap<String, Value>, name: &str) -> String {
    match fields.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Decimal(number)) => number.to_string(),
        Some(Value::Null) => "null".into(),
        Some(Value::Bool(_)) | None => String::new(),
    }
}

fn found(object: &str, record: &str, account: Option<&str>) -> Match {
    Match {
        object: object.into(),
        id: id(record),
        name: "Erika Mustermann".into(),
        account: Some("Acme".into()),
        account_id: account.map(id),
        owner_id: None,
        person_contact_id: None,
        field: "Phone".into(),
        exactness: Exactness::Exact,
        group: 0,
        class: 0,
        reason: String::new(),
    }
}

fn answered(matches: Vec<Match>) -> Entry {
    let mut entry = entry(ended("1"));
    entry.answer = Some(Answer { number: number("+4930231250444"), source: Source::Index, matches, complete: true });
    entry
}

fn says(extension: &str, disposition: Option<&str>, notes: Option<&str>, record: Option<&str>) -> Note {
    Note {
        extension: Some(extension.into()),
        disposition: disposition.map(str::to_owned),
        notes: notes.map(str::to_owned),
        record_id: record.map(id),
    }
}

fn links(entry: &Entry) -> (String, String) {
    let fields = built(entry);
    (text(&fields, "WhoId"), text(&fields, "WhatId"))
}

fn pair(who: &str, what: &str) -> (String, String) {
    let full = |short: &str| {
        if short.is_empty() { String::new() } else { id(short).to_string() }
    };
    (full(who), full(what))
}

const CONTACT: &str = "003000000000001";
const OTHER: &str = "003000000000002";
const LEAD: &str = "00Q000000000001";
const ACCOUNT: &str = "001000000000001";
const CASE: &str = "500000000000001";

#[test]
fn an_answered_call_of_a_known_contact() {
    let fields = built(&answered(vec![found("Contact", CONTACT, Some(ACCOUNT))]));
    assert_eq!(text(&fields, "Subject"), "Inbound call from Erika Mustermann");
    assert_eq!(text(&fields, "TaskSubtype"), "Call");
    assert_eq!(text(&fields, "Status"), "Completed");
    assert_eq!(text(&fields, "CallType"), "Inbound");
    assert_eq!(text(&fields, "CallDurationInSeconds"), "120");
    assert_eq!(text(&fields, "CallDisposition"), "Answered");
    assert_eq!(text(&fields, "CallObject"), "hq-pbx1-1");
    assert_eq!(text(&fields, "WhoId"), id(CONTACT).as_str());
    assert!(!fields.contains_key("WhatId"));
    assert_eq!(text(&fields, "OwnerId"), id("005000000000001").as_str());
    assert_eq!(text(&fields, "ActivityDate"), "2026-11-21");
}

#[test]
fn the_date_is_that_of_the_owners_clock() {
    let mut late = entry(ended("1"));
    late.record.call.started = at("2026-11-21T23:30:00Z");
    assert_eq!(text(&built(&late), "ActivityDate"), "2026-11-22", "Berlin");
    late.record.call.agents.clear();
    assert_eq!(text(&built(&late), "ActivityDate"), "2026-11-21", "New York");
}

#[test]
fn in_the_night_in_which_the_clock_is_put_back_days_and_lengths_are_right() {
    for (started, ended, day, seconds, first, last) in [
        ("2026-10-24T21:59:50Z", "2026-10-24T22:00:10Z", "2026-10-24", 20, "23:59:50", "2026-10-25 00:00:10"),
        ("2026-10-25T00:59:00Z", "2026-10-25T01:01:00Z", "2026-10-25", 120, "02:59:00", "02:01:00"),
        ("2026-10-25T22:59:59Z", "2026-10-25T23:00:09Z", "2026-10-25", 10, "23:59:59", "2026-10-26 00:00:09"),
        ("2026-03-28T23:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29", 5_400, "00:30:00", "03:00:00"),
    ] {
        let mut call = entry(ended_at(started, ended));
        call.record.call.journey = vec![
            JourneyStep { at: at(started), what: Happening::Started },
            JourneyStep { at: at(ended), what: Happening::Ended(None) },
        ];
        let fields = built(&call);
        assert_eq!(text(&fields, "ActivityDate"), day);
        assert_eq!(text(&fields, "CallDurationInSeconds"), seconds.to_string());
        let description = text(&fields, "Description");
        assert!(description.contains(&format!("{first} started")), "{description}");
        assert!(description.contains(&format!("{last} ended")), "{description}");
    }
}

fn ended_at(started: &str, ended: &str) -> CallRecord {
    let mut record = super::ended("1");
    record.call.started = at(started);
    record.call.answered = Some(at(started));
    record.ended = at(ended);
    record
}

#[test]
fn who_and_what_follow_the_best_match() {
    assert_eq!(links(&answered(vec![found("Lead", LEAD, None)])), pair(LEAD, ""));
    assert_eq!(links(&answered(vec![found("Account", ACCOUNT, None)])), pair("", ACCOUNT));
    let mut person = found("Account", ACCOUNT, None);
    person.person_contact_id = Some(id(CONTACT));
    assert_eq!(links(&answered(vec![person])), pair(CONTACT, ""));
    let mut lead = found("Lead", LEAD, None);
    lead.class = 1;
    assert_eq!(links(&answered(vec![found("Contact", CONTACT, None), lead])), pair(CONTACT, ""));
    assert_eq!(links(&answered(Vec::new())), pair("", ""));
}

#[test]
fn several_equal_ones_are_the_account_they_share_or_nobody() {
    let shared = |other| answered(vec![found("Contact", CONTACT, Some(ACCOUNT)), found("Contact", OTHER, other)]);
    assert_eq!(links(&shared(Some(ACCOUNT))), pair("", ACCOUNT));
    assert_eq!(links(&shared(None)), pair("", ""));
    let description = text(&built(&shared(None)), "Description");
    let listed = format!("- Erika Mustermann, Acme (Contact {})", id(OTHER));
    assert!(description.contains(&listed), "{description}");
    let mut possible = found("Contact", OTHER, None);
    possible.exactness = Exactness::Possible;
    let sure = answered(vec![found("Contact", CONTACT, None), possible]);
    assert_eq!(links(&sure), pair(CONTACT, ""), "a surer one is not equal");
}

#[test]
fn the_agents_choice_wins() {
    let choose = |record: &str| {
        let mut call = answered(vec![found("Contact", CONTACT, None), found("Contact", OTHER, None)]);
        call.notes = vec![says("101", None, None, Some(record))];
        links(&call)
    };
    assert_eq!(choose(OTHER), pair(OTHER, ""));
    assert_eq!(choose(LEAD), pair(LEAD, ""));
    assert_eq!(choose(CASE), pair("", CASE));
    let mut known = answered(vec![found("Contact", CONTACT, None)]);
    known.notes = vec![says("101", None, None, Some(CASE))];
    assert_eq!(links(&known), pair(CONTACT, CASE), "a case of the contact who called");
    let mut lead = answered(vec![found("Lead", LEAD, None)]);
    lead.notes = vec![says("101", None, None, Some(CASE))];
    assert_eq!(links(&lead), pair("", CASE), "a lead and a case are not linked together");
}

#[test]
fn a_withheld_number_leaves_no_digits() {
    let mut call = entry(ended("1"));
    call.record.call.party.number = PhoneNumber::Withheld;
    call.record.call.party.name = Some("030231250444".into());
    let fields = built(&call);
    assert_eq!(text(&fields, "Subject"), "Inbound call from withheld");
    let description = text(&fields, "Description");
    assert!(description.starts_with("Number: withheld\n"), "{description}");
    assert!(!description.contains("231250444"), "{description}");
}

#[test]
fn a_caller_cannot_write_outside_the_line() {
    let mut call = entry(ended("1"));
    call.record.call.party.name = Some(format!("Eve\r\n\u{1b}[31m<b>\0\u{202e}{}", "é".repeat(400)));
    let subject = text(&built(&call), "Subject");
    assert!(subject.starts_with("Inbound call from Eve <b>é"), "{subject}");
    assert_eq!(subject.chars().count(), 255);
    assert!(!subject.chars().any(char::is_control));
}

#[test]
fn the_journey_is_told_in_the_owners_time() {
    let mut call = entry(ended("1"));
    let step = |time: &str, what| JourneyStep { at: at(time), what };
    let anna = || Extension("101".into());
    call.record.call.queue = Some("sales".into());
    call.record.call.journey = vec![
        step("2026-11-21T13:03:00Z", Happening::Queued("sales".into())),
        step("2026-11-21T13:03:07Z", Happening::Rang(anna())),
        step("2026-11-21T13:03:10Z", Happening::Answered(anna())),
        step("2026-11-21T13:04:00Z", Happening::Transferred { by: Some(anna()), to: Some("102".into()) }),
        step("2026-11-21T23:05:10Z", Happening::Ended(Some(HungUpBy::OutsideParty))),
    ];
    call.record.end_estimated = Some((at("2026-11-21T13:05:10Z"), at("2026-11-21T13:09:00Z")));
    call.notes = vec![says("101", Some("Sold"), Some("two\nboxes"), None)];
    let fields = built(&call);
    assert_eq!(text(&fields, "CallDisposition"), "Sold");
    assert_eq!(
        text(&fields, "Description"),
        "Number: +4930231250444\nDialled: +4930555000\nQueue: sales\n\n\
         Journey (2026-11-21, Europe/Berlin):\n\
         14:03:00 came into queue sales\n\
         14:03:07 rang 101 (Anna Agent)\n\
         14:03:10 101 (Anna Agent) answered\n\
         14:04:00 transferred by 101 (Anna Agent) to 102\n\
         2026-11-22 00:05:10 ended by the outside party\n\n\
         The end is estimated: nobody saw it, it was between 14:05:10 and 14:09:00. The first is taken.\n\n\
         Notes by 101 (Anna Agent):\ntwo\nboxes"
    );
}

#[test]
fn a_description_never_outgrows_its_field() {
    let mut call = entry(ended("1"));
    call.notes = vec![says("101", None, Some(&"ß🙂".repeat(30_000)), None)];
    let description = text(&built(&call), "Description");
    assert!(description.encode_utf16().count() <= 32_000);
    assert!(description.encode_utf16().count() > 31_990);
}

#[test]
fn each_agent_who_talked_has_a_task() {
    let mut record = ended("1");
    record.call.agents = vec![agent("101", 5_400), agent("102", 0), agent("103", 9_000)];
    let of_agents = keys(&record, Per::Agent);
    let only: Vec<&str> = of_agents.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(only, ["hq-pbx1-1-101", "hq-pbx1-1-103"]);
    assert_eq!(keys(&record, Per::Call), [("hq-pbx1-1".to_owned(), None)]);
    let mut part = entry(record);
    part.key = "hq-pbx1-1-101".into();
    part.agent = Some(Extension("101".into()));
    part.notes = vec![says("103", Some("Lost"), None, None), says("102", None, Some("was beside her"), None)];
    let fields = built(&part);
    assert_eq!(text(&fields, "CallObject"), "hq-pbx1-1-101");
    assert_eq!(text(&fields, "CallDurationInSeconds"), "5");
    assert_eq!(text(&fields, "OwnerId"), id("005000000000001").as_str());
    assert_eq!(text(&fields, "CallDisposition"), "Answered", "103 has a Task of his own");
    assert!(text(&fields, "Description").contains("was beside her"));
}

#[test]
fn a_call_that_nobody_talked_on_is_one_task_also_per_agent() {
    let mut record = ended("1");
    record.call.agents = vec![agent("101", 0), agent("102", 0)];
    assert_eq!(keys(&record, Per::Agent), [("hq-pbx1-1".to_owned(), None)]);
}

#[test]
fn the_operators_fields_are_filled_and_the_external_id_is_in_the_row() {
    let mut config = config();
    config.external_id_field = "CTI_Call_Id__c".into();
    config.fields = BTreeMap::from([
        ("Queue__c".into(), "{{ queue }}".into()),
        (
            "Info__c".into(),
            "{{ agent }}/{{ extension }}/{{ duration }}/{{ started }}/{{ account }}/{{ number }}".into(),
        ),
    ]);
    let fields = built_by(&answered(vec![found("Contact", CONTACT, None)]), &config);
    assert_eq!(text(&fields, "Queue__c"), "null");
    assert_eq!(text(&fields, "Info__c"), "Anna Agent/101/120/2026-11-21T14:03:00+01:00/Acme/+4930231250444");
    assert_eq!(text(&fields, "CTI_Call_Id__c"), "hq-pbx1-1");
}

#[test]
fn missed_outbound_and_busy_have_no_duration() {
    let mut call = entry(ended("1"));
    call.record.call.direction = Direction::Outbound;
    call.record.disposition = Disposition::Busy;
    let fields = built(&call);
    assert_eq!(text(&fields, "CallDurationInSeconds"), "0");
    assert_eq!(text(&fields, "CallDisposition"), "Busy");
    assert_eq!(text(&fields, "Subject"), "Outbound call to +4930231250444");
}

#[test]
fn an_update_says_only_what_the_agent_added() {
    let mut call = answered(vec![found("Contact", CONTACT, None)]);
    call.notes = vec![says("101", Some("Sold"), None, Some(ACCOUNT))];
    let task = id("00T000000000001");
    let row = with(&config(), |settings| update(&task, &Part::from(&call), &owners(), settings));
    let names: Vec<&str> = row.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["CallDisposition", "Description", "WhatId", "WhoId"]);
    assert_eq!(text(&row.fields, "WhoId"), "null");
    assert_eq!(text(&row.fields, "WhatId"), id(ACCOUNT).as_str());
    assert_eq!(row.id, Some(task));
}

#[test]
fn a_repaired_row_says_what_was_left_out() {
    let mut call = answered(vec![found("Lead", LEAD, None)]);
    call.repairs.unlinked = Some(Unlinked { code: "CANNOT_UPDATE_CONVERTED_LEAD".into(), records: vec![id(LEAD)] });
    call.repairs.fallback_owner = true;
    call.repairs.without_subtype = true;
    call.repairs.shortened.insert("Subject".into(), 7);
    let fields = built(&call);
    assert!(!fields.contains_key("WhoId") && !fields.contains_key("TaskSubtype"));
    assert_eq!(text(&fields, "OwnerId"), id("005000000000009").as_str());
    assert_eq!(text(&fields, "Subject"), "Inbound");
    let description = text(&fields, "Description");
    assert!(description.contains("Salesforce refused it (CANNOT_UPDATE_CONVERTED_LEAD)"), "{description}");
}
