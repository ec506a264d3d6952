//! `/api/v1/directory`: the local copy of the org's phone numbers, and a wish to bring it up to date.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::Shared;
use super::auth::Caller;
use super::problem::Problem;

/// How the local copy is. Holds no caller data.
#[derive(Debug, Clone, Serialize)]
pub struct DirectoryState {
    /// Phone numbers in it.
    pub numbers: u64,
    /// When it last was as the org.
    pub synced_at: Option<Timestamp>,
    /// `starting`, `loading` or `following`; `live` when the settings want no copy.
    pub phase: &'static str,
    /// Objects that are being read as a whole: for the first load, or to be compared.
    pub readings: usize,
    /// Rows of the first load that are in, and how many there are.
    pub loaded: u64,
    pub of: u64,
    /// Objects that cannot be read.
    pub unreadable: Vec<String>,
    /// Why it does not go on, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is wished for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct SyncWish {
    /// Also to compare all rows, which costs about as many API calls as the first load.
    #[serde(default)]
    pub compare: bool,
}

pub(super) async fn get(State(app): State<Shared>, caller: Caller) -> Result<Json<DirectoryState>, Problem> {
    caller.must_be_admin()?;
    Ok(Json((app.handles.readiness)(()).await.directory))
}

pub(super) async fn post(
    State(app): State<Shared>,
    caller: Caller,
    wish: Result<Query<SyncWish>, QueryRejection>,
) -> Result<(StatusCode, Json<DirectoryState>), Problem> {
    caller.must_be_admin()?;
    let Query(wish) = wish.map_err(|_| Problem::bad_request("`compare` is true or false."))?;
    let Some(sync) = &app.handles.sync else {
        let what = "There is no local copy: `directory.mode` is \"live\".";
        return Err(Problem::new(StatusCode::CONFLICT, what));
    };
    sync(wish).await;
    Ok((StatusCode::ACCEPTED, Json((app.handles.readiness)(()).await.directory)))
}
