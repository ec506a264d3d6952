//! `/details`: from a number or a record id to the record in Salesforce, for phones and PBX clients.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::app::{App, Shared};
use super::auth::{self, Caller};
use super::html;
use super::lookup::{look_up, read_number};
use super::peer::Client;
use super::problem::Problem;
use crate::calls::record::Extension;
use crate::pops::{MatchView, UnknownCaller};
use crate::salesforce::RecordId;

/// The longest API name that Salesforce allows, with the namespace and the `__c`.
const MAX_OBJECT: usize = 80;

#[derive(Deserialize)]
pub(super) struct Question {
    number: Option<String>,
    region: Option<String>,
    object: Option<String>,
    id: Option<String>,
    k: Option<String>,
}

pub(super) async fn get(
    State(app): State<Shared>,
    client: Client,
    caller: Result<Caller, Problem>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(question)) = question else {
        caller?;
        return Err(Problem::bad_request("The query cannot be read; give each name once."));
    };
    let agent = match &question.k {
        Some(key) => {
            let agent = app.handles.agents.who_by_details_key(key);
            Some(agent.ok_or_else(|| auth::count_guess(&app, client))?)
        }
        None => caller?.agent().cloned(),
    };
    match (question.object, question.id) {
        (Some(object), Some(id)) => record(&app, &object, &id),
        (None, None) => number(&app, question.number, question.region, agent).await,
        (Some(_), None) | (None, Some(_)) => {
            Err(Problem::bad_request("Half a record. Give both, as ?object=Contact&id=003…, or ?number=…."))
        }
    }
}

fn record(app: &App, object: &str, id: &str) -> Result<Response, Problem> {
    let id = RecordId::parse(id).map_err(|error| Problem::bad_request(format!("`id` is {error}.")))?;
    if !is_object_name(object) {
        return Err(Problem::bad_request("`object` is no API name; expected one such as Contact or Asset__c."));
    }
    redirect(app.handles.linker.record(object, &id))
}

async fn number(
    app: &App,
    number: Option<String>,
    region: Option<String>,
    agent: Option<Extension>,
) -> Result<Response, Problem> {
    let asked = read_number(app, number, region)?;
    let answer = look_up(app, asked.number.clone(), agent).await;
    let matches = MatchView::all(&answer, &app.handles.linker);
    match matches.as_slice() {
        [only] => redirect(only.url.clone()),
        [_, ..] => Ok(html::choice(&matches)),
        [] => unknown(app, asked.number.e164()),
    }
}

fn unknown(app: &App, number: Option<&str>) -> Result<Response, Problem> {
    let Some(number) = number else {
        return Ok(html::nothing("This is no number that can be looked up."));
    };
    let offer = *app.handles.unknown.borrow();
    if offer == UnknownCaller::None {
        return Ok(html::nothing("No record in Salesforce has this number."));
    }
    redirect(app.handles.linker.unknown(offer, number))
}

fn redirect(url: Option<String>) -> Result<Response, Problem> {
    let location = url.and_then(|url| HeaderValue::from_str(&url).ok()).ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The org's address is not known. Set salesforce.details_link, or wait until the login has succeeded.",
        )
        .after(30)
    })?;
    Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
}

fn is_object_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain && text.len() <= MAX_OBJECT && text.starts_with(|first: char| first.is_ascii_alphabetic())
}
