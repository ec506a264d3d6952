//! A finished call as the row of a Task, field by field.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::config::Per;
use super::description;
use super::entry::{Entry, Repairs};
use super::fields::{Fit, TaskFields};
use super::link::{Link, Party, link};
use super::note::Note;
use super::owner::{Owner, Owners, responsible, talkers};
use super::template::{Templates, Variables};
use super::text::{cut, lines, one_line};
use crate::calls::record::{CallKey, CallRecord, Direction, Extension};
use crate::directory::answer::Answer;
use crate::phone::PhoneNumber;
use crate::salesforce::{RecordId, Row, Value};

/// Of `Subject` and `CallDisposition`, in characters.
const LINE: usize = 255;
/// Of Description, in characters.
const TEXT: usize = 32_000;

/// What all Tasks have in common.
#[derive(Debug, Clone, Copy)]
pub struct TaskSettings<'a> {
    pub templates: &'a Templates,
    pub task_fields: &'a TaskFields,
    /// A status of the org that means that a Task is closed.
    pub closed_status: &'a str,
    /// Empty: the org has none.
    pub external_id_field: &'a str,
    /// For calls whose owner has no time zone.
    pub zone: &'a TimeZone,
}

/// What one Task is made of.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub key: &'a str,
    /// Whose part of the call; `None`: the whole call.
    pub agent: Option<&'a Extension>,
    pub record: &'a CallRecord,
    pub answer: Option<&'a Answer>,
    pub notes: &'a [Note],
    pub repairs: &'a Repairs,
    /// What the Task is related to by `log.related_to`, unless somebody chose otherwise.
    pub related: Option<&'a RecordId>,
}

impl<'a> From<&'a Entry> for Part<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            key: &entry.key,
            agent: entry.agent.as_ref(),
            record: &entry.record,
            answer: entry.answer.as_ref(),
            notes: &entry.notes,
            repairs: &entry.repairs,
            related: None,
        }
    }
}

/// Whose case or opportunity `log.related_to` may look for.
pub(super) fn party(part: &Part) -> Option<Party> {
    link(part.answer, &notes_of(part), part.repairs).party
}

/// The Tasks of a call: the key of each and whose part of the call it is.
///
/// With a Task for each agent, a call that nobody talked on is still one Task, under the call's own key.
#[must_use]
pub fn keys(record: &CallRecord, per: Per) -> Vec<(String, Option<Extension>)> {
    let call = &record.call.key;
    let talkers = talkers(record);
    if per == Per::Call || talkers.is_empty() {
        return vec![(key(call, None), None)];
    }
    talkers.into_iter().map(|part| (key(call, Some(&part.extension)), Some(part.extension.clone()))).collect()
}

/// The key of the whole call, or of one agent's part of it.
pub(super) fn key(call: &CallKey, agent: Option<&Extension>) -> String {
    agent.map_or_else(|| call.to_string(), |extension| call.of_agent(extension))
}

/// The row of a Task that is not there yet; with `external_id_field` one that may be.
#[must_use]
pub fn row(part: &Part, owners: &Owners, settings: &TaskSettings) -> Row {
    let task = Task::new(part, owners, settings);
    let mut fields = task.fields();
    fields.extend(task.additional.clone());
    if !part.repairs.without_subtype {
        fields.insert("TaskSubtype".to_owned(), text("Call"));
    }
    fields.insert("CallObject".to_owned(), text(part.key));
    if !settings.external_id_field.is_empty() {
        fields.insert(settings.external_id_field.to_owned(), text(part.key));
    }
    Row { id: None, fields: shortened(fields, part.repairs) }
}

