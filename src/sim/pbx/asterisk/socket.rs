//! One websocket: the queue in front of it, the task that writes it, and what becomes of it when another takes its name.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::clock::now_as_text;
use super::{Shared, lock};

/// Frames that wait for one socket's writer. When it is full the sender waits: the writer ends by the write limit at the latest.
const QUEUE: usize = 64;

/// The sender's side of a socket.
#[derive(Debug)]
pub(super) struct Listener {
    app: String,
    all: bool,
    replaced: bool,
    queue: mpsc::Sender<Out>,
    cut: CancellationToken,
}

/// The socket's side, from the moment that the upgrade is granted.
pub(super) struct Seat {
    queue: mpsc::Receiver<Out>,
    cut: CancellationToken,
    write_limit: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Out {
    Frame(Utf8Bytes),
    /// Answered when all before it has been written.
    Flush(oneshot::Sender<()>),
}

enum Next {
    Cut,
    Write(Option<Out>),
    Read(Option<Result<Message, axum::Error>>),
}

/// Enters a new socket; one that had the same application's name is told so and gets nothing more, but stays open.
pub(super) async fn take_seat(shared: &Arc<Shared>, app: &str, all: bool) -> Seat {
    let (queue, taken) = mpsc::channel(QUEUE);
    let mut sockets = shared.sockets.lock().await;
    let cut = lock(&shared.cut).clone();
    for older in sockets.iter_mut().filter(|older| older.app == app && older.holds_its_name()) {
        older.replace().await;
    }
    sockets.push(Listener { app: app.into(), all, replaced: false, queue, cut: cut.clone() });
    shared.life.send_modify(|life| {
        life.opened += 1;
        life.live += 1;
    });
    Seat { queue: taken, cut, write_limit: shared.options.write_limit, shared: Arc::clone(shared) }
}

impl Listener {
    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_closed() && !self.cut.is_cancelled()
    }

    pub(super) fn holds_its_name(&self) -> bool {
        self.is_open() && !self.replaced
    }

    /// Whether it gets the frames of calls. Without `subscribeAll=true` it would only get those of its own Stasis calls, of which there are none.
    pub(super) fn listens(&self) -> bool {
        self.all && self.holds_its_name()
    }

    pub(super) async fn send(&self, frame: &str) {
        // A closed queue is a socket that has just gone: the frame reaches nobody, as on a real PBX.
        let _ = self.queue.send(Out::Frame(frame.into())).await;
    }

    pub(super) fn flush(&self) -> impl Future<Output = ()> + use<> {
        let (done, written) = oneshot::channel();
        let queue = self.queue.clone();
        async move {
            if queue.send(Out::Flush(done)).await.is_ok() {
                // An error is the socket's end, after which nothing is left to write.
                let _ = written.await;
            }
        }
    }

    /// This socket's row of `GET /applications`.
    pub(super) fn application(&self) -> Value {
        let topics = |name: &str| {
            if self.all { vec![format!("__AST_{name}_ALL_TOPIC")] } else { vec![] }
        };
        json!({
            "name": self.app,
            "channel_ids": topics("CHANNEL"),
            "bridge_ids": topics("BRIDGE"),
            "endpoint_ids": topics("ENDPOINT"),
            "device_names": topics("DEVICE_STATE"),
            "events_allowed": [],
            "events_disallowed": [],
        })
    }

    async fn replace(&mut self) {
        let frame = json!({
            "type": "ApplicationReplaced",
            "timestamp": now_as_text(),
            "application": self.app,
            "asterisk_id": "52:54:00:00:00:01",
        });
        self.send(&frame.to_string()).await;
        self.replaced = true;
    }
}

impl Seat {
    /// Writes what is queued and reads what comes (which answers pings) until one side ends it. Dropping the socket sends no close frame.
    pub(super) async fn serve(mut self, mut socket: WebSocket) {
        // The queue's own end is not the end: a replaced socket has no sender any more once the list was cleaned.
        let mut silent = false;
        loop {
            let flow = match self.next(&mut socket, silent).await {
                Next::Cut | Next::Read(None | Some(Err(_) | Ok(Message::Close(_)))) => ControlFlow::Break(()),
                Next::Read(Some(Ok(_))) => ControlFlow::Continue(()),
                Next::Write(None) => {
                    silent = true;
                    ControlFlow::Continue(())
                }
                Next::Write(Some(out)) => self.write(&mut socket, out).await,
            };
            if flow.is_break() {
                return;
            }
        }
    }

    async fn next(&mut self, socket: &mut WebSocket, silent: bool) -> Next {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Next::Cut,
            out = self.queue.recv(), if !silent => Next::Write(out),
            read = socket.recv() => Next::Read(read),
        }
    }

    async fn write(&mut self, socket: &mut WebSocket, out: Out) -> ControlFlow<()> {
        let cut = self.cut.clone();
        tokio::select! {
            biased;
            () = cut.cancelled() => ControlFlow::Break(()),
            written = self.write_all(socket, out) => match written {
                Some(()) => ControlFlow::Continue(()),
                None => ControlFlow::Break(()),
            },
        }
    }

    /// Writes this and all that is queued behind it with one flush, since a burst of frames would else be a system call each.
    /// `None` when the socket is broken or blocked.
    async fn write_all(&mut self, socket: &mut WebSocket, first: Out) -> Option<()> {
        let mut flushed = Vec::new();
        let mut next = Some(first);
        while let Some(out) = next {
            match out {
                Out::Frame(frame) => self.in_time(socket.feed(Message::Text(frame))).await?,
                Out::Flush(done) => flushed.push(done),
            }
            next = self.queue.try_recv().ok();
        }
        self.in_time(socket.flush()).await?;
        for done in flushed {
            // Nobody waits any more.
            let _ = done.send(());
        }
        Some(())
    }

    /// The limit is one for each write: a slow reader that does read is not cut for the length of the queue.
    async fn in_time(&self, write: impl Future<Output = Result<(), axum::Error>>) -> Option<()> {
        timeout(self.write_limit, write).await.ok()?.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.life.send_modify(|life| life.live = life.live.saturating_sub(1));
    }
}
