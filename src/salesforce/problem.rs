//! What can be wrong with the section `[salesforce]` before anything is sent.

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
    #[error("the flow {flow} is not built yet; use client-credentials, or password where the org still allows it")]
    NotBuilt { flow: &'static str },
    #[error("`salesforce.api_version` is `{0}`; expected auto, or v60.0 to v68.0")]
    ApiVersion(String),
    #[error("`salesforce.ca_file` cannot be used: {0}")]
    Ca(String),
    #[error("no TLS client can be made: {0}")]
    Tls(String),
}