/// What agents added since the Task was written, and nothing else: people may have changed the rest in Salesforce.
#[must_use]
pub fn update(id: &RecordId, part: &Part, owners: &Owners, settings: &TaskSettings) -> Row {
    let task = Task::new(part, owners, settings);
    let mut fields = BTreeMap::new();
    fields.insert("Description".to_owned(), task.description());
    if chosen_disposition(&task.notes).is_some() {
        fields.insert("CallDisposition".to_owned(), task.disposition());
    }
    if task.notes.iter().any(|note| note.record_id.is_some()) {
        fields.insert("WhoId".to_owned(), id_or_null(task.link.who.as_ref()));
        fields.insert("WhatId".to_owned(), id_or_null(task.link.what.as_ref()));
    }
    Row { id: Some(id.clone()), fields: shortened(fields, part.repairs) }
}

/// A part with all that follows from it.
pub(super) struct Task<'a> {
    pub part: &'a Part<'a>,
    pub owners: &'a Owners,
    pub notes: Vec<&'a Note>,
    pub link: Link<'a>,
    pub zone: TimeZone,
    /// Fields of the settings whose text does not fit, and what would.
    pub misfits: Vec<(String, &'static str)>,
    settings: &'a TaskSettings<'a>,
    owner: Option<&'a Owner>,
    additional: Vec<(String, Value)>,
}

impl<'a> Task<'a> {
    fn new(part: &'a Part, owners: &'a Owners, settings: &'a TaskSettings) -> Self {
        let owner =
            if part.repairs.fallback_owner { owners.fallback.as_ref() } else { owners.of(part.record, part.agent) };
        let notes = notes_of(part);
        let mut link = link(part.answer, &notes, part.repairs);
        if let (Some(_), Some(related)) = (&link.party, part.related) {
            link.what = Some(related.clone());
        }
        let mut task = Self {
            part,
            owners,
            link,
            notes,
            zone: zone(owner, settings.zone),
            misfits: Vec::new(),
            settings,
            owner,
            additional: Vec::new(),
        };
        task.fill();
        task
    }

