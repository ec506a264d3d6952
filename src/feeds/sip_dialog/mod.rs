//! Subscriptions to the dialogs of extensions (RFC 4235) as a feed: for every PBX that lights the lamps of a desk phone.
//!
//! `subscription` keeps one up, `info` reads what it brings, `view` is what an extension shows, `map` makes calls of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Phones;
use super::session::{self, Outlet};
use super::status::StatusHandle;
use crate::calls::feed::FeedMessage;
use crate::calls::record::Extension;

mod check;
mod config;
mod connection;
pub mod digest;
pub mod info;
mod limits;
mod link;
pub mod map;
mod parts;
mod request;
mod server;
mod subscription;
pub mod view;
mod watch;

pub use check::{TryError, try_once};
pub use config::Config;
pub use limits::Limits;
pub use server::{BadServer, Server, Transport};

/// Runs the feed until `stop`, through any number of losses.
pub async fn run(
    config: Config,
    phones: Phones,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    run_with(config, phones, Limits::default(), out, status, stop).await;
}

/// [`run`] with other times than the usual ones.
pub async fn run_with(
    config: Config,
    phones: Phones,
    limits: Limits,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
) {
    let span = tracing::info_span!("feed", feed.name = config.name);
    let extensions: BTreeSet<Extension> = match config.extensions.as_slice() {
        [] => phones.agents.into_iter().collect(),
        some => some.iter().cloned().map(Extension).collect(),
    };
    let feed = connection::Feed {
        outlet: Outlet::new(&config.name, out, status),
        map: Mutex::new(map::Map::new(phones.plan, extensions.iter().cloned())),
        config,
        extensions,
        limits,
        stop: stop.clone(),
        left: CancellationToken::new(),
        is_connected: AtomicBool::new(false),
        told_nameless: AtomicBool::new(false),
    };
    let life = session::keep_up(&feed.outlet, &feed.limits.retry, || Box::pin(connection::live(&feed)));
    let end = async {
        stop.cancelled().await;
        if feed.is_connected.load(Ordering::Relaxed) {
            let _ = tokio::time::timeout(feed.limits.leave * 2, feed.left.cancelled()).await;
        }
    };
    let both = async {
        tokio::select! {
            () = life => {}
            () = end => {}
        }
    };
    both.instrument(span).await;
}
