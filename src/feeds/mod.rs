//! The adapters: from what a phone system says on the wire to [`crate::calls::feed::FeedMessage`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::calls::feed::FeedMessage;
use crate::calls::record::Extension;

pub mod asterisk;
mod config;
mod session;
pub mod sip;
mod status;
mod tls;
mod websocket;

pub use config::Config;
pub use status::{FeedStatus, State, StatusHandle};

/// Runs one feed until `stop`. `devices`: which agent's phone an endpoint of the PBX is.
pub async fn run(
    config: Config,
    devices: BTreeMap<String, Extension>,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    match config {
        Config::AsteriskAri(config) => asterisk::run(config, devices, out, status, stop).await,
    }
}
