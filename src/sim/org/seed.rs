//! Filling the org from JSON: `{"Contact":[{"LastName":…,"Phone":…}],"Lead":[…],"Account":[…],"User":[…]}`.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Fields, Org, Refusal, Writer, id,
    schema::{self, Object},
    text, value,
};

/// Rows to start with, by object; `"$fields"` adds custom fields: `{"Contact": ["Phone_E164__c text:40"]}`.
#[derive(Clone, Debug, Default)]
pub struct Seed(Fields);

/// What is wrong with seed data.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The text is not JSON.
    #[error("seed data is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON of another shape.
    #[error("seed data: {0} must be {1}")]
    Shape(String, &'static str),
    /// It names an object that the org does not have.
    #[error("seed data: there is no object {0:?}")]
    Object(String),
    /// A row names a field that its object does not have.
    #[error("seed data: {object}[{row}] has no field {field:?}")]
    Field { object: String, row: usize, field: String },
    /// A row's value cannot be stored.
    #[error("seed data: {object}[{row}]: {refusal}")]
    Row { object: String, row: usize, refusal: Refusal },
}

impl Seed {
    /// Reads a seed file's text.
    ///
    /// # Errors
    /// When the text is not a JSON object. Objects and fields are checked when the org is filled.
    pub fn from_json(text: &str) -> Result<Self, SeedError> {
        Self::from_value(serde_json::from_str(text)?)
    }

    /// Takes a JSON value as a seed.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn from_value(value: Value) -> Result<Self, SeedError> {
        if let Value::Object(objects) = value {
            return Ok(Self(objects));
        }
        Err(SeedError::Shape("the whole".to_owned(), "an object"))
    }

    /// Whether the seed has a user of this Username.
    pub(crate) fn has_user(&self, username: &str) -> bool {
        let users = self.0.get("User").and_then(Value::as_array);
        users.into_iter().flatten().any(|user| {
            let name = user.get("Username").and_then(Value::as_str);
            name.is_some_and(|name| name.eq_ignore_ascii_case(username))
        })
    }
}

impl Org {
    /// Adds a seed's rows, users and accounts before those that refer to them.
    pub(crate) fn fill(&mut self, seed: &Seed, by: &Writer) -> Result<(), SeedError> {
        self.add_custom_fields(seed)?;
        let first = ["User", "Group", "Account", "Contact"];
        let rest = seed.0.keys().map(String::as_str);
        let rest = rest.filter(|name| !first.contains(name) && !name.starts_with('$'));
        for name in first.into_iter().chain(rest) {
            let Some(rows) = seed.0.get(name) else {
                continue;
            };
            let rows = rows.as_array().ok_or_else(|| SeedError::Shape(name.to_owned(), "an array of rows"))?;
            for (number, row) in rows.iter().enumerate() {
                self.add_row(name, number, row, by)?;
            }
        }
        Ok(())
    }

    /// Adds one row under the seed's rules: read-only fields may be set, `Id` may be given.
    pub(crate) fn add_row(&mut self, name: &str, number: usize, row: &Value, by: &Writer) -> Result<String, SeedError> {
        let object = self.seeded(name)?;
        let row = row.as_object().ok_or_else(|| SeedError::Shape(format!("{name}[{number}]"), "an object"))?;
        let mut fields = self.seed_fields(&object, number, row, by)?;
        let id = match text(&fields, "Id") {
            Some(id) => id.to_owned(),
            None => self.next_id(&object.name),
        };
        if object.name == "User" && !fields.contains_key("IsActive") {
            fields.insert("IsActive".to_owned(), true.into());
        }
        Self::complete_user(&object, &mut fields, &id);
        self.add_defaults(&object, &mut fields, by);
        self.derive(&object.name, &mut fields, by);
        let stamp = fields.get("SystemModstamp").cloned();
        self.store_with(&object.name, &id, fields, by, stamp);
        self.after_write(&object.name, &id, by);
        Ok(id)
    }

    /// Changes a row without the rules for clients.
    pub(crate) fn edit_row(&mut self, name: &str, id: &str, changes: &Fields, by: &Writer) -> Result<(), SeedError> {
        let object = self.seeded(name)?;
        let changes = self.seed_fields(&object, 0, changes, by)?;
        let Some(row) = self.row(&object.name, id) else {
            return Err(SeedError::Shape(format!("{name} {id}"), "a known row"));
        };
        let mut fields = (*row.fields).clone();
        let stamp = changes.get("SystemModstamp").cloned();
        fields.extend(changes);
        let id = text(&fields, "Id").unwrap_or_default().to_owned();
        self.derive(&object.name, &mut fields, by);
        self.store_with(&object.name, &id, fields, by, stamp);
        self.after_write(&object.name, &id, by);
        Ok(())
    }

    fn seeded(&self, name: &str) -> Result<Arc<Object>, SeedError> {
        self.object(name).cloned().ok_or_else(|| SeedError::Object(name.to_owned()))
    }

