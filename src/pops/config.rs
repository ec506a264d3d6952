//! The settings of the sections `[pops]`, `[agents]` and `[[agent]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::Secret;

/// When agents are shown what.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub when: When,
    /// Show outbound calls, too.
    pub outbound: bool,
    /// What is offered for an unknown caller.
    pub unknown: UnknownCaller,
    #[serde(default, rename = "webhook")]
    pub webhooks: Vec<Webhook>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    Ring,
    Answer,
    Manual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownCaller {
    Search,
    NewLead,
    None,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub url: String,
    #[serde(default)]
    pub secret: Secret,
}

/// How agents are found in Salesforce.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentsConfig {
    /// `User.Extension` in Salesforce is the agent's extension.
    pub match_user_extension: bool,
}

/// One agent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub extension: String,
    #[serde(default)]
    pub name: String,
    /// Endpoints that are this agent's, `PJSIP/101-web`. Empty: the endpoint named like the extension.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Username or id; wins over the match by extension.
    #[serde(default)]
    pub salesforce_user: String,
    /// Lower-case hex of the token's SHA-256. Empty: made by `agent-token`.
    #[serde(default)]
    pub token_sha256: String,
}
