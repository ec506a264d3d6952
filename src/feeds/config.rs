//! The settings of one `[[feed]]`, by its kind.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{asterisk, hep};

/// One phone system.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Config {
    AsteriskAri(asterisk::Config),
    Hep(hep::Config),
}

impl Config {
    /// The feed's name, part of every call key.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::AsteriskAri(config) => &config.name,
            Self::Hep(config) => &config.name,
        }
    }
}
