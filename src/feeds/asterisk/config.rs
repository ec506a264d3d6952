//! The settings of a feed of the kind `asterisk-ari`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::Secret;

/// An Asterisk by its REST Interface.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Letters, digits, `-` and `_`; part of every call key.
    pub name: String,
    /// `ws://127.0.0.1:8088/ari/events`; REST calls go to it less `/events`.
    pub url: String,
    pub username: String,
    #[serde(default)]
    pub password: Secret,
    /// Name of the ARI application; each client needs its own.
    #[serde(default = "default_app")]
    pub app: String,
    /// Endpoints that lead outside, `PJSIP/trunk`; the rest are phones.
    #[serde(default)]
    pub trunks: Vec<String>,
    /// A private CA, PEM. Empty: the system's.
    #[serde(default)]
    pub ca_file: String,
    /// Allow plain `ws://` to hosts other than this one.
    #[serde(default)]
    pub insecure: bool,
}

fn default_app() -> String {
    "ctibridge".to_owned()
}
