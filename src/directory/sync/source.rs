//! What is asked of one object: all of it, what was touched, how much there is; and what a row of the answer means.

use jiff::Timestamp;

use super::follow::Mark;
use crate::directory::row::{Change, Row};
use crate::directory::shape::Shape;
use crate::salesforce::{Found, QueryError, RecordId, Soql};

/// Rows of one page: the most that Salesforce gives.
pub(super) const PAGE: u32 = 2000;

/// An object, as the index reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub shape: Shape,
}

impl Source {
    pub fn object(&self) -> &str {
        &self.shape.object
    }

    /// Only the names of its rows count: they are what contacts are shown with.
    pub fn is_names_only(&self) -> bool {
        self.shape.phones.is_empty()
    }

    /// Tells whether all is read as before, so that what was read before still holds.
    pub fn fingerprint(&self) -> String {
        format!("{} {}", self.shape.fields().join(","), self.shape.condition)
    }

    /// All rows that count.
    pub fn all(&self) -> Result<Soql, QueryError> {
        self.counting(Soql::select(self.object(), &self.shape.fields())?)
    }

    /// A page of them, in the order of their ids.
    pub fn page(&self, behind: Option<&RecordId>) -> Result<Soql, QueryError> {
        let all = self.all()?;
        let rest = if let Some(id) = behind { all.behind(id) } else { all };
        Ok(rest.order_by(&["Id"])?.limit(PAGE))
    }

    /// How many they are.
    pub fn count(&self) -> Result<Soql, QueryError> {
        self.counting(Soql::count(self.object())?)
    }

    /// The row that was touched last.
    pub fn newest(&self) -> Result<Soql, QueryError> {
        let newest = Soql::select(self.object(), &["Id", "SystemModstamp"])?;
        Ok(newest.order_by(&["SystemModstamp DESC"])?.limit(1))
    }

    /// Rows that were touched, whether they count or not, deleted ones too; for an operator's condition also which of them meet it.
    pub fn touched(&self, behind: Option<&Mark>) -> Result<Vec<Soql>, QueryError> {
        let order = |query: Soql| -> Result<Soql, QueryError> {
            let from = match behind {
                Some(mark) => query.touched_since(mark.stamp, mark.id.as_ref()),
                None => query,
            };
            Ok(from.order_by(&["SystemModstamp", "Id"])?.limit(PAGE).including_deleted())
        };
        let mut fields = self.shape.fields();
        fields.extend(["IsDeleted", "SystemModstamp"].map(str::to_owned));
        if !self.is_paired() {
            return Ok(vec![order(Soql::select(self.object(), &fields)?)?]);
        }
        let touched = Soql::select(self.object(), &["Id", "IsDeleted", "SystemModstamp"])?;
        let meeting = Soql::select(self.object(), &fields)?.meeting(&self.shape.condition)?;
        Ok(vec![order(touched)?, order(meeting)?])
    }

    /// Whether [`Self::touched`] are two queries.
    pub fn is_paired(&self) -> bool {
        self.shape.is_operators && !self.shape.condition.trim().is_empty()
    }

    fn counting(&self, query: Soql) -> Result<Soql, QueryError> {
        query.meeting(&self.shape.condition)?.any_filled(&self.shape.phones)
    }

    /// What a row says about the index.
    pub fn changes(&self, found: &Found) -> Vec<Change> {
        let mut changes = Vec::with_capacity(2);
        let is_gone = found.is_true("IsDeleted") || found.is_true("IsConverted");
        if !self.is_names_only() {
            changes
                .push(self.row(found).filter(|_| !is_gone).map_or_else(|| Change::Gone(found.id.clone()), Change::Put));
        }
        if self.object() == "Account"
            && !is_gone
            && let Some(name) = found.get(&self.shape.name)
        {
            changes.push(Change::Renamed { account: found.id.clone(), name: name.to_owned() });
        }
        changes
    }

