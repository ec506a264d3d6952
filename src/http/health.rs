//! `/healthz` and `/readyz`: whether the process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::app::Shared;
use super::directory::DirectoryState;

/// How the parts of the bridge are. Holds no secrets and no caller data: anyone may read it.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// Names of feeds, or `salesforce`, `journal`, `directory`.
    pub degraded: Vec<String>,
    pub feeds: Vec<FeedState>,
    pub salesforce: SalesforceState,
    pub journal: JournalState,
    pub directory: DirectoryState,
}

#[derive(Debug, Clone, Serialize)]
pub struct FeedState {
    pub name: String,
    pub state: FeedPhase,
    pub since: Timestamp,
    /// What to do about it, when it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedPhase {
    Up,
    Connecting,
    Lost,
}

#[derive(Debug, Clone, Serialize)]
pub struct SalesforceState {
    pub state: FeedPhase,
    pub since: Timestamp,
    /// What to do about it, when it is not up.
    pub reason: Option<String>,
    /// What the org's API calls still allow: `all`, `fewer-polls`, `no-polls`, `tasks-only`, `nothing`.
    pub allowance: &'static str,
    /// The org's API calls of the last 24 hours, as Salesforce says.
    pub api_used: Option<u64>,
    pub api_allowed: Option<u64>,
    /// This bridge's own API calls of the last 24 hours.
    pub own_calls: u64,
    /// Over how many seconds they were counted, at most a day.
    pub own_calls_over: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct JournalState {
    pub writable: bool,
    pub waiting: u64,
    pub parked: u64,
}

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(app): State<Shared>) -> (StatusCode, Json<Readiness>) {
    let readiness = (app.handles.readiness)(()).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}
