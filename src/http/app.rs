//! The state that all handlers share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::guesses::Guesses;
use super::handles::Handles;

/// Cheap to clone: one for all requests.
pub(super) type Shared = Arc<App>;

pub(super) struct App {
    pub handles: Handles,
    pub guesses: Guesses,
    /// Cancelled when streams are to end.
    pub stop: CancellationToken,
}

impl App {
    pub fn new(handles: Handles, stop: CancellationToken) -> Shared {
        Arc::new(Self { handles, guesses: Guesses::default(), stop })
    }

    /// Cookies do not heed ports, so each instance on a host needs a name of its own.
    pub fn cookie_name(&self) -> String {
        format!("ctibridge-{}", self.handles.name)
    }

    pub fn is_https(&self) -> bool {
        self.handles.public_url.starts_with("https://")
    }
}
