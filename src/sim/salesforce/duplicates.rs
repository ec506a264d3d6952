//! The duplicate rule: a person or firm that is there already is not made again unless the client insists.

use super::{knobs::DuplicateRule, rest::Caller, world::World};
use crate::sim::org::{Fields, Refusal, schema::Object, text};

/// Refuses a new row that has the name and a phone number or the address of one that is there.
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
    let is_there = world.org.rows(&object.name).filter(|row| !row.is_deleted()).any(|row| {
        same(&row.fields, name) && ["Email", "Phone", "MobilePhone"].iter().any(|field| same(&row.fields, field))
    });
    if is_there { Err(Refusal::new("DUPLICATES_DETECTED", "Use one of these records?")) } else { Ok(()) }
}
