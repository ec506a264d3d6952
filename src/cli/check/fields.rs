//! Whether the bridge's user can see and write the fields that are used.

use super::report::Finding;
use crate::directory::CustomObject;
use crate::journal::{self, TaskFields, Templates};
use crate::salesforce::{Client, Error, Field};

/// Fields of the Task that ctibridge fills.
const TASK_FIELDS: [&str; 12] = [
    "Subject",
    "Status",
    "OwnerId",
    "WhoId",
    "WhatId",
    "ActivityDate",
    "Description",
    "CallType",
    "CallDurationInSeconds",
    "CallDisposition",
    "CallObject",
    "TaskSubtype",
];

const ACCESS: &str = "give it Edit in Setup: Permission Sets, the permission set of ctibridge, Object Settings, Tasks";

/// Whether a Task can be written as it should be.
pub(super) fn written(task: &Result<Vec<Field>, Error>) -> Finding {
    let fields = match task {
        Ok(fields) => fields,
        Err(error) => return Finding::Failed(format!("{error}; {ACCESS}")),
    };
    let missing: Vec<&str> =
        TASK_FIELDS.into_iter().filter(|name| !find(fields, name).is_some_and(|field| field.may_create)).collect();
    if missing.is_empty() {
        return Finding::Ok(format!("all {} that are written can be written", TASK_FIELDS.len()));
    }
    Finding::Failed(format!("the user of ctibridge cannot write {}; {ACCESS}", missing.join(", ")))
}

/// Whether `log.external_id_field` makes each call land once.
pub(super) fn key(task: &Result<Vec<Field>, Error>, name: &str) -> Finding {
    let place = "Setup: Object Manager, Activity, Fields & Relationships";
    let Ok(fields) = task else {
        return Finding::Failed("Task cannot be described, so that the field of the call key is not known".to_owned());
    };
    if name.is_empty() {
        return Finding::Note(format!(
            "log.external_id_field is not set: a call whose answer was lost is looked up before it is sent again. Better is a \
             field of its own: {place}, New, Text(64), Unique, External ID"
        ));
    }
    let Some(field) = find(fields, name) else {
        return Finding::Failed(format!(
            "there is no field {name} that the user of ctibridge can see; make it in {place} (Text(64), Unique, External ID), and \
             give the user's permission set Read and Edit on it"
        ));
    };
    let mut wrong = Vec::new();
    if !field.is_external_id {
        wrong.push("is no external id: tick External ID");
    }
    if !field.is_unique {
        wrong.push("is not unique, so that a call could land twice: tick Unique (case sensitive)");
    }
    if !field.may_create {
        wrong.push("cannot be written by the user of ctibridge: give its permission set Edit");
    }
    if wrong.is_empty() {
        return Finding::Ok(format!("{name} is a unique external id that can be written"));
    }
    Finding::Failed(format!("{name} {} ({place})", wrong.join("; it ")))
}

/// Whether the templates of `[log]` fit the fields that they fill.
pub(super) async fn templates(client: &Client, log: &journal::Config) -> Finding {
    let columns = match client.columns("Task").await {
        Ok(columns) => columns,
        Err(error) => return Finding::Failed(format!("{error}; {ACCESS}")),
    };
    let templates = match Templates::new(log) {
        Ok(templates) => templates,
        Err(error) => return Finding::Failed(error.to_string()),
    };
    let (_, problems) = TaskFields::new(columns, log, &templates);
    if problems.is_empty() {
        return Finding::Ok(match log.fields.len() {
            0 => "the subject fits".to_owned(),
            count => format!("the subject and {count} more fit their fields"),
        });
    }
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Finding::Failed(told.join("; "))
}

/// The phone fields of an object.
pub(super) async fn phones(client: &Client, object: &str) -> Result<String, String> {
    let fields = client.describe(object).await;
    let fields = fields.map_err(|error| {
        format!("{error}; give the user of ctibridge Read and View All on {object} (Setup: Permission Sets, Object Settings)")
    })?;
    let phones: Vec<&str> = fields
        .iter()
        .filter(|field| field.kind == "phone" && field.name != "Fax")
        .map(|field| field.name.as_str())
        .collect();
    if phones.is_empty() {
        return Err(format!(
            "none can be seen; give the user of ctibridge access to them (Setup: Permission Sets, Object Settings, {object})"
        ));
    }
    Ok(phones.join(", "))
}

/// The fields that the settings name of a custom object.
pub(super) async fn custom(client: &Client, object: &CustomObject) -> Result<String, String> {
    let fields = client.describe(&object.name).await;
    let fields = fields.map_err(|error| {
        format!("{error}; is it the API name, and has the user of ctibridge Read and View All on it (Setup: Object Manager)?")
    })?;
    let named = || object.phone_fields.iter().chain([&object.name_field]).map(String::as_str);
    let missing: Vec<&str> = named().filter(|name| find(&fields, name).is_none()).collect();
    if missing.is_empty() {
        return Ok(named().collect::<Vec<_>>().join(", "));
    }
    Err(format!(
        "the user of ctibridge cannot see {}; correct the API name in [[directory.object]], or give access (Setup: Permission \
         Sets, Object Settings, {})",
        missing.join(", "),
        object.name
    ))
}

/// API names differ by case in nobody's org.
fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(finding: Finding) -> (&'static str, String) {
        match finding {
            Finding::Ok(text) => ("ok", text),
            Finding::Note(text) => ("note", text),
            Finding::Failed(text) => ("failed", text),
        }
    }

    fn field(name: &str) -> Field {
        Field { name: name.to_owned(), may_create: true, ..Field::default() }
    }

    #[test]
    fn a_key_must_be_there_unique_an_external_id_and_writable() {
        let good = Field { is_external_id: true, is_unique: true, ..field("Key__c") };
        let of = |field: Field| told(key(&Ok(vec![field]), "key__C"));
        assert_eq!(of(good.clone()).0, "ok");
        assert!(of(Field { is_unique: false, ..good.clone() }).1.contains("tick Unique"));
        assert!(of(Field { is_external_id: false, ..good.clone() }).1.contains("tick External ID"));
        assert!(of(Field { may_create: false, ..good }).1.contains("Edit"));
        assert!(of(field("Other__c")).1.contains("there is no field key__C"));
        assert_eq!(told(key(&Ok(Vec::new()), "")).0, "note");
    }

    #[test]
    fn each_field_that_cannot_be_written_is_named() {
        let all: Vec<Field> = TASK_FIELDS.into_iter().map(field).collect();
        assert_eq!(told(written(&Ok(all.clone()))).0, "ok");
        let mut some = all;
        some[7].may_create = false;
        some.remove(10);
        let (result, text) = told(written(&Ok(some)));
        assert!(result == "failed" && text.contains("cannot write CallType, CallObject;"), "{text}");
    }
}
