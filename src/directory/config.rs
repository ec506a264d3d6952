//! The settings of the section `[directory]`.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use schemars::JsonSchema;
use serde::Deserialize;

/// How callers are looked up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `index`: a local copy of the org's phone numbers; `live`: ask Salesforce each time.
    pub mode: Mode,
    /// Standard objects that are searched.
    pub objects: Vec<String>,
    /// Custom objects that are searched, too.
    #[serde(default, rename = "object")]
    pub custom_objects: Vec<CustomObject>,
    /// How often the local copy is brought up to date.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub refresh: Duration,
    /// Objects with more rows are loaded by the Bulk API: each page of a query is an API call for 2,000 rows, a job takes some ten calls
    /// and one for each 50,000 rows.
    pub bulk_above: u64,
    /// When Salesforce's search is asked for what the local copy does not know; for `index`.
    pub live_search: LiveSearch,
    /// Keeps the local copy in the state folder, readable by this user only, so that callers are known right after a start.
    pub persist: bool,
    /// A pop is never later than this; it then says "unknown".
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// Shows an agent only those records that the agent's user in Salesforce may read.
    pub respect_sharing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Index,
    Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveSearch {
    Never,
    UntilSynced,
    OnMiss,
}

/// A custom object with its own phone fields.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomObject {
    /// API name, `Asset__c`.
    pub name: String,
    pub phone_fields: Vec<String>,
    pub name_field: String,
    /// SOQL condition. Empty: all rows.
    #[serde(default, rename = "where")]
    pub condition: String,
}
