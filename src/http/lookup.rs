//! `/api/v1/lookup`: whose number is this?

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::{App, Shared};
use super::auth::Caller;
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::directory::answer::{Answer, Source};
use crate::phone::PhoneNumber;
use crate::pops::MatchView;

#[derive(Deserialize)]
pub(super) struct Question {
    number: Option<String>,
    region: Option<String>,
    #[serde(default)]
    explain: bool,
}

#[derive(Serialize)]
pub(super) struct Found {
    number: NumberView,
    source: Source,
    matches: Vec<MatchView>,
    create_url: Option<String>,
    search_url: Option<String>,
    /// How the answer came about, when the operator asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Value>,
}

#[derive(Serialize)]
struct NumberView {
    input: String,
    e164: Option<String>,
    region: String,
    kind: &'static str,
}

/// A number as it was asked for and as it was read.
pub(super) struct Asked {
    pub input: String,
    pub region: String,
    pub number: PhoneNumber,
}

pub(super) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Found>, Problem> {
    let Query(question) = question?;
    if question.explain {
        caller.must_be_admin()?;
    }
    let asked = read_number(&app, question.number, question.region)?;
    let answer = look_up(&app, asked.number.clone(), caller.agent().cloned()).await;
    let explain = if question.explain { Some(explain(&app, &answer).await?) } else { None };
    let links = &app.handles.linker;
    let e164 = asked.number.e164().map(str::to_owned);
    Ok(Json(Found {
        source: answer.source,
        matches: MatchView::all(&answer, links),
        create_url: e164.as_deref().and_then(|number| links.new_lead(number)),
        search_url: e164.as_deref().and_then(|number| links.search(number)),
        number: NumberView { input: asked.input, e164, region: asked.region, kind: asked.number.kind() },
        explain,
    }))
}

/// Whose number it is, as far as the agent may see it. No agent: the operator, who sees all.
pub(super) async fn look_up(app: &App, number: PhoneNumber, agent: Option<Extension>) -> Answer {
    match agent {
        Some(agent) => (app.handles.lookup_for)((number, agent)).await,
        None => (app.handles.lookup)(number).await,
    }
}

/// Reads `number`. In a query a bare `+` means a space, so a leading space is read as the `+` that was meant.
///
/// # Errors
/// When there is no number or no such region.
pub(super) fn read_number(app: &App, number: Option<String>, region: Option<String>) -> Result<Asked, Problem> {
    let input = number
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Problem::bad_request("No number. Ask with ?number=+4930231250444 or ?number=030231250444."))?;
    let input = match input.strip_prefix(' ') {
        Some(rest) => format!("+{}", rest.trim_start_matches([' ', '+'])),
        None => input,
    };
    let plan = match region.filter(|region| !region.is_empty()) {
        None => app.handles.plan.clone(),
        Some(region) => app.handles.plan.in_region(&region).ok_or_else(|| {
            Problem::bad_request("There is no such region. Give two letters of ISO 3166-1, such as DE or US.")
        })?,
    };
    Ok(Asked { number: plan.read(&input), region: plan.region(), input })
}

async fn explain(app: &App, answer: &Answer) -> Result<Value, Problem> {
    let explain = app
        .handles
        .explain
        .as_ref()
        .ok_or_else(|| Problem::not_built("Explaining is not built yet. Ask without `explain`."))?;
    Ok(explain(answer.clone()).await)
}
