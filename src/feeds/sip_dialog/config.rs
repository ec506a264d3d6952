//! The settings of a feed of the kind `sip-dialog`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::Secret;

/// Any PBX that answers subscriptions to dialog events (RFC 4235).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Letters, digits, `-` and `_`; part of every call key.
    pub name: String,
    /// `sip:pbx.example:5060;transport=tcp`; `udp` without a transport, `tls` with `sips:`.
    pub server: String,
    /// Domain of the addresses; empty: the server's host.
    #[serde(default)]
    pub domain: String,
    pub username: String,
    #[serde(default)]
    pub password: Secret,
    /// Extensions to watch. Empty: all agents.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// URI of a resource list (RFC 4662): one subscription instead of one for each extension.
    #[serde(default)]
    pub list: String,
    /// Name of another feed that watches the same phone system and leads: a call that both see is one call.
    #[serde(default)]
    pub same_pbx_as: String,
    /// A private CA, PEM. Empty: the system's.
    #[serde(default)]
    pub ca_file: String,
    /// Allow plain text to hosts other than this one.
    #[serde(default)]
    pub insecure: bool,
}
