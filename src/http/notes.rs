//! `/api/v1/calls/{key}/notes`: what an agent writes about a call, and which record it was.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::app::{App, Shared};
use super::auth::Caller;
use super::body::Json;
use super::problem::Problem;
use crate::calls::record::{CallKey, Extension};
use crate::pops::clean;
use crate::salesforce::RecordId;

/// The longest note, in bytes.
const MAX_NOTES: usize = 8 * 1024;
/// The longest disposition, in characters: the length of the Task's `CallDisposition`.
const MAX_DISPOSITION: usize = 255;

/// What is merged into the call's Task. What is `None` stays as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    pub call: CallKey,
    /// None: the operator.
    pub by: Option<Extension>,
    pub disposition: Option<String>,
    pub notes: Option<String>,
    pub record_id: Option<RecordId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    disposition: Option<String>,
    notes: Option<String>,
    record_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Kept {
    call: CallKey,
    disposition: Option<String>,
    notes: Option<String>,
    record_id: Option<RecordId>,
}

pub(super) async fn post(
    State(app): State<Shared>,
    caller: Caller,
    key: Result<Path<CallKey>, PathRejection>,
    Json(written): Json<Written>,
) -> Result<axum::Json<Kept>, Problem> {
    let Path(call) = key?;
    must_be_on(&app, &caller, &call).await?;
    let note = read(call, caller.agent().cloned(), written)?;
    (app.handles.journal.note)(note.clone()).await?;
    if let Some(record) = &note.record_id {
        app.handles.hub.choose(&note.call, record);
    }
    Ok(axum::Json(Kept {
        call: note.call,
        disposition: note.disposition,
        notes: note.notes,
        record_id: note.record_id,
    }))
}

async fn must_be_on(app: &App, caller: &Caller, call: &CallKey) -> Result<(), Problem> {
    let agents =
        (app.handles.journal.agents_of)(call.clone()).await?.ok_or_else(|| Problem::not_found("No such call."))?;
    if caller.sees(&agents) {
        return Ok(());
    }
    Err(Problem::forbidden("You were not on this call."))
}

fn read(call: CallKey, by: Option<Extension>, written: Written) -> Result<Note, Problem> {
    let too_long = |what| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what);
    if written.notes.as_ref().is_some_and(|notes| notes.len() > MAX_NOTES) {
        return Err(too_long("The notes are longer than 8 KiB. Shorten them."));
    }
    let disposition = written.disposition.map(|text| text.trim().to_owned());
    if disposition.as_ref().is_some_and(|text| text.chars().count() > MAX_DISPOSITION) {
        return Err(too_long("The disposition is longer than 255 characters. Shorten it."));
    }
    let record_id = written
        .record_id
        .filter(|id| !id.is_empty())
        .map(|id| RecordId::parse(&id))
        .transpose()
        .map_err(|error| Problem::bad_request(format!("`record_id` is {error}.")))?;
    Ok(Note {
        call,
        by,
        disposition: disposition.map(|text| clean(&text, MAX_DISPOSITION)).filter(|text| !text.is_empty()),
        notes: written.notes.map(|notes| without_controls(&notes)),
        record_id,
    })
}

/// Line breaks and tabs are the agent's; other control characters are nobody's.
fn without_controls(text: &str) -> String {
    text.chars().filter(|one| !one.is_control() || matches!(one, '\n' | '\t')).collect()
}
