//! Which objects and fields the org has.
//!
//! The table below is text so that it reads like a data model: an object with its key prefix, then its fields, each a
//! name, a kind and at most one access word (`required`, `once`: at creation only, `read`: never). In picklists `_`
//! stands for a space.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

const SYSTEM: &str = "
 Id id read
 IsDeleted bool read
 CreatedDate datetime read
 CreatedById ref:User read
 LastModifiedDate datetime read
 LastModifiedById ref:User read
 SystemModstamp datetime read
";

const PERSON_ACCOUNT: &str = "
 FirstName text:40
 LastName text:80
 IsPersonAccount bool read
 PersonContactId ref:Contact read
 PersonMobilePhone phone
 PersonHomePhone phone
 PersonOtherPhone phone
 PersonAssistantPhone phone
 PersonEmail email
";

const OBJECTS: &str = "
Organization 00D
 Name text:80
 OrganizationType pick:Enterprise_Edition|Developer_Edition
 InstanceName text:5 read
 IsSandbox bool read
 LanguageLocaleKey text:40
 DefaultLocaleSidKey text:40
 TimeZoneSidKey text:40
User 005
 Username text:80 required
 FirstName text:40
 LastName text:80 required
 Name text:121 read
 Alias text:8
 Email email
 Phone phone
 MobilePhone phone
 Fax phone
 Extension phone
 FederationIdentifier text:512
 TimeZoneSidKey text:40
 LocaleSidKey text:40
 IsActive bool
 UserType pick:Standard read
Group 00G
 Name text:40 required
 DeveloperName text:80
 Type pick:Queue|Regular
Account 001
 Name text:255 required
 AccountNumber text:40
 Type pick:Prospect|Customer
 Industry pick:Banking|Retail
 Phone phone
 Fax phone
 Website url
 Site text:80
 ParentId ref:Account
 NumberOfEmployees int
 AnnualRevenue double
 Rating pick:Hot|Warm|Cold
 Ownership pick:Public|Private|Other
 AccountSource pick:Web|Phone_Inquiry
 TickerSymbol text:20
 Sic text:20
 SicDesc text:80
 Jigsaw text:20
 JigsawCompanyId text:20
 BillingStreet text:255
 BillingCity text:40
 BillingState text:80
 BillingPostalCode text:20
 BillingCountry text:80
 ShippingStreet text:255
 ShippingCity text:40
 ShippingState text:80
 ShippingPostalCode text:20
 ShippingCountry text:80
 LastActivityDate date read
 Description area:32000
 OwnerId ref:User
 MasterRecordId ref:Account read
Contact 003
 FirstName text:40
 LastName text:80 required
 Salutation pick:Mr.|Ms.|Mrs.|Dr.
 Name text:121 read
 AccountId ref:Account
 Title text:128
 Department text:80
 Phone phone
 MobilePhone phone
 HomePhone phone
 OtherPhone phone
 AssistantPhone phone
 Fax phone
 Email email
 ReportsToId ref:Contact
 Birthdate date
 MailingStreet text:255
 MailingCity text:40
 MailingState text:80
 MailingPostalCode text:20
 MailingCountry text:80
 LeadSource pick:Web|Phone_Inquiry
 Description area:32000
 OwnerId ref:User
 MasterRecordId ref:Contact read
Lead 00Q
 FirstName text:40
 LastName text:80 required
 Salutation pick:Mr.|Ms.|Mrs.|Dr.
 Name text:121 read
 Company text:255 required
 Title text:128
 Phone phone
 MobilePhone phone
 Fax phone
 Email email
 Website url
 Industry pick:Banking|Retail
 Street text:255
 City text:40
 State text:80
 PostalCode text:20
 Country text:80
 Status pick:Open_-_Not_Contacted|Working_-_Contacted|Closed_-_Converted
 LeadSource pick:Web|Phone_Inquiry
 Description area:32000
 OwnerId ref:User|Group
 IsConverted bool read
 ConvertedDate date read
 ConvertedContactId ref:Contact read
 ConvertedAccountId ref:Account read
 ConvertedOpportunityId ref:Opportunity read
 MasterRecordId ref:Lead read
Case 500
 CaseNumber text:30 read
 Subject text:255
 Status pick:New|Working|Closed
 Origin pick:Phone|Email|Web
 Priority pick:High|Medium|Low
 ContactId ref:Contact
 AccountId ref:Account
 ContactPhone phone read
 ContactMobile phone read
 SuppliedName text:80
 SuppliedPhone text:40
 Description area:32000
 OwnerId ref:User|Group
 IsClosed bool read
