//! The settings: every module's own `Config`, put together from the reference, the file, `conf.d` and the environment.

mod bridge;
mod checks;
mod environment;
mod files;
mod findings;
mod keys;
mod layer;
mod load;
mod nearest;
mod node;
mod place;
pub mod planned;
mod read;
mod schema;
mod shape;

use std::collections::BTreeMap;
use std::path::Path;

pub use bridge::Bridge;
pub use environment::Environment;
pub use place::{Place, Problem, Problems, Warning};
pub use schema::json_schema;

use crate::directory;
use crate::feeds;
use crate::http;
use crate::journal;
use crate::pops;
use crate::salesforce;

/// Every key with its default and a line on it: the lowest layer, and what `config reference` prints.
pub const REFERENCE: &str = include_str!("../../config/ctibridge.toml");

/// What `demo` runs with; it adds a feed and an org of its own.
pub const DEMO: &str = include_str!("../../config/demo.toml");

/// Where the settings are when nothing else is said.
pub const DEFAULT_FILE: &str = "/etc/ctibridge/ctibridge.toml";

/// The lists whose entries are merged, and the key that tells them apart.
const ENTRIES: [(&str, &str); 2] = [("feed", "name"), ("agent", "extension")];

/// All settings, read and checked.
#[derive(Clone)]
pub struct Settings {
    pub bridge: Bridge,
    pub http: http::Config,
    pub salesforce: salesforce::Config,
    pub directory: directory::Config,
    pub pops: pops::Config,
    pub log: journal::Config,
    /// Those of the kinds that this build starts, in the order of the file.
    pub feeds: Vec<feeds::Config>,
    pub agents: pops::AgentsConfig,
    /// In the order of the file.
    pub agent_list: Vec<pops::Agent>,
    /// Every value by its key, secrets included; never printed.
    flat: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the file, or the one at its usual place, with `conf.d` beside it and this process's environment.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn load(path: Option<&Path>) -> Result<(Self, Vec<Warning>), Problems> {
        Self::load_with(path, &Environment::of_process())
    }

    /// As [`load`](Self::load), in an environment of the caller's.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(path: Option<&Path>, environment: &Environment) -> Result<(Self, Vec<Warning>), Problems> {
        read::file(path.unwrap_or(Path::new(DEFAULT_FILE)), environment)
    }

    /// Reads a text over the reference, without any environment: for the demo and for tests.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_toml(text: &str) -> Result<(Self, Vec<Warning>), Problems> {
        read::text(text)
    }

    /// The keys in which newer settings differ, without their values, so that a reload can say what needs a restart.
    #[must_use]
    pub fn changed_keys(&self, newer: &Self) -> Vec<String> {
        let both: std::collections::BTreeSet<_> = self.flat.keys().chain(newer.flat.keys()).collect();
        both.into_iter().filter(|key| self.flat.get(*key) != newer.flat.get(*key)).cloned().collect()
    }

    /// Whether a change of this key takes effect without a restart. Devices do not: the feeds are started with them.
    #[must_use]
    pub fn applies_at_once(key: &str) -> bool {
        if key.starts_with("agent.") && key.contains(".devices") {
            return false;
        }
        ["log.", "pops.", "agent.", "bridge.ignore_numbers", "bridge.log_level", "http.tls_"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("bridge", &self.bridge)
            .field("http", &self.http)
            .field("salesforce", &self.salesforce)
            .field("directory", &self.directory)
            .field("pops", &self.pops)
            .field("log", &self.log)
            .field("feeds", &self.feeds)
            .field("agents", &self.agents)
            .field("agent_list", &self.agent_list)
            .finish_non_exhaustive()
    }
}
