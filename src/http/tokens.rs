//! `/api/v1/agents/{extension}/token`: a new token for an agent, shown once.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::app::Shared;
use super::auth::Caller;
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::pops::{AgentStore, AgentsError};
use crate::secret::Secret;

/// The longest extension that gets a token.
const MAX_EXTENSION: usize = 32;

pub(super) async fn post(
    State(app): State<Shared>,
    caller: Caller,
    extension: Result<Path<Extension>, PathRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.must_be_admin()?;
    let Path(extension) = extension?;
    if !is_extension(&extension.0) {
        return Err(Problem::bad_request("This is no extension; expected up to 32 letters, digits, dots, - and _."));
    }
    let agents = app.handles.agents.clone();
    let token = make(agents.clone(), extension.clone()).await?;
    let key = agents.details_key(&extension);
    let made = json!({
        "extension": extension,
        "token": token.expose(),
        "details_key": key.as_ref().map(Secret::expose),
    });
    Ok((StatusCode::CREATED, Json(made)))
}

/// Off the workers: it waits for the disk.
async fn make(agents: AgentStore, extension: Extension) -> Result<Secret, Problem> {
    let made = tokio::task::spawn_blocking(move || agents.make_token(&extension)).await;
    match made {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The token could not be made. Look into the log."))
        }
    }
}

fn failed(error: &AgentsError) -> Problem {
    tracing::error!(%error, "a new token cannot be kept");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("The token cannot be kept, and the older one stays: {error}."),
    )
}

fn is_extension(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=MAX_EXTENSION).contains(&text.len()) && text.bytes().all(plain)
}
