//! The Task's fields that the settings fill, held against the org: is there such a field, may it be written, does a text fit.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde_json::Number;

use super::config::Config;
use super::template::{Templates, Variables};
use super::text::cut;
use crate::salesforce::{Column, RecordId, Value};

/// The longest number that Salesforce keeps in a field of the type Number, in digits.
const DIGITS: usize = 18;

/// What is wrong with a key of `[log]` in this org, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{key}: {what}")]
pub struct FieldProblem {
    /// `log.fields.Queue__c`
    pub key: String,
    pub what: String,
}

/// The fields of the org's Task, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct TaskFields {
    /// By the name in lower case; empty: the org does not say.
    columns: BTreeMap<String, Column>,
    /// Fields of the settings that cannot be written, in lower case.
    left_out: BTreeSet<String>,
}

/// What becomes of a text for a field.
#[derive(PartialEq, Eq)]
pub(super) enum Fit {
    Value(Value),
    /// There is nothing to write, or the field is left out of every Task.
    Nothing,
    /// It does not fit the field; what would.
    Not(&'static str),
}

impl TaskFields {
    /// Holds the settings against the org. What is wrong is left out of every Task, but for texts that are merely too long.
    #[must_use]
    pub fn new(columns: Vec<Column>, config: &Config, templates: &Templates) -> (Self, Vec<FieldProblem>) {
        let columns = columns.into_iter().map(|column| (column.name.to_ascii_lowercase(), column)).collect();
        let mut fields = Self { columns, left_out: BTreeSet::new() };
        let mut problems = Vec::new();
        for field in config.fields.keys() {
            let key = format!("log.fields.{field}");
            let samples = samples().map(|sample| templates.field(field, &sample).unwrap_or_default());
            match fields.wrong(field, &samples) {
                Some(what) => {
                    fields.left_out.insert(field.to_ascii_lowercase());
                    problems.push(FieldProblem { key, what: format!("{what}; it is left out") });
                }
                None => problems.extend(fields.too_long(field, &samples).map(|what| FieldProblem { key, what })),
            }
        }
        let samples = samples().map(|sample| templates.subject(&sample).unwrap_or_default());
        let what = fields.too_long("Subject", &samples);
        problems.extend(what.map(|what| FieldProblem { key: "log.subject".to_owned(), what }));
        (fields, problems)
    }

    /// The field as the org spells it.
    pub(super) fn name<'a>(&'a self, field: &'a str) -> &'a str {
        self.columns.get(&field.to_ascii_lowercase()).map_or(field, |column| &column.name)
    }

    /// A filled template as the value of its field.
    pub(super) fn fit(&self, field: &str, text: &str) -> Fit {
        let name = field.to_ascii_lowercase();
        if self.left_out.contains(&name) {
            return Fit::Nothing;
        }
        match self.columns.get(&name) {
            Some(column) => fit(column, text),
            None if text.is_empty() => Fit::Value(Value::Null),
            None => Fit::Value(Value::Text(text.to_owned())),
        }
    }

    fn wrong(&self, field: &str, samples: &[String]) -> Option<String> {
        if self.columns.is_empty() {
            return None;
        }
        let Some(column) = self.columns.get(&field.to_ascii_lowercase()) else {
            return Some(
                "the Task has no such field, or the user of ctibridge cannot see it; correct the name, or give the user \
                 access in Setup, Object Manager, Activity, Fields"
                    .to_owned(),
            );
        };
        if !column.createable {
            return Some(
                "the user of ctibridge may not write this field; give it access in Setup, Object Manager, Activity, \
                 Fields, or choose another one"
                    .to_owned(),
            );
        }
        let wanted: Vec<&str> = samples
            .iter()
            .map(|text| match fit(column, text) {
                Fit::Not(wanted) => wanted,
                Fit::Value(_) | Fit::Nothing => "",
            })
            .collect();
        let never_fits = wanted.iter().all(|wanted| !wanted.is_empty());
        let wanted = wanted.first().filter(|_| never_fits)?;
        Some(format!("the field is of the type {} and takes {wanted}, which this template does not give", column.kind))
    }

