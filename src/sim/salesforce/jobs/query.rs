//! Query jobs: the rows as they are when the job is made, handed out as CSV in sets.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Map, Value};

use super::{
    super::{
        exchange::{Answer, Ask},
        rest::Caller,
        world::World,
    },
    Job, State, Work, start, text, wrong_state,
};
use crate::sim::{
    org::{Refusal, time},
    soql::{self, Found, parse::Item},
};

/// What a query job found.
#[derive(Debug)]
pub(super) struct Results {
    query: String,
    found: Found,
}

impl Results {
    pub(super) fn shown(&self, complete: bool) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("query".to_owned(), self.query.clone().into());
        if complete {
            shown.insert("numberRecordsProcessed".to_owned(), self.found.len().into());
        }
        shown
    }
}

/// `POST jobs/query`.
pub(super) fn create(world: &mut World, caller: &Caller, body: &Map<String, Value>) -> Result<Answer, Refusal> {
    let all = match text(body, "operation") {
        "query" => false,
        "queryAll" => true,
        other => return Err(Refusal::new("INVALIDJOB", format!("Unknown operation: {other}"))),
    };
    let source = text(body, "query");
    let query = soql::parse::query(source)?;
    let plain = query.items.iter().all(|item| matches!(item, Item::Field(_)));
    if !plain || query.offset > 0 {
        let message = "Aggregate functions, FIELDS() and OFFSET are not supported in Bulk Query";
        return Err(Refusal::new("FUNCTIONALITY_NOT_ENABLED", message));
    }
    let found = soql::run(&world.org, &query, &world.clock(&caller.user), all)?;
    let object = world.org.known(&query.object)?.name.clone();
    world.jobs.queries += 1;
    let work = Work::Query(Results { query: source.to_owned(), found });
    start(world, caller, body, (object, State::UploadComplete, work))
}

/// `GET jobs/query/<id>/results?maxRecords=…&locator=…`: a header row and the next set.
pub(super) fn results(world: &World, job: &Job, ask: &Ask) -> Result<Answer, Refusal> {
    let Work::Query(results) = &job.work else {
        return Err(Refusal::not_found());
    };
    if job.state != State::JobComplete {
        let message = format!("Results of a job in state {} cannot be read", job.state.name());
        return Err(wrong_state(&message));
    }
    let from = match ask.parameter("locator") {
        None => 0,
        Some(locator) => place(locator)
            .filter(|from| *from < results.found.len())
            .ok_or_else(|| Refusal::new("INVALID_QUERY_LOCATOR", "invalid query locator"))?,
    };
    let most = world.knobs.bulk_page_size.max(1);
    let size = match ask.parameter("maxRecords") {
        None => most,
        Some(asked) => asked
            .parse::<usize>()
            .ok()
            .filter(|asked| *asked > 0)
            .ok_or_else(|| Refusal::new("INVALIDINPUT", "maxRecords must be a positive number"))?
            .min(most),
    };
    let (csv, count) = page(world, job, &results.found, from, size);
    let next = from + count;
    let locator = if next < results.found.len() { locator(next) } else { "null".to_owned() };
    Ok(Answer::text(200, "text/csv", csv)
        .with("Sforce-Locator", locator)
        .with("Sforce-NumberOfRecords", count.to_string()))
}

fn page(world: &World, job: &Job, found: &Found, from: usize, size: usize) -> (String, usize) {
    let Some((shape, rows)) = found.stored() else {
        return (String::new(), 0);
    };
    let rows = rows.get(from..).unwrap_or_default();
    let rows = rows.get(..size).unwrap_or(rows);
    let mut csv = String::new();
    job.format.write(&mut csv, shape.columns().iter().map(String::as_str));
    for row in rows {
        let values = shape.values(&world.org, row).map(|value| cell(&value));
        job.format.write(&mut csv, values);
    }
    (csv, rows.len())
}

/// A value as CSV shows it: moments end in `Z` there, and nothing is an empty text.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => match text.strip_suffix("+0000").filter(|_| time::read(text).is_some()) {
            Some(moment) => format!("{moment}Z"),
            None => text.clone(),
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn locator(from: usize) -> String {
    STANDARD_NO_PAD.encode(from.to_string())
}

fn place(locator: &str) -> Option<usize> {
    let bytes = STANDARD_NO_PAD.decode(locator).ok()?;
    String::from_utf8(bytes).ok()?.parse().ok()
}
