//! Whose call it was.

use super::super::owner::{AgentUser, Owner, Owners, responsible};
use super::super::wanted;
use super::{agent, at, config, ended, id};
use crate::calls::record::{CallRecord, Direction, Disposition};
use crate::salesforce::{RecordId, User};

fn owner_of(record: &CallRecord) -> Option<&str> {
    responsible(record).map(|extension| extension.0.as_str())
}

fn nobody_talked(direction: Direction) -> CallRecord {
    let mut record = ended("1");
    record.call.direction = direction;
    record.call.agents = vec![agent("101", 0), agent("102", 0)];
    record
}

fn user(name: &str, user_id: &str, extension: &str) -> User {
    User {
        id: id(user_id),
        username: format!("{name}@acme.example"),
        extension: Some(extension.into()),
        time_zone: Some("Europe/Berlin".into()),
        active: name != "left",
    }
}

fn named(extension: &str, salesforce_user: &str) -> AgentUser {
    AgentUser { extension: extension.into(), name: "Anna Agent".into(), salesforce_user: salesforce_user.into() }
}

fn users() -> Vec<User> {
    vec![
        user("anna", "005000000000001", "101"),
        user("bert", "005000000000002", "102"),
        user("left", "005000000000003", "103"),
    ]
}

fn ids(owners: &Owners, extension: &str) -> Option<RecordId> {
    owners.by_extension.get(extension).map(|owner| owner.id.clone())
}

#[test]
fn the_agent_who_talked_longest_owns_it_and_the_last_one_on_a_tie() {
    let mut record = ended("1");
    record.call.agents = vec![agent("101", 5_000), agent("102", 9_000), agent("103", 9_000)];
    assert_eq!(owner_of(&record), Some("103"));
    record.call.agents[1].last_talk = Some(at("2026-11-21T14:00:00Z"));
    assert_eq!(owner_of(&record), Some("102"), "who spoke last is the last");
}

#[test]
fn a_call_that_nobody_took_belongs_to_the_one_who_was_rung_or_dialled() {
    let mut missed = nobody_talked(Direction::Inbound);
    assert_eq!(owner_of(&missed), None, "two were rung");
    missed.call.agents.pop();
    assert_eq!(owner_of(&missed), Some("101"));
    let mut busy = nobody_talked(Direction::Outbound);
    busy.call.agents[1].dialed = true;
    assert_eq!(owner_of(&busy), Some("102"));
}

#[test]
fn the_settings_win_over_the_extension_in_salesforce() {
    let agents = [named("101", "BERT@acme.example"), named("104", "005000000000001")];
    let owners = Owners::new(&users(), &agents, true, "", None);
    assert_eq!(ids(&owners, "101"), Some(id("005000000000002")));
    assert_eq!(ids(&owners, "104"), Some(id("005000000000001")));
    assert_eq!(ids(&owners, "102"), Some(id("005000000000002")));
    let unmatched = Owners::new(&users(), &agents, false, "", None);
    assert_eq!(ids(&unmatched, "102"), None);
}

#[test]
fn a_user_who_left_owns_nothing() {
    let api = id("005000000000009");
    let owners = Owners::new(&users(), &[named("101", "left@acme.example")], true, "left@acme.example", Some(&api));
    assert_eq!(ids(&owners, "103"), None);
    assert_eq!(ids(&owners, "101"), None, "and nobody stands in for a user who is named");
    assert_eq!(owners.of(&ended("1"), None).map(|owner| &owner.id), Some(&api));
}

#[test]
fn a_queue_may_be_the_fallback() {
    let owners = Owners::new(&users(), &[], false, "00G000000000001", None);
    let queue = Owner { id: id("00G000000000001"), time_zone: None };
    assert_eq!(owners.fallback, Some(queue));
}

#[test]
fn what_is_not_wanted_is_not_logged() {
    let mut record = ended("1");
    assert!(wanted(&record, &config()));
    record.call.direction = Direction::Internal;
    assert!(!wanted(&record, &config()));
    record.call.direction = Direction::Inbound;
    record.disposition = Disposition::Voicemail;
    let mut settings = config();
    assert!(wanted(&record, &settings));
    settings.missed = false;
    assert!(!wanted(&record, &settings));
    settings.missed = true;
    settings.enabled = false;
    assert!(!wanted(&record, &settings));
}
