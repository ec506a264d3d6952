//! Ingest jobs: rows as CSV to insert, update, upsert or delete, each with its own outcome.

use serde_json::{Map, Value};

use super::{
    super::{
        exchange::Answer,
        rest::Caller,
        rows::{self, Upserted},
        world::World,
    },
    Job, State, Work, found_mut, start, text, wrong_state,
};
use crate::sim::org::{Fields, Refusal, id};

/// What was uploaded, and what became of it.
#[derive(Debug)]
pub(super) struct Load {
    external: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    uploaded: bool,
    outcomes: Vec<Outcome>,
}

/// The row's id and whether it was created, or why not.
type Outcome = Result<(String, bool), Refusal>;

impl Load {
    pub(super) fn shown(&self, job: &str, version: u32, known: bool) -> Map<String, Value> {
        let mut shown = Map::new();
        let upload = format!("services/data/v{version}.0/jobs/ingest/{job}/batches");
        shown.insert("contentUrl".to_owned(), upload.into());
        if !self.external.is_empty() {
            shown.insert("externalIdFieldName".to_owned(), self.external.clone().into());
        }
        if known {
            let failed = self.outcomes.iter().filter(|outcome| outcome.is_err()).count();
            shown.insert("numberRecordsProcessed".to_owned(), self.outcomes.len().into());
            shown.insert("numberRecordsFailed".to_owned(), failed.into());
            shown.insert("apexProcessingTime".to_owned(), 0.into());
            shown.insert("apiActiveProcessingTime".to_owned(), 0.into());
        }
        shown
    }
}

/// `POST jobs/ingest`.
pub(super) fn create(world: &mut World, caller: &Caller, body: &Map<String, Value>) -> Result<Answer, Refusal> {
    let object = world.org.known(text(body, "object"))?.name.clone();
    let operation = text(body, "operation");
    if !["insert", "update", "upsert", "delete", "hardDelete"].contains(&operation) {
        return Err(Refusal::new("INVALIDJOB", format!("Unknown operation: {operation}")));
    }
    let external = match (operation, text(body, "externalIdFieldName")) {
        ("upsert", "") => {
            let message = "InvalidJob : Field name not specified for the external ID of an upsert";
            return Err(Refusal::new("INVALIDJOB", message));
        }
        ("upsert", field) if field.eq_ignore_ascii_case("Id") => "Id".to_owned(),
        ("upsert", field) => {
            rows::external_field(world, &object, field)
                .map_err(|refusal| Refusal::new("INVALIDJOB", format!("InvalidJob : {}", refusal.message)))?
                .1
        }
        _ => String::new(),
    };
    let load = Load { external, header: Vec::new(), rows: Vec::new(), uploaded: false, outcomes: Vec::new() };
    start(world, caller, body, (object, State::Open, Work::Ingest(load)))
}

/// `PUT jobs/ingest/<id>/batches`: once, while the job is open.
pub(super) fn upload(job: &mut Job, body: &[u8]) -> Result<Answer, Refusal> {
    let (state, format) = (job.state, job.format);
    let Work::Ingest(load) = &mut job.work else {
        return Err(Refusal::not_found());
    };
    if state != State::Open || load.uploaded {
        return Err(wrong_state("Found multiple contents for job: data was uploaded before, or the job is closed"));
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::new("INVALIDBATCH", "The data is not UTF-8"))?;
    let mut rows = format.read(text.trim_start_matches('\u{feff}'))?.into_iter();
    load.header = rows.next().unwrap_or_default();
    load.rows = rows.collect();
    load.uploaded = true;
    Ok(Answer::empty(201))
}

/// Does the work of a job that is closed.
pub(super) fn run(world: &mut World, caller: &Caller, id: &str) -> Result<(), Refusal> {
    let job = found_mut(world, id)?;
    let (object, operation) = (job.object.clone(), job.operation.clone());
    let Work::Ingest(load) = &mut job.work else {
        return Ok(());
    };
    let (external, header, rows) = (load.external.clone(), load.header.clone(), load.rows.clone());
    let definition = world.org.known(&object)?;
    let unknown = header.iter().find(|name| definition.field(name).is_none() && !name.contains('.'));
    if let Some(name) = unknown {
        let failure = format!("InvalidBatch : Field name not found : {name}");
        let job = found_mut(world, id)?;
        (job.state, job.failure) = (State::Failed, failure);
        return Ok(());
    }
    let outcomes: Vec<Outcome> = rows
        .iter()
        .map(|row| {
            if row.len() != header.len() {
                let message = format!("{} cells where the header has {}", row.len(), header.len());
                return Err(Refusal::new("INVALIDBATCH", message));
            }
            one(world, caller, (&object, &operation, &external), record(&header, row))
        })
        .collect();
    if let Work::Ingest(load) = &mut found_mut(world, id)?.work {
        load.outcomes = outcomes;
    }
    Ok(())
}