Opportunity 006
 Name text:120 required
 AccountId ref:Account
 StageName pick:Prospecting|Closed_Won|Closed_Lost required
 CloseDate date required
 Amount double
 Description area:32000
 OwnerId ref:User
 IsClosed bool read
 IsWon bool read
Task 00T
 Subject text:255
 Status pick:Not_Started|In_Progress|Completed
 Priority pick:High|Normal|Low
 TaskSubtype only:Task|Email|Call once
 Type pick:Call|Email|Meeting|Other
 CallType only:Internal|Inbound|Outbound
 CallDurationInSeconds int
 CallDisposition text:255
 CallObject text:255
 WhoId ref:Contact|Lead
 WhatId ref:Account|Opportunity|Case
 AccountId ref:Account read
 OwnerId ref:User|Group
 ActivityDate date
 Description area:32000
 IsClosed bool read
 IsHighPriority bool read
 IsArchived bool read
 CompletedDateTime datetime read
 ReminderDateTime datetime
 IsReminderSet bool
 CTI_Call_Id__c key:255
TaskStatus 01J
 MasterLabel text:255
 ApiName text:255
 SortOrder int
 IsDefault bool
 IsClosed bool
UserRecordAccess 000
 UserId ref:User read
 RecordId id read
 HasReadAccess bool read
 HasEditAccess bool read
 HasDeleteAccess bool read
 HasTransferAccess bool read
 HasAllAccess bool read
 MaxAccessLevel pick:None|Read|Edit|Delete|Transfer|All read
CallCenter 04v
 Name text:80
 InternalName text:80
";

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A record id that is not a relation.
    Id,
    /// Up to so many characters.
    Text(usize),
    /// A text that cannot be filtered on.
    Area(usize),
    Phone,
    Email,
    Url,
    Bool,
    Int,
    Double,
    Date,
    DateTime,
    Pick {
        values: Vec<String>,
        restricted: bool,
    },
    /// A relation: whose ids it takes, and its name in queries.
    Ref {
        targets: Vec<String>,
        relation: String,
    },
    /// A text that rows are upserted by, compared with case.
    External {
        length: usize,
        unique: bool,
    },
}

impl Kind {
    /// Longest value in characters, for kinds that hold text.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(length) | Self::Area(length) | Self::External { length, .. } => Some(*length),
            Self::Phone => Some(40),
            Self::Email => Some(80),
            Self::Url | Self::Pick { .. } => Some(255),
            Self::Id | Self::Ref { .. } => Some(18),
            Self::Bool | Self::Int | Self::Double | Self::Date | Self::DateTime => None,
        }
    }
}

/// When a client may write a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Access {
    Edit,
    Required,
    Once,
    Read,
}

/// One field of an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) access: Access,
}

/// One object: its name, the first three characters of its ids, its fields.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) fields: Vec<Field>,
    places: HashMap<String, usize>,
}

impl Object {
    /// The field of this name in any case.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        match self.places.get(name) {
            Some(place) => self.fields.get(*place),
            None => self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)),
        }
    }

    pub(crate) fn add(&mut self, field: Field) {
        self.places.insert(field.name.clone(), self.fields.len());
        self.fields.push(field);
    }

    /// The relation field that queries call `relation`.
    pub(crate) fn relation(&self, relation: &str) -> Option<&Field> {
        self.fields.iter().find(
            |field| matches!(&field.kind, Kind::Ref { relation: name, .. } if name.eq_ignore_ascii_case(relation)),
        )
    }
}

/// The objects of a new org by name.
pub(crate) fn objects(person_accounts: bool) -> BTreeMap<String, Object> {
    let mut objects: BTreeMap<String, Object> = BTreeMap::new();
    let mut current = String::new();
    for line in OBJECTS.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(object) = object(line) {
            current.clone_from(&object.name);
            objects.insert(object.name.clone(), object);
        } else if let (Some(object), Some(field)) = (objects.get_mut(&current), field(line)) {
            object.add(field);
        }
    }
    if person_accounts && let Some(account) = objects.get_mut("Account") {
        PERSON_ACCOUNT.lines().filter_map(field).for_each(|field| account.add(field));
    }
    objects
}

