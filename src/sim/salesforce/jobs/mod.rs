//! Bulk API 2.0: jobs that are asked to query or to write many rows, and that clients poll until they are done.

mod csv;
mod ingest;
mod query;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Ask},
    rest::{Caller, not_allowed},
    world::World,
};
use crate::sim::org::{Refusal, id, time};
use csv::Format;

/// The first version that has them.
const SINCE: u32 = 47;

/// All jobs of the org by their ids.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    list: BTreeMap<String, Job>,
    made: u64,
    /// How many query jobs were made: they have a daily limit of their own.
    pub(crate) queries: u64,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Aborted,
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::UploadComplete => "UploadComplete",
            Self::InProgress => "InProgress",
            Self::JobComplete => "JobComplete",
            Self::Aborted => "Aborted",
            Self::Failed => "Failed",
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::JobComplete | Self::Aborted | Self::Failed)
    }
}

#[derive(Debug)]
struct Job {
    id: String,
    object: String,
    operation: String,
    state: State,
    /// How often it was looked at since it waits to be worked on.
    polls: u32,
    user: String,
    version: u32,
    created: Timestamp,
    changed: Timestamp,
    format: Format,
    failure: String,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Query(query::Results),
    Ingest(ingest::Load),
}

/// Answers `jobs/query/…` and `jobs/ingest/…`.
pub(crate) fn answer(
    world: &mut World,
    caller: &Caller,
    ask: &Ask,
    kind: &str,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    let is_query = match kind {
        "query" => true,
        "ingest" => false,
        _ => return Err(Refusal::not_found()),
    };
    if caller.version < SINCE {
        return Err(Refusal::not_found());
    }
    match (ask.method.as_str(), rest) {
        ("POST", []) if is_query => query::create(world, caller, &ask.json()?),
        ("POST", []) => ingest::create(world, caller, &ask.json()?),
        ("GET", []) => Ok(list(world, is_query)),
        ("GET", [id]) => {
            let id = known(world, id, is_query)?;
            advance(world, caller, &id)?;
            found(world, &id).map(|job| Answer::json(200, job.shown(true)))
        }
        ("PATCH", [id]) => {
            let id = known(world, id, is_query)?;
            let state = ask.json()?.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
            moved(world, &id, &state)
        }
        ("DELETE", [id]) => {
            let id = known(world, id, is_query)?;
            if !found(world, &id)?.state.is_over() {
                return Err(wrong_state("Only a job that is complete, failed or aborted can be deleted"));
            }
            world.jobs.list.remove(&id);
            Ok(Answer::empty(204))
        }
        ("GET", [id, "results"]) if is_query => {
            let id = known(world, id, is_query)?;
            query::results(world, found(world, &id)?, ask)
        }
        ("PUT", [id, "batches"]) if !is_query => {
            let id = known(world, id, is_query)?;
            ingest::upload(found_mut(world, &id)?, &ask.body)
        }
        ("GET", [id, what]) if !is_query => {
            let id = known(world, id, is_query)?;
            ingest::results(found(world, &id)?, what)
        }
        ("GET", _) => Err(Refusal::not_found()),
        (method, _) => Err(not_allowed(method)),
    }
}

fn known(world: &World, id: &str, is_query: bool) -> Result<String, Refusal> {
    let id = id::normal(id).ok_or_else(Refusal::not_found)?;
    let job = world.jobs.list.get(&id).ok_or_else(Refusal::not_found)?;
    if matches!(job.work, Work::Query(_)) == is_query { Ok(id) } else { Err(Refusal::not_found()) }
}

fn found<'a>(world: &'a World, id: &str) -> Result<&'a Job, Refusal> {
    world.jobs.list.get(id).ok_or_else(Refusal::not_found)
}

fn found_mut<'a>(world: &'a mut World, id: &str) -> Result<&'a mut Job, Refusal> {
    world.jobs.list.get_mut(id).ok_or_else(Refusal::not_found)
}

fn wrong_state(message: &str) -> Refusal {
    Refusal::new("INVALIDJOBSTATE", message)
}

