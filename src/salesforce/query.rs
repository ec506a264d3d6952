//! Questions in SOQL and SOSL, built so that nothing but names, digits and quoted text can get into them.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::id::RecordId;

/// The longest name of a field with its parents.
const MAX_NAME: usize = 255;
/// The fewest digits that Salesforce searches for.
const MIN_TERM: usize = 2;

/// A question that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("`{0}` is no API name; expected letters, digits, `_` and `.`")]
    Name(String),
    #[error("a search needs at least one term of two digits or more, and nothing but digits")]
    Term,
    #[error("a search needs at least one object")]
    NoObject,
    #[error("a condition of the settings has a control character")]
    Condition,
    #[error("at most five queries are asked together")]
    Together,
    #[error("a batch has at most 200 rows of one kind: all with an id, or none")]
    Batch,
}

/// `SELECT … FROM … WHERE …`
#[derive(Debug, Clone)]
pub struct Soql {
    object: String,
    fields: Vec<String>,
    conditions: Vec<String>,
    order: Vec<String>,
    limit: Option<u32>,
    pub(super) all_rows: bool,
}

impl Soql {
    /// # Errors
    /// When a name is none, or there is no field.
    pub fn select<T: AsRef<str>>(object: &str, fields: &[T]) -> Result<Self, QueryError> {
        if fields.is_empty() {
            return Err(QueryError::NoObject);
        }
        Ok(Self { fields: names(fields)?, ..Self::count(object)? })
    }

    /// How many rows there are: `SELECT COUNT()`.
    ///
    /// # Errors
    /// When the name is none.
    pub fn count(object: &str) -> Result<Self, QueryError> {
        Ok(Self {
            object: name(object)?,
            fields: vec!["COUNT()".to_owned()],
            conditions: Vec::new(),
            order: Vec::new(),
            limit: None,
            all_rows: false,
        })
    }

    /// API name of what is asked.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Rows whose text field has this value.
    ///
    /// # Errors
    /// When the field's name is none.
    pub fn equals(mut self, field: &str, value: &str) -> Result<Self, QueryError> {
        let condition = format!("{} = {}", name(field)?, quoted(value));
        self.conditions.push(condition);
        Ok(self)
    }

    /// Rows whose checkbox is set, or not.
    ///
    /// # Errors
    /// When the field's name is none.
    pub fn is(mut self, field: &str, value: bool) -> Result<Self, QueryError> {
        self.conditions.push(format!("{} = {value}", name(field)?));
        Ok(self)
    }

    /// Rows whose text field has one of these values.
    ///
    /// # Errors
    /// When the field's name is none.
    pub fn any_of<T: AsRef<str>>(mut self, field: &str, values: &[T]) -> Result<Self, QueryError> {
        let list: Vec<_> = values.iter().map(|value| quoted(value.as_ref())).collect();
        let condition = format!("{} IN ({})", name(field)?, list.join(","));
        self.conditions.push(condition);
        Ok(self)
    }

    /// Rows with at least one of these fields filled.
    ///
    /// # Errors
    /// When a field's name is none.
    pub fn any_filled<T: AsRef<str>>(mut self, fields: &[T]) -> Result<Self, QueryError> {
        let filled: Vec<_> = names(fields)?.iter().map(|field| format!("{field} != null")).collect();
        self.conditions.push(format!("({})", filled.join(" OR ")));
        Ok(self)
    }

    /// Rows that meet a condition of the operator's own settings; empty: all.
    ///
    /// # Errors
    /// When it has a control character.
    pub fn meeting(mut self, condition: &str) -> Result<Self, QueryError> {
        let condition = plain(condition)?;
        if !condition.is_empty() {
            self.conditions.push(format!("({condition})"));
        }
        Ok(self)
    }

    /// Rows whose id comes behind this one.
    #[must_use]
    pub fn behind(mut self, id: &RecordId) -> Self {
        self.conditions.push(format!("Id > {}", quoted(id.as_str())));
        self
    }

