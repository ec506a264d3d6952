//! What is asked of each object: its phone fields, and what else a match tells.

use super::config::CustomObject;
use crate::salesforce::{Field, QueryError, Returning};

/// The most phone fields of one object that are searched.
const MAX_PHONES: usize = 30;
/// The most rows of one object: enough for a main number that many contacts share.
const MAX_ROWS: u32 = 200;

/// An object and the fields of it that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub object: String,
    pub phones: Vec<String>,
    pub name: String,
    others: Vec<String>,
    /// SOQL that a row must meet. Empty: all rows count.
    pub condition: String,
    /// Whether the condition is the operator's: what it asks for is not among the fields.
    pub is_operators: bool,
}

impl Shape {
    /// What every org has, for when an object cannot be described. Other objects are unknown.
    pub fn standard(object: &str) -> Option<Self> {
        let phones: &[&str] = match object {
            "Contact" => &["Phone", "MobilePhone", "HomePhone", "OtherPhone", "AssistantPhone"],
            "Lead" => &["Phone", "MobilePhone"],
            "Account" => &["Phone"],
            _other => return None,
        };
        let others = wanted(object).iter().filter(|field| !of_persons(field));
        Some(Self {
            object: object.to_owned(),
            phones: phones.iter().map(|&field| field.to_owned()).collect(),
            name: "Name".to_owned(),
            others: others.map(|&field| field.to_owned()).collect(),
            condition: condition(object).to_owned(),
            is_operators: false,
        })
    }

    /// What the bridge's user can see of it. `None` when no phone field is among that.
    pub fn described(object: &str, fields: &[Field]) -> Option<Self> {
        let phones: Vec<String> =
            fields.iter().filter(|field| is_phone(field)).map(|field| field.name.clone()).take(MAX_PHONES).collect();
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        let others =
            wanted(object).iter().filter(|field| has(if **field == "Account.Name" { "AccountId" } else { field }));
        let name = fields.iter().find(|field| field.is_name);
        (!phones.is_empty()).then(|| Self {
            object: object.to_owned(),
            phones,
            name: name.map_or_else(|| "Name".to_owned(), |field| field.name.clone()),
            others: others.map(|&field| field.to_owned()).collect(),
            condition: condition(object).to_owned(),
            is_operators: false,
        })
    }

    /// As the settings describe it.
    pub fn custom(object: &CustomObject) -> Self {
        Self {
            object: object.name.clone(),
            phones: object.phone_fields.clone(),
            name: object.name_field.clone(),
            others: Vec::new(),
            condition: object.condition.clone(),
            is_operators: true,
        }
    }

    /// As the settings describe it, as far as the bridge's user can see that. `None` when no phone field or no name is left.
    pub fn custom_described(object: &CustomObject, fields: &[Field]) -> Option<Self> {
        let known = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let phones: Vec<String> =
            object.phone_fields.iter().filter_map(|name| known(name)).map(|field| field.name.clone()).collect();
        let name = known(&object.name_field)?.name.clone();
        let others = wanted(&object.name).iter().filter(|field| known(field).is_some());
        let others = others.map(|&field| field.to_owned()).collect();
        (!phones.is_empty()).then(|| Self { phones, name, others, ..Self::custom(object) })
    }

    /// Where accounts may not be read: their names cannot be asked for by a contact either.
    pub fn leave_account_names(&mut self) {
        self.others.retain(|field| field != "Account.Name");
    }

    /// Only the names of accounts, which contacts are shown with.
    pub fn account_names() -> Self {
        Self {
            object: "Account".to_owned(),
            phones: Vec::new(),
            name: "Name".to_owned(),
            others: Vec::new(),
            condition: String::new(),
            is_operators: false,
        }
    }

    /// What is read of each row.
    pub fn fields(&self) -> Vec<String> {
        let mut fields = vec!["Id".to_owned(), self.name.clone()];
        fields.extend(self.others.iter().chain(&self.phones).cloned());
        fields
    }

    /// Whether this is read of each row.
    pub fn reads(&self, field: &str) -> bool {
        self.others.iter().any(|other| other == field)
    }

    pub fn returning(&self) -> Result<Returning, QueryError> {
        Returning::new(&self.object, &self.fields(), &self.condition, MAX_ROWS)
    }
}

fn wanted(object: &str) -> &'static [&'static str] {
    match object {
        "Contact" => &["AccountId", "Account.Name", "OwnerId"],
        "Lead" => &["Company", "OwnerId", "IsConverted"],
        "Account" => &["OwnerId", "IsPersonAccount", "PersonContactId"],
        _other => &["OwnerId"],
    }
}

/// Fields that only an org with Person Accounts has.
fn of_persons(field: &str) -> bool {
    matches!(field, "IsPersonAccount" | "PersonContactId")
}

/// A converted lead is its contact.
fn condition(object: &str) -> &'static str {
    if object == "Lead" { "IsConverted=false" } else { "" }
}

/// Whether calls come from what the field holds: a fax does not call agents.
#[must_use]
pub fn is_phone(field: &Field) -> bool {
    field.kind == "phone" && !words(&field.name).any(|word| matches!(word.as_str(), "fax" | "telefax"))
}

/// The words of an API name, which begin behind an underscore or with a capital.
fn words(name: &str) -> impl Iterator<Item = String> {
    let parts = name.split('_').flat_map(|part| {
        let begins = |(at, c): &(usize, char)| *at > 0 && c.is_ascii_uppercase();
        let capitals: Vec<usize> = part.char_indices().filter(begins).map(|(at, _)| at).collect();
        let is_loud = part.chars().all(|c| !c.is_ascii_lowercase());
        let starts: Vec<usize> = std::iter::once(0).chain(if is_loud { Vec::new() } else { capitals }).collect();
        let ends = starts.iter().skip(1).copied().chain([part.len()]).collect::<Vec<_>>();
        starts.into_iter().zip(ends).filter_map(|(from, to)| part.get(from..to)).collect::<Vec<_>>()
    });
    parts.map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: &str) -> Field {
        Field { name: name.to_owned(), kind: kind.to_owned(), is_name: name == "Name" }
    }

    #[test]
    fn only_what_the_org_has_is_asked_for() {
        let fields = [
            field("Name", "string"),
            field("OwnerId", "reference"),
            field("Phone", "phone"),
            field("Fax", "phone"),
            field("HomeFax__c", "phone"),
            field("FAX_2__c", "phone"),
            field("Direct__c", "phone"),
            field("Halifax_Phone__c", "phone"),
            field("IsPersonAccount", "boolean"),
        ];
        let account = Shape::described("Account", &fields).unwrap();
        assert_eq!(account.phones, ["Phone", "Direct__c", "Halifax_Phone__c"]);
        assert_eq!(account.others, ["OwnerId", "IsPersonAccount"]);
        assert_eq!(Shape::described("Account", &fields[..2]), None);
        let contact = Shape::described("Contact", &fields).unwrap();
        assert_eq!(contact.others, ["OwnerId"]);
    }

    #[test]
    fn an_org_that_tells_nothing_is_taken_as_a_plain_one() {
        let account = Shape::standard("Account").unwrap();
        assert_eq!(account.others, ["OwnerId"]);
        assert!(Shape::standard("Lead").unwrap().condition.contains("IsConverted"));
        assert_eq!(Shape::standard("Case"), None);
    }
}
