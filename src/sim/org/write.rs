//! Creating, changing and deleting rows by the rules that clients meet.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Fields, Org, Refusal, Writer, flag, id,
    schema::{Access, Field, Kind, Object},
    text, value,
};

/// How a row is written.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Create,
    Update,
}

impl Org {
    /// Creates a row and answers its id.
    pub(crate) fn create(&mut self, object: &str, body: &Fields, by: &Writer) -> Result<String, Refusal> {
        let definition = self.known(object)?;
        let mut fields = read_body(&definition, body, Act::Create)?;
        require(&definition, &fields, self.person_accounts)?;
        self.add_defaults(&definition, &mut fields, by);
        self.check(&definition, &fields, None)?;
        let id = self.next_id(&definition.name);
        self.derive(&definition.name, &mut fields, by);
        self.store(&definition.name, &id, fields, by);
        self.after_write(&definition.name, &id, by);
        Ok(id)
    }

    /// Changes the given fields of a row.
    pub(crate) fn update(&mut self, object: &str, id: &str, body: &Fields, by: &Writer) -> Result<(), Refusal> {
        let definition = self.known(object)?;
        let old = self.writable(&definition.name, id)?;
        let changes = read_body(&definition, body, Act::Update)?;
        let mut fields = old.clone();
        for (name, value) in &changes {
            fields.insert(name.clone(), value.clone());
        }
        require(&definition, &fields, self.person_accounts)?;
        self.check(&definition, &changes_and_links(&changes, &fields), text(&old, "Id"))?;
        self.derive(&definition.name, &mut fields, by);
        let id = text(&old, "Id").unwrap_or_default().to_owned();
        self.store(&definition.name, &id, fields, by);
        self.after_write(&definition.name, &id, by);
        Ok(())
    }

    /// Moves a row to the recycle bin.
    pub(crate) fn delete(&mut self, object: &str, id: &str, by: &Writer) -> Result<(), Refusal> {
        let definition = self.known(object)?;
        let mut fields = self.writable(&definition.name, id)?;
        let id = text(&fields, "Id").unwrap_or_default().to_owned();
        fields.insert("IsDeleted".to_owned(), true.into());
        self.store(&definition.name, &id, fields, by);
        Ok(())
    }

    /// The definition of an object, or the answer for one that is not there.
    pub(crate) fn known(&self, object: &str) -> Result<Arc<Object>, Refusal> {
        self.object(object).cloned().ok_or_else(|| {
            let message = format!("sObject type '{object}' is not supported.");
            Refusal::new("INVALID_TYPE", message)
        })
    }

    fn writable(&self, object: &str, id: &str) -> Result<Fields, Refusal> {
        let row = self.row(object, id).ok_or_else(Refusal::not_found)?;
        if row.is_deleted() {
            return Err(Refusal::new("ENTITY_IS_DELETED", "entity is deleted"));
        }
        if flag(&row.fields, "IsConverted") {
            return Err(Refusal::new("CANNOT_UPDATE_CONVERTED_LEAD", "cannot update converted lead"));
        }
        Ok((*row.fields).clone())
    }

    /// Checks what fields point at, and the values that must be unique.
    fn check(&self, object: &Object, fields: &Fields, own: Option<&str>) -> Result<(), Refusal> {
        for (name, value) in fields {
            let (Some(field), Some(value)) = (object.field(name), value.as_str()) else {
                continue;
            };
            match &field.kind {
                Kind::Ref { targets, .. } if field.access != Access::Read => {
                    self.check_reference(object, field, targets, value)?;
                }
                Kind::External { unique: true, .. } => {
                    self.check_unique(object, field, value, own)?;
                }
                Kind::Id
                | Kind::Text(_)
                | Kind::Area(_)
                | Kind::Phone
                | Kind::Email
                | Kind::Url
                | Kind::Bool
                | Kind::Int
                | Kind::Double
                | Kind::Date
                | Kind::DateTime
                | Kind::Pick { .. }
                | Kind::Ref { .. }
                | Kind::External { .. } => {}
            }
        }
        if object.name == "Task" {
            self.check_task(fields)?;
        }
        Ok(())
    }

