//! How the local copy of the org's phone numbers is.

use serde_json::Value as Json;

use crate::cli::bar;
use crate::cli::daemon::{Daemon, DaemonError};
use crate::settings::Settings;

/// How far the running daemon is with it.
pub(super) async fn state(settings: &Settings) -> Result<String, String> {
    let daemon = Daemon::new(settings).map_err(|error| error.to_string())?;
    let state = match daemon.get(&["directory"], &[]).await {
        Ok(state) => state,
        Err(DaemonError::NotRunning { .. }) => {
            return Ok("no daemon runs; `ctibridge sync` loads it, and so does the daemon".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    let number = |key: &str| state.get(key).and_then(Json::as_u64).unwrap_or_default();
    let text = |key: &str| state.get(key).and_then(Json::as_str).unwrap_or("never");
    if let Some(reason) = state.get("reason").and_then(Json::as_str) {
        return Err(reason.to_owned());
    }
    Ok(match text("phase") {
        "loading" => bar::drawn("loading", number("loaded"), number("of")),
        phase => format!("{phase}, {} phone numbers, up to date at {}", number("numbers"), text("synced_at")),
    })
}
