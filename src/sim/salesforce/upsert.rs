//! `sobjects/Object/ExternalIdField/value`: one row by its external id.

use serde_json::Value;

use super::{
    exchange::{Answer, Ask},
    rest::{Caller, not_allowed},
    rows::{self, Upserted},
    world::World,
};
use crate::sim::org::Refusal;

/// From this version on an upsert says whether it created the row, and answers an update with a body.
const SAYS_CREATED_SINCE: u32 = 46;

/// Answers for the row that `key` (object, field, value) names.
pub(crate) fn answer(
    world: &mut World,
    caller: &Caller,
    ask: &Ask,
    key: (&str, &str, &str),
) -> Result<Answer, Refusal> {
    let (object, field, value) = key;
    if field.eq_ignore_ascii_case("Id") {
        return by_id(world, caller, ask, object, value);
    }
    if ask.method == "PATCH" {
        return upsert(world, caller, ask, key);
    }
    let (name, field) = rows::external_field(world, object, field)?;
    let found = world.org.by_external_id(&name, &field, value);
    let id = match found.as_slice() {
        [] => return Err(Refusal::not_found()),
        [id] => id,
        _ => return Ok(Answer::json(300, rows::urls(caller, &name, &found))),
    };
    match ask.method.as_str() {
        "GET" => rows::read(world, &name, id, rows::wanted(ask)).map(|row| Answer::json(200, row)),
        "DELETE" => rows::delete(world, caller, &name, id).map(|()| Answer::empty(204)),
        method => Err(not_allowed(method)),
    }
}

fn by_id(world: &mut World, caller: &Caller, ask: &Ask, object: &str, id: &str) -> Result<Answer, Refusal> {
    match ask.method.as_str() {
        "GET" => rows::read(world, object, id, rows::wanted(ask)).map(|row| Answer::json(200, row)),
        "PATCH" => {
            rows::update(world, caller, object, id, &ask.json()?)?;
            Ok(updated(caller, id))
        }
        method => Err(not_allowed(method)),
    }
}

fn upsert(world: &mut World, caller: &Caller, ask: &Ask, key: (&str, &str, &str)) -> Result<Answer, Refusal> {
    let (object, field, _) = key;
    let body = ask.json()?;
    let (name, known) = rows::external_field(world, object, field)?;
    if body.keys().any(|key| key.eq_ignore_ascii_case(&known)) {
        let message = format!("The {known} field should not be specified in the sobject data.");
        return Err(Refusal::new("INVALID_FIELD", message));
    }
    let update_only = ask.parameter("updateOnly") == Some("true");
    Ok(match rows::upsert(world, caller, key, &body, update_only)? {
        Upserted::Created(id) => {
            let location = format!("{}/sobjects/{name}/{id}", caller.base());
            Answer::json(201, with_created(caller, &id, true)).with("Location", location)
        }
        Upserted::Updated(id) => updated(caller, &id),
        Upserted::Several(ids) => Answer::json(300, rows::urls(caller, &name, &ids)),
    })
}

fn updated(caller: &Caller, id: &str) -> Answer {
    if caller.version < SAYS_CREATED_SINCE {
        return Answer::empty(204);
    }
    Answer::json(200, with_created(caller, id, false))
}

fn with_created(caller: &Caller, id: &str, created: bool) -> Value {
    let mut saved = rows::saved(id);
    if caller.version >= SAYS_CREATED_SINCE {
        saved.insert("created".to_owned(), created.into());
    }
    saved.into()
}
