//! A mirror of SIP signalling, sent as HEP, version 3, by the phone system itself or by a sniffer beside it.
//!
//! It is listened to and never answered. A mirror has no snapshot: what began before the bridge did is not known.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::session::{self, Outlet, Retry};
use super::status::StatusHandle;
use crate::calls::feed::FeedMessage;
use crate::calls::record::Extension;

mod access;
mod complaints;
mod config;
mod drops;
mod follow;
mod listen;
pub mod map;
pub mod packet;
mod store;
mod tls;

pub use config::{BadSetting, Config, Listen, Transport};

/// Opens the sockets once, for `check --online`; the answer is a line for the operator.
///
/// # Errors
/// What is wrong, in words.
pub async fn try_once(config: &Config) -> Result<String, String> {
    listen::try_once(config).await.map(|()| "its addresses can be listened on".to_owned())
}

/// Runs the feed until `stop`.
pub async fn run(
    config: Config,
    devices: BTreeMap<String, Extension>,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    let span = tracing::info_span!("feed", feed.name = config.name);
    let feed = follow::Feed { outlet: Outlet::new(&config.name, out, status), config, devices };
    let retry = Retry::default();
    let life = session::keep_up(&feed.outlet, &retry, || Box::pin(follow::live(&feed)));
    stop.run_until_cancelled(life.instrument(span)).await;
}
