//! The settings of the section `[salesforce]`.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::Secret;

/// How to reach the org and as whom.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Picks the login host where `endpoint` is not set.
    pub environment: Environment,
    /// My Domain, `https://acme.my.salesforce.com`; decides the token host of every flow. Empty: by `environment`.
    pub endpoint: String,
    /// Empty: jwt-bearer with a `private_key_file`, password with username and password, else client-credentials.
    pub flow: FlowName,
    /// Consumer key of the app. Alias: `api_key`.
    pub client_id: String,
    /// Consumer secret of the app. Alias: `api_private_key`.
    pub client_secret: Secret,
    /// For password and jwt-bearer; filled in for whoever consents. Alias: `crm_username`.
    pub username: String,
    /// Alias: `crm_password`.
    pub password: Secret,
    /// Sent behind the password. Alias: `integration_code`.
    pub security_token: Secret,
    /// An RSA key in PEM without a passphrase, for jwt-bearer.
    pub private_key_file: String,
    /// `aud` of the JWT. Empty: by `environment`.
    pub audience: String,
    /// Empty: from `endpoint` or `environment`.
    pub token_url: String,
    /// Empty: from `endpoint` or `environment`.
    pub authorization_url: String,
    /// Where `login` listens.
    pub redirect_url: String,
    /// Of the authorize request only. `refresh_token` or `offline_access` must be among them.
    pub scopes: String,
    /// Base address of links to records, or a template with `{object}` and `{id}`. Empty: the org's own address.
    pub details_link: String,
    /// `auto`, or `v60.0` to `v68.0`.
    pub api_version: String,
    /// An answer that takes longer counts as lost.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub request_timeout: Duration,
    /// A private CA, PEM. Empty: the system's.
    pub ca_file: String,
    /// Allow plain `http://` to hosts other than this one.
    pub insecure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Production,
    Sandbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowName {
    #[serde(rename = "")]
    Unset,
    ClientCredentials,
    JwtBearer,
    AuthorizationCode,
    Password,
}