    fn too_long(&self, field: &str, samples: &[String]) -> Option<String> {
        let column = self.columns.get(&field.to_ascii_lowercase())?;
        let longest = samples.iter().all(|text| cut_to(column, text));
        longest.then(|| {
            format!("the text is longer than the {} characters that the field takes; it is cut there", column.length)
        })
    }
}

/// What a template may be filled with: once in words, once in digits wherever digits may stand.
fn samples() -> [Variables; 2] {
    let sample = |words: &'static [(&'static str, &'static str)]| {
        words.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    [
        sample(&[
            ("call", "hq-pbx1-1"),
            ("direction", "inbound"),
            ("caller", "Erika"),
            ("number", "+4930231250444"),
            ("name", "Erika"),
            ("account", "Acme"),
            ("dialed", "+49305550"),
            ("queue", "sales"),
            ("extension", "101"),
            ("agent", "Anna"),
            ("disposition", "Answered"),
            ("duration", "95"),
            ("started", "2026-11-21T14:03:00+01:00"),
        ]),
        sample(&[
            ("call", "1"),
            ("direction", "inbound"),
            ("caller", "7"),
            ("number", "7"),
            ("name", "7"),
            ("account", "7"),
            ("dialed", "7"),
            ("queue", "7"),
            ("extension", "7"),
            ("agent", "7"),
            ("disposition", "7"),
            ("duration", "0"),
            ("started", "2026-11-21T14:03:00+01:00"),
        ]),
    ]
}

/// A field's types are those of the describe call (SOAP API Developer Guide, "Field Types").
fn fit(column: &Column, text: &str) -> Fit {
    let text = text.trim();
    if text.is_empty() {
        return if column.kind == "boolean" { Fit::Nothing } else { Fit::Value(Value::Null) };
    }
    let (value, wanted) = match column.kind.as_str() {
        "boolean" => (yes_or_no(text).map(Value::Bool), "true or false"),
        "int" | "long" => (text.parse().ok().map(Value::Integer), "a whole number"),
        "double" | "currency" | "percent" => (decimal(text).map(Value::Decimal), "a number"),
        "date" => (date(text).map(Value::Text), "a date such as 2026-11-21"),
        "datetime" => (moment(text).map(Value::Text), "a time such as 2026-11-21T14:03:00+01:00"),
        "time" => (time_of_day(text).map(Value::Text), "a time of day such as 14:03:00"),
        "reference" | "id" => (RecordId::parse(text).ok().map(|id| Value::Text(id.to_string())), "the id of a record"),
        "picklist" if column.restricted => (choice(column, text).map(Value::Text), "a value of its picklist"),
        "multipicklist" if column.restricted => (choices(column, text).map(Value::Text), "values of its picklist"),
        _text if column.length > 0 => (Some(Value::Text(cut(text, column.length).trim_end().to_owned())), ""),
        _text => (Some(Value::Text(text.to_owned())), ""),
    };
    value.map_or(Fit::Not(wanted), Fit::Value)
}

fn cut_to(column: &Column, text: &str) -> bool {
    column.length > 0 && cut(text.trim(), column.length) != text.trim()
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn decimal(text: &str) -> Option<Number> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let whole = text.parse::<i64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(text.parse().ok()?)).filter(|_| digits <= DIGITS)
}

/// The day as it is written: that of the owner, where the template gives a time.
fn date(text: &str) -> Option<String> {
    let day = text.parse::<DateTime>().map(DateTime::date).or_else(|_| text.parse::<Date>()).ok()?;
    Some(day.to_string())
}

fn moment(text: &str) -> Option<String> {
    let at: Timestamp = text.parse().ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string())
}

fn time_of_day(text: &str) -> Option<String> {
    let at = text.parse::<DateTime>().map(DateTime::time).or_else(|_| text.parse::<Time>()).ok()?;
    Some(at.strftime("%H:%M:%S.000Z").to_string())
}

fn choice(column: &Column, text: &str) -> Option<String> {
    column.values().find(|value| value.eq_ignore_ascii_case(text)).map(str::to_owned)
}