    /// Rows last touched at this moment or later; of those of this very moment the ones behind the id, if one is given.
    #[must_use]
    pub fn touched_since(mut self, stamp: Timestamp, behind: Option<&RecordId>) -> Self {
        self.conditions.push(format!("SystemModstamp >= {stamp}"));
        if let Some(id) = behind {
            self.conditions.push(format!("(SystemModstamp > {stamp} OR Id > {})", quoted(id.as_str())));
        }
        self
    }

    /// In this order: fields, each with ` DESC` behind it or not.
    ///
    /// # Errors
    /// When a field's name is none.
    pub fn order_by(mut self, fields: &[&str]) -> Result<Self, QueryError> {
        for field in fields {
            name(field.trim_end_matches(" DESC"))?;
            self.order.push((*field).to_owned());
        }
        Ok(self)
    }

    #[must_use]
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// With archived rows and those in the recycle bin.
    #[must_use]
    pub fn including_deleted(mut self) -> Self {
        self.all_rows = true;
        self
    }

    /// As it is sent.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("SELECT {} FROM {}", self.fields.join(","), self.object);
        if !self.conditions.is_empty() {
            text.push_str(" WHERE ");
            text.push_str(&self.conditions.join(" AND "));
        }
        if !self.order.is_empty() {
            text.push_str(" ORDER BY ");
            text.push_str(&self.order.join(","));
        }
        if let Some(limit) = self.limit {
            let _ = write!(text, " LIMIT {limit}");
        }
        text
    }
}

/// `FIND {…} IN PHONE FIELDS RETURNING …`
#[derive(Debug, Clone)]
pub struct Sosl {
    terms: Vec<String>,
    objects: Vec<Returning>,
    limit: u32,
}

/// What a search gives back of one object.
#[derive(Debug, Clone)]
pub struct Returning {
    object: String,
    fields: Vec<String>,
    condition: String,
    limit: u32,
}

impl Sosl {
    /// Rows with a phone field that holds one of these runs of digits.
    ///
    /// # Errors
    /// When a term is shorter than two digits or has anything but digits, or there is none.
    pub fn phones<T: AsRef<str>>(terms: &[T], limit: u32) -> Result<Self, QueryError> {
        let terms: Vec<String> = terms.iter().map(|term| term.as_ref().to_owned()).collect();
        let digits = |term: &String| term.len() >= MIN_TERM && term.bytes().all(|byte| byte.is_ascii_digit());
        if terms.is_empty() || !terms.iter().all(digits) {
            return Err(QueryError::Term);
        }
        Ok(Self { terms, objects: Vec::new(), limit })
    }

    #[must_use]
    pub fn returning(mut self, object: Returning) -> Self {
        self.objects.push(object);
        self
    }

    /// As it is sent.
    ///
    /// # Errors
    /// When nothing is to be returned.
    pub fn text(&self) -> Result<String, QueryError> {
        if self.objects.is_empty() {
            return Err(QueryError::NoObject);
        }
        let objects: Vec<_> = self.objects.iter().map(Returning::text).collect();
        Ok(format!(
            "FIND {{{}}} IN PHONE FIELDS RETURNING {} LIMIT {}",
            self.terms.join(" OR "),
            objects.join(", "),
            self.limit
        ))
    }
}

impl Returning {
    /// `condition` is SOQL of the operator's own settings, or of this program; empty: all rows.
    ///
    /// # Errors
    /// When a name is none.
    pub fn new<T: AsRef<str>>(object: &str, fields: &[T], condition: &str, limit: u32) -> Result<Self, QueryError> {
        Ok(Self { object: name(object)?, fields: names(fields)?, condition: plain(condition)?.to_owned(), limit })
    }

    fn text(&self) -> String {
        let condition = if self.condition.is_empty() { String::new() } else { format!(" WHERE {}", self.condition) };
        format!("{}({}{condition} LIMIT {})", self.object, self.fields.join(","), self.limit)
    }
}

