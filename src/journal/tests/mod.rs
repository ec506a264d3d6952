//! Stories of calls on their way to disk and into Salesforce.

mod owners;
mod plans;
mod rows;
mod sending;
mod storing;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::entry::{Entry, EntryId, EntryState, Repairs};
use super::{Config, Per, RelatedTo};
use crate::calls::record::{AgentPart, CallKey, CallRecord, Direction, Disposition, Extension, OpenCall, OutsideParty};
use crate::phone::PhoneNumber;
use crate::salesforce::RecordId;

pub(super) fn config() -> Config {
    Config {
        enabled: true,
        per: Per::Call,
        missed: true,
        internal: false,
        external_id_field: String::new(),
        fallback_owner: String::new(),
        related_to: RelatedTo::None,
        batch_window: Duration::from_secs(2),
        settle_after: Duration::from_mins(11),
        keep_done: Duration::from_hours(7 * 24),
        subject: "{{ direction | title }} call {{ 'from' if direction == 'inbound' else 'to' }} {{ caller }}".into(),
        fields: BTreeMap::new(),
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn id(text: &str) -> RecordId {
    RecordId::parse(text).unwrap()
}

fn number(e164: &str) -> PhoneNumber {
    PhoneNumber::E164 { e164: e164.into(), extension: None }
}

fn agent(extension: &str, talk_ms: i64) -> AgentPart {
    AgentPart {
        extension: Extension(extension.into()),
        rang: true,
        dialed: false,
        talk_ms,
        last_talk: (talk_ms > 0).then(|| at("2026-11-21T13:05:00Z")),
    }
}

pub(super) fn open(unique: &str) -> OpenCall {
    OpenCall {
        key: CallKey::new("hq", "pbx1", unique),
        feed: "pbx1".into(),
        direction: Direction::Inbound,
        party: OutsideParty { number: number("+4930231250444"), name: None },
        dialed: "+4930555000".into(),
        queue: None,
        started: at("2026-11-21T13:03:00Z"),
        answered: Some(at("2026-11-21T13:03:10Z")),
        agents: vec![agent("101", 60_000)],
        journey: Vec::new(),
        outside_legs: vec!["1795282967.390".into()],
        aliases: Vec::new(),
        seen: at("2026-11-21T13:04:00Z"),
        voicemail: false,
    }
}

pub(super) fn ended(unique: &str) -> CallRecord {
    CallRecord {
        call: open(unique),
        ended: at("2026-11-21T13:05:10Z"),
        end_estimated: None,
        disposition: Disposition::Answered,
        hung_up_by: None,
    }
}

fn entry(record: CallRecord) -> Entry {
    Entry {
        id: EntryId(1),
        key: record.call.key.to_string(),
        call: record.call.key.clone(),
        agent: None,
        record,
        answer: None,
        notes: Vec::new(),
        noted: 0,
        tried: false,
        state: EntryState::due(),
        task: None,
        attempts: 0,
        repairs: Repairs::default(),
    }
}