fn choices(column: &Column, text: &str) -> Option<String> {
    let all: Option<Vec<String>> = text.split(';').map(|one| choice(column, one.trim())).collect();
    all.map(|all| all.join(";"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::tests::config;

    fn column(kind: &str, length: usize) -> Column {
        let name = format!("{kind}__c");
        serde_json::from_value(json!({
            "name": name, "type": kind, "length": length, "createable": true, "restrictedPicklist": true,
            "picklistValues": [{"value": "Gold", "active": true}, {"value": "Old", "active": false}],
        }))
        .unwrap()
    }

    fn fitted(kind: &str, text: &str) -> Result<serde_json::Value, &'static str> {
        match fit(&column(kind, 5), text) {
            Fit::Value(value) => Ok(serde_json::to_value(value).unwrap()),
            Fit::Nothing => Ok(json!("nothing")),
            Fit::Not(wanted) => Err(wanted),
        }
    }

    #[test]
    fn a_text_becomes_a_value_of_the_fields_type() {
        for (kind, text, value) in [
            ("string", "abcdefg", json!("abcde")),
            ("string", " ", json!(null)),
            ("boolean", "", json!("nothing")),
            ("boolean", "Yes", json!(true)),
            ("int", "-7", json!(-7)),
            ("double", "2.50", json!(2.5)),
            ("currency", "12", json!(12)),
            ("date", "2026-11-22T00:30:00+01:00", json!("2026-11-22")),
            ("date", "2026-11-22", json!("2026-11-22")),
            ("datetime", "2026-11-22T00:30:00+01:00", json!("2026-11-21T23:30:00.000+0000")),
            ("time", "2026-11-22T00:30:00+01:00", json!("00:30:00.000Z")),
            ("picklist", "gold", json!("Gold")),
            ("multipicklist", "gold; GOLD", json!("Gold;Gold")),
            ("reference", "003xx000004TmiQ", json!("003xx000004TmiQAAS")),
        ] {
            assert_eq!(fitted(kind, text), Ok(value), "{kind} {text:?}");
        }
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        for (kind, text, wanted) in [
            ("boolean", "perhaps", "true or false"),
            ("int", "1.5", "a whole number"),
            ("int", "99999999999999999999", "a whole number"),
            ("double", "NaN", "a number"),
            ("double", "1234567890123456789", "a number"),
            ("date", "21.11.2026", "a date such as 2026-11-21"),
            ("datetime", "2026-11-21", "a time such as 2026-11-21T14:03:00+01:00"),
            ("time", "noon", "a time of day such as 14:03:00"),
            ("picklist", "Old", "a value of its picklist"),
            ("reference", "Acme", "the id of a record"),
        ] {
            assert_eq!(fitted(kind, text), Err(wanted), "{kind} {text:?}");
        }
    }

    #[test]
    fn what_the_org_cannot_take_is_told_by_its_key_before_any_call() {
        let mut config = config();
        for (field, template) in [
            ("Nowhere__c", "x"),
            ("formula__c", "x"),
            ("INT__c", "{{ duration }}"),
            ("double__c", "call {{ duration }}"),
            ("boolean__c", "{{ queue == 'sales' }}"),
            ("string__c", "{{ direction }} call"),
            ("reference__c", "{{ account }}"),
        ] {
            config.fields.insert(field.into(), template.into());
        }
        let mut formula = column("formula", 5);
        formula.createable = false;
        let columns = ["int", "double", "boolean", "string", "reference"].map(|kind| column(kind, 5));
        let columns = columns.into_iter().chain([formula]).collect();
        let templates = Templates::new(&config).unwrap();
        let (fields, problems) = TaskFields::new(columns, &config, &templates);
        let told: Vec<String> = problems.iter().map(|problem| problem.to_string().chars().take(62).collect()).collect();
        assert_eq!(
            told,
            [
                "log.fields.Nowhere__c: the Task has no such field, or the user",
                "log.fields.double__c: the field is of the type double and take",
                "log.fields.formula__c: the user of ctibridge may not write thi",
                "log.fields.reference__c: the field is of the type reference an",
                "log.fields.string__c: the text is longer than the 5 characters",
            ]
        );
        assert!(fields.fit("nowhere__C", "x") == Fit::Nothing);
        assert!(fields.fit("string__c", "inbound call") == Fit::Value(Value::Text("inbou".into())));
        assert!(TaskFields::new(Vec::new(), &config, &templates).1.is_empty(), "an org that does not say");
    }
}
