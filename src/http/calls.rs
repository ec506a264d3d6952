//! `/api/v1/calls`: what goes on and what went on.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::app::Shared;
use super::auth::Caller;
use super::problem::Problem;
use crate::calls::record::{AgentPart, CallRecord, Direction, JourneyStep, OpenCall};
use crate::pops::{CallerView, clean};

/// The longest dialled number or queue that is shown, in characters.
const MAX_WORD: usize = 80;

/// A call that runs, or one that is over.
#[derive(Debug, Clone)]
pub enum CallView {
    Live(Box<OpenCall>),
    Over(Box<CallRecord>),
}

#[derive(Serialize)]
struct Shown<'a> {
    call: &'a str,
    feed: &'a str,
    direction: Direction,
    state: &'static str,
    caller: CallerView,
    dialed: String,
    queue: Option<String>,
    started: Timestamp,
    answered: Option<Timestamp>,
    ended: Option<Timestamp>,
    end_estimated: bool,
    disposition: Option<&'static str>,
    duration: Option<i64>,
    agents: &'a [AgentPart],
    journey: &'a [JourneyStep],
}

pub(super) async fn list(State(app): State<Shared>, caller: Caller) -> Json<Value> {
    let calls = (app.handles.calls)(()).await;
    let shown: Vec<Shown<'_>> = calls.iter().filter(|call| is_for(&caller, call)).map(Shown::of).collect();
    Json(json!({ "calls": shown }))
}

pub(super) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path(key) = key?;
    let calls = (app.handles.calls)(()).await;
    let call = calls
        .iter()
        .find(|call| call.open().is_called(&key))
        .ok_or_else(|| Problem::not_found("No such call now or lately. Older ones are Tasks in Salesforce."))?;
    if !is_for(&caller, call) {
        return Err(Problem::forbidden("This call is another agent's."));
    }
    Ok(Json(json!(Shown::of(call))))
}

fn is_for(caller: &Caller, call: &CallView) -> bool {
    caller.sees(call.open().agents.iter().map(|part| &part.extension))
}

impl CallView {
    fn open(&self) -> &OpenCall {
        match self {
            Self::Live(call) => call,
            Self::Over(record) => &record.call,
        }
    }

    fn record(&self) -> Option<&CallRecord> {
        match self {
            Self::Live(_) => None,
            Self::Over(record) => Some(record),
        }
    }
}

impl<'a> Shown<'a> {
    fn of(view: &'a CallView) -> Self {
        let (call, record) = (view.open(), view.record());
        Self {
            call: call.key.as_str(),
            feed: &call.feed,
            direction: call.direction,
            state: state(call, record),
            caller: CallerView::of(&call.party),
            dialed: clean(&call.dialed, MAX_WORD),
            queue: call.queue.as_deref().map(|queue| clean(queue, MAX_WORD)),
            started: call.started,
            answered: call.answered,
            ended: record.map(|record| record.ended),
            end_estimated: record.is_some_and(|record| record.end_estimated.is_some()),
            disposition: record.map(|record| record.disposition.as_str()),
            duration: record.map(CallRecord::duration_seconds),
            agents: &call.agents,
            journey: &call.journey,
        }
    }
}

fn state(call: &OpenCall, record: Option<&CallRecord>) -> &'static str {
    if record.is_some() {
        "ended"
    } else if call.answered.is_some() {
        "answered"
    } else {
        "ringing"
    }
}
