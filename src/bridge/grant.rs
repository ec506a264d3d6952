//! A consent that an operator brings while the bridge runs.

use crate::http::{GrantTrouble, Granted};
use crate::salesforce::{Client, Error, GrantError};
use crate::secret::Secret;

/// Takes it if Salesforce does; what was in use before stays otherwise.
pub async fn take(client: &Client, refresh_token: &Secret) -> Result<Granted, GrantTrouble> {
    let user = client.adopt(refresh_token).await.map_err(|error| trouble(&error))?;
    tracing::info!("a new consent to use Salesforce is in use");
    Ok(Granted { user, instance_url: client.instance_url() })
}

fn trouble(error: &Error) -> GrantTrouble {
    let why = format!("{error}.");
    if matches!(error, Error::Grant(GrantError::OtherFlow { .. })) {
        return GrantTrouble::OtherFlow(why);
    }
    if matches!(error, Error::Login(_) | Error::Instance { .. }) {
        return GrantTrouble::Refused(why);
    }
    GrantTrouble::Later(why)
}
