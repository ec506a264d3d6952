//! What an answer of Salesforce means for an entry: pure, row by row.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::entry::{Entry, Event, Reason, Repairs, Unlinked};
use super::op::{Settled, Settlement};
use crate::salesforce::{RecordId, Retry, Row, RowError, RowOutcome, Value};

/// Refusals that may pass, before an entry is parked.
pub(super) const TRIES: u32 = 5;

/// Before the second try of a row that another writer held; doubles with each.
const LOCKED_WAIT: Duration = Duration::from_secs(1);

/// Before a row is sent again that the org as a whole does not take now: its storage or its quota is used up.
const ORG_WAIT: Duration = Duration::from_mins(5);

/// Before a row is sent again whose records could not be followed.
const ASK_WAIT: Duration = Duration::from_secs(10);

/// How short a field is made that is too long, when Salesforce does not say how long it may be.
const SHORT: usize = 80;

/// What an operator can do about a refusal of which no more is known.
pub(super) const ADVICE: &str =
    "see what Salesforce says, correct it there or in [log], then retry; or drop this entry";

/// What is known when a row comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub entry: &'a Entry,
    pub row: &'a Row,
    /// By an external id: sending it twice makes one Task.
    pub upsert: bool,
    pub now: Timestamp,
    /// 0 to 1, at random.
    pub spread: f64,
    /// Of the records that Salesforce would not link, those that stand for them now.
    pub moved: Option<&'a BTreeMap<RecordId, RecordId>>,
}

/// The fate of a row that Salesforce answered.
pub(super) fn answered(sent: &Sent, outcome: &RowOutcome) -> Settlement {
    let error = match outcome {
        Ok(task) => {
            return Settlement {
                id: sent.entry.id,
                what: Settled::Task(task.clone(), sent.now),
                attempts: 0,
                repairs: sent.entry.repairs.clone(),
            };
        }
        Err(error) => error,
    };
    if let Some(moment) = may_pass(sent, error) {
        return later(sent, error, &moment);
    }
    match repaired(sent, error) {
        Some(repairs) => Settlement {
            id: sent.entry.id,
            what: Settled::Event(Event::Again { not_before: None, reason: Some(reason(error)) }),
            attempts: sent.entry.attempts,
            repairs,
        },
        None => parked(sent.entry, sent.now, reason(error)),
    }
}

/// The fate of an entry whose answer was lost: an update is repeated, all else is looked up first.
pub(super) fn lost(entry: &Entry) -> Settlement {
    let event = if entry.task.is_some() {
        Event::Again { not_before: None, reason: None }
    } else {
        Event::Unknown { look_at: None }
    };
    unchanged(entry, event)
}

/// The fate of an entry of a batch that the org as a whole does not take now.
pub(super) fn waits(entry: &Entry, error: &RowError) -> Settlement {
    unchanged(entry, Event::Again { not_before: None, reason: Some(reason(error)) })
}

/// The fate of an entry whose records could not be followed: it is tried again, a few times.
pub(super) fn asked_later(entry: &Entry, error: &RowError, now: Timestamp) -> Settlement {
    let reason = reason(error);
    if entry.attempts.saturating_add(1) >= TRIES {
        return parked(entry, now, reason);
    }
    let event = Event::Again { not_before: Some(plus(now, ASK_WAIT)), reason: Some(reason) };
    Settlement { attempts: entry.attempts + 1, ..unchanged(entry, event) }
}

/// Whether a refusal is about the org and not about the row: maintenance, storage, quota.
pub(super) fn is_about_the_org(error: &RowError) -> bool {
    match error.retry() {
        Retry::After(_) | Retry::Quota | Retry::WhenMended => true,
        Retry::Never | Retry::Soon => false,
    }
}

/// The records of a refused row that may have been converted, merged or deleted.
pub(super) fn refused_records(row: &Row, error: &RowError) -> Vec<RecordId> {
    if is_about_links(row, error) { linked(row, error) } else { Vec::new() }
}

/// The fate of an entry that was certainly not written.
pub(super) fn not_written(entry: &Entry, not_before: Option<Timestamp>) -> Settlement {
    unchanged(entry, Event::Again { not_before, reason: None })
}