    fn fields(&self) -> BTreeMap<String, Value> {
        let call = &self.part.record.call;
        let date = call.started.to_zoned(self.zone.clone()).date();
        let mut fields = BTreeMap::from(
            [
                ("Subject", self.subject()),
                ("Status", text(self.settings.closed_status)),
                ("CallType", text(call_type(call.direction))),
                ("CallDurationInSeconds", Value::Integer(self.seconds())),
                ("CallDisposition", self.disposition()),
                ("ActivityDate", text(&date.to_string())),
                ("Description", self.description()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let ids = [
            ("WhoId", self.link.who.as_ref()),
            ("WhatId", self.link.what.as_ref()),
            ("OwnerId", self.owner.map(|owner| &owner.id)),
        ];
        for (name, id) in ids {
            if let Some(id) = id {
                fields.insert(name.to_owned(), text(id.as_str()));
            }
        }
        fields
    }

    /// The additional fields, each as its type takes it.
    fn fill(&mut self) {
        let variables = self.variables();
        for (name, filled) in self.settings.templates.fields(&variables) {
            let name = self.settings.task_fields.name(name);
            let limit = if name == "Subject" { LINE } else { TEXT };
            match self.settings.task_fields.fit(name, cut(&lines(&filled), limit)) {
                Fit::Value(value) => self.additional.push((name.to_owned(), value)),
                Fit::Not(wanted) => self.misfits.push((name.to_owned(), wanted)),
                Fit::Nothing => {}
            }
        }
    }

    fn subject(&self) -> Value {
        let filled = self.settings.templates.subject(&self.variables());
        let filled = filled.map(|filled| one_line(&filled)).unwrap_or_default();
        match cut(&filled, LINE).trim_end() {
            "" => text(&format!("{} call", call_type(self.part.record.call.direction))),
            subject => text(subject),
        }
    }

    fn disposition(&self) -> Value {
        let words =
            chosen_disposition(&self.notes).map_or_else(|| self.part.record.disposition.as_str().to_owned(), one_line);
        text(cut(&words, LINE))
    }

    fn description(&self) -> Value {
        text(cut(&description::of(self), TEXT).trim_end())
    }

    /// Of one agent's part the time that this agent spoke; of a call from the first answer to the end.
    fn seconds(&self) -> i64 {
        let record = self.part.record;
        self.part.agent.map_or_else(
            || record.duration_seconds(),
            |agent| {
                let parts = &record.call.agents;
                let own = parts.iter().find(|part| part.extension == *agent);
                own.map_or(0, |part| (part.talk_ms.max(0) + 500) / 1000)
            },
        )
    }

    fn variables(&self) -> Variables {
        let record = self.part.record;
        let call = &record.call;
        let agent = self.part.agent.or_else(|| responsible(record));
        let extension = agent.map(|extension| extension.0.clone()).unwrap_or_default();
        let found = self.link.record;
        let started = call.started.to_zoned(self.zone.clone());
        Variables::from([
            ("call", self.part.key.to_owned()),
            ("direction", call.direction.as_str().to_owned()),
            ("caller", one_line(&self.caller())),
            ("number", call.party.number.e164().unwrap_or_default().to_owned()),
            ("name", one_line(&self.name().unwrap_or_default())),
            ("account", one_line(found.and_then(|found| found.account.as_deref()).unwrap_or_default())),
            ("dialed", one_line(&call.dialed)),
            ("queue", one_line(call.queue.as_deref().unwrap_or_default())),
            ("agent", one_line(self.owners.names.get(&extension).unwrap_or(&extension))),
            ("extension", one_line(&extension)),
            ("disposition", disposition_words(&self.disposition())),
            ("duration", self.seconds().to_string()),
            ("started", started.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
        ])
    }

    fn caller(&self) -> String {
        self.name().unwrap_or_else(|| number_words(&self.part.record.call.party.number))
    }

    /// The record's name, else what the phone system shows; of a withheld number nothing, unless an agent said who it was.
    fn name(&self) -> Option<String> {
        let party = &self.part.record.call.party;
        let shown = party.name.as_ref().filter(|name| party.number != PhoneNumber::Withheld && !name.trim().is_empty());
        self.link.record.map(|found| &found.name).or(shown).cloned()
    }
}

/// A number for people; a withheld one says so, whatever the phone system leaked.
pub(super) fn number_words(number: &PhoneNumber) -> String {
    number.display().map_or_else(|| "withheld".to_owned(), one_line)
}

fn disposition_words(value: &Value) -> String {
    match value {
        Value::Text(words) => words.clone(),
        Value::Integer(_) | Value::Decimal(_) | Value::Bool(_) | Value::Null => String::new(),
    }
}

/// Of a whole call all notes; of one agent's part its own, and those of people who have no part of their own.
fn notes_of<'a>(part: &Part<'a>) -> Vec<&'a Note> {
    let Some(agent) = part.agent else {
        return part.notes.iter().collect();
    };
    let talkers = talkers(part.record);
    let has_own = |extension: &str| talkers.iter().any(|talker| talker.extension.0 == extension);
    part.notes
        .iter()
        .filter(|note| match note.extension.as_deref() {
            Some(extension) => extension == agent.0 || !has_own(extension),
            None => true,
        })
        .collect()
}

fn chosen_disposition<'a>(notes: &[&'a Note]) -> Option<&'a str> {
    notes.iter().rev().filter_map(|note| note.disposition.as_deref()).find(|words| !words.trim().is_empty())
}

fn zone(owner: Option<&Owner>, otherwise: &TimeZone) -> TimeZone {
    owner
        .and_then(|owner| owner.time_zone.as_deref())
        .and_then(|name| TimeZone::get(name).ok())
        .unwrap_or_else(|| otherwise.clone())
}

fn call_type(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "Inbound",
        Direction::Outbound => "Outbound",
        Direction::Internal => "Internal",
    }
}

fn shortened(mut fields: BTreeMap<String, Value>, repairs: &Repairs) -> BTreeMap<String, Value> {
    for (name, limit) in &repairs.shortened {
        if let Some(Value::Text(long)) = fields.get_mut(name) {
            *long = cut(long, *limit).to_owned();
        }
    }
    fields
}

fn id_or_null(id: Option<&RecordId>) -> Value {
    id.map_or(Value::Null, |id| text(id.as_str()))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
