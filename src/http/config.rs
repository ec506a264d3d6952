//! The settings of the section `[http]`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::Secret;

/// Where ctibridge listens and for whom.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// What links and webhooks carry. Empty: `http://` and `listen`.
    pub public_url: String,
    /// PEM; with `tls_key`.
    pub tls_certificate: String,
    pub tls_key: String,
    /// For operator endpoints. Empty: made at first start in `state_dir/admin-token`.
    pub admin_token: Secret,
    /// Whose forwarding headers count.
    pub trusted_proxies: Vec<String>,
}
