//! The settings of the section `[bridge]`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use tracing::level_filters::{LevelFilter, ParseLevelFilterError};

use crate::phone::{NumberPlan, PlanError};

/// Who this bridge is and how numbers are written where it stands.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Part of every call key: letters, digits, `-` and `_`, at most 20.
    pub name: String,
    /// ISO 3166-1: how a number without country code is read.
    pub default_region: String,
    /// Where calls, tokens and the copy of the directory are kept. Default: `$STATE_DIRECTORY`.
    pub state_dir: String,
    /// An all-digit party this long is one of ours, not a caller to look up: `2-6`.
    pub extension_digits: String,
    /// Dialled before external numbers, dropped before reading them.
    pub outside_prefix: String,
    /// Never looked up, popped or logged: E.164 or an extension, with `*` at the end for all that begin so.
    pub ignore_numbers: Vec<String>,
    /// What the daemon logs, where `--log` does not say: `error`, `warn`, `info`, `debug` or `trace`. Empty: `info`.
    pub log_level: String,
}

impl Bridge {
    /// How numbers are read.
    ///
    /// # Errors
    /// Not in settings that were loaded, where it has been checked.
    pub fn number_plan(&self) -> Result<NumberPlan, PlanError> {
        NumberPlan::new(&self.default_region, &self.outside_prefix, &self.extension_digits)
    }

    /// `None`: the usual one.
    ///
    /// # Errors
    /// Not in settings that were loaded, where it has been checked.
    pub fn log_level(&self) -> Result<Option<LevelFilter>, ParseLevelFilterError> {
        if self.log_level.is_empty() { Ok(None) } else { self.log_level.parse().map(Some) }
    }

    #[must_use]
    pub fn state_dir(&self) -> &Path {
        Path::new(&self.state_dir)
    }
}
