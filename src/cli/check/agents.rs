//! Which Salesforce user each agent is.

use super::report::Finding;
use crate::journal::{self, AgentUser};
use crate::pops::Agent;
use crate::salesforce::{Client, Error, User};
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
    let told = match notices(client, settings).await {
        Ok(told) => told,
        Err(error) => return Finding::Failed(error.to_string()),
    };
    let by_extension = settings.agents.match_user_extension;
    if settings.agent_list.is_empty() && told.is_empty() {
        return if by_extension { with_extension(&users) } else { nobody() };
    }
    let known = settings.agent_list.iter().filter_map(|agent| {
        let user = users.iter().find(|user| is(user, agent, by_extension))?;
        Some(format!("{} is {}", agent.extension, user.username))
    });
    let known: Vec<String> = known.collect();
    if told.is_empty() { Finding::Ok(known.join(", ")) } else { Finding::Failed([told, known].concat().join("; ")) }
}

/// What the journal has to say of agents without a user and of the fallback owner.
async fn notices(client: &Client, settings: &Settings) -> Result<Vec<String>, Error> {
    let agents = settings.agent_list.iter().map(|agent| AgentUser {
        extension: agent.extension.clone(),
        name: agent.name.clone(),
        salesforce_user: agent.salesforce_user.clone(),
    });
    let agents: Vec<AgentUser> = agents.collect();
    let by_extension = settings.agents.match_user_extension;
    Ok(journal::mapping(client, &agents, by_extension, &settings.log.fallback_owner).await?.notices)
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
