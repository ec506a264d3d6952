//! `composite/sobjects`: up to 200 rows in one request, each with its own result.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Ask},
    rest::{Caller, not_allowed},
    rows::{self, Upserted},
    world::World,
};
use crate::sim::org::{Fields, Refusal, id};

/// Most rows of one request.
const MOST: usize = 200;

/// What happened to one row: its id and, for upserts, whether it was created.
type Outcome = Result<(String, Option<bool>), Refusal>;

/// Answers all verbs of the resource.
pub(crate) fn answer(world: &mut World, caller: &Caller, ask: &Ask, rest: &[&str]) -> Result<Answer, Refusal> {
    match (ask.method.as_str(), rest) {
        ("POST", []) => written(world, caller, ask, create),
        ("PATCH", []) => written(world, caller, ask, update),
        ("PATCH", [object, field]) => upserted(world, caller, ask, object, field),
        ("DELETE", []) => deleted(world, caller, ask),
        ("GET" | "POST", [object]) => retrieved(world, ask, object),
        (method, _) => Err(not_allowed(method)),
    }
}

fn written(
    world: &mut World,
    caller: &Caller,
    ask: &Ask,
    write: fn(&mut World, &Caller, &Fields) -> Outcome,
) -> Result<Answer, Refusal> {
    let (records, all_or_none) = records(world, ask)?;
    Ok(each(world, &vec![false; records.len()], all_or_none, |world, number| {
        records.get(number).map_or_else(|| Err(Refusal::not_found()), |record| write(world, caller, record))
    }))
}

/// Does every row's work, undoes all of it where one fails and all or none was asked, and shows the results; what is
/// undone shows whether the row is `new`.
fn each(
    world: &mut World,
    new: &[bool],
    all_or_none: bool,
    mut work: impl FnMut(&mut World, usize) -> Outcome,
) -> Answer {
    let mark = world.org.begin();
    let mut outcomes: Vec<Outcome> = (0..new.len()).map(|number| work(world, number)).collect();
    let undone = all_or_none && outcomes.iter().any(Result::is_err);
    world.org.end(mark, !undone);
    if undone {
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            *outcome = Err(rolled_back());
        }
    }
    let results = outcomes.iter().zip(new).map(|(outcome, new)| result(outcome, undone && *new));
    Answer::json(200, results.collect::<Vec<_>>().into())
}

fn rolled_back() -> Refusal {
    Refusal::new(
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "Record rolled back because not all records were valid and the request was using AllOrNone header",
    )
}

fn create(world: &mut World, caller: &Caller, record: &Fields) -> Outcome {
    let object = type_of(record)?;
    rows::create(world, caller, object, record).map(|id| (id, None))
}

fn update(world: &mut World, caller: &Caller, record: &Fields) -> Outcome {
    let object = type_of(record)?.to_owned();
    let mut record = record.clone();
    let id = take(&mut record, "Id")
        .ok_or_else(|| Refusal::new("MISSING_ARGUMENT", "Id not specified in an update call"))?;
    let id = id::normal(&id).ok_or_else(|| {
        let message = format!("Record ID: id value of incorrect type: {id}");
        Refusal::of_field("MALFORMED_ID", "Id", message)
    })?;
    // A row that is not there is a wrong reference here, as there is no path to be wrong.
    rows::update(world, caller, &object, &id, &record).map_err(|refusal| {
        if refusal.code == "NOT_FOUND" {
            return Refusal::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id");
        }
        refusal
    })?;
    Ok((id, None))
}

fn upserted(world: &mut World, caller: &Caller, ask: &Ask, object: &str, field: &str) -> Result<Answer, Refusal> {
    let (object, field) = rows::external_field(world, object, field)?;
    let (records, all_or_none) = records(world, ask)?;
    let twice = repeated(&records, &field);
    let is_new = |record: &Fields| {
        let value = take(&mut record.clone(), &field).unwrap_or_default();
        world.org.by_external_id(&object, &field, &value).is_empty()
    };
    let new: Vec<bool> = records.iter().map(is_new).collect();
    Ok(each(world, &new, all_or_none, |world, number| {
        let mut record = records.get(number).cloned().unwrap_or_default();
        if !type_of(&record)?.eq_ignore_ascii_case(&object) {
            return Err(Refusal::new("INVALID_TYPE", "record type does not match that of the request"));
        }
        let value = take(&mut record, &field)
            .ok_or_else(|| Refusal::new("MISSING_ARGUMENT", format!("{field} not specified")))?;
        if twice.contains(&value) {
            let message = format!("Duplicate external id specified: {value}");
            return Err(Refusal::of_field("DUPLICATE_VALUE", &field, message));
        }
        let key = (object.as_str(), field.as_str(), value.as_str());
        match rows::upsert(world, caller, key, &record, false)? {
            Upserted::Created(id) => Ok((id, Some(true))),
            Upserted::Updated(id) => Ok((id, Some(false))),
            Upserted::Several(_) => {
                let message = format!("{field}: more than one record found for external id field");
                Err(Refusal::of_field("DUPLICATE_EXTERNAL_ID", &field, message))
            }
        }
    }))
}

