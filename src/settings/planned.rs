//! The keys of the feed kinds that this build accepts but does not start yet.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::secret::Secret;

/// A phone system whose adapter is not built yet.
#[derive(JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PlannedFeed {
    AsteriskAmi(AsteriskAmi),
    FreeswitchEsl(FreeswitchEsl),
    #[serde(rename = "3cx-call-control")]
    ThreecxCallControl(ThreecxCallControl),
    JsonWebsocket(JsonWebsocket),
    JsonWebhook(JsonWebhook),
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsteriskAmi {
    pub name: String,
    /// Host and port, `127.0.0.1:5038`.
    pub address: String,
    pub username: String,
    #[serde(default)]
    pub password: Secret,
    /// Endpoints that lead outside.
    #[serde(default)]
    pub trunks: Vec<String>,
    #[serde(default)]
    pub ca_file: String,
    #[serde(default)]
    pub insecure: bool,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreeswitchEsl {
    pub name: String,
    /// Host and port, `127.0.0.1:8021`.
    pub address: String,
    #[serde(default)]
    pub password: Secret,
    #[serde(default)]
    pub username: String,
    /// Gateways or profiles that lead outside.
    #[serde(default)]
    pub trunks: Vec<String>,
    #[serde(default)]
    pub ca_file: String,
    #[serde(default)]
    pub insecure: bool,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreecxCallControl {
    pub name: String,
    pub url: String,
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Secret,
    /// Trunk's extension = the number that is dialled to reach it.
    #[serde(default)]
    pub trunk_dids: BTreeMap<String, String>,
    #[serde(default)]
    pub ca_file: String,
    #[serde(default)]
    pub insecure: bool,
}

/// Beside these, the mapping's own keys.
#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct JsonWebsocket {
    pub name: String,
    pub url: String,
    pub profile: WebsocketProfile,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub password: Secret,
    #[serde(default)]
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Secret,
    #[serde(default)]
    pub token: Secret,
    #[serde(default)]
    pub ca_file: String,
    #[serde(default)]
    pub insecure: bool,
}

#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebsocketProfile {
    YeastarP,
    Wazo,
    Portsip,
}

/// Beside these, the mapping's own keys.
#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct JsonWebhook {
    pub name: String,
    pub profile: WebhookProfile,
    #[serde(default)]
    pub token: Secret,
    /// Lower-case hex of the token's SHA-256.
    #[serde(default)]
    pub token_sha256: String,
}

#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookProfile {
    ZammadCti,
    ZoomPhone,
    Ringcentral,
}
