//! How long and how much: the times and sizes of an ARI connection.

use std::time::Duration;

use crate::feeds::{session, websocket};

/// REST requests for one caller's presentation that may be under way; more wait, within their time.
const ASKS: usize = 16;

#[derive(Debug, Clone)]
pub struct Limits {
    pub socket: websocket::Limits,
    pub retry: session::Retry,
    /// For one REST request of the snapshot, body and all.
    pub rest: Duration,
    /// For the answer to one question about a channel, waiting for a turn included.
    pub ask: Duration,
    pub asks: usize,
    /// Another client has taken our application: coming back at once would take it from that one, and so on for ever.
    pub replaced_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            socket: websocket::Limits::default(),
            retry: session::Retry::default(),
            rest: Duration::from_secs(10),
            ask: Duration::from_secs(1),
            asks: ASKS,
            replaced_pause: Duration::from_secs(30),
        }
    }
}
