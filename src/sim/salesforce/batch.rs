//! `composite/batch`: up to 25 independent requests, each charged as an API call.

use serde_json::{Value, json};

use super::{
    exchange::{Answer, Ask},
    rest::{Caller, resource},
    world::World,
};
use crate::sim::org::Refusal;

const MOST: usize = 25;

/// Runs the subrequests and charges for each.
pub(crate) fn answer(world: &mut World, caller: &Caller, ask: &Ask) -> Result<Answer, Refusal> {
    let body = ask.json()?;
    let requests = body.get("batchRequests").and_then(Value::as_array);
    let requests = requests
        .filter(|requests| requests.len() <= MOST)
        .ok_or_else(|| Refusal::new("JSON_PARSER_ERROR", "batchRequests with at most 25 requests is required"))?;
    let results: Vec<Answer> = requests.iter().map(|request| one(world, caller, request)).collect();
    let has_errors = results.iter().any(|answer| answer.status >= 300);
    let results = results.into_iter().map(|answer| {
        let status = answer.status;
        json!({"statusCode": status, "result": answer.value()})
    });
    let results: Vec<Value> = results.collect();
    Ok(Answer::json(200, json!({"hasErrors": has_errors, "results": results})))
}

fn one(world: &mut World, caller: &Caller, request: &Value) -> Answer {
    world.counts.api_calls += 1;
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut ask = Ask::new(text("method"), text("url"));
    if let Some(body) = request.get("richInput") {
        ask.body = body.to_string().into_bytes();
    }
    let path = ask.path();
    let path = path.strip_prefix(&["services", "data"]).unwrap_or(&path);
    match path.split_first() {
        Some((_, rest)) if rest.first() != Some(&"composite") => resource(world, caller, &ask, rest),
        _ => Answer::refusal(&Refusal::not_found()),
    }
}