    fn check_reference(&self, object: &Object, field: &Field, targets: &[String], id: &str) -> Result<(), Refusal> {
        let kind = self.object_of_id(id).filter(|target| {
            targets.contains(&target.name) || (field.name == "WhatId" && target.name.ends_with("__c"))
        });
        let Some(target) = kind else {
            let label = value::label(&object.name, &field.name);
            let message = format!("{label}: id value of incorrect type: {id}");
            return Err(Refusal::of_field("FIELD_INTEGRITY_EXCEPTION", &field.name, message));
        };
        let Some(row) = self.row(&target.name, id) else {
            return Err(Refusal::of_field("INVALID_CROSS_REFERENCE_KEY", &field.name, "invalid cross reference id"));
        };
        if row.is_deleted() {
            return Err(Refusal::of_field("ENTITY_IS_DELETED", &field.name, "entity is deleted"));
        }
        if flag(&row.fields, "IsConverted") {
            return Err(Refusal::of_field(
                "CANNOT_UPDATE_CONVERTED_LEAD",
                &field.name,
                "cannot reference converted lead",
            ));
        }
        if field.name == "OwnerId" && target.name == "User" && !flag(&row.fields, "IsActive") {
            let message = format!(
                "operation performed with inactive user [{}] as owner of {}",
                id::short(id),
                object.name.to_lowercase()
            );
            return Err(Refusal::of_field("INACTIVE_OWNER_OR_USER", "OwnerId", message));
        }
        Ok(())
    }

    /// Whether the row's unique values are free for it.
    pub(super) fn check_keys(&self, object: &Object, fields: &Fields) -> Result<(), Refusal> {
        let own = text(fields, "Id");
        let unique = object.fields.iter().filter(|field| matches!(field.kind, Kind::External { unique: true, .. }));
        for field in unique {
            if let Some(value) = text(fields, &field.name) {
                self.check_unique(object, field, value, own)?;
            }
        }
        Ok(())
    }

    fn check_unique(&self, object: &Object, field: &Field, value: &str, own: Option<&str>) -> Result<(), Refusal> {
        let taken = self.by_external_id(&object.name, &field.name, value);
        let Some(other) = taken.iter().find(|id| Some(id.as_str()) != own) else {
            return Ok(());
        };
        let message =
            format!("duplicate value found: {} duplicates value on record with id: {}", field.name, id::short(other));
        Err(Refusal::of_field("DUPLICATE_VALUE", &field.name, message))
    }

    /// An activity of a lead cannot be related to anything else.
    fn check_task(&self, fields: &Fields) -> Result<(), Refusal> {
        let who = text(fields, "WhoId").and_then(|id| self.object_of_id(id));
        if who.is_some_and(|object| object.name == "Lead") && text(fields, "WhatId").is_some() {
            return Err(Refusal::of_field(
                "FIELD_INTEGRITY_EXCEPTION",
                "WhatId",
                "Related To ID: an activity of a lead cannot be related to another record",
            ));
        }
        Ok(())
    }
}

/// What an update checks: the changed fields, and for tasks both links even when only one of them changes.
fn changes_and_links(changes: &Fields, all: &Fields) -> Fields {
    let mut checked = changes.clone();
    if changes.contains_key("WhoId") || changes.contains_key("WhatId") {
        for link in ["WhoId", "WhatId"] {
            if let Some(value) = all.get(link) {
                checked.insert(link.to_owned(), value.clone());
            }
        }
    }
    checked
}

/// The body's fields under their canonical names with their stored values.
fn read_body(object: &Object, body: &Fields, act: Act) -> Result<Fields, Refusal> {
    let mut fields = Fields::new();
    for (name, value) in body {
        if name == "attributes" {
            continue;
        }
        let field = object.field(name).ok_or_else(|| {
            let message = format!("No such column '{name}' on sobject of type {}", object.name);
            Refusal::new("INVALID_FIELD", message)
        })?;
        if field.access == Access::Read || (field.access == Access::Once && act == Act::Update) {
            return Err(not_writable(field, act));
        }
        fields.insert(field.name.clone(), value::coerce(&object.name, field, value)?);
    }
    Ok(fields)
}

fn not_writable(field: &Field, act: Act) -> Refusal {
    if field.name == "Id" && act == Act::Create {
        return Refusal::of_field("INVALID_FIELD_FOR_INSERT_UPDATE", "Id", "cannot specify Id in an insert call");
    }
    let message = format!(
        "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
        field.name
    );
    Refusal::of_field("INVALID_FIELD_FOR_INSERT_UPDATE", &field.name, message)
}

fn require(object: &Object, fields: &Fields, person_accounts: bool) -> Result<(), Refusal> {
    let is_person = person_accounts && object.name == "Account" && text(fields, "LastName").is_some();
    let missing: Vec<String> = object
        .fields
        .iter()
        .filter(|field| field.access == Access::Required)
        .filter(|field| !(is_person && field.name == "Name"))
        .filter(|field| fields.get(&field.name).is_none_or(Value::is_null))
        .map(|field| field.name.clone())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Required fields are missing: [{}]", missing.join(", "));
    Err(Refusal { fields: missing, ..Refusal::new("REQUIRED_FIELD_MISSING", message) })
}
