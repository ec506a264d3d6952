//! The socket of a pretend PBX: datagrams, or streams with a message as long as its Content-Length says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::TaskTracker;

use super::Transport;
use super::exchange::field;

/// Messages that wait to be taken.
const WAITING: usize = 1024;

pub(super) enum Socket {
    Udp(Arc<UdpSocket>, SocketAddr),
    Tcp(SocketAddr),
}

/// Whom to answer.
#[derive(Clone)]
pub(super) enum Peer {
    Udp(SocketAddr),
    Tcp(Arc<Mutex<OwnedWriteHalf>>),
}

impl Socket {
    pub async fn open(
        address: SocketAddr,
        transport: Transport,
        tasks: &TaskTracker,
    ) -> io::Result<(Self, mpsc::Receiver<(Peer, String)>)> {
        let (out, incoming) = mpsc::channel(WAITING);
        match transport {
            Transport::Udp => {
                let socket = Arc::new(UdpSocket::bind(address).await?);
                let address = socket.local_addr()?;
                tasks.spawn(datagrams(Arc::clone(&socket), out));
                Ok((Self::Udp(socket, address), incoming))
            }
            Transport::Tcp => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                tasks.spawn(streams(listener, out, tasks.clone()));
                Ok((Self::Tcp(address), incoming))
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Udp(_, address) | Self::Tcp(address) => *address,
        }
    }

    pub fn transport(&self) -> &'static str {
        match self {
            Self::Udp(..) => "UDP",
            Self::Tcp(_) => "TCP",
        }
    }

    pub async fn send(&self, peer: &Peer, text: &str) {
        match (self, peer) {
            (Self::Udp(socket, _), Peer::Udp(to)) => {
                let _ = socket.send_to(text.as_bytes(), to).await;
            }
            (_, Peer::Tcp(stream)) => {
                let _ = stream.lock().await.write_all(text.as_bytes()).await;
            }
            (Self::Tcp(_), Peer::Udp(_)) => {}
        }
    }
}

/// Ends when nobody takes the messages any more.
async fn datagrams(socket: Arc<UdpSocket>, out: mpsc::Sender<(Peer, String)>) {
    let mut buffer = vec![0; 65_535];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = out.closed() => return,
        };
        let Ok((length, from)) = received else { continue };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        if out.send((Peer::Udp(from), text)).await.is_err() {
            return;
        }
    }
}

async fn streams(listener: TcpListener, out: mpsc::Sender<(Peer, String)>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = out.closed() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (reader, writer) = stream.into_split();
        tasks.spawn(stream_of(reader, Peer::Tcp(Arc::new(Mutex::new(writer))), out.clone()));
    }
}

async fn stream_of(mut reader: OwnedReadHalf, peer: Peer, out: mpsc::Sender<(Peer, String)>) {
    let (mut waiting, mut buffer) = (String::new(), vec![0; 65_535]);
    loop {
        let received = tokio::select! {
            received = reader.read(&mut buffer) => received,
            () = out.closed() => return,
        };
        let Ok(length @ 1..) = received else { return };
        waiting.push_str(&String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()));
        while let Some(text) = next_message(&mut waiting) {
            if out.send((peer.clone(), text)).await.is_err() {
                return;
            }
        }
    }
}

fn next_message(waiting: &mut String) -> Option<String> {
    let trimmed = waiting.trim_start_matches(['\r', '\n']).to_owned();
    *waiting = trimmed;
    let head = waiting.find("\r\n\r\n")?;
    let length: usize = field(waiting.get(..head)?, "Content-Length")?.parse().ok()?;
    let whole = head + 4 + length;
    let message = waiting.get(..whole)?.to_owned();
    waiting.drain(..whole);
    Some(message)
}
