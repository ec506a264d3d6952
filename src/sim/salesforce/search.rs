//! `search` and `parameterizedSearch`: SOSL in two spellings.

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Ask},
    rest::Caller,
    world::World,
};
use crate::sim::{
    org::Refusal,
    soql::parse,
    sosl::{self, Scope, Search, term},
};

/// From this version on the records come under a name; before, as a bare array.
const NAMED_SINCE: u32 = 37;

/// `GET search?q=FIND {…}`.
pub(crate) fn sosl(world: &mut World, caller: &Caller, ask: &Ask) -> Result<Answer, Refusal> {
    let search = sosl::read(ask.parameter("q").unwrap_or_default())?;
    answer(world, caller, &search)
}

/// `parameterizedSearch` with a JSON body or query parameters.
pub(crate) fn parameterized(world: &mut World, caller: &Caller, ask: &Ask) -> Result<Answer, Refusal> {
    let body = if ask.method == "POST" { ask.json()? } else { from_parameters(ask) };
    let text = body.get("q").and_then(Value::as_str).unwrap_or_default();
    let mut returning = Vec::new();
    let objects = body.get("sobjects").and_then(Value::as_array);
    for object in objects.into_iter().flatten() {
        returning.push(one_object(object, &body)?);
    }
    let search = Search {
        term: term::read(text)?,
        scope: scope(body.get("in").and_then(Value::as_str).unwrap_or("ALL"))?,
        returning,
        limit: whole(body.get("overallLimit")).unwrap_or(2000),
    };
    answer(world, caller, &search)
}

fn answer(world: &World, caller: &Caller, search: &Search) -> Result<Answer, Refusal> {
    let records = sosl::run(&world.org, search, world.index(), &world.clock(&caller.user))?;
    let body = if caller.version >= NAMED_SINCE { json!({"searchRecords": records}) } else { records.into() };
    Ok(Answer::json(200, body))
}

fn one_object(object: &Value, body: &Map<String, Value>) -> Result<parse::Query, Refusal> {
    let name = object.get("name").unwrap_or(object).as_str().unwrap_or_default();
    let fields = object.get("fields").filter(|fields| !fields.is_null()).or_else(|| body.get("fields"));
    let fields = fields.and_then(Value::as_array).into_iter().flatten();
    let fields: Vec<&str> = fields.filter_map(Value::as_str).collect();
    let mut query = if fields.is_empty() { sosl::ids_of(name) } else { parse::returning(name, &fields.join(","))? };
    query.limit = whole(object.get("limit")).or_else(|| whole(body.get("defaultLimit")));
    if let Some(condition) = object.get("where").and_then(Value::as_str) {
        query.condition = Some(parse::condition(condition)?);
    }
    Ok(query)
}

fn scope(word: &str) -> Result<Scope, Refusal> {
    Ok(match word.to_ascii_uppercase().as_str() {
        "ALL" | "SIDEBAR" => Scope::All,
        "NAME" => Scope::Name,
        "EMAIL" => Scope::Email,
        "PHONE" => Scope::Phone,
        other => return Err(sosl::refuse(&format!("unknown search group: {other}"))),
    })
}

fn whole(value: Option<&Value>) -> Option<usize> {
    usize::try_from(value?.as_u64()?).ok()
}

/// `?q=…&in=PHONE&sobject=Contact&Contact.fields=Id,Name&Contact.limit=10` as a body.
fn from_parameters(ask: &Ask) -> Map<String, Value> {
    let objects = ask.query.iter().filter(|(name, _)| name == "sobject");
    let objects: Vec<Value> = objects
        .map(|(_, object)| {
            let of = |what: &str| ask.parameter(&format!("{object}.{what}"));
            let fields = of("fields").map(|fields| fields.split(',').collect::<Vec<_>>());
            let limit = of("limit").and_then(|limit| limit.parse::<u64>().ok());
            json!({"name": object, "fields": fields, "where": of("where"), "limit": limit})
        })
        .collect();
    let mut body = Map::new();
    for name in ["q", "in"] {
        if let Some(value) = ask.parameter(name) {
            body.insert(name.to_owned(), value.into());
        }
    }
    for name in ["overallLimit", "defaultLimit"] {
        if let Some(value) = ask.parameter(name).and_then(|value| value.parse::<u64>().ok()) {
            body.insert(name.to_owned(), value.into());
        }
    }
    if let Some(fields) = ask.parameter("fields") {
        body.insert("fields".to_owned(), fields.split(',').collect::<Vec<_>>().into());
    }
    body.insert("sobjects".to_owned(), objects.into());
    body
}
