//! The life of a feed that keeps a connection: connect, stay, say that it is lost, wait, and again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::status::StatusHandle;
use crate::backoff::Backoff;
use crate::calls::event::CallEvent;
use crate::calls::feed::{FeedMessage, Scope, Snapshot};
use crate::calls::record::Extension;

/// How soon to try again.
#[derive(Debug, Clone)]
pub struct Retry {
    pub first: Duration,
    pub cap: Duration,
    /// A connection that lived this long was a good one: the waits begin anew.
    pub settled: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_millis(200), cap: Duration::from_secs(10), settled: Duration::from_secs(10) }
    }
}

/// Why a connection ended or did not come about, in words for the operator and without caller data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub reason: String,
    /// The next try must not come sooner than this.
    pub pause: Duration,
}

impl Loss {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), pause: Duration::ZERO }
    }

    #[must_use]
    pub fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

/// Where the messages of one feed go, and where it is told how it is.
#[derive(Clone)]
pub struct Outlet {
    name: Arc<str>,
    out: mpsc::Sender<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
}

impl Outlet {
    pub fn new(name: &str, out: mpsc::Sender<(Arc<str>, FeedMessage)>, status: StatusHandle) -> Self {
        Self { name: name.into(), out, status }
    }

    pub fn status(&self) -> &StatusHandle {
        &self.status
    }

    pub async fn up(&self, snapshot: Snapshot) {
        self.send(FeedMessage::Up(snapshot)).await;
        self.status.up();
    }

    pub async fn call(&self, event: CallEvent) {
        self.send(FeedMessage::Call(event)).await;
    }

    /// The phones of one extension are not seen any more.
    pub async fn part_lost(&self, extension: Extension, reason: &str) {
        let scope = Scope::Extension(extension);
        self.send(FeedMessage::Lost { scope, reason: reason.to_owned() }).await;
    }

    /// Tells whether the feed had been up; only then the loss is news for what is behind.
    pub async fn lost(&self, reason: &str) -> bool {
        let was_up = self.status.lost(reason);
        if was_up {
            self.send(FeedMessage::Lost { scope: Scope::Feed, reason: reason.to_owned() }).await;
        }
        was_up
    }

    /// When nobody listens any more the program is about to end: this waits to be dropped with it.
    async fn send(&self, message: FeedMessage) {
        if self.out.send((self.name.clone(), message)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs one connection after the other, for ever; stop it by dropping it.
pub async fn keep_up<C, F>(outlet: &Outlet, retry: &Retry, connection: C)
where
    C: Fn() -> F,
    F: Future<Output = Loss>,
{
    let mut backoff = Backoff::new(retry.first, retry.cap);
    let mut told = None;
    loop {
        let began = Instant::now();
        let loss = connection().await;
        let was_up = outlet.lost(&loss.reason).await;
        if was_up || began.elapsed() > retry.settled {
            backoff.reset();
        }
        let wait = backoff.next_wait().max(loss.pause);
        if was_up || told.as_ref() != Some(&loss.reason) {
            tracing::warn!(reason = loss.reason, ?wait, "the feed is not up");
        } else {
            tracing::debug!(reason = loss.reason, ?wait, "the feed is still not up");
        }
        told = Some(loss.reason);
        sleep(wait).await;
    }
}
