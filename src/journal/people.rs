//! What the sender knows of the org: whose Tasks they are, which status is a closed one, what the Task's fields take.

use std::collections::BTreeSet;

use super::fields::TaskFields;
use super::owner::{AgentUser, Owners};
use super::sender::Settings;
use crate::salesforce::{Client, Error, Retry, User};

/// The status of a closed Task in an org that has not changed its list.
const USUAL_STATUS: &str = "Completed";

#[derive(Debug, Clone)]
pub(super) struct People {
    pub owners: Owners,
    pub closed_status: String,
    pub task_fields: TaskFields,
    /// Not all could be read, and it may be tried again before long.
    pub partial: bool,
    /// What an operator should know, a sentence each.
    pub notices: BTreeSet<String>,
}

/// Which agents have a Salesforce user, and what is wrong with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Agents of the settings with an active user.
    pub mapped: usize,
    /// What is wrong and what to do, a sentence each.
    pub notices: Vec<String>,
}

/// Asks the org for the users of the agents: once where all are there, twice more to tell who has left.
///
/// `fallback` is `log.fallback_owner`.
///
/// # Errors
/// When Salesforce cannot be asked.
pub async fn mapping(
    client: &Client,
    agents: &[AgentUser],
    match_user_extension: bool,
    fallback: &str,
) -> Result<Mapping, Error> {
    let users = client.users().await?;
    let owners = Owners::new(&users, agents, match_user_extension, fallback, None);
    let notices = notices(client, agents, &owners, fallback).await;
    let mapped = agents.iter().filter(|agent| owners.by_extension.contains_key(&agent.extension)).count();
    Ok(Mapping { mapped, notices })
}

/// Asks the org. What the integration user may not read is done without: better a Task with the wrong owner than none.
///
/// # Errors
/// When Salesforce cannot be asked at all.
pub(super) async fn ask(client: &Client, settings: &Settings) -> Result<People, Error> {
    let status = allowed(client.closed_task_status().await)?;
    let users = allowed(client.users().await)?;
    let login = allowed(client.login_user().await)?;
    let columns = allowed(client.columns("Task").await)?;
    let partial = status.is_none() || users.is_none() || login.is_none() || columns.is_none();
    let (config, agents) = (&settings.config, &settings.agents);
    let (fallback, by_extension) = (&config.fallback_owner, settings.match_user_extension);
    let owners = Owners::new(users.as_deref().unwrap_or_default(), agents, by_extension, fallback, login.as_ref());
    let (task_fields, problems) = TaskFields::new(columns.unwrap_or_default(), config, &settings.templates);
    let mut told: BTreeSet<String> = problems.iter().map(ToString::to_string).collect();
    match users {
        Some(_) => told.extend(notices(client, agents, &owners, fallback).await),
        None => {
            told.insert("the users of the org may not be read: all Tasks go to the fallback owner".to_owned());
        }
    }
    let closed_status = status.unwrap_or_else(|| USUAL_STATUS.to_owned());
    Ok(People { owners, closed_status, task_fields, partial, notices: told })
}

/// Agents without an active user, and a fallback owner who is none.
async fn notices(client: &Client, agents: &[AgentUser], owners: &Owners, fallback: &str) -> Vec<String> {
    let without: Vec<&AgentUser> =
        agents.iter().filter(|agent| !owners.by_extension.contains_key(&agent.extension)).collect();
    let missing = (!owners.fallback_is_named).then_some(fallback);
    let left = left(client, &without, missing).await;
    let mut told: Vec<String> = without
        .into_iter()
        .map(|agent| {
            let what = match (left.iter().any(|user| is(user, agent)), agent.salesforce_user.is_empty()) {
                (true, _) => "the Salesforce user is inactive; name the successor as salesforce_user in [[agent]]",
                (false, true) => {
                    "no active Salesforce user has this extension; set the user's Extension in Salesforce, or \
                     salesforce_user in [[agent]]"
                }
                (false, false) => "no active Salesforce user has this salesforce_user; correct it in [[agent]]",
            };
            format!("agent {}: {what}; until then the Tasks go to the fallback owner", agent.extension)
        })
        .collect();
    if let Some(name) = missing {
        let inactive = left.iter().any(|user| user.username.eq_ignore_ascii_case(name));
        let what = if inactive { "is inactive" } else { "is not to be found among the active ones" };
        told.push(format!("log.fallback_owner: this user {what}; until it is corrected the API user takes its place"));
    }
    told
}

/// Users who have left, of those that these agents would have. That they cannot be read is no reason to stop.
async fn left(client: &Client, agents: &[&AgentUser], fallback: Option<&str>) -> Vec<User> {
    let (mut extensions, mut usernames) = (Vec::new(), Vec::from_iter(fallback.map(str::to_owned)));
    for agent in agents {
        let (list, value) = if agent.salesforce_user.is_empty() {
            (&mut extensions, &agent.extension)
        } else {
            (&mut usernames, &agent.salesforce_user)
        };
        list.push(value.clone());
    }
    let mut users = Vec::new();
    for (field, values) in [("Extension", extensions), ("Username", usernames)] {
        if !values.is_empty() {
            users.extend(client.inactive_users(field, &values).await.unwrap_or_default());
        }
    }
    users
}

fn is(user: &User, agent: &AgentUser) -> bool {
    if agent.salesforce_user.is_empty() {
        return user.extension.as_deref().is_some_and(|extension| extension.trim() == agent.extension);
    }
    user.username.eq_ignore_ascii_case(&agent.salesforce_user)
}

/// `None`: it will not be answered, and the rest can do without it.
fn allowed<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Lacking(_)) => Ok(None),
        Err(error) => match error.retry() {
            Retry::Never => Ok(None),
            Retry::WhenMended if error.code().is_some() => Ok(None),
            Retry::WhenMended | Retry::Soon | Retry::After(_) | Retry::Quota => Err(error),
        },
    }
}
