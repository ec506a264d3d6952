//! Checks the section `[log]`.

use std::time::Duration;

use super::rules::{duration, is_api_name};
use crate::journal::{Config, Templates};
use crate::settings::findings::Findings;

const TEMPLATE: &str = "a template such as \"{{ direction }} call\"";

pub(super) fn check(log: &Config, findings: &mut Findings) {
    if !log.external_id_field.is_empty() && !is_api_name(&log.external_id_field) {
        findings.problem("log.external_id_field", "is no API name", "an API name such as \"CTI_Call_Id__c\"");
    }
    duration("log.batch_window", log.batch_window, 0..=60_000, findings);
    duration("log.settle_after", log.settle_after, 1_000..=86_400_000, findings);
    duration("log.keep_done", log.keep_done, 3_600_000..=315_360_000_000, findings);
    if log.settle_after < Duration::from_mins(10) && log.external_id_field.is_empty() {
        let text = "is shorter than the 10 minutes after which Salesforce ends a request: a call may be logged twice";
        findings.warning("log.settle_after", text);
    }
    template("log.subject", &log.subject, findings);
    for (field, text) in &log.fields {
        let key = format!("log.fields.{field}");
        if !is_api_name(field) {
            findings.problem(&key, "is no API name of a field", "letters, digits and _, such as \"Queue__c\"");
        }
        template(&key, text, findings);
    }
    known_to_the_journal(log, findings);
}

/// The template must be well-formed; each is read alone, so that all that are wrong are told.
fn template(key: &str, text: &str, findings: &mut Findings) {
    if let Err(error) = minijinja::Environment::new().template_from_str(text) {
        let what = format!("is no template: {}", error.detail().unwrap_or("it cannot be read"));
        findings.problem(key, what, TEMPLATE);
    }
}

/// What the journal has to say of the variables and the fields.
fn known_to_the_journal(log: &Config, findings: &mut Findings) {
    let Err(error) = Templates::new(log) else {
        return;
    };
    if !findings.is_wrong(&error.key) {
        findings.problem(&error.key, error.what, TEMPLATE);
    }
}
