//! Asterisk's REST Interface (ARI) as a feed.

pub mod wire;
