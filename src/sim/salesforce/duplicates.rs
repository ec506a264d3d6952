//! The duplicate rule: a person or firm that is there already is not made again unless the client insists.

use serde_json::{Value, json};

use super::{knobs::DuplicateRule, rest::Caller, rows, world::World};
use crate::sim::org::{Fields, Refusal, schema::Object, text};

/// What a refusal says, also within its details.
const SAYS: &str = "Use one of these records?";

/// Refuses a new row that has the name and a phone number or the address of some that are there, and names those.
pub(crate) fn check(world: &World, caller: &Caller, object: &Object, body: &Fields) -> Result<(), Refusal> {
    let tolerated = match world.knobs.duplicate_rule {
        DuplicateRule::Off => true,
        DuplicateRule::Alert => caller.allow_save,
        DuplicateRule::Block => false,
    };
    let name = match object.name.as_str() {
        "Contact" | "Lead" => "LastName",
        "Account" => "Name",
        _ => return Ok(()),
    };
    if tolerated {
        return Ok(());
    }
    let same = |row: &Fields, field: &str| {
        let (new, old) = (text(body, field), text(row, field));
        new.zip(old).is_some_and(|(new, old)| new.eq_ignore_ascii_case(old))
    };
    let rows = world.org.rows(&object.name).filter(|row| !row.is_deleted()).map(|row| &row.fields);
    let there =
        rows.filter(|row| same(row, name) && ["Email", "Phone", "MobilePhone"].iter().any(|field| same(row, field)));
    let there: Vec<&str> =
        there.filter_map(|row| text(row, "Id")).filter(|id| world.org.shows(&caller.user, id)).collect();
    if there.is_empty() {
        return Ok(());
    }
    let details = details(world, caller, object, &there);
    // Orgs answer under a misspelt name; a client that was written by the book looks under the right one.
    let more = ["duplicateResut", "duplicateResult"].map(|name| (name.to_owned(), details.clone()));
    Err(Refusal { more: Some(Box::new(more.into_iter().collect())), ..Refusal::new("DUPLICATES_DETECTED", SAYS) })
}

/// Which rule it was, and the records that match.
fn details(world: &World, caller: &Caller, object: &Object, ids: &[&str]) -> Value {
    let name = &object.name;
    let fields = if caller.record_details { None } else { Some("Id") };
    let matches = ids.iter().filter_map(|id| rows::read(world, name, id, fields).ok()).map(
        |record| json!({"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": record}),
    );
    let matches: Vec<Value> = matches.collect();
    json!({
        "allowSave": world.knobs.duplicate_rule == DuplicateRule::Alert,
        "duplicateRule": format!("Standard_{name}_Duplicate_Rule"), "duplicateRuleEntityType": name,
        "errorMessage": SAYS,
        "matchResults": [{
            "entityType": name, "errors": [], "matchEngine": "ExactMatchEngine", "matchRecords": matches,
            "rule": format!("Standard_{name}_Match_Rule_v1_1"), "size": ids.len(), "success": true,
        }],
    })
}
