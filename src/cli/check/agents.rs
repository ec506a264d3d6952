//! Which Salesforce user each agent is.

use super::report::Finding;
use crate::pops::Agent;
use crate::salesforce::{Client, User};
use crate::settings::Settings;

/// Agents of the settings, or else all users with an extension.
pub(super) async fn mapped(client: &Client, settings: &Settings) -> Finding {
    let users = match client.users().await {
        Ok(users) => users,
        Err(error) => {
            return Finding::Failed(format!(
                "{error}; the user of ctibridge must be able to read users, or all Tasks are its own"
            ));
        }
    };
    let by_extension = settings.agents.match_user_extension;
    if settings.agent_list.is_empty() {
        return if by_extension { with_extension(&users) } else { nobody() };
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for agent in &settings.agent_list {
        match users.iter().find(|user| is(user, agent, by_extension)) {
            Some(user) => known.push(format!("{} is {}", agent.extension, user.username)),
            None => unknown.push(agent.extension.as_str()),
        }
    }
    let known = known.join(", ");
    if unknown.is_empty() {
        return Finding::Ok(known);
    }
    let separator = if known.is_empty() { "" } else { "; " };
    Finding::Failed(format!(
        "no active Salesforce user for {}; set Extension in Setup: Users, the user, Edit, or salesforce_user in [[agent]]{separator}\
         {known}",
        unknown.join(", ")
    ))
}

fn with_extension(users: &[User]) -> Finding {
    let mut known: Vec<String> = users
        .iter()
        .filter_map(|user| {
            Some(format!("{} is {}", user.extension.as_ref().filter(|it| !it.is_empty())?, user.username))
        })
        .collect();
    if known.is_empty() {
        return nobody();
    }
    known.sort();
    Finding::Ok(known.join(", "))
}

fn nobody() -> Finding {
    Finding::Note(
        "nobody is an agent: set Extension in Setup: Users, or add [[agent]] to the settings; until then no pop reaches anybody and \
         all Tasks belong to log.fallback_owner or the user of ctibridge"
            .to_owned(),
    )
}

fn is(user: &User, agent: &Agent, by_extension: bool) -> bool {
    if agent.salesforce_user.is_empty() {
        return by_extension && user.extension.as_deref() == Some(&agent.extension);
    }
    user.username.eq_ignore_ascii_case(&agent.salesforce_user) || user.id.as_str() == agent.salesforce_user
}