/// A condition as it stands in the settings.
fn plain(condition: &str) -> Result<&str, QueryError> {
    if condition.chars().any(char::is_control) {
        return Err(QueryError::Condition);
    }
    Ok(condition.trim())
}

/// An API name, with its parents: `Account.Name`, `Queue__c`.
pub(super) fn name(text: &str) -> Result<String, QueryError> {
    let parts_fit = text.split('.').all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if parts_fit && text.len() <= MAX_NAME {
        Ok(text.to_owned())
    } else {
        Err(QueryError::Name(text.chars().take(40).collect()))
    }
}

fn names<T: AsRef<str>>(fields: &[T]) -> Result<Vec<String>, QueryError> {
    fields.iter().map(|field| name(field.as_ref())).collect()
}

/// A string literal of SOQL with its quotes.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('\'');
    for char in value.chars() {
        match char {
            '\'' | '\\' => text.extend(['\\', char]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control.is_control() => {}
            other => text.push(other),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_cannot_end_its_literal() {
        let soql = Soql::select("Task", &["Id", "Who.Name"])
            .unwrap()
            .any_of("CallObject", &["a'b", "c\\", "d\ne"])
            .unwrap()
            .is("IsClosed", true)
            .unwrap()
            .order_by(&["CreatedDate DESC"])
            .unwrap()
            .limit(5);
        assert_eq!(
            soql.text(),
            r"SELECT Id,Who.Name FROM Task WHERE CallObject IN ('a\'b','c\\','d\ne') AND IsClosed = true ORDER BY CreatedDate DESC LIMIT 5"
        );
    }

    #[test]
    fn rows_are_asked_for_from_a_place_on() {
        let (stamp, id) = ("2026-11-21T17:11:01Z".parse().unwrap(), RecordId::parse("003xx000004TmiQ").unwrap());
        let page = Soql::select("Contact", &["Id"])
            .unwrap()
            .meeting("Type__c = 'A' OR Type__c = 'B'")
            .unwrap()
            .any_filled(&["Phone", "MobilePhone"])
            .unwrap()
            .touched_since(stamp, Some(&id))
            .order_by(&["SystemModstamp", "Id DESC"])
            .unwrap()
            .limit(2000);
        assert_eq!(
            page.text(),
            "SELECT Id FROM Contact WHERE (Type__c = 'A' OR Type__c = 'B') AND (Phone != null OR MobilePhone != null) \
             AND SystemModstamp >= 2026-11-21T17:11:01Z AND (SystemModstamp > 2026-11-21T17:11:01Z OR Id > \
             '003xx000004TmiQAAS') ORDER BY SystemModstamp,Id DESC LIMIT 2000"
        );
        assert_eq!(Soql::count("Lead").unwrap().text(), "SELECT COUNT() FROM Lead");
        assert!(Soql::count("Lead").unwrap().meeting("A = 1\n").is_err());
    }

    #[test]
    fn a_name_is_a_name_and_a_term_is_digits() {
        for wrong in ["", "Id FROM User", "a-b", "1a", "A..b", "Id)", "Näme"] {
            assert!(Soql::select("Task", &[wrong]).is_err(), "{wrong}");
        }
        for wrong in ["", "1", "+49", "12 34", "12}", "12*"] {
            assert_eq!(Sosl::phones(&[wrong], 9).unwrap_err(), QueryError::Term);
        }
        assert!(Sosl::phones::<&str>(&[], 9).is_err());
    }

    #[test]
    fn a_search_names_its_objects() {
        let lead = Returning::new("Lead", &["Id", "Phone"], "IsConverted=false", 50).unwrap();
        let sosl = Sosl::phones(&["4155551212", "14155551212"], 200).unwrap();
        assert_eq!(sosl.text(), Err(QueryError::NoObject));
        assert_eq!(
            sosl.returning(lead).text().unwrap(),
            "FIND {4155551212 OR 14155551212} IN PHONE FIELDS RETURNING Lead(Id,Phone WHERE IsConverted=false LIMIT 50) LIMIT 200"
        );
    }
}
