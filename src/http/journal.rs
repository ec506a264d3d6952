//! `/api/v1/journal`: the calls on disk that are not, or could not be, logged.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::app::Shared;
use super::auth::Caller;
use super::problem::Problem;
use crate::calls::record::CallRecord;

/// One entry, for operators.
#[derive(Debug, Clone, Serialize)]
pub struct JournalEntry {
    pub id: String,
    /// The call key that the Task carries.
    pub call: String,
    #[serde(flatten)]
    pub fate: Fate,
    /// Since when it is on disk.
    pub since: Timestamp,
    /// How often it was sent.
    pub tries: u32,
    /// What is logged; in the list it may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<CallRecord>,
}

/// How an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Fate {
    /// The call is not over.
    Open,
    Waiting {
        /// Not before this; none: with the next batch.
        due: Option<Timestamp>,
    },
    OnTheWire,
    Done {
        task: String,
    },
    Parked {
        reason: String,
    },
}

/// Why the journal does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalTrouble {
    #[error("No such entry. List them at /api/v1/journal.")]
    NoSuchEntry,
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
            JournalTrouble::NoSuchEntry => StatusCode::NOT_FOUND,
            JournalTrouble::NotNow(_) => StatusCode::CONFLICT,
            JournalTrouble::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, trouble.to_string())
    }
}

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn list(State(app): State<Shared>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.must_be_admin()?;
    let entries = (app.handles.journal.list)(()).await?;
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

pub(super) async fn delete(State(app): State<Shared>, caller: Caller, id: Id) -> Result<StatusCode, Problem> {
    caller.must_be_admin()?;
    (app.handles.journal.drop)(id?.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
