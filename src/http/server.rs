//! Accepts connections and serves them until it is told to stop, and survives slow and greedy peers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::handles::Handles;
use super::peer::Peer;
use super::routes;
use super::stall::Stalling;

/// Open connections; more wait in the kernel's queue until one ends. Above what a slow-loris of 2000 sockets holds.
const MAX_CONNECTIONS: usize = 4096;
/// How long a peer may take for the head of a request, or leave a connection idle between two.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer may leave unread what is sent to it before the connection is closed.
const READ_PATIENCE: Duration = Duration::from_mins(1);
/// What is kept of one connection's input and output at a time: a slow reader's backlog stays in the hub, where it is bounded.
const MAX_BUFFER: usize = 32 * 1024;
/// How long running requests may take when the daemon stops.
const GRACE: Duration = Duration::from_secs(5);
/// The wait after a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`; then takes no more connections, ends the streams, and waits for running requests for a few seconds.
pub async fn serve(listener: TcpListener, handles: Handles, stop: CancellationToken) {
    let router = routes::router(App::new(handles, stop.clone()));
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next(), if !open.is_empty() => report(ended),
            Some((stream, peer, permit)) = accept(&listener, &room) => {
                let (router, stop) = (router.clone(), stop.clone());
                open.spawn(async move {
                    converse(stream, peer, router, stop).await;
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = open.join_next().await {
            report(ended);
        }
    };
    if timeout(GRACE, all_ended).await.is_err() {
        tracing::debug!(connections = open.len(), "cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(Stalling::new(stream, READ_PATIENCE)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn report(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a request panicked; its connection was closed");
    }
}
