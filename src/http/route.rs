//! `/api/v1/route`: the extension of the person who owns the caller's record, for dial plans.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::app::Shared;
use super::auth::Caller;
use super::lookup::read_number;
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::pops::MatchView;
use crate::salesforce::RecordId;

#[derive(Deserialize)]
pub(super) struct Question {
    number: Option<String>,
    region: Option<String>,
}

/// Where a call is best sent to. Nothing: nobody known, or an owner without an extension.
#[derive(Serialize)]
pub(super) struct Way {
    extension: Option<Extension>,
    /// The user who owns the best match.
    owner: Option<RecordId>,
    #[serde(rename = "match")]
    best: Option<MatchView>,
}

pub(super) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Way>, Problem> {
    caller.must_be_admin()?;
    let Query(question) = question?;
    let asked = read_number(&app, question.number, question.region)?;
    let answer = (app.handles.lookup)(asked.number).await;
    let owner = answer.matches.first().and_then(|best| best.owner_id.clone());
    Ok(Json(Way {
        extension: owner.as_ref().and_then(|owner| (app.handles.extension)(owner)),
        owner,
        best: MatchView::all(&answer, &app.handles.linker).into_iter().next(),
    }))
}
