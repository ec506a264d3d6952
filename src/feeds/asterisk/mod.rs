//! Asterisk's REST Interface (ARI) as a feed.

mod config;
pub mod map;
pub mod wire;

pub use config::Config;
