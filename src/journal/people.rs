//! What the sender knows of the org: whose Tasks they are and which status is a closed one.

use super::owner::Owners;
use super::sender::Settings;
use crate::salesforce::{Client, Error, Retry};

/// The status of a closed Task in an org that has not changed its list.
const USUAL_STATUS: &str = "Completed";

#[derive(Debug, Clone)]
pub(super) struct People {
    pub owners: Owners,
    pub closed_status: String,
    /// Not all could be read, and it may be tried again before long.
    pub partial: bool,
}

/// Asks the org. What the integration user may not read is done without: better a Task with the wrong owner than none.
///
/// # Errors
/// When Salesforce cannot be asked at all.
pub(super) async fn ask(client: &Client, settings: &Settings) -> Result<People, Error> {
    let status = allowed(client.closed_task_status().await)?;
    let users = allowed(client.users().await)?;
    let login = allowed(client.login_user().await)?;
    if users.is_none() {
        tracing::warn!("the users of the org may not be read: Tasks go to the fallback owner");
    }
    Ok(People {
        partial: status.is_none() || users.is_none() || login.is_none(),
        owners: Owners::new(
            &users.unwrap_or_default(),
            &settings.agents,
            settings.match_user_extension,
            &settings.config.fallback_owner,
            login.as_ref(),
        ),
        closed_status: status.unwrap_or_else(|| USUAL_STATUS.to_owned()),
    })
}

fn may_pass(error: &Error) -> bool {
    match error.retry() {
        Retry::Never | Retry::WhenMended => false,
        Retry::Soon | Retry::After(_) | Retry::Quota => true,
    }
}

fn allowed<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Lacking(_)) => Ok(None),
        Err(error) if error.code().is_some() && !may_pass(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
