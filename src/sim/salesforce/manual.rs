//! `GET /sandbox`: every knob with its value and its meaning, on one page of JSON.

use serde_json::{Map, Value, json};

use super::{knobs::FaultKind, world::World};

/// What each knob does.
const KNOBS: [(&str, &str); 40] = [
    ("fault_rate", "chance of a fault on each data request, 0 to 1"),
    ("fault_seed", "seed of that chance; setting it starts the sequence again"),
    ("fault_kinds", "which faults chance picks from"),
    ("hang_ms", "how long a fault that chance picked lasts"),
    ("latency_ms", "delay before each request; it is then done, also when its sender has gone"),
    ("session_ttl_seconds", "seconds without use after which a session is gone"),
    ("flows", "enabled ways to log in"),
    ("rotate_refresh_tokens", "each use of a refresh token gives a new one and ends the old"),
    ("pkce_required", "authorization requests without a code challenge are refused"),
    ("app_not_active", "the app is not known yet: invalid_client_id"),
    ("deny_login", "{\"error\",\"description\"}: the answer to every token and authorization request"),
    ("scopes", "the scopes that the app has"),
    ("callbacks", "the app's callback addresses; empty: any"),
    ("consent_page", "the user is asked for consent on a page"),
    ("user_inactive", "the user of every login is not active"),
    ("no_run_as", "the client credentials flow has no user to run as"),
    ("jwt_public_key", "PEM of the RSA key that JWT bearer assertions are signed for"),
    ("daily_limit", "API calls a day"),
    ("search_lag_seconds", "how long a written row is not found by searches"),
    ("phone_tokens", "exact_digits or suffix: how searches cut phone numbers"),
    ("hidden", "records that users may not see: {user id: [record ids]}"),
    ("duplicate_rule", "off, alert (unless allowSave=true) or block"),
    ("read_only", "writes are refused as during maintenance"),
    ("task_statuses", "the org's task statuses: [{label, closed, default}]"),
    ("page_size", "rows on a page of a query"),
    ("bulk_polls", "how many looks at a bulk job find it unfinished"),
    ("bulk_page_size", "rows in a set of a bulk query's results"),
    ("bulk_failure", "the reason for which every bulk job fails"),
    ("down", "every request is answered 503"),
    ("refuse", "every connection is closed as soon as it asks for something"),
    ("clock_offset_seconds", "added to the org's clock"),
    ("task_validation", "the text with which each write of a Task is refused"),
    ("task_validation_subject", "only Tasks whose Subject holds this text are refused so; empty: all"),
    ("subject_length", "how long a Task's Subject may be, whatever describe says"),
    ("unknown_field_fails_request", "an unknown field in a row of a collection fails the request"),
    ("next", "(when set) faults for the next requests: [{kind, count, path, rows, ms}]"),
    ("clear", "(when set) true forgets the faults that wait"),
    ("revoke", "(when set) true ends every session"),
    ("revoke_refresh", "(when set) true ends every refresh token too"),
    ("api_calls", "(when set) the calls of today so far"),
];

/// What else can be asked and done.
const REQUESTS: [(&str, &str); 10] = [
    ("POST /sandbox/knobs", "sets the given knobs and leaves the others"),
    ("GET /sandbox/state", "counters and row counts; with ?object=Task its rows (&deleted=true: and the recycle bin)"),
    ("POST /sandbox/rows", "adds rows: {\"Contact\": [{\"LastName\": …}]}"),
    ("PATCH /sandbox/rows/Contact/<id>", "changes a row without the rules for clients"),
    ("DELETE /sandbox/rows/Contact/<id>", "moves a row to the recycle bin"),
    ("POST /sandbox/undelete", "{\"ids\": […]}: out of the recycle bin"),
    ("POST /sandbox/purge", "{\"ids\": […]}: out of the recycle bin for good"),
    ("POST /sandbox/merge", "{\"master\": id, \"losers\": [ids]}"),
    ("POST /sandbox/convert", "{\"lead\": id}, with \"contact\" or \"account\" to convert into"),
    ("GET /sandbox/knobs", "the knobs' values alone"),
];

/// The whole page.
pub(crate) fn page(world: &World) -> Value {
    let values = serde_json::to_value(&world.knobs).unwrap_or_default();
    let knobs = KNOBS.map(|(name, meaning)| {
        let entry = match values.get(name) {
            Some(value) => json!({"value": value, "meaning": meaning}),
            None => json!({"meaning": meaning}),
        };
        (name.to_owned(), entry)
    });
    let requests = REQUESTS.map(|(request, meaning)| (request.to_owned(), Value::from(meaning)));
    json!({
        "url": world.url, "knobs": Value::Object(Map::from_iter(knobs)), "faults": FaultKind::ALL,
        "requests": Value::Object(Map::from_iter(requests)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Knobs;

    #[test]
    fn every_knob_is_told() {
        let all = serde_json::to_value(Knobs::default()).expect("JSON");
        let told: Vec<&str> = KNOBS.iter().map(|(name, _)| *name).collect();
        let untold: Vec<&String> =
            all.as_object().expect("knobs").keys().filter(|name| !told.contains(&name.as_str())).collect();
        assert!(untold.is_empty(), "{untold:?}");
        let gone: Vec<&&str> = KNOBS
            .iter()
            .filter(|(_, m)| !m.starts_with("(when set)"))
            .map(|(n, _)| n)
            .filter(|n| all.get(**n).is_none())
            .collect();
        assert!(gone.is_empty(), "{gone:?}");
    }
}
