//! The least that a bridge needs of an Asterisk: a websocket that the bench itself writes to, empty snapshots, presentations.

use std::net::{Ipv4Addr, SocketAddr};

use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Listens until it is dropped.
pub struct Pbx {
    pub address: SocketAddr,
    sockets: mpsc::Receiver<WebSocket>,
    _tasks: JoinSet<()>,
}

impl Pbx {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        // A client that comes while nobody waits for it is kept.
        let (taken, sockets) = mpsc::channel(4);
        let router = Router::new()
            .route("/ari/events", get(events))
            .route("/ari/channels", get(nothing))
            .route("/ari/bridges", get(nothing))
            .route("/ari/channels/{id}/variable", get(presentation))
            .with_state(taken);
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, sockets, _tasks: tasks }
    }

    /// The next websocket that a client opens.
    pub async fn socket(&mut self) -> WebSocket {
        self.sockets.recv().await.unwrap()
    }
}

/// Writes all of it with as few system calls as it takes.
pub async fn write(socket: &mut WebSocket, frames: impl IntoIterator<Item = Utf8Bytes>) {
    for frame in frames {
        socket.feed(Message::Text(frame)).await.unwrap();
    }
    socket.flush().await.unwrap();
}

async fn events(State(taken): State<mpsc::Sender<WebSocket>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move { taken.send(socket).await.unwrap() })
}

async fn nothing() -> Json<Value> {
    Json(json!([]))
}

async fn presentation() -> Json<Value> {
    Json(json!({ "value": "allowed_not_screened" }))
}
