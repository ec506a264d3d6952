//! Asterisk's REST Interface (ARI) as a feed.

mod config;
pub mod wire;

pub use config::Config;
