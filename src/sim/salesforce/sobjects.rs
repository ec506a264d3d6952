//! `sobjects`: describe, one row by its id, and what changed in a span of time.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    exchange::{Answer, Ask},
    recent,
    rest::{Caller, not_allowed},
    rows,
    world::World,
};
use crate::sim::org::{Refusal, describe, text, time};

/// Answers `sobjects`, `sobjects/Object`, `sobjects/Object/describe|updated|deleted` and `sobjects/Object/Id`.
pub(crate) fn answer(world: &mut World, caller: &Caller, ask: &Ask, rest: &[&str]) -> Result<Answer, Refusal> {
    match (ask.method.as_str(), rest) {
        ("GET", []) => Ok(Answer::json(200, everything(world, caller))),
        ("GET", [object]) => described(world, caller, object, true),
        ("GET", [object, "describe"]) => described(world, caller, object, false),
        ("GET", [object, "updated"]) => updated(world, ask, object),
        ("GET", [object, "deleted"]) => deleted(world, ask, object),
        ("GET", [object, id]) => {
            let record = rows::read(world, object, id, rows::wanted(ask))?;
            if !world.org.shows(&caller.user, record.get("Id").and_then(Value::as_str).unwrap_or_default()) {
                return Err(Refusal::not_found());
            }
            if let Some(id) = record.get("Id").and_then(Value::as_str) {
                recent::touch(world, id);
            }
            Ok(Answer::json(200, record))
        }
        ("POST", [object]) => created(world, caller, ask, object),
        ("PATCH", [object, id]) => {
            known_object(world, object)?;
            rows::update(world, caller, object, id, &ask.json()?)?;
            Ok(Answer::empty(204))
        }
        ("DELETE", [object, id]) => {
            known_object(world, object)?;
            rows::delete(world, caller, object, id)?;
            Ok(Answer::empty(204))
        }
        ("GET", _) => Err(Refusal::not_found()),
        (method, _) => Err(not_allowed(method)),
    }
}

fn created(world: &mut World, caller: &Caller, ask: &Ask, object: &str) -> Result<Answer, Refusal> {
    known_object(world, object)?;
    let id = rows::create(world, caller, object, &ask.json()?)?;
    let location = format!("{}/sobjects/{object}/{id}", caller.base());
    let body = Value::Object(rows::saved(&id));
    Ok(Answer::json(201, body).with("Location", location))
}

/// An object that is not there is a path that is not there.
fn known_object(world: &World, object: &str) -> Result<(), Refusal> {
    let known = world.org.object(object).is_some();
    if known { Ok(()) } else { Err(Refusal::not_found()) }
}

fn everything(world: &World, caller: &Caller) -> Value {
    let base = caller.base();
    let objects = world.org.objects().map(|object| describe::brief(object, &base));
    json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects.collect::<Vec<_>>()})
}

fn described(world: &World, caller: &Caller, object: &str, brief: bool) -> Result<Answer, Refusal> {
    let object = world.org.object(object).ok_or_else(Refusal::not_found)?;
    let base = caller.base();
    let body = if brief {
        let recent = recent::list(world, Some(&object.name), usize::MAX);
        json!({"objectDescribe": describe::brief(object, &base), "recentItems": recent})
    } else {
        describe::full(&world.org, object, &base)
    };
    Ok(Answer::json(200, body))
}

fn updated(world: &World, ask: &Ask, object: &str) -> Result<Answer, Refusal> {
    let changed = changed(world, ask, object, false)?;
    let ids: Vec<String> = changed.into_iter().map(|(id, _)| id).collect();
    let covered = time::write(world.now());
    Ok(Answer::json(200, json!({"ids": ids, "latestDateCovered": covered})))
}

fn deleted(world: &World, ask: &Ask, object: &str) -> Result<Answer, Refusal> {
    let changed = changed(world, ask, object, true)?;
    let records = changed.into_iter();
    let records: Vec<Value> = records.map(|(id, at)| json!({"id": id, "deletedDate": time::write(at)})).collect();
    let now = time::write(world.now());
    let first = time::write(Timestamp::UNIX_EPOCH);
    Ok(Answer::json(200, json!({"deletedRecords": records, "earliestDateAvailable": first, "latestDateCovered": now})))
}

/// Ids and times of the rows that were last written in the asked span.
fn changed(world: &World, ask: &Ask, object: &str, deleted: bool) -> Result<Vec<(String, Timestamp)>, Refusal> {
    let object = world.org.object(object).ok_or_else(Refusal::not_found)?;
    let bound = |name: &str| {
        // A client that does not escape the offset's plus sign is understood all the same.
        let text = ask.parameter(name).unwrap_or_default().replace(' ', "+");
        time::read(&text)
            .ok_or_else(|| Refusal::new("INVALID_REPLICATION_DATE", format!("{name} is missing or no date")))
    };
    let (start, end) = (bound("start")?, bound("end")?);
    // The end belongs to the next span.
    let seconds = start.as_second()..=end.as_second() - 1;
    let rows = world.org.stamped(&object.name, seconds, "").filter(|row| row.is_deleted() == deleted);
    let ids = rows.filter_map(|row| {
        let at = Timestamp::from_second(row.stamp).ok()?;
        Some((text(&row.fields, "Id")?.to_owned(), at))
    });
    Ok(ids.collect())
}
