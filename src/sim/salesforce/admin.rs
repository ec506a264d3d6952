//! `/sandbox`: turning the knobs and looking at the data from outside, for tests that are not in this process.

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Ask, error},
    knobs::{Fault, Knobs},
    manual,
    world::World,
};
use crate::sim::org::{Fields, Org, Refusal, Seed, Writer};

/// Answers a request whose path begins with `/sandbox`.
pub(crate) fn answer(world: &mut World, ask: &Ask, rest: &[&str]) -> Answer {
    let done = match (ask.method.as_str(), rest) {
        ("GET", []) => Ok(manual::page(world)),
        ("GET", ["knobs"]) => Ok(serde_json::to_value(&world.knobs).unwrap_or_default()),
        ("POST" | "PATCH", ["knobs"]) => turn(world, ask),
        ("GET", ["state"]) => Ok(state(world, ask)),
        ("POST", ["rows"]) => add(world, ask),
        ("PATCH", ["rows", object, id]) => edit(world, ask, object, id),
        ("DELETE", ["rows", object, id]) => remove(world, object, id),
        ("POST", ["undelete"]) => each(world, ask, Org::undelete),
        ("POST", ["purge"]) => each(world, ask, |org, id, _| org.purge(id)),
        ("POST", ["merge"]) => merge(world, ask),
        ("POST", ["convert"]) => convert(world, ask),
        _ => return Answer::json(404, json!([error(&Refusal::not_found())])),
    };
    match done {
        Ok(value) => Answer::json(200, value),
        Err(message) => Answer::json(400, json!({"error": message})),
    }
}

/// Takes the given knobs and leaves the others; the manual says what the words mean that are no knobs.
fn turn(world: &mut World, ask: &Ask) -> Result<Value, String> {
    let mut given = ask.json().map_err(|refusal| refusal.message)?;
    let faults = given.remove("next").unwrap_or_else(|| json!([]));
    let faults: Vec<Fault> = serde_json::from_value(faults).map_err(|error| error.to_string())?;
    let revoke = given.remove("revoke") == Some(true.into());
    let revoke_refresh = given.remove("revoke_refresh") == Some(true.into());
    let clear = given.remove("clear") == Some(true.into());
    let calls = given.remove("api_calls").and_then(|calls| calls.as_u64());
    let knobs = merged(&world.knobs, given)?;
    world.apply(knobs);
    if clear {
        world.queue.clear();
    }
    world.queue.extend(faults);
    if revoke || revoke_refresh {
        world.sessions.live.clear();
    }
    if revoke_refresh {
        world.sessions.refresh.clear();
    }
    if let Some(calls) = calls {
        world.counts.api_calls = calls;
    }
    serde_json::to_value(&world.knobs).map_err(|error| error.to_string())
}

fn merged(knobs: &Knobs, given: Map<String, Value>) -> Result<Knobs, String> {
    let mut all = serde_json::to_value(knobs).map_err(|error| error.to_string())?;
    if let Some(map) = all.as_object_mut() {
        map.extend(given);
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

/// Counters, and with `?object=Task` all rows of an object (`&deleted=true`: with those in the recycle bin).
fn state(world: &World, ask: &Ask) -> Value {
    let counts = &world.counts;
    let rows = match ask.parameter("object") {
        Some(object) => rows(world, object, ask.parameter("deleted") == Some("true")),
        None => row_counts(world),
    };
    json!({
        "api_calls": counts.api_calls, "daily_limit": world.knobs.daily_limit, "tokens": counts.tokens,
        "sessions": world.sessions.live.len(), "endpoints": counts.endpoints,
        "faults": counts.faults, "faults_waiting": world.queue, "rows": rows,
    })
}

fn rows(world: &World, object: &str, deleted: bool) -> Value {
    let name = world.org.object(object).map_or(object, |object| object.name.as_str());
    let rows = world.org.rows(name).filter(|row| deleted || !row.is_deleted());
    let rows = rows.map(|row| Value::Object((*row.fields).clone()));
    rows.collect::<Vec<_>>().into()
}

fn row_counts(world: &World) -> Value {
    let counts = world.org.objects().map(|object| (object.name.clone(), world.org.live_count(&object.name).into()));
    Value::Object(counts.collect())
}

/// Adds rows in the form of seed data and answers how many there are now.
fn add(world: &mut World, ask: &Ask) -> Result<Value, String> {
    let seed = ask.json().map_err(|refusal| refusal.message)?;
    let seed = Seed::from_value(seed.into()).map_err(|error| error.to_string())?;
    let writer = world.writer(&world.login_user.clone());
    world.org.fill(&seed, &writer).map_err(|error| error.to_string())?;
    Ok(row_counts(world))
}

fn edit(world: &mut World, ask: &Ask, object: &str, id: &str) -> Result<Value, String> {
    let changes: Fields = ask.json().map_err(|refusal| refusal.message)?;
    let writer = world.writer(&world.login_user.clone());
    let done = world.org.edit_row(object, id, &changes, &writer);
    done.map(|()| json!({})).map_err(|error| error.to_string())
}

fn remove(world: &mut World, object: &str, id: &str) -> Result<Value, String> {
    let writer = world.writer(&world.login_user.clone());
    let done = world.org.delete(object, id, &writer);
    done.map(|()| json!({})).map_err(|error| error.to_string())
}

/// `{"ids": […]}`.
fn each(
    world: &mut World,
    ask: &Ask,
    work: impl Fn(&mut Org, &str, &Writer) -> Result<(), Refusal>,
) -> Result<Value, String> {
    let given = given(ask)?;
    let writer = world.writer(&world.login_user.clone());
    for id in ids(&given, "ids") {
        work(&mut world.org, &id, &writer).map_err(|refusal| format!("{id}: {refusal}"))?;
    }
    Ok(json!({}))
}

/// `{"master": id, "losers": [ids]}`.
fn merge(world: &mut World, ask: &Ask) -> Result<Value, String> {
    let given = given(ask)?;
    let master = given.get("master").and_then(Value::as_str).unwrap_or_default();
    let writer = world.writer(&world.login_user.clone());
    let done = world.org.merge(master, &ids(&given, "losers"), &writer);
    done.map(|()| json!({})).map_err(|refusal| refusal.to_string())
}

/// `{"lead": id}`, with the `contact` or the `account` that is there already.
fn convert(world: &mut World, ask: &Ask) -> Result<Value, String> {
    let given = given(ask)?;
    let id = |name: &str| given.get(name).and_then(Value::as_str);
    let writer = world.writer(&world.login_user.clone());
    let done = world.org.convert(id("lead").unwrap_or_default(), id("contact"), id("account"), &writer);
    let done = done.map(|(contact, account)| json!({"contact": contact, "account": account}));
    done.map_err(|refusal| refusal.to_string())
}

fn given(ask: &Ask) -> Result<Map<String, Value>, String> {
    ask.json().map_err(|refusal| refusal.message)
}

fn ids(given: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = given.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