/// The fate of an entry that was looked up: one that is not there may still come, until `settle_after` has passed since it was
/// sent; `None`: it is sent by upsert, and may come twice.
pub(super) fn looked_up(
    entry: &Entry,
    since: Timestamp,
    found: Option<&RecordId>,
    settle_after: Option<Duration>,
    now: Timestamp,
) -> Settlement {
    if let Some(task) = found {
        return Settlement {
            id: entry.id,
            what: Settled::Task(task.clone(), now),
            attempts: 0,
            repairs: entry.repairs.clone(),
        };
    }
    let settled = settle_after.map_or(now, |after| plus(since, after));
    if settled <= now {
        return not_written(entry, None);
    }
    unchanged(entry, Event::Unknown { look_at: Some(settled) })
}

pub(super) fn parked(entry: &Entry, at: Timestamp, reason: Reason) -> Settlement {
    unchanged(entry, Event::Refused { at, reason })
}

/// As [`not_written`], with one more try counted.
pub(super) fn tried(entry: &Entry, not_before: Timestamp) -> Settlement {
    Settlement { attempts: entry.attempts.saturating_add(1), ..not_written(entry, Some(not_before)) }
}

pub(super) fn plus(at: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| at.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

fn unchanged(entry: &Entry, event: Event) -> Settlement {
    Settlement { id: entry.id, what: Settled::Event(event), attempts: entry.attempts, repairs: entry.repairs.clone() }
}

/// A refusal of the moment: how long to wait, and whether it is about this row, so that the tries are counted.
struct Moment {
    wait: Duration,
    counts: bool,
}

fn may_pass(sent: &Sent, error: &RowError) -> Option<Moment> {
    let moment = |wait, counts| Some(Moment { wait, counts });
    match error.retry() {
        Retry::Never => None,
        Retry::Soon => {
            let doubled = 2_u32.saturating_pow(sent.entry.attempts.min(TRIES));
            moment(LOCKED_WAIT.saturating_mul(doubled), true)
        }
        Retry::After(wait) => moment(wait, false),
        Retry::Quota | Retry::WhenMended => moment(ORG_WAIT, false),
    }
}

fn later(sent: &Sent, error: &RowError, moment: &Moment) -> Settlement {
    let attempts = sent.entry.attempts.saturating_add(u32::from(moment.counts));
    if attempts >= TRIES && moment.counts {
        return parked(sent.entry, sent.now, reason(error));
    }
    let wait = moment.wait.mul_f64(0.5 + sent.spread.clamp(0.0, 1.0));
    Settlement {
        id: sent.entry.id,
        what: Settled::Event(Event::Again { not_before: Some(plus(sent.now, wait)), reason: Some(reason(error)) }),
        attempts,
        repairs: sent.entry.repairs.clone(),
    }
}

/// The row made acceptable, where it is plain how, and was not tried before.
fn repaired(sent: &Sent, error: &RowError) -> Option<Repairs> {
    let mut repairs = sent.entry.repairs.clone();
    match error.code.as_str() {
        "INACTIVE_OWNER_OR_USER" => other_owner(&mut repairs)?,
        "INVALID_CROSS_REFERENCE_KEY" if names(error, "OwnerId") => other_owner(&mut repairs)?,
        _links if is_about_links(sent.row, error) => {
            relink(&mut repairs, sent, error);
        }
        "STRING_TOO_LONG" => shorten(&mut repairs, error)?,
        "INVALID_FIELD_FOR_INSERT_UPDATE" if sent.upsert && names(error, "TaskSubtype") => {
            without_subtype(&mut repairs)?;
        }
        _ => return None,
    }
    Some(repairs)
}

/// Whether a record that the row names is refused. Of an update that names none the Task itself is gone.
fn is_about_links(row: &Row, error: &RowError) -> bool {
    let named = names(error, "WhoId") || names(error, "WhatId");
    let is_new = row.id.is_none();
    let about = match error.code.as_str() {
        "CANNOT_UPDATE_CONVERTED_LEAD" => true,
        "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" => named || (is_new && error.fields.is_empty()),
        "FIELD_INTEGRITY_EXCEPTION" => named,
        _ => false,
    };
    about && !linked(row, error).is_empty()
}

/// The records in the fields that the refusal names, or in both where it names none.
fn linked(row: &Row, error: &RowError) -> Vec<RecordId> {
    let all = !names(error, "WhoId") && !names(error, "WhatId");
    let fields = ["WhoId", "WhatId"].into_iter().filter(|field| all || names(error, field));
    fields.filter_map(|field| id_in(row, field)).collect()
}

fn names(error: &RowError, field: &str) -> bool {
    error.fields.iter().any(|named| named == field)
}

fn other_owner(repairs: &mut Repairs) -> Option<()> {
    let first = !std::mem::replace(&mut repairs.fallback_owner, true);
    first.then_some(())
}

/// The Task of an earlier try is there, and an upsert may not set again what is only set when it is made.
fn without_subtype(repairs: &mut Repairs) -> Option<()> {
    let first = !std::mem::replace(&mut repairs.without_subtype, true);
    first.then_some(())
}

/// What stands for a refused record now takes its place, once; all else is left out, so that this ends.
fn relink(repairs: &mut Repairs, sent: &Sent, error: &RowError) {
    for id in linked(sent.row, error) {
        match sent.moved.and_then(|moved| moved.get(&id)) {
            Some(now) if !repairs.moved.contains_key(&id) => {
                repairs.moved.insert(id, now.clone());
            }
            Some(_) | None => {
                let none = || Unlinked { code: String::new(), records: Vec::new() };
                let unlinked = repairs.unlinked.get_or_insert_with(none);
                unlinked.code.clone_from(&error.code);
                unlinked.records.push(id);
            }
        }
    }
}

fn id_in(row: &Row, field: &str) -> Option<RecordId> {
    match row.fields.get(field) {
        Some(Value::Text(id)) => RecordId::parse(id).ok(),
        Some(Value::Integer(_) | Value::Decimal(_) | Value::Bool(_) | Value::Null) | None => None,
    }
}

fn shorten(repairs: &mut Repairs, error: &RowError) -> Option<()> {
    let limit = limit_in(&error.message).unwrap_or(SHORT);
    let fresh: Vec<&String> = error.fields.iter().filter(|field| !repairs.shortened.contains_key(*field)).collect();
    if fresh.is_empty() {
        return None;
    }
    let fresh: Vec<(String, usize)> = fresh.into_iter().map(|f| (f.clone(), limit)).collect();
    repairs.shortened.extend(fresh);
    Some(())
}

/// `Subject: data value too large: … (max length=255)`
fn limit_in(message: &str) -> Option<usize> {
    let (_, rest) = message.rsplit_once("max length=")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn reason(error: &RowError) -> Reason {
    let fields = if error.fields.is_empty() { String::new() } else { format!(" [{}]", error.fields.join(", ")) };
    Reason {
        code: error.code.clone(),
        message: format!("{}{fields}", error.message),
        advice: advice(&error.code).to_owned(),
    }
}

/// What an operator can do about a refusal.
fn advice(code: &str) -> &'static str {
    match code {
        "REQUIRED_FIELD_MISSING" => {
            "Salesforce wants a field that ctibridge does not write: give it a default, or a template in [log.fields]; then retry"
        }
        "FIELD_CUSTOM_VALIDATION_EXCEPTION" => {
            "a validation rule of the org refuses it: except the integration user from the rule, or fill the field by [log.fields]; then retry"
        }
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" => {
            "the value is not in the field's picklist: add it in Salesforce, or change [log.fields]; then retry"
        }
        "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE" => {
            "the field is not there or may not be written: give the integration user access to it, or correct [log]; then retry"
        }
        "INSUFFICIENT_ACCESS_OR_READONLY" | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY" => {
            "the integration user may not do this: give it access to Tasks and to the linked records; then retry"
        }
        "INACTIVE_OWNER_OR_USER" => {
            "the fallback owner is not active either: set log.fallback_owner to an active user; then retry"
        }
        "UNABLE_TO_LOCK_ROW" => "something else in the org holds the record: retry when it has finished",
        "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" => {
            "the Task or its record was deleted in Salesforce: restore it and retry, or drop this entry"
        }
        "DUPLICATE_VALUE" => {
            "another record has the same value in a unique field: if [log.fields] fills that field, change its template; then retry"
        }
        "STRING_TOO_LONG" => "shorten the template in [log] that fills the field; then retry",
        _ => ADVICE,
    }
}
