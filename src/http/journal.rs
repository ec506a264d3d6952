//! `/api/v1/journal`: the calls on disk that are not, or could not be, logged.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::app::Shared;
use super::auth::Caller;
use super::body;
use super::problem::Problem;

/// How many entries are listed where nobody asks for more.
const LIMIT: u32 = 100;

/// Which entries are listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JournalQuery {
    /// A word for the state, as the operator typed it; none: what is not in Salesforce as it should be.
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default = "limit")]
    pub limit: u32,
}

/// One entry, for operators.
#[derive(Debug, Clone, Serialize)]
pub struct JournalEntry {
    pub id: String,
    /// What the Task's `CallObject` says.
    pub key: String,
    pub call: String,
    /// Whose part of the call it is; none: the whole call.
    pub agent: Option<String>,
    pub state: Fate,
    /// Why it waits or is parked, and what to do.
    pub reason: Option<String>,
    /// When the call began.
    pub started: Timestamp,
    pub next_try: Option<Timestamp>,
    pub attempts: u32,
    /// The Task, once it is known to be there.
    pub task: Option<String>,
    /// All that is known of it; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Waiting,
    /// Sent, and not known what became of it.
    Wire,
    Done,
    Parked,
}

/// Which entries are held against Salesforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Calls that ended since then.
    pub since: Timestamp,
    /// Only tells what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// `next` of the answer before.
    #[serde(default)]
    pub after: Option<String>,
}

/// What a part of the entries has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonResult {
    /// How many were compared.
    pub compared: usize,
    pub differing: Vec<DifferingEntry>,
    /// Where to go on; none: that was all.
    pub next: Option<String>,
}

/// An entry whose state on disk is not that of Salesforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferingEntry {
    pub id: String,
    pub key: String,
    /// `missing`: sent again. `there`: done. `deleted`: by somebody, and left so.
    pub found: &'static str,
}

/// Why the journal does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalTrouble {
    #[error("No such entry or call. The entries are at /api/v1/journal.")]
    NotFound,
    /// The question cannot be read; the text says what is expected.
    #[error("{0}")]
    Unreadable(String),
    /// Not as the entry stands now; the text says why.
    #[error("{0}")]
    NotNow(String),
    /// The disk does not take it; the text says why.
    #[error("{0}")]
    Unavailable(String),
}

impl From<JournalTrouble> for Problem {
    fn from(trouble: JournalTrouble) -> Self {
        let status = match trouble {
            JournalTrouble::NotFound => StatusCode::NOT_FOUND,
            JournalTrouble::Unreadable(_) => StatusCode::BAD_REQUEST,
            JournalTrouble::NotNow(_) => StatusCode::CONFLICT,
            JournalTrouble::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, trouble.to_string())
    }
}

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    query: Result<Query<JournalQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    caller.must_be_admin()?;
    let entries = (app.handles.journal.list)(query?.0).await?;
    Ok(Json(json!({ "entries": entries })))
}

pub(super) async fn get(State(app): State<Shared>, caller: Caller, id: Id) -> Result<Json<JournalEntry>, Problem> {
    caller.must_be_admin()?;
    Ok(Json((app.handles.journal.show)(id?.0).await?))
}

pub(super) async fn retry(
    State(app): State<Shared>,
    caller: Caller,
    id: Id,
) -> Result<(StatusCode, Json<JournalEntry>), Problem> {
    caller.must_be_admin()?;
    let entry = (app.handles.journal.retry)(id?.0).await?;
    Ok((StatusCode::ACCEPTED, Json(entry)))
}

pub(super) async fn reconcile(
    State(app): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Json<ComparisonResult>, Problem> {
    caller.must_be_admin()?;
    let wanted: Comparison = body::parse(&body::read(request).await?)?;
    Ok(Json((app.handles.journal.reconcile)(wanted).await?))
}

pub(super) async fn delete(State(app): State<Shared>, caller: Caller, id: Id) -> Result<StatusCode, Problem> {
    caller.must_be_admin()?;
    (app.handles.journal.drop)(id?.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn limit() -> u32 {
    LIMIT
}
