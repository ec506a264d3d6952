//! `recent`: the records that were last made, changed or looked at.

use serde_json::Value;

use super::{
    exchange::{Answer, Ask},
    rows,
    world::World,
};
use crate::sim::org::Refusal;

/// As many as Salesforce remembers.
const MOST: usize = 200;

/// Remembers that a record was touched.
pub(crate) fn touch(world: &mut World, id: &str) {
    world.recent.retain(|known| known != id);
    world.recent.insert(0, id.to_owned());
    world.recent.truncate(MOST);
}

/// `GET recent?limit=…`.
pub(crate) fn answer(world: &World, ask: &Ask) -> Result<Answer, Refusal> {
    let limit = ask.parameter("limit").map_or(Ok(MOST), str::parse);
    let limit = limit.map_err(|_| Refusal::new("INVALID_ARGUMENT", "limit must be a number"))?;
    Ok(Answer::json(200, list(world, None, limit).into()))
}

/// The recent records of an object, or of all that have names.
pub(crate) fn list(world: &World, object: Option<&str>, limit: usize) -> Vec<Value> {
    let known = world.recent.iter().filter_map(|id| Some((world.org.object_of_id(id)?, id)));
    let wanted = known.filter(|(kind, _)| kind.field("Name").is_some() && object.is_none_or(|name| kind.name == name));
    wanted.filter_map(|(kind, id)| rows::read(world, &kind.name, id, Some("Id,Name")).ok()).take(limit).collect()
}
