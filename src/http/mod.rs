//! The HTTP interface: API, agent page, health and metrics.

mod config;

pub use config::Config;
