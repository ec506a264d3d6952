//! Every call on disk from its first ring, and each finished one as exactly one Task.

mod config;

pub use config::{Config, Per};
