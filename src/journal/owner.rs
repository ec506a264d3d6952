//! Whose call it was, and which Salesforce user that is.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::calls::record::{AgentPart, CallRecord, Direction, Extension};
use crate::salesforce::{RecordId, User};

/// How the ids of queues begin.
const QUEUE: &str = "00G";

/// An agent, as the settings tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentUser {
    pub extension: String,
    /// May be empty.
    pub name: String,
    /// Username or id; empty: by `User.Extension`.
    pub salesforce_user: String,
}

/// Who a Task may belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub id: RecordId,
    /// As Salesforce names it, `Europe/Berlin`.
    pub time_zone: Option<String>,
}

/// The users of all agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    pub by_extension: BTreeMap<String, Owner>,
    /// Names of agents, by extension.
    pub names: BTreeMap<String, String>,
    pub fallback: Option<Owner>,
    /// The fallback is the one that the settings name, or they name none.
    pub fallback_is_named: bool,
}

impl Owners {
    /// Puts the settings and the org's users together. Users that are not active own nothing.
    ///
    /// `fallback` is a username or an id, of a queue perhaps; empty, or not to be found: `login`.
    #[must_use]
    pub fn new(
        users: &[User],
        agents: &[AgentUser],
        match_user_extension: bool,
        fallback: &str,
        login: Option<&RecordId>,
    ) -> Self {
        let mut by_extension = BTreeMap::new();
        if match_user_extension {
            by_extension.extend(users_by_extension(users));
        }
        for agent in agents.iter().filter(|agent| !agent.salesforce_user.is_empty()) {
            // A user who is named but left must not give way to whoever has the extension in Salesforce.
            by_extension.remove(&agent.extension);
            if let Some(owner) = named(users, &agent.salesforce_user) {
                by_extension.insert(agent.extension.clone(), owner);
            }
        }
        let named = fallback_owner(users, fallback);
        Self {
            by_extension,
            fallback_is_named: named.is_some() || fallback.is_empty(),
            names: agents
                .iter()
                .filter(|agent| !agent.name.is_empty())
                .map(|agent| (agent.extension.clone(), agent.name.clone()))
                .collect(),
            fallback: named.or_else(|| login.map(|id| by_id(users, id))),
        }
    }

    /// The user of an agent.
    #[must_use]
    pub fn user(&self, extension: &Extension) -> Option<&RecordId> {
        self.by_extension.get(&extension.0).map(|owner| &owner.id)
    }

    /// The extension of a user; of several the first.
    #[must_use]
    pub fn extension(&self, user: &RecordId) -> Option<Extension> {
        let mut agents = self.by_extension.iter().filter(|(_, owner)| owner.id == *user);
        agents.next().map(|(extension, _)| Extension(extension.clone()))
    }

    /// The agent whose Task it would be, where no active user is known for it.
    #[must_use]
    pub fn unmapped<'a>(&self, record: &'a CallRecord, agent: Option<&'a Extension>) -> Option<&'a Extension> {
        agent.or_else(|| responsible(record)).filter(|extension| !self.by_extension.contains_key(&extension.0))
    }

    /// The owner of a call, or of one agent's part of it.
    #[must_use]
    pub fn of(&self, record: &CallRecord, agent: Option<&Extension>) -> Option<&Owner> {
        agent
            .or_else(|| responsible(record))
            .and_then(|extension| self.by_extension.get(&extension.0))
            .or(self.fallback.as_ref())
    }
}

/// The agent who talked longest with the outside party, the last one on a tie; when nobody talked, who dialled an outbound call,
/// else the one who was rung, if only one was.
pub(super) fn responsible(record: &CallRecord) -> Option<&Extension> {
    let agents = &record.call.agents;
    let talked = agents.iter().filter(|part| talked(part)).max_by_key(|part| (part.talk_ms, part.last_talk));
    talked
        .or_else(|| dialed(record))
        .or_else(|| only_one(agents.iter().filter(|part| part.rang)))
        .map(|part| &part.extension)
}

/// The agents who talked with the outside party, each once, in the order in which they came to the call.
pub(super) fn talkers(record: &CallRecord) -> Vec<&AgentPart> {
    record.call.agents.iter().filter(|part| talked(part)).collect()
}

fn talked(part: &AgentPart) -> bool {
    part.talk_ms > 0 || part.last_talk.is_some()
}

fn dialed(record: &CallRecord) -> Option<&AgentPart> {
    match record.call.direction {
        Direction::Outbound => record.call.agents.iter().find(|part| part.dialed),
        Direction::Inbound | Direction::Internal => None,
    }
}

fn only_one<'a>(mut parts: impl Iterator<Item = &'a AgentPart>) -> Option<&'a AgentPart> {
    parts.next().filter(|_| parts.next().is_none())
}

/// Of several active users with one extension the first by id, always the same.
fn users_by_extension(users: &[User]) -> BTreeMap<String, Owner> {
    let mut active: Vec<&User> = users.iter().filter(|user| user.active).collect();
    active.sort_by_key(|user| Reverse(&user.id));
    active
        .into_iter()
        .filter_map(|user| {
            let extension = user.extension.as_deref()?.trim();
            (!extension.is_empty()).then(|| (extension.to_owned(), owner(user)))
        })
        .collect()
}

fn named(users: &[User], name: &str) -> Option<Owner> {
    let id = RecordId::parse(name).ok();
    users
        .iter()
        .filter(|user| user.active)
        .find(|user| user.username.eq_ignore_ascii_case(name) || Some(&user.id) == id.as_ref())
        .map(owner)
}

/// Queues own Tasks too, and are not among the users; nor is anybody when the users may not be read.
fn fallback_owner(users: &[User], name: &str) -> Option<Owner> {
    named(users, name).or_else(|| {
        let id = RecordId::parse(name).ok()?;
        (users.is_empty() || id.as_str().starts_with(QUEUE)).then(|| unknown(&id))
    })
}

fn by_id(users: &[User], id: &RecordId) -> Owner {
    users.iter().find(|user| user.id == *id).map_or_else(|| unknown(id), owner)
}

fn unknown(id: &RecordId) -> Owner {
    Owner { id: id.clone(), time_zone: None }
}

fn owner(user: &User) -> Owner {
    Owner { id: user.id.clone(), time_zone: user.time_zone.clone() }
}
