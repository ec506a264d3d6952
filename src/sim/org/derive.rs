//! Fields that Salesforce fills in itself: defaults, names, and what follows from other rows.

use serde_json::Value;

use super::{
    Fields, Org, Writer, flag,
    schema::{Kind, Object},
    text, time,
};

/// Person fields of an account and the fields of its hidden contact that mirror them.
const PERSON: [(&str, &str); 8] = [
    ("FirstName", "FirstName"),
    ("LastName", "LastName"),
    ("Phone", "Phone"),
    ("PersonMobilePhone", "MobilePhone"),
    ("PersonHomePhone", "HomePhone"),
    ("PersonOtherPhone", "OtherPhone"),
    ("PersonAssistantPhone", "AssistantPhone"),
    ("PersonEmail", "Email"),
];

impl Org {
    /// What a new row has when the client says nothing.
    pub(super) fn add_defaults(&self, object: &Object, fields: &mut Fields, by: &Writer) {
        for field in &object.fields {
            if field.kind == Kind::Bool {
                put_default(fields, &field.name, false.into());
            }
        }
        if object.field("OwnerId").is_some() && !by.user.is_empty() {
            put_default(fields, "OwnerId", by.user.clone().into());
        }
        match object.name.as_str() {
            "Task" => {
                put_default(fields, "Status", self.default_status().into());
                put_default(fields, "Priority", "Normal".into());
                put_default(fields, "TaskSubtype", "Task".into());
            }
            "Lead" => put_default(fields, "Status", "Open - Not Contacted".into()),
            "Case" => put_default(fields, "Status", "New".into()),
            "User" => {
                put_default(fields, "TimeZoneSidKey", "Europe/Berlin".into());
                put_default(fields, "LocaleSidKey", "de_DE".into());
                put_default(fields, "UserType", "Standard".into());
            }
            _ => {}
        }
    }

    /// Recomputes a row's derived fields.
    pub(super) fn derive(&self, object: &str, fields: &mut Fields, by: &Writer) {
        match object {
            "Contact" | "Lead" | "User" => set_name(fields),
            "Account" if text(fields, "LastName").is_some() => {
                set_name(fields);
                fields.insert("IsPersonAccount".to_owned(), true.into());
            }
            "Task" => self.derive_task(fields, by),
            "Case" => {
                let closed = text(fields, "Status") == Some("Closed");
                fields.insert("IsClosed".to_owned(), closed.into());
            }
            "Opportunity" => {
                let stage = text(fields, "StageName").unwrap_or_default().to_owned();
                fields.insert("IsClosed".to_owned(), stage.starts_with("Closed").into());
                fields.insert("IsWon".to_owned(), (stage == "Closed Won").into());
            }
            _ => {}
        }
    }

    /// Writes what belongs to a row but is kept in another: the hidden contact of a person account.
    pub(super) fn after_write(&mut self, object: &str, id: &str, by: &Writer) {
        if object != "Account" {
            return;
        }
        let Some(account) = self.row(object, id).map(|row| (*row.fields).clone()) else {
            return;
        };
        if let Some(name) = text(&account, "Name") {
            self.named.insert(name.to_owned(), id.to_owned());
        }
        if !flag(&account, "IsPersonAccount") {
            return;
        }
        let (contact, mut fields) = self.hidden_contact(&account);
        for (of_account, of_contact) in PERSON {
            let value = account.get(of_account).cloned().unwrap_or_default();
            fields.insert(of_contact.to_owned(), value);
        }
        fields.insert("AccountId".to_owned(), id.into());
        set_name(&mut fields);
        self.store("Contact", &contact, fields, by);
        let mut account = account;
        account.insert("PersonContactId".to_owned(), contact.into());
        self.store("Account", id, account, by);
    }

    fn hidden_contact(&mut self, account: &Fields) -> (String, Fields) {
        let known = text(account, "PersonContactId").and_then(|id| self.row("Contact", id));
        if let Some(row) = known {
            let id = text(&row.fields, "Id").unwrap_or_default().to_owned();
            return (id, (*row.fields).clone());
        }
        let mut fields = Fields::new();
        if let Some(owner) = account.get("OwnerId") {
            fields.insert("OwnerId".to_owned(), owner.clone());
        }
        (self.next_id("Contact"), fields)
    }

    fn derive_task(&self, fields: &mut Fields, by: &Writer) {
        let closed = self.is_closed_status(text(fields, "Status").unwrap_or_default());
        let was_closed = flag(fields, "IsClosed");
        let high = text(fields, "Priority") == Some("High");
        let account = self.account_of(fields);
        fields.insert("IsClosed".to_owned(), closed.into());
        fields.insert("IsHighPriority".to_owned(), high.into());
        fields.insert("AccountId".to_owned(), account);
        if closed && !was_closed {
            fields.insert("CompletedDateTime".to_owned(), time::write(by.now).into());
        } else if !closed {
            fields.insert("CompletedDateTime".to_owned(), Value::Null);
        }
    }

    /// The account of what a task is related to, else that of its contact.
    fn account_of(&self, task: &Fields) -> Value {
        let linked = |link: &str| {
            let id = text(task, link)?;
            let object = self.object_of_id(id)?;
            if object.name == "Account" {
                return Some(Value::from(id));
            }
            let row = self.row(&object.name, id)?;
            text(&row.fields, "AccountId").map(Value::from)
        };
        linked("WhatId").or_else(|| linked("WhoId")).unwrap_or_default()
    }

    fn default_status(&self) -> String {
        self.rows("TaskStatus")
            .find(|row| flag(&row.fields, "IsDefault"))
            .and_then(|row| text(&row.fields, "ApiName"))
            .unwrap_or("Not Started")
            .to_owned()
    }

    fn is_closed_status(&self, status: &str) -> bool {
        self.rows("TaskStatus").any(|row| text(&row.fields, "ApiName") == Some(status) && flag(&row.fields, "IsClosed"))
    }
}

fn put_default(fields: &mut Fields, name: &str, value: Value) {
    if fields.get(name).is_none_or(Value::is_null) {
        fields.insert(name.to_owned(), value);
    }
}

/// `Name` is first and last name; neither part is invented.
fn set_name(fields: &mut Fields) {
    let parts = ["FirstName", "LastName"].map(|part| text(fields, part));
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    fields.insert("Name".to_owned(), name.into());
}
