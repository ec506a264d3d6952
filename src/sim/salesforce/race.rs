//! Two first writes of one key at once, seen by the one that came second.

use serde_json::{Value, json};

use super::exchange::{Answer, Body};
use crate::sim::org::{Refusal, id};

/// The answer of a request whose rows another writer created a moment before.
pub(crate) fn lost(mut answer: Answer) -> Answer {
    let Body::Json(value) = &mut answer.body else {
        return answer;
    };
    if let Some(refusal) = taken(value) {
        return Answer::refusal(&refusal);
    }
    for row in value.as_array_mut().into_iter().flatten() {
        if let Some(refusal) = taken(row) {
            let error = json!({"statusCode": refusal.code, "message": refusal.message, "fields": []});
            *row = json!({"success": false, "errors": [error]});
        }
    }
    answer
}

/// The refusal instead of a result that says `created`.
fn taken(result: &Value) -> Option<Refusal> {
    let created = result.get("created")?.as_bool()?;
    let id = id::short(result.get("id")?.as_str()?);
    let message = format!("duplicate value found: <unknown> duplicates value on record with id: {id}");
    created.then(|| Refusal::new("DUPLICATE_VALUE", message))
}
