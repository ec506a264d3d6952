//! The settings of the section `[log]`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use jiff::{Span, SpanRelativeTo};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// What is logged as a Task, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    pub per: Per,
    /// False: no Task for calls that no person answered.
    pub missed: bool,
    pub internal: bool,
    /// A unique external id field on Activity, `CTI_Call_Id__c`. Empty: the org has none.
    pub external_id_field: String,
    /// Username or id for calls without a mapped agent. Empty: the API user.
    pub fallback_owner: String,
    /// What a Task is related to beside the person.
    pub related_to: RelatedTo,
    /// Finished calls wait this long for company before they are sent.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub batch_window: Duration,
    /// Without `external_id_field`: an entry whose answer was lost is looked up again after this long, and only then sent again.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub settle_after: Duration,
    /// What is logged is remembered for this long, `7d` or `36h`: agents may add to it, and a call that is told of again is known.
    #[serde(deserialize_with = "with_days")]
    #[schemars(with = "String")]
    pub keep_done: Duration,
    /// Template of the Task's subject.
    pub subject: String,
    /// More Task fields: API name = template.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    Call,
    Agent,
}

/// Which record of the caller's a Task is related to (`WhatId`). All but `None` ask Salesforce once for each batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RelatedTo {
    /// Salesforce shows the Task with the person's account by itself.
    None,
    /// The contact's newest open case, else the account.
    Case,
    /// The account's newest open opportunity, else the account.
    Opportunity,
    /// The contact's newest open case, else the account's newest open opportunity, else the account.
    CaseOrOpportunity,
}

impl RelatedTo {
    pub(super) fn wants_cases(self) -> bool {
        matches!(self, Self::Case | Self::CaseOrOpportunity)
    }

    pub(super) fn wants_opportunities(self) -> bool {
        matches!(self, Self::Opportunity | Self::CaseOrOpportunity)
    }
}

/// As the other durations, and in days and weeks too: a day is 24 hours.
fn with_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let span: Span = String::deserialize(deserializer)?.parse().map_err(|error| no_duration(&error))?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| no_duration(&error))?;
    Duration::try_from(exact).map_err(|error| no_duration(&error))
}

fn no_duration<E: Error>(error: &jiff::Error) -> E {
    E::custom(format!("no duration: {error}"))
}
