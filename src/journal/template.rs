//! The texts that operators write: compiled once, filled for each call, never HTML.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment};

use super::config::Config;

/// What a template may name.
const VARIABLES: [&str; 13] = [
    "call",
    "direction",
    "caller",
    "number",
    "name",
    "account",
    "dialed",
    "queue",
    "extension",
    "agent",
    "disposition",
    "duration",
    "started",
];

/// Steps that one template may take: far more than a subject needs, and an endless loop ends.
const FUEL: u64 = 20_000;

/// Fields that say which call a Task is of, or that may only be set when it is made.
const OURS: [&str; 3] = ["CallObject", "TaskSubtype", "Id"];

/// A template of the section `[log]` that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct TemplateError {
    /// The settings' key, `log.subject` or `log.fields.Queue__c`.
    pub key: String,
    pub what: String,
}

/// The subject and the additional fields, ready to be filled.
#[derive(Debug, Clone)]
pub struct Templates {
    environment: Environment<'static>,
    fields: Vec<String>,
}

/// The values of the variables for one call.
pub(super) type Variables = BTreeMap<&'static str, String>;

const SUBJECT: &str = "log.subject";

impl Templates {
    /// # Errors
    /// When a template does not compile or names what there is not, or a field is none or ours.
    pub fn new(config: &Config) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        add(&mut environment, SUBJECT, &config.subject)?;
        for (field, template) in &config.fields {
            check_field(field, config)?;
            add(&mut environment, &key_of(field), template)?;
        }
        Ok(Self { environment, fields: config.fields.keys().cloned().collect() })
    }

    /// `None` when it cannot be filled: it runs too long, or takes what is not there.
    pub(super) fn subject(&self, variables: &Variables) -> Option<String> {
        self.fill(SUBJECT, variables)
    }

    /// One additional field, as [`fields`](Self::fields).
    pub(super) fn field(&self, field: &str, variables: &Variables) -> Option<String> {
        self.fill(&key_of(field), variables)
    }

    /// The additional fields; one that cannot be filled is left out.
    pub(super) fn fields<'a>(&'a self, variables: &'a Variables) -> impl Iterator<Item = (&'a str, String)> {
        self.fields.iter().filter_map(|field| {
            let text = self.field(field, variables)?;
            Some((field.as_str(), text))
        })
    }

    fn fill(&self, key: &str, variables: &Variables) -> Option<String> {
        let template = self.environment.get_template(key).ok()?;
        template.render(minijinja::value::Serde(variables)).ok()
    }
}

fn key_of(field: &str) -> String {
    format!("log.fields.{field}")
}

fn add(environment: &mut Environment<'static>, key: &str, template: &str) -> Result<(), TemplateError> {
    let failed = |what| TemplateError { key: key.to_owned(), what };
    environment
        .add_template_owned(key.to_owned(), template.to_owned())
        .map_err(|error| failed(format!("not a template: {error}")))?;
    let compiled = environment.get_template(key).map_err(|error| failed(format!("not a template: {error}")))?;
    let unknown = compiled
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| !VARIABLES.contains(&name.as_str()))
        .find(|name| environment.globals().all(|(global, _)| global != name));
    match unknown {
        Some(name) => Err(failed(format!("`{name}` is not known; there are {}", VARIABLES.join(", ")))),
        None => Ok(()),
    }
}

fn check_field(field: &str, config: &Config) -> Result<(), TemplateError> {
    let letters = field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let what = if !letters || !field.starts_with(|first: char| first.is_ascii_alphabetic()) {
        "not the API name of a field; expected one such as Queue__c"
    } else if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(field))
        || field.eq_ignore_ascii_case(&config.external_id_field)
    {
        "ctibridge writes this field itself; expected another one"
    } else {
        return Ok(());
    };
    Err(TemplateError { key: key_of(field), what: what.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::config;

    fn with_field(field: &str, template: &str) -> Result<Templates, TemplateError> {
        let mut config = config();
        config.fields.insert(field.into(), template.into());
        Templates::new(&config)
    }

    #[test]
    fn a_mistake_names_its_key_and_what_there_is() {
        let error = with_field("Queue__c", "{{ queu }}").unwrap_err();
        assert_eq!(error.key, "log.fields.Queue__c");
        assert!(error.what.starts_with("`queu` is not known; there are call, direction"), "{error}");
        assert!(with_field("Queue__c", "{{ queue ").unwrap_err().what.starts_with("not a template"));
        assert!(with_field("Queue c", "x").is_err());
        assert!(with_field("callObject", "x").is_err());
    }

    #[test]
    fn an_endless_template_is_left_out() {
        let templates =
            with_field("Queue__c", "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}")
                .unwrap();
        assert_eq!(templates.fields(&Variables::new()).count(), 0);
    }

    #[test]
    fn a_name_is_text_and_not_html() {
        let variables = Variables::from([("queue", "R&D <b>\"x\"</b>".to_owned())]);
        let templates = with_field("Queue__c", "{{ queue }}").unwrap();
        let filled: Vec<_> = templates.fields(&variables).collect();
        assert_eq!(filled, [("Queue__c", "R&D <b>\"x\"</b>".to_owned())]);
    }
}
