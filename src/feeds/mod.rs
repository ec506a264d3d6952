//! The adapters: from what a phone system says on the wire to [`crate::calls::feed::FeedMessage`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::calls::feed::FeedMessage;
use crate::calls::record::Extension;
use crate::phone::NumberPlan;

pub mod asterisk;
mod config;
pub mod hep;
mod session;
pub mod sip;
pub mod sip_dialog;
mod status;
mod tls;
mod websocket;

pub use config::Config;
pub use status::{FeedStatus, State, StatusHandle};

/// Whose phones there are, and how numbers are read here.
#[derive(Debug, Clone)]
pub struct Phones {
    /// Which agent's phone an endpoint of the PBX is, where it is not named like the extension.
    pub devices: BTreeMap<String, Extension>,
    pub agents: Vec<Extension>,
    pub plan: NumberPlan,
}

/// Runs one feed until `stop`.
pub async fn run(
    config: Config,
    phones: Phones,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    match config {
        Config::AsteriskAri(config) => asterisk::run(config, phones.devices, out, status, stop).await,
        Config::SipDialog(config) => sip_dialog::run(config, phones, out, status, stop).await,
        Config::Hep(config) => hep::run(config, phones.devices, out, status, stop).await,
    }
}
