//! `composite`: up to 25 requests in one, each may use the results of those before it.

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Ask},
    rest::{Caller, resource},
    world::World,
};
use crate::sim::org::Refusal;

const MOST: usize = 25;
/// Of those, at most so many queries and collections.
const MOST_HEAVY: usize = 5;

/// Runs the subrequests in their order; the whole costs one API call.
pub(crate) fn answer(world: &mut World, caller: &Caller, ask: &Ask) -> Result<Answer, Refusal> {
    let body = ask.json()?;
    let requests = body.get("compositeRequest").and_then(Value::as_array);
    let requests = requests.ok_or_else(|| Refusal::new("JSON_PARSER_ERROR", "compositeRequest is required"))?;
    check(requests)?;
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let mark = world.org.begin();
    let mut done = Map::new();
    let mut responses: Vec<Value> = Vec::new();
    for request in requests {
        responses.push(one(world, caller, request, &mut done));
    }
    let undone = all_or_none && responses.iter().any(failed);
    world.org.end(mark, !undone);
    if undone {
        responses.iter_mut().filter(|r| !failed(r)).for_each(halt);
    }
    Ok(Answer::json(200, json!({"compositeResponse": responses})))
}

fn check(requests: &[Value]) -> Result<(), Refusal> {
    let is_heavy = |request: &&Value| {
        let url = text(request, "url");
        ["/query", "/composite/", "/search"].iter().any(|part| url.contains(part))
    };
    let heavy = requests.iter().filter(is_heavy).count();
    if requests.len() > MOST || heavy > MOST_HEAVY {
        let message = format!("Limit of {MOST} subrequests, {MOST_HEAVY} of them queries or collections, exceeded");
        return Err(Refusal::new("LIMIT_EXCEEDED", message));
    }
    let nameless = requests.iter().any(|request| text(request, "referenceId").is_empty());
    if nameless {
        return Err(Refusal::new("JSON_PARSER_ERROR", "referenceId is required"));
    }
    Ok(())
}

fn one(world: &mut World, caller: &Caller, request: &Value, done: &mut Map<String, Value>) -> Value {
    let reference = text(request, "referenceId").to_owned();
    let answer = match resolved(request, done) {
        Ok(request) => subrequest(world, caller, &request),
        Err(refusal) => Answer::refusal(&refusal),
    };
    let headers = answer.headers.iter();
    let headers: Map<String, Value> = headers.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let status = answer.status;
    let body = answer.value();
    if status < 300 {
        done.insert(reference.clone(), body.clone());
    }
    json!({"body": body, "httpHeaders": headers, "httpStatusCode": status, "referenceId": reference})
}

fn subrequest(world: &mut World, caller: &Caller, request: &Value) -> Answer {
    let mut ask = Ask::new(text(request, "method"), text(request, "url"));
    if let Some(body) = request.get("body").filter(|body| !body.is_null()) {
        ask.body = body.to_string().into_bytes();
    }
    let headers = request.get("httpHeaders").and_then(Value::as_object);
    ask.headers = headers
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.to_lowercase(), value.as_str()?.to_owned())))
        .collect();
    let path = ask.path();
    match path.as_slice() {
        ["services", "data", _, "composite"] | ["services", "data", _, "composite", "batch"] => {
            Answer::refusal(&Refusal::new("INVALID_ARGUMENT", "composite requests cannot be nested"))
        }
        ["services", "data", _version, rest @ ..] => resource(world, caller, &ask, rest),
        _ => Answer::refusal(&Refusal::not_found()),
    }
}

/// The request with every `@{reference.path}` replaced.
fn resolved(request: &Value, done: &Map<String, Value>) -> Result<Value, Refusal> {
    if let Some(text) = request.as_str() {
        return replace(text, done).map(Value::from);
    }
    if let Some(list) = request.as_array() {
        return list.iter().map(|value| resolved(value, done)).collect();
    }
    let Some(map) = request.as_object() else {
        return Ok(request.clone());
    };
    let pairs = map.iter().map(|(name, value)| Ok((name.clone(), resolved(value, done)?)));
    pairs.collect::<Result<Map<_, _>, Refusal>>().map(Value::Object)
}

fn replace(text: &str, done: &Map<String, Value>) -> Result<String, Refusal> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((expression, tail)) = after.split_once('}') else {
            break;
        };
        out.push_str(before);
        out.push_str(&look_up(expression, done)?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// `t1.id`, `q.records[0].Id`.
fn look_up(expression: &str, done: &Map<String, Value>) -> Result<String, Refusal> {
    let pointer = expression.replace('[', ".").replace(']', "");
    let (reference, path) = pointer.split_once('.').unwrap_or((&pointer, ""));
    let pointer = format!("/{}", path.replace('.', "/"));
    let found = done.get(reference).and_then(|body| body.pointer(&pointer));
    let found = found.ok_or_else(|| {
        let message = format!("Invalid reference specified. No value for {expression} found in {reference}");
        Refusal::new("PROCESSING_HALTED", message)
    })?;
    Ok(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}

fn failed(response: &Value) -> bool {
    response.get("httpStatusCode").and_then(Value::as_u64).is_none_or(|status| status >= 300)
}

fn halt(response: &mut Value) {
    let error = json!([{
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same transaction failed.",
    }]);
    if let Some(map) = response.as_object_mut() {
        map.insert("body".to_owned(), error);
        map.insert("httpHeaders".to_owned(), json!({}));
        map.insert("httpStatusCode".to_owned(), 400.into());
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
