//! `query` and `queryAll`: SOQL answers in pages.

use serde_json::{Value, json};

use super::{
    exchange::{Answer, Ask},
    recent,
    rest::Caller,
    world::World,
};
use crate::sim::{
    org::{Refusal, id, text},
    soql,
};

/// Open queries that are kept; the oldest is forgotten first.
const OPEN_QUERIES: usize = 50;

/// A query of which pages are left.
#[derive(Debug)]
pub(crate) struct OpenQuery {
    locator: String,
    found: soql::Found,
    size: usize,
}

/// Runs a query and answers its first page.
pub(crate) fn first_page(world: &mut World, caller: &Caller, ask: &Ask, all: bool) -> Result<Answer, Refusal> {
    let source = ask.parameter("q").unwrap_or_default();
    if source.trim().is_empty() {
        return Err(soql::token::malformed(source, 0, "unexpected token: '<EOF>'"));
    }
    let query = soql::parse::query(source)?;
    let found = soql::run(&world.org, &query, &world.clock(&caller.user), all)?;
    if query.viewed {
        look_at(world, &found);
    }
    let size = page_size(world, ask);
    if found.len() <= size {
        return Ok(Answer::json(200, last_page(found.total, &found.page(&world.org, 0, size))));
    }
    let open = OpenQuery { locator: new_locator(world), found, size };
    let page = page(world, caller, &open, 0);
    if world.pages.len() >= OPEN_QUERIES {
        world.pages.remove(0);
    }
    world.pages.push(open);
    Ok(Answer::json(200, page))
}

/// The first of the records is the one that was looked at last.
fn look_at(world: &mut World, found: &soql::Found) {
    let rows = found.stored().map_or(&[][..], |(_, rows)| rows);
    let ids: Vec<String> = rows.iter().filter_map(|row| text(row, "Id")).map(str::to_owned).collect();
    for id in ids.iter().rev() {
        recent::touch(world, id);
    }
}

/// Answers the page that a locator such as `01g…-2000` names.
pub(crate) fn next_page(world: &mut World, caller: &Caller, locator: &str) -> Result<Answer, Refusal> {
    let unknown = || Refusal::new("INVALID_QUERY_LOCATOR", "invalid query locator");
    let (name, from) = locator.rsplit_once('-').ok_or_else(unknown)?;
    let from: usize = from.parse().map_err(|_| unknown())?;
    let open = world.pages.iter().find(|open| open.locator == name);
    let open = open.filter(|open| from <= open.found.len()).ok_or_else(unknown)?;
    Ok(Answer::json(200, page(world, caller, open, from)))
}

fn page(world: &World, caller: &Caller, open: &OpenQuery, from: usize) -> Value {
    let (total, next) = (open.found.len(), from + open.size);
    let records = open.found.page(&world.org, from, open.size);
    if next >= total {
        return last_page(total, &records);
    }
    let next = format!("{}/query/{}-{next}", caller.base(), open.locator);
    json!({"totalSize": total, "done": false, "nextRecordsUrl": next, "records": records})
}

fn last_page(total: usize, records: &[Value]) -> Value {
    json!({"totalSize": total, "done": true, "records": records})
}

/// The org's page size, or the smaller one that the client asks for; the least is 200, as long as the org's is not less.
fn page_size(world: &World, ask: &Ask) -> usize {
    let most = world.knobs.page_size.max(1);
    let options = ask.header("sforce-query-options").unwrap_or_default();
    let asked =
        options.split([',', ';']).find_map(|option| option.trim().strip_prefix("batchSize=")?.parse::<usize>().ok());
    asked.map_or(most, |size| size.max(200).min(most))
}

fn new_locator(world: &mut World) -> String {
    world.queries += 1;
    id::short(&id::make("01g", world.queries)).to_owned()
}