    fn seed_fields(&mut self, object: &Object, row: usize, given: &Fields, by: &Writer) -> Result<Fields, SeedError> {
        let mut fields = Fields::new();
        for (name, value) in given {
            if name == "attributes" {
                continue;
            }
            if object.name == "Contact" && name == "Account" && value.is_object() {
                let account = self.account_named(row, value, by)?;
                fields.insert("AccountId".to_owned(), account.into());
                continue;
            }
            let field = object.field(name).ok_or_else(|| SeedError::Field {
                object: object.name.clone(),
                row,
                field: name.clone(),
            })?;
            let value = value::coerce(&object.name, field, value).map_err(|refusal| SeedError::Row {
                object: object.name.clone(),
                row,
                refusal,
            })?;
            fields.insert(field.name.clone(), value);
        }
        split_name(object, &mut fields);
        Ok(fields)
    }

    /// The account that a contact names, made if no account has that name.
    fn account_named(&mut self, row: usize, account: &Value, by: &Writer) -> Result<String, SeedError> {
        let name = account.get("Name").and_then(Value::as_str);
        let known = name.and_then(|name| self.live("Account", self.named.get(name)?));
        if let Some(id) = known.filter(|row| text(&row.fields, "Name") == name).and_then(|row| text(&row.fields, "Id"))
        {
            return Ok(id.to_owned());
        }
        self.add_row("Account", row, account, by)
    }

    /// A user needs a Username even where the seed is about extensions only.
    fn complete_user(object: &Object, fields: &mut Fields, id: &str) {
        if object.name == "User" && text(fields, "Username").is_none() {
            let name = format!("{}@pretend.example", id::short(id).to_lowercase());
            fields.insert("Username".to_owned(), name.into());
        }
    }

    fn add_custom_fields(&mut self, seed: &Seed) -> Result<(), SeedError> {
        let Some(objects) = seed.0.get("$fields") else {
            return Ok(());
        };
        let shape = || SeedError::Shape("$fields".to_owned(), "{\"Object\": [\"Name kind\"]}");
        for (name, lines) in objects.as_object().ok_or_else(shape)? {
            self.add_custom_object(name);
            for line in lines.as_array().ok_or_else(shape)? {
                let field = line.as_str().and_then(schema::field).ok_or_else(shape)?;
                if let Some(object) = self.objects.get_mut(name) {
                    Arc::make_mut(object).add(field);
                }
            }
        }
        Ok(())
    }

    fn add_custom_object(&mut self, name: &str) {
        if self.objects.contains_key(name) {
            return;
        }
        let prefix = format!("a{:02}", self.objects.len() % 100);
        if let Some(mut object) = schema::object(&format!("{name} {prefix}")) {
            ["Name text:80", "OwnerId ref:User"]
                .into_iter()
                .filter_map(schema::field)
                .for_each(|field| object.add(field));
            self.objects.insert(name.to_owned(), Arc::new(object));
        }
    }
}

/// People may be given by `Name` alone.
fn split_name(object: &Object, fields: &mut Fields) {
    if object.field("LastName").is_none() || fields.contains_key("LastName") || object.name == "Account" {
        return;
    }
    let Some(name) = text(fields, "Name").map(str::to_owned) else {
        return;
    };
    let (first, last) = name.rsplit_once(' ').unwrap_or(("", &name));
    if !first.is_empty() {
        fields.insert("FirstName".to_owned(), first.into());
    }
    fields.insert("LastName".to_owned(), last.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    fn filled(seed: Value) -> Result<Org, SeedError> {
        let mut org = Org::new(false);
        let writer = Writer::of("", Timestamp::now());
        org.fill(&Seed::from_value(seed)?, &writer)?;
        Ok(org)
    }

    #[test]
    fn a_contact_names_its_account() {
        let org = filled(json!({"Contact": [
            {"FirstName": "Eva", "LastName": "Kern", "Account": {"Name": "Kern AG"}},
            {"LastName": "Moll", "Account": {"Name": "Kern AG"}},
        ]}))
        .expect("a good seed");
        assert_eq!(org.rows("Account").count(), 1);
        let eva = org.rows("Contact").next().expect("a contact");
        assert_eq!(text(&eva.fields, "Name"), Some("Eva Kern"));
    }

    #[test]
    fn unknown_fields_are_named_with_their_object() {
        let error = filled(json!({"Lead": [{"LastName": "A", "Company": "B", "Fone": "1"}]})).expect_err("a bad seed");
        assert_eq!(error.to_string(), "seed data: Lead[0] has no field \"Fone\"");
    }

    #[test]
    fn custom_fields_and_objects_can_be_added() {
        let org = filled(json!({
            "$fields": {"Contact": ["Phone_E164__c text:40"], "Site__c": ["Hotline__c phone"]},
            "Site__c": [{"Name": "Hall 3", "Hotline__c": "030 23125 900"}],
        }))
        .expect("a good seed");
        assert_eq!(org.rows("Site__c").count(), 1);
    }
}
