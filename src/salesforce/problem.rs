//! What can be wrong with the section `[salesforce]` before anything is sent.

use super::jwt::KeyError;

/// A setting that cannot work. The text names the key and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("`salesforce.{key}` is no address; expected one like https://acme.my.salesforce.com")]
    Address { key: &'static str },
    #[error(
        "`salesforce.{key}` names a *.my.salesforce-setup.com host, which serves the set-up pages only; \
         use the org's My Domain, https://….my.salesforce.com"
    )]
    SetupHost { key: &'static str },
    #[error("`salesforce.{key}` is plain http to another machine; use https, or set `salesforce.insecure = true`")]
    Plain { key: &'static str },
    #[error("`salesforce.{key}` is empty, and the flow {flow} needs it")]
    Missing { key: &'static str, flow: &'static str },
    #[error("`salesforce.private_key_file` {0}")]
    Key(KeyError),
    #[error(
        "`salesforce.scopes` has neither refresh_token nor offline_access, and without one Salesforce gives no refresh token: \
         the login would end with its first session"
    )]
    Scopes,
    #[error("`salesforce.api_version` is `{0}`; expected auto, or v60.0 to v68.0")]
    ApiVersion(String),
    #[error("`salesforce.ca_file` cannot be used: {0}")]
    Ca(String),
    #[error("no TLS client can be made: {0}")]
    Tls(String),
}
