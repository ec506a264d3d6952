//! Reading and writing single rows for the resources that do so.

use serde_json::{Map, Value, json};

use super::{duplicates, exchange::Ask, recent, rest::Caller, world::World};
use crate::sim::{
    org::{Fields, Refusal, id, schema::Kind},
    soql::{
        Shape,
        parse::{Item, Path, Query},
    },
};

/// Creates a row and answers its id.
pub(crate) fn create(world: &mut World, caller: &Caller, object: &str, body: &Fields) -> Result<String, Refusal> {
    let object = world.org.known(object)?;
    world.may_write()?;
    duplicates::check(world, caller, &object, body)?;
    world.obeys(&object.name, body)?;
    let writer = world.writer(&caller.user);
    let id = world.org.create(&object.name, body, &writer)?;
    recent::touch(world, &id);
    Ok(id)
}

/// Changes a row.
pub(crate) fn update(world: &mut World, caller: &Caller, object: &str, id: &str, body: &Fields) -> Result<(), Refusal> {
    let object = world.org.known(object)?;
    world.may_write()?;
    let id = visible(world, caller, id)?;
    world.obeys(&object.name, body)?;
    let writer = world.writer(&caller.user);
    world.org.update(&object.name, &id, body, &writer)?;
    recent::touch(world, &id);
    Ok(())
}

/// Moves a row to the recycle bin.
pub(crate) fn delete(world: &mut World, caller: &Caller, object: &str, id: &str) -> Result<(), Refusal> {
    let object = world.org.known(object)?;
    world.may_write()?;
    let id = visible(world, caller, id)?;
    let writer = world.writer(&caller.user);
    world.org.delete(&object.name, &id, &writer)
}

/// A record that is hidden from a user can be named by him, but not written.
fn visible(world: &World, caller: &Caller, id: &str) -> Result<String, Refusal> {
    let id = id::normal(id).ok_or_else(Refusal::not_found)?;
    if world.org.shows(&caller.user, &id) {
        return Ok(id);
    }
    Err(Refusal::new("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"))
}

/// What an upsert did.
pub(crate) enum Upserted {
    Created(String),
    Updated(String),
    /// The value is not unique; these rows have it.
    Several(Vec<String>),
}

/// Creates or changes the row whose external id field has this value.
pub(crate) fn upsert(
    world: &mut World,
    caller: &Caller,
    key: (&str, &str, &str),
    body: &Fields,
    update_only: bool,
) -> Result<Upserted, Refusal> {
    let (object, field, value) = key;
    let (object, field) = external_field(world, object, field)?;
    let found = world.org.by_external_id(&object, &field, value);
    match found.as_slice() {
        [] if update_only => Err(Refusal::not_found()),
        [] => {
            let mut body = body.clone();
            body.insert(field, value.into());
            create(world, caller, &object, &body).map(Upserted::Created)
        }
        [id] => {
            update(world, caller, &object, id, body)?;
            Ok(Upserted::Updated(id.clone()))
        }
        _ => Ok(Upserted::Several(found)),
    }
}

/// The canonical names of an object and of its external id field.
pub(crate) fn external_field(world: &World, object: &str, field: &str) -> Result<(String, String), Refusal> {
    let object = world.org.object(object).ok_or_else(Refusal::not_found)?;
    let known = object.field(field).filter(|field| matches!(field.kind, Kind::External { .. }));
    let Some(known) = known else {
        let message = format!("Provided external ID field does not exist or is not accessible: {field}");
        return Err(Refusal::new("NOT_FOUND", message));
    };
    Ok((object.name.clone(), known.name.clone()))
}

/// A live row as a record: all fields, or those that `fields` names.
pub(crate) fn read(world: &World, object: &str, id: &str, fields: Option<&str>) -> Result<Value, Refusal> {
    let object = world.org.object(object).ok_or_else(Refusal::not_found)?;
    let row = world.org.live(&object.name, id).ok_or_else(Refusal::not_found)?;
    let items = match fields {
        None => vec![Item::Everything],
        Some(names) => names.split(',').map(|name| item(name.trim())).collect(),
    };
    let query =
        Query { source: fields.unwrap_or_default().to_owned(), items, object: object.name.clone(), ..Query::default() };
    let shape = Shape::of(&world.org, object, &query)?;
    let mut record = shape.record(&world.org, &row.fields);
    if let (Some(id), Some(map)) = (row.fields.get("Id"), record.as_object_mut()) {
        map.insert("Id".to_owned(), id.clone());
    }
    Ok(record)
}

/// `{"id", "success": true, "errors": []}`.
pub(crate) fn saved(id: &str) -> Map<String, Value> {
    let saved = json!({"id": id, "success": true, "errors": []});
    saved.as_object().cloned().unwrap_or_default()
}

/// The record URLs that a 300 answers with.
pub(crate) fn urls(caller: &Caller, object: &str, ids: &[String]) -> Value {
    let urls = ids.iter().map(|id| Value::from(format!("{}/sobjects/{object}/{id}", caller.base())));
    urls.collect::<Vec<_>>().into()
}

/// The `fields` parameter of a request.
pub(crate) fn wanted(ask: &Ask) -> Option<&str> {
    ask.parameter("fields").filter(|fields| !fields.is_empty())
}

fn item(name: &str) -> Item {
    Item::Field(Path { text: name.to_owned(), at: 0 })
}