/// Keeps a new job and answers it.
fn start(
    world: &mut World,
    caller: &Caller,
    body: &Map<String, Value>,
    (object, state, work): (String, State, Work),
) -> Result<Answer, Refusal> {
    let format = Format::of(body)?;
    world.jobs.made += 1;
    let now = world.now();
    let job = Job {
        id: id::make("750", world.jobs.made),
        object,
        operation: text(body, "operation").to_owned(),
        state,
        polls: 0,
        user: caller.user.clone(),
        version: caller.version,
        created: now,
        changed: now,
        format,
        failure: String::new(),
        work,
    };
    let shown = job.shown(false);
    world.jobs.list.insert(job.id.clone(), job);
    Ok(Answer::json(200, shown))
}

/// A look at a waiting job moves it on: the work is done after as many looks as the knob says.
fn advance(world: &mut World, caller: &Caller, id: &str) -> Result<(), Refusal> {
    let (polls, failure, now) = (world.knobs.bulk_polls, world.knobs.bulk_failure.clone(), world.now());
    let job = found_mut(world, id)?;
    if job.state.is_over() || job.state == State::Open {
        return Ok(());
    }
    job.polls += 1;
    job.changed = now;
    if job.polls <= polls {
        job.state = if job.polls == 1 && polls > 1 { State::UploadComplete } else { State::InProgress };
        return Ok(());
    }
    if !failure.is_empty() {
        job.state = State::Failed;
        job.failure = failure;
        return Ok(());
    }
    job.state = State::JobComplete;
    if matches!(job.work, Work::Ingest(_)) {
        ingest::run(world, caller, id)?;
    }
    Ok(())
}

/// `{"state": "Aborted"}`, and for uploads `{"state": "UploadComplete"}`.
fn moved(world: &mut World, id: &str, state: &str) -> Result<Answer, Refusal> {
    let now = world.now();
    let job = found_mut(world, id)?;
    job.state = match (state, job.state) {
        ("Aborted", State::JobComplete) => {
            return Err(wrong_state("Aborting already Completed Job not allowed"));
        }
        ("Aborted", State::Failed) => return Err(wrong_state("Aborting already Failed Job not allowed")),
        ("Aborted", _) => State::Aborted,
        ("UploadComplete", State::Open) => State::UploadComplete,
        ("UploadComplete", from) => {
            let message = format!("Closing already {} Job not allowed", from.name());
            return Err(wrong_state(&message));
        }
        _ => return Err(Refusal::new("INVALIDJOB", format!("Unknown job state: {state}"))),
    };
    job.changed = now;
    Ok(Answer::json(200, job.shown(false)))
}

fn list(world: &World, queries: bool) -> Answer {
    let jobs = world.jobs.list.values().filter(|job| matches!(job.work, Work::Query(_)) == queries);
    let jobs: Vec<Value> = jobs.map(|job| job.shown(false)).collect();
    Answer::json(200, json!({"done": true, "nextRecordsUrl": null, "records": jobs}))
}

impl Job {
    /// The job as its creation answers it, or with what is `known` of its progress.
    fn shown(&self, known: bool) -> Value {
        let (delimiter, ending) = self.format.names();
        let mut shown = json!({
            "id": self.id, "operation": self.operation, "object": self.object, "createdById": self.user,
            "createdDate": time::write(self.created), "systemModstamp": time::write(self.changed),
            "state": self.state.name(), "concurrencyMode": "Parallel", "contentType": "CSV",
            "apiVersion": f64::from(self.version), "lineEnding": ending, "columnDelimiter": delimiter,
        });
        let (kind, more) = match &self.work {
            Work::Query(results) => ("V2Query", results.shown(self.state == State::JobComplete)),
            Work::Ingest(load) => ("V2Ingest", load.shown(&self.id, self.version, known)),
        };
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(more);
            if known {
                shown.insert("jobType".to_owned(), kind.into());
                shown.insert("retries".to_owned(), 0.into());
                shown.insert("totalProcessingTime".to_owned(), self.polls.into());
            }
            if !self.failure.is_empty() {
                shown.insert("errorMessage".to_owned(), self.failure.clone().into());
            }
        }
        shown
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}