/// An object from its line in the table, with the fields that every object has.
pub(crate) fn object(line: &str) -> Option<Object> {
    if line.starts_with(' ') {
        return None;
    }
    let (name, prefix) = line.trim().split_once(' ')?;
    let (name, prefix) = (name.to_owned(), prefix.to_owned());
    let mut object = Object { name, prefix, fields: Vec::new(), places: HashMap::new() };
    SYSTEM.lines().filter_map(field).for_each(|field| object.add(field));
    Some(object)
}

/// A field from its line in the table.
pub(crate) fn field(line: &str) -> Option<Field> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let kind = kind(&name, words.next()?)?;
    let access = match words.next() {
        None => Access::Edit,
        Some("required") => Access::Required,
        Some("once") => Access::Once,
        Some("read") => Access::Read,
        Some(_) => return None,
    };
    Some(Field { name, kind, access })
}

fn kind(name: &str, text: &str) -> Option<Kind> {
    let (word, argument) = text.split_once(':').unwrap_or((text, ""));
    let length = || argument.parse().ok();
    Some(match word {
        "id" => Kind::Id,
        "text" => Kind::Text(length()?),
        "area" => Kind::Area(length()?),
        "phone" => Kind::Phone,
        "email" => Kind::Email,
        "url" => Kind::Url,
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "double" => Kind::Double,
        "date" => Kind::Date,
        "datetime" => Kind::DateTime,
        "pick" | "only" => Kind::Pick {
            values: argument.split('|').map(|value| value.replace('_', " ")).collect(),
            restricted: word == "only",
        },
        "ref" => Kind::Ref { targets: argument.split('|').map(str::to_owned).collect(), relation: relation_of(name) },
        "key" | "ext" => Kind::External { length: length()?, unique: word == "key" },
        _ => return None,
    })
}

/// `AccountId` is `Account` in queries, `Site__c` is `Site__r`.
fn relation_of(name: &str) -> String {
    match name.strip_suffix("__c") {
        Some(stem) => format!("{stem}__r"),
        None => name.strip_suffix("Id").unwrap_or(name).to_owned(),
    }
}

/// A relation from an object to those whose field points at it.
pub(crate) struct Child<'a> {
    pub(crate) object: &'a Object,
    pub(crate) field: &'a Field,
    /// As queries call it.
    pub(crate) relation: String,
}

/// The relations of `parent` to its children that have a name.
pub(crate) fn children<'a>(
    objects: impl Iterator<Item = &'a Arc<Object>>,
    parent: &Object,
) -> impl Iterator<Item = Child<'a>> {
    let fields = objects.flat_map(|object| object.fields.iter().map(move |field| (&**object, field)));
    let pointing =
        fields.filter(|(_, field)| matches!(&field.kind, Kind::Ref { targets, .. } if targets.contains(&parent.name)));
    pointing.filter_map(|(object, field)| Some(Child { object, field, relation: children_of(object, field)? }))
}

/// `AccountId` of a contact makes it one of the account's `Contacts`; who owns or wrote a row has no list of them.
fn children_of(object: &Object, field: &Field) -> Option<String> {
    match field.name.as_str() {
        "OwnerId" | "ReportsToId" => None,
        "ParentId" => Some(format!("Child{}", plural(&object.name))),
        _ if field.access == Access::Read => None,
        _ => Some(match object.name.strip_suffix("__c") {
            Some(stem) => format!("{}__r", plural(stem)),
            None if field.name.ends_with("__c") => format!("{}__r", plural(&object.name)),
            None => plural(&object.name),
        }),
    }
}

/// Of an English name.
pub(crate) fn plural(name: &str) -> String {
    match name.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_understood() {
        for line in [SYSTEM, PERSON_ACCOUNT, OBJECTS].iter().flat_map(|t| t.lines()) {
            if !line.trim().is_empty() {
                assert!(object(line).is_some() || field(line).is_some(), "{line}");
            }
        }
    }

    #[test]
    fn relations_have_the_names_that_queries_use() {
        let objects = objects(true);
        let task = objects.get("Task").expect("Task");
        assert!(task.relation("who").is_some());
        assert!(task.relation("CreatedBy").is_some());
        assert_eq!(relation_of("Site__c"), "Site__r");
        let objects: Vec<Arc<Object>> = objects.into_values().map(Arc::new).collect();
        let account = objects.iter().find(|object| object.name == "Account").expect("Account");
        let names: Vec<String> = children(objects.iter(), account).map(|child| child.relation).collect();
        assert_eq!(names, ["ChildAccounts", "Cases", "Contacts", "Opportunities", "Tasks"]);
    }
}
