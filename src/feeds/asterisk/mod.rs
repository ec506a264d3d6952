//! Asterisk's REST Interface (ARI) as a feed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::session::{self, Outlet};
use super::status::StatusHandle;
use crate::calls::feed::FeedMessage;
use crate::calls::record::Extension;

mod address;
mod advice;
mod asks;
mod check;
mod config;
mod connection;
mod frame;
mod limits;
pub mod map;
mod rest;
pub mod wire;

pub use check::{TryError, try_once};
pub use config::Config;
pub use frame::BadFrame;
pub use limits::Limits;

/// Runs the feed until `stop`, through any number of losses.
pub async fn run(
    config: Config,
    devices: BTreeMap<String, Extension>,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    run_with(config, devices, Limits::default(), out, status, stop).await;
}

/// [`run`] with other times and sizes than the usual ones.
pub async fn run_with(
    config: Config,
    devices: BTreeMap<String, Extension>,
    limits: Limits,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    let span = tracing::info_span!("feed", feed.name = config.name);
    let feed = connection::Feed { outlet: Outlet::new(&config.name, out, status), config, devices, limits };
    let life = session::keep_up(&feed.outlet, &feed.limits.retry, || Box::pin(connection::live(&feed)));
    stop.run_until_cancelled(life.instrument(span)).await;
}
