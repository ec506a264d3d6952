//! What an answer of Salesforce means for an entry.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::entry::{Entry, EntryState, Event};
use super::super::op::{Settled, Settlement};
use super::super::plan::{self, Sent, TRIES};
use super::{at, ended, entry, id};
use crate::salesforce::{Row, RowError, Value};

const LEAD: &str = "00Q000000000001";
const SETTLE: Duration = Duration::from_mins(11);

fn now() -> Timestamp {
    at("2026-11-21T14:00:00Z")
}

fn refused(code: &str, message: &str, fields: &[&str]) -> RowError {
    RowError {
        code: code.into(),
        message: message.into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    }
}

fn row_with(field: &str, value: &str) -> Row {
    Row { id: None, fields: BTreeMap::from([(field.to_owned(), Value::Text(value.to_owned()))]) }
}

fn settled(entry: &Entry, upsert: bool, error: &RowError) -> Settlement {
    let row = row_with("WhoId", LEAD);
    let sent = Sent { entry, row: &row, upsert, now: now(), spread: 0.5, moved: None };
    plan::answered(&sent, &Err(error.clone()))
}

fn code_of_parked(settlement: &Settlement) -> Option<&str> {
    match &settlement.what {
        Settled::Event(Event::Refused { reason, .. }) => Some(&reason.code),
        Settled::Event(_) | Settled::Task(..) => None,
    }
}

/// Until when it waits to be sent again; `None`: it goes with the next batch.
fn waits_until(settlement: &Settlement) -> Option<Timestamp> {
    let Settled::Event(Event::Again { not_before, .. }) = &settlement.what else {
        panic!("does not wait: {settlement:?}");
    };
    *not_before
}

#[test]
fn a_locked_row_is_tried_again_for_a_while_and_then_parked() {
    let mut call = entry(ended("1"));
    let locked = refused("UNABLE_TO_LOCK_ROW", "", &[]);
    let mut last = now();
    for tries in 1..TRIES {
        let settlement = settled(&call, false, &locked);
        let until = waits_until(&settlement).unwrap();
        assert!(until > last, "longer each time");
        assert_eq!(settlement.attempts, tries);
        (last, call.attempts) = (until, settlement.attempts);
    }
    assert_eq!(code_of_parked(&settled(&call, false, &locked)), Some("UNABLE_TO_LOCK_ROW"));
}

#[test]
fn what_the_org_as_a_whole_cannot_do_now_costs_no_try() {
    let mut call = entry(ended("1"));
    call.attempts = TRIES;
    for code in
        ["REQUEST_LIMIT_EXCEEDED", "STORAGE_LIMIT_EXCEEDED", "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"]
    {
        let settlement = settled(&call, false, &refused(code, "", &[]));
        assert!(waits_until(&settlement).is_some(), "{code}");
        assert_eq!(settlement.attempts, TRIES);
    }
}

#[test]
fn an_inactive_owner_gives_way_to_the_fallback_once() {
    let mut call = entry(ended("1"));
    let inactive = refused("INACTIVE_OWNER_OR_USER", "operation performed with inactive user", &[]);
    let first = settled(&call, false, &inactive);
    assert!(first.repairs.fallback_owner);
    assert_eq!(waits_until(&first), None, "at once");
    call.repairs = first.repairs;
    assert_eq!(code_of_parked(&settled(&call, false, &inactive)), Some("INACTIVE_OWNER_OR_USER"));
}

#[test]
fn a_field_that_is_too_long_is_cut_to_what_it_takes_once() {
    let mut call = entry(ended("1"));
    let long = refused("STRING_TOO_LONG", "Subject: data value too large: x (max length=40)", &["Subject"]);
    let first = settled(&call, false, &long);
    assert_eq!(first.repairs.shortened.get("Subject"), Some(&40));
    call.repairs = first.repairs;
    assert!(code_of_parked(&settled(&call, false, &long)).is_some());
}

#[test]
fn a_record_that_is_gone_is_left_out() {
    let mut call = entry(ended("1"));
    let gone = refused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", &[]);
    let unlinked = settled(&call, false, &gone).repairs.unlinked.unwrap();
    assert_eq!(unlinked.records, [id(LEAD)]);
    call.repairs.unlinked = Some(unlinked);
    let row = row_with("Subject", "Call");
    let sent = Sent { entry: &call, row: &row, upsert: false, now: now(), spread: 0.0, moved: None };
    assert!(code_of_parked(&plan::answered(&sent, &Err(gone))).is_some(), "nothing is left to leave out");
}

#[test]
fn an_upsert_of_a_task_that_is_there_goes_without_its_subtype() {
    let call = entry(ended("1"));
    let refusal = refused("INVALID_FIELD_FOR_INSERT_UPDATE", "", &["TaskSubtype"]);
    assert!(settled(&call, true, &refusal).repairs.without_subtype);
    assert!(code_of_parked(&settled(&call, false, &refusal)).is_some());
}

#[test]
fn a_rule_of_the_org_parks_it_with_its_words_and_an_advice() {
    let call = entry(ended("1"));
    let rule = refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No calls on Sundays", &["Subject"]);
    let Settled::Event(Event::Refused { reason, .. }) = settled(&call, false, &rule).what else {
        panic!("not parked");
    };
    assert_eq!(reason.message, "No calls on Sundays [Subject]");
    assert!(reason.advice.contains("validation rule"));
}

#[test]
fn a_lost_answer_is_looked_up_unless_it_was_an_update() {
    let mut call = entry(ended("1"));
    assert_eq!(plan::lost(&call).what, Settled::Event(Event::Unknown { look_at: None }));
    call.task = Some(id("00T000000000001"));
    assert_eq!(waits_until(&plan::lost(&call)), None, "an update");
}

#[test]
fn a_task_that_is_not_found_is_sent_again_only_after_its_time() {
    let mut call = entry(ended("1"));
    let since = at("2026-11-21T13:55:00Z");
    call.state = EntryState::Wire { since, look_at: None };
    let task = id("00T000000000001");
    let look = |found, now| plan::looked_up(&call, since, found, Some(SETTLE), now);
    assert_eq!(look(Some(&task), now()).what, Settled::Task(task.clone(), now()));
    let again = look(None, now());
    let later = at("2026-11-21T14:06:00Z");
    assert_eq!(again.what, Settled::Event(Event::Unknown { look_at: Some(later) }));
    assert_eq!(waits_until(&look(None, later)), None);
    let upsert = plan::looked_up(&call, since, None, None, now());
    assert_eq!(waits_until(&upsert), None, "an upsert may come twice");
}