    /// The row, if one of its phone fields is filled.
    pub fn row(&self, found: &Found) -> Option<Row> {
        let text = |field: &str| found.get(field).map(str::to_owned);
        let id = |field: &str| found.get(field).and_then(|id| RecordId::parse(id).ok());
        let phones: Vec<(String, String)> =
            self.shape.phones.iter().filter_map(|field| Some((field.clone(), text(field)?))).collect();
        (!phones.is_empty()).then(|| Row {
            object: self.shape.object.clone(),
            id: found.id.clone(),
            name: text(&self.shape.name).unwrap_or_default(),
            account: text("Account.Name").or_else(|| text("Company")),
            account_id: id("AccountId"),
            owner_id: id("OwnerId"),
            person_contact_id: id("PersonContactId"),
            phones,
        })
    }
}

/// The place of a row in the order of what was touched.
pub(super) fn mark(found: &Found) -> Option<Mark> {
    Some(Mark { stamp: stamp(found.get("SystemModstamp")?)?, id: Some(found.id.clone()) })
}

/// `2026-11-21T17:11:01.000+0000`
pub(super) fn stamp(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok().or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::config::CustomObject;
    use crate::salesforce::Field;

    fn contact() -> Source {
        Source { shape: Shape::standard("Contact").unwrap() }
    }

    fn found(object: &str, fields: &[(&str, &str)]) -> Found {
        Found {
            object: object.to_owned(),
            id: RecordId::parse("003xx0000000001").unwrap(),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_row_is_put_in_until_it_is_deleted_converted_or_without_a_phone() {
        let phone = ("Phone", "030 1");
        let put = contact().changes(&found("Contact", &[("Name", "Erika"), phone, ("IsDeleted", "false")]));
        assert!(matches!(put.as_slice(), [Change::Put(row)] if row.phones.len() == 1));
        for gone in [vec![phone, ("IsDeleted", "true")], vec![phone, ("IsConverted", "true")], vec![("Name", "Erika")]]
        {
            assert!(matches!(contact().changes(&found("Contact", &gone)).as_slice(), [Change::Gone(_)]));
        }
    }

    #[test]
    fn an_account_tells_its_name_to_its_contacts_with_or_without_a_phone() {
        let account = Source { shape: Shape::standard("Account").unwrap() };
        let changes = account.changes(&found("Account", &[("Name", "Acme")]));
        assert!(matches!(changes.as_slice(), [Change::Gone(_), Change::Renamed { name, .. }] if name == "Acme"));
        let names = Source { shape: Shape::account_names() };
        assert!(matches!(names.changes(&found("Account", &[("Name", "A")])).as_slice(), [Change::Renamed { .. }]));
        assert!(names.changes(&found("Account", &[("Name", "A"), ("IsDeleted", "true")])).is_empty());
    }

    #[test]
    fn an_operators_condition_is_asked_beside_what_was_touched() {
        let object = CustomObject {
            name: "Site__c".to_owned(),
            phone_fields: vec!["hotline__c".to_owned(), "Hidden__c".to_owned()],
            name_field: "Name".to_owned(),
            condition: "Active__c = true OR Vip__c = true".to_owned(),
        };
        let field = |name: &str| Field { name: name.to_owned(), kind: "phone".to_owned(), ..Field::default() };
        let shape = Shape::custom_described(&object, &[field("Name"), field("Hotline__c")]).unwrap();
        let source = Source { shape };
        let mark = Mark { stamp: stamp("2026-11-21T17:11:01.000+0000").unwrap(), id: None };
        let texts: Vec<String> = source.touched(Some(&mark)).unwrap().iter().map(Soql::text).collect();
        assert_eq!(
            texts,
            [
                "SELECT Id,IsDeleted,SystemModstamp FROM Site__c WHERE SystemModstamp >= 2026-11-21T17:11:01Z \
                 ORDER BY SystemModstamp,Id LIMIT 2000",
                "SELECT Id,Name,Hotline__c,IsDeleted,SystemModstamp FROM Site__c WHERE (Active__c = true OR Vip__c = true) AND \
                 SystemModstamp >= 2026-11-21T17:11:01Z ORDER BY SystemModstamp,Id LIMIT 2000",
            ]
        );
        assert_eq!(
            source.page(None).unwrap().text(),
            "SELECT Id,Name,Hotline__c FROM Site__c WHERE (Active__c = true OR Vip__c = true) AND (Hotline__c != null) \
             ORDER BY Id LIMIT 2000"
        );
    }
}
