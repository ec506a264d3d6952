//! The adapters: from what a phone system says on the wire to [`crate::calls::feed::FeedMessage`].

pub mod asterisk;
mod config;

pub use config::Config;
