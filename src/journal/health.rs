//! How the way into Salesforce is, for those who watch over it.

use jiff::Timestamp;
use serde::Serialize;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SenderState {
    /// Nothing was sent yet.
    #[default]
    Idle,
    /// The last batch was written.
    Up,
    /// Salesforce cannot be reached or refuses us; it is tried from time to time.
    Down,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SenderHealth {
    pub state: SenderState,
    /// Why it is down, in Salesforce's or the network's words.
    pub last_error: Option<String>,
    /// Since when it is down.
    pub waiting_since: Option<Timestamp>,
}