/// `successfulResults`, `failedResults` and `unprocessedrecords`.
pub(super) fn results(job: &Job, what: &str) -> Result<Answer, Refusal> {
    let Work::Ingest(load) = &job.work else {
        return Err(Refusal::not_found());
    };
    if !job.state.is_over() {
        return Err(wrong_state("Results of a job that is not over cannot be read"));
    }
    let header = load.header.iter().map(String::as_str);
    let mut csv = String::new();
    match what.to_ascii_lowercase().as_str() {
        "successfulresults" => {
            job.format.write(&mut csv, ["sf__Id", "sf__Created"].into_iter().chain(header));
            for (outcome, row) in load.outcomes.iter().zip(&load.rows) {
                if let Ok((id, created)) = outcome {
                    let own = [id.as_str(), if *created { "true" } else { "false" }];
                    job.format.write(&mut csv, own.into_iter().chain(row.iter().map(String::as_str)));
                }
            }
        }
        "failedresults" => {
            job.format.write(&mut csv, ["sf__Id", "sf__Error"].into_iter().chain(header));
            for (outcome, row) in load.outcomes.iter().zip(&load.rows) {
                if let Err(refusal) = outcome {
                    let error = format!("{}:{}:{} --", refusal.code, refusal.message, refusal.fields.join(", "));
                    let id = if job.operation == "insert" { "" } else { own_id(load, row) };
                    let own = [id, error.as_str()];
                    job.format.write(&mut csv, own.into_iter().chain(row.iter().map(String::as_str)));
                }
            }
        }
        "unprocessedrecords" => {
            job.format.write(&mut csv, header);
            for row in load.rows.iter().skip(load.outcomes.len()) {
                job.format.write(&mut csv, row.iter());
            }
        }
        _ => return Err(Refusal::not_found()),
    }
    Ok(Answer::text(200, "text/csv", csv))
}

fn own_id<'a>(load: &Load, row: &'a [String]) -> &'a str {
    let place = load.header.iter().position(|name| name.eq_ignore_ascii_case("Id"));
    place.and_then(|place| row.get(place)).map_or("", String::as_str)
}

/// A row's fields: an empty cell says nothing, `#N/A` says null.
fn record(header: &[String], row: &[String]) -> Fields {
    let cells = header.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
    cells
        .map(|(name, cell)| {
            let value = if cell == "#N/A" { Value::Null } else { Value::from(cell.as_str()) };
            (name.clone(), value)
        })
        .collect()
}

fn one(
    world: &mut World,
    caller: &Caller,
    (object, operation, external): (&str, &str, &str),
    mut record: Fields,
) -> Outcome {
    let missing = |field: &str| Refusal::new("MISSING_ARGUMENT", format!("{field} not specified"));
    match operation {
        "insert" => {
            take(&mut record, "Id");
            rows::create(world, caller, object, &record).map(|id| (id, true))
        }
        "upsert" if external != "Id" => {
            let value = take(&mut record, external).ok_or_else(|| missing(external))?;
            match rows::upsert(world, caller, (object, external, &value), &record, false)? {
                Upserted::Created(id) => Ok((id, true)),
                Upserted::Updated(id) => Ok((id, false)),
                Upserted::Several(_) => {
                    let message = format!("{external}: more than one record found for external id field");
                    Err(Refusal::of_field("DUPLICATE_EXTERNAL_ID", external, message))
                }
            }
        }
        "upsert" if !record.keys().any(|name| name.eq_ignore_ascii_case("Id")) => {
            rows::create(world, caller, object, &record).map(|id| (id, true))
        }
        _ => {
            let id = take(&mut record, "Id").ok_or_else(|| missing("Id"))?;
            let id = id::normal(&id).ok_or_else(|| {
                Refusal::of_field("MALFORMED_ID", "Id", format!("Record ID: id value of incorrect type: {id}"))
            })?;
            let done = match operation {
                "update" | "upsert" => rows::update(world, caller, object, &id, &record),
                _ => rows::delete(world, caller, object, &id),
            };
            done.map(|()| (id, false))
        }
    }
}

/// Takes a field out of a record under its name in any case.
fn take(record: &mut Fields, name: &str) -> Option<String> {
    let key = record.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    record.remove(&key)?.as_str().map(str::to_owned)
}
