//! An agent's browser that does nothing but note when each pop's bytes are there.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pops that may be noted and not yet taken; nothing is lost when it is full, but times would be late.
const NOTED: usize = 1024;

/// Follows the stream of one agent until it is dropped.
pub struct Agent {
    pops: mpsc::Receiver<(String, Instant)>,
    _tasks: JoinSet<()>,
}

impl Agent {
    pub async fn watch(address: SocketAddr, extension: &str, token: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /api/v1/agents/{extension}/pops HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let (note, pops) = mpsc::channel(NOTED);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(socket, note));
        Self { pops, _tasks: tasks }
    }

    /// When the pop of this call came.
    pub async fn pop(&mut self, call: &str) -> Instant {
        loop {
            let (key, at) = self.pops.recv().await.unwrap();
            if key == call {
                return at;
            }
        }
    }
}

async fn follow(mut socket: TcpStream, note: mpsc::Sender<(String, Instant)>) {
    let mut text = String::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        let length = socket.read(&mut bytes).await.unwrap();
        let at = Instant::now();
        assert!(length > 0, "the bridge ended the stream: {text}");
        text += &String::from_utf8_lossy(&bytes[..length]);
        // An event is one chunk of the body: sizes stand on lines of their own between events.
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            if let Some(key) = call_of_pop(&event) {
                note.send((key, at)).await.unwrap();
            }
        }
    }
}

fn call_of_pop(event: &str) -> Option<String> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    field("event: ").filter(|kind| *kind == "pop")?;
    let data: Value = serde_json::from_str(field("data: ")?).unwrap();
    Some(data["call"].as_str().unwrap().to_owned())
}
