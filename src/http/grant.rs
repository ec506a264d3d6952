//! `/api/v1/salesforce/grant`: takes what a login brings home.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::app::Shared;
use super::auth::Caller;
use super::body;
use super::problem::Problem;
use crate::salesforce::RecordId;
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brought {
    refresh_token: Secret,
}

/// A consent that is in use from now on.
#[derive(Debug, Clone, Serialize)]
pub struct Granted {
    /// Whom ctibridge works as.
    pub user: Option<RecordId>,
    pub instance_url: Option<String>,
}

/// Why a consent is not taken. Each says what to do.
#[derive(Debug, Clone)]
pub enum GrantTrouble {
    /// The flow of the settings takes none.
    OtherFlow(String),
    /// Salesforce does not take it.
    Refused(String),
    /// It cannot be tried or kept now.
    Later(String),
}

pub(super) async fn put(State(app): State<Shared>, caller: Caller, request: Request) -> Result<Json<Granted>, Problem> {
    caller.must_be_admin()?;
    let brought: Brought = body::parse(&body::read(request).await?)?;
    if brought.refresh_token.is_empty() {
        return Err(Problem::bad_request("`refresh_token` is empty. `ctibridge login` brings one."));
    }
    let granted = (app.handles.grant)(brought.refresh_token).await?;
    Ok(Json(granted))
}

impl From<GrantTrouble> for Problem {
    fn from(trouble: GrantTrouble) -> Self {
        match trouble {
            GrantTrouble::OtherFlow(why) => Self::new(StatusCode::CONFLICT, why),
            GrantTrouble::Refused(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why),
            GrantTrouble::Later(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}