/// External ids that more than one record of a request has.
fn repeated(records: &[Fields], field: &str) -> HashSet<String> {
    let mut seen = HashSet::new();
    let values = records.iter().filter_map(|record| take(&mut record.clone(), field));
    values.filter(|value| !seen.insert(value.clone())).collect()
}

fn deleted(world: &mut World, caller: &Caller, ask: &Ask) -> Result<Answer, Refusal> {
    let ids: Vec<String> = listed(ask.parameter("ids").unwrap_or_default());
    few_enough(ids.len())?;
    let all_or_none = ask.parameter("allOrNone") == Some("true");
    Ok(each(world, &vec![false; ids.len()], all_or_none, |world, number| {
        let text = ids.get(number).cloned().unwrap_or_default();
        let malformed = || Refusal::new("MALFORMED_ID", format!("malformed id {text}"));
        let id = id::normal(&text).ok_or_else(malformed)?;
        let object = world.org.object_of_id(&id).ok_or_else(malformed)?.name.clone();
        rows::delete(world, caller, &object, &id).map_err(|refusal| {
            if refusal.code == "NOT_FOUND" {
                return Refusal::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id");
            }
            refusal
        })?;
        Ok((id, None))
    }))
}

/// Records by id, null where there is none.
fn retrieved(world: &World, ask: &Ask, object: &str) -> Result<Answer, Refusal> {
    let (ids, fields) = if ask.method == "POST" {
        let body = ask.json()?;
        (texts(&body, "ids"), texts(&body, "fields"))
    } else {
        let list = |name: &str| listed(ask.parameter(name).unwrap_or_default());
        (list("ids"), list("fields"))
    };
    if fields.is_empty() {
        return Err(Refusal::new("MISSING_ARGUMENT", "fields not specified"));
    }
    let fields = fields.join(",");
    let records = ids.iter().map(|id| match rows::read(world, object, id, Some(&fields)) {
        Err(refusal) if refusal.code != "NOT_FOUND" => Err(refusal),
        found => Ok(found.unwrap_or_default()),
    });
    let records = records.collect::<Result<Vec<Value>, Refusal>>()?;
    Ok(Answer::json(200, records.into()))
}

/// The body's records, and whether all of them must succeed.
fn records(world: &World, ask: &Ask) -> Result<(Vec<Fields>, bool), Refusal> {
    let body = ask.json()?;
    let records = body.get("records").and_then(Value::as_array);
    let records = records.ok_or_else(|| Refusal::new("JSON_PARSER_ERROR", "records is required"))?;
    few_enough(records.len())?;
    let records: Vec<Fields> = records.iter().filter_map(|r| r.as_object().cloned()).collect();
    if world.knobs.unknown_field_fails_request {
        records.iter().try_for_each(|record| fields_known(world, record))?;
    }
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool);
    Ok((records, all_or_none.unwrap_or(false)))
}

fn fields_known(world: &World, record: &Fields) -> Result<(), Refusal> {
    let object = world.org.known(type_of(record)?)?;
    let unknown = record.keys().find(|name| *name != "attributes" && object.field(name).is_none());
    match unknown {
        None => Ok(()),
        Some(name) => {
            let message = format!("No such column '{name}' on sobject of type {}", object.name);
            Err(Refusal::new("INVALID_FIELD", message))
        }
    }
}

fn few_enough(count: usize) -> Result<(), Refusal> {
    if count <= MOST {
        return Ok(());
    }
    Err(Refusal::new(
        "EXCEEDED_ID_LIMIT",
        format!("record limit reached. cannot submit more than {MOST} records into this call"),
    ))
}

fn type_of(record: &Fields) -> Result<&str, Refusal> {
    let kind = record.get("attributes").and_then(|attributes| attributes.get("type"));
    kind.and_then(Value::as_str).ok_or_else(|| {
        Refusal::new("INVALID_TYPE", "Cannot determine the type of the record: attributes.type is required")
    })
}

/// Takes a field out of a record under its name in any case.
fn take(record: &mut Fields, name: &str) -> Option<String> {
    let key = record.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    let value = record.remove(&key)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (!value.is_null() && !text.is_empty()).then_some(text)
}

fn listed(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn texts(body: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = body.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One row's result; errors carry `statusCode` here, `errorCode` elsewhere.
fn result(outcome: &Outcome, would_create: bool) -> Value {
    match outcome {
        Ok((id, created)) => {
            let mut saved = rows::saved(id);
            if let Some(created) = created {
                saved.insert("created".to_owned(), (*created).into());
            }
            saved.into()
        }
        Err(refusal) => {
            let mut failed = json!({"success": false, "errors": [{
                "statusCode": refusal.code, "message": refusal.message, "fields": refusal.fields,
            }]});
            if let (true, Some(map)) = (would_create, failed.as_object_mut()) {
                map.insert("created".to_owned(), true.into());
            }
            failed
        }
    }
}
