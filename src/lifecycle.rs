//! Who owns the tasks: each has a name, and one that dies is told, so that the daemon stops in order instead of limping on.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many deaths may wait to be read; the first is what stops the daemon, later ones may be lost.
const DEATHS: usize = 8;

/// Spawns the tasks of one phase of the shut-down and can wait for them.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    deaths: mpsc::Sender<&'static str>,
}

/// Tells the name of a task that ended before it was asked to.
pub struct Deaths(mpsc::Receiver<&'static str>);

impl Deaths {
    /// Waits for a task to die. Pends for ever while all is well.
    pub async fn next(&mut self) -> &'static str {
        match self.0.recv().await {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }
}

impl Tasks {
    #[must_use]
    pub fn new() -> (Self, Deaths) {
        let (deaths, receiver) = mpsc::channel(DEATHS);
        (Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), deaths }, Deaths(receiver))
    }

    /// A group that is stopped and awaited on its own; its deaths are told in the same place.
    #[must_use]
    pub fn group(&self) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), deaths: self.deaths.clone() }
    }

    /// Cancelled when this group is to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// A task that runs until the group stops; ending earlier, or panicking, is a death.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, deaths) = (self.stop.clone(), self.deaths.clone());
        self.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            if outcome.is_err() || !stop.is_cancelled() {
                tracing::error!(task = name, panicked = outcome.is_err(), "a task ended before its time");
                let _ = deaths.try_send(name);
            }
        });
    }

    /// A task that may end by itself; only a panic is a death.
    pub fn spawn_short(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let deaths = self.deaths.clone();
        self.tracker.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked");
                let _ = deaths.try_send(name);
            }
        });
    }

    /// Asks all tasks of the group to stop and waits for them.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
