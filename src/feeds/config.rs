//! The settings of one `[[feed]]`, by its kind.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{asterisk, hep, sip_dialog};

/// One phone system.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Config {
    AsteriskAri(asterisk::Config),
    SipDialog(sip_dialog::Config),
    Hep(hep::Config),
}

impl Config {
    /// The feed's name, part of every call key.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::AsteriskAri(config) => &config.name,
            Self::SipDialog(config) => &config.name,
            Self::Hep(config) => &config.name,
        }
    }

    /// The feed that watches the same phone system and leads, where there is one.
    #[must_use]
    pub fn same_pbx_as(&self) -> Option<&str> {
        let leader = match self {
            Self::AsteriskAri(_) => return None,
            Self::SipDialog(config) => &config.same_pbx_as,
            Self::Hep(config) => &config.same_pbx_as,
        };
        (!leader.is_empty()).then_some(leader.as_str())
    }
}
