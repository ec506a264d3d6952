//! The sockets: datagrams on threads of their own, streams as tasks. They only cut what comes into packets and put them into the store.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::access::Access;
use super::complaints::{Complaint, Complaints};
use super::config::{Config, Listen, Transport};
use super::drops::Drops;
use super::packet::{self, MAX_BYTES};
use super::store::Store;
use super::tls;

/// What is asked of the kernel for datagrams that wait; it gives what `net.core.rmem_max` allows.
const RECEIVE_BUFFER: usize = 8 << 20;
/// How long a thread waits for a datagram before it looks whether it is to stop.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Senders at once by TCP and TLS; more are refused.
const MAX_CONNECTIONS: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A sender by TCP that has been silent for so long is asked whether it is still there, and how often until it answers.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// A connection that its sender closes after so long without a packet was of no use to it: it opens another when it has something to send
/// (Kamailio does, after `tcp_connection_lifetime`, two minutes).
const QUIET: Duration = Duration::from_mins(1);
/// After a failure to take a connection, which is likely to come again at once: too many open files.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {listen}: {source}")]
    Bind { listen: String, source: io::Error },
    #[error("tls:// needs `tls_certificate` and `tls_key`")]
    NoCertificate,
}

/// Opens each socket and closes it again.
pub async fn try_once(config: &Config) -> Result<(), String> {
    tls::identity(config).map_err(|error| error.to_string())?;
    for on in config.listens().map_err(|error| error.to_string())? {
        let opened = match on.transport {
            Transport::Udp => udp(on).map(drop),
            Transport::Tcp | Transport::Tls => TcpListener::bind(on.address).await.map(drop),
        };
        opened.map_err(|source| ListenError::Bind { listen: on.address.to_string(), source }.to_string())?;
    }
    Ok(())
}

/// What all sockets of a feed share.
#[derive(Clone)]
pub struct Receiver {
    pub store: Store,
    pub access: Arc<Access>,
    pub complaints: Arc<Complaints>,
    pub tls: Option<Arc<ServerConfig>>,
    /// How many there have been, which numbers the next one.
    pub connections: Arc<AtomicU64>,
    pub stop: CancellationToken,
}

impl Receiver {
    /// Opens a socket and begins to read. Of datagrams the kernel may throw some away.
    pub async fn listen(&self, on: Listen, tasks: &mut JoinSet<io::Error>) -> Result<Option<Drops>, ListenError> {
        let refused = |source| ListenError::Bind { listen: on.address.to_string(), source };
        match on.transport {
            Transport::Udp => {
                let socket = udp(on).map_err(refused)?;
                let drops = Drops::of(&socket);
                let receiver = self.clone();
                let span = tracing::Span::current();
                tasks.spawn_blocking(move || span.in_scope(|| receiver.datagrams(&socket)));
                return Ok(drops);
            }
            Transport::Tcp => {
                let listener = TcpListener::bind(on.address).await.map_err(refused)?;
                tasks.spawn(self.clone().connections(listener, None).in_current_span());
            }
            Transport::Tls => {
                let tls = self.tls.clone().ok_or(ListenError::NoCertificate)?;
                let listener = TcpListener::bind(on.address).await.map_err(refused)?;
                tasks.spawn(self.clone().connections(listener, Some(TlsAcceptor::from(tls))).in_current_span());
            }
        }
        Ok(None)
    }

    fn datagrams(&self, socket: &UdpSocket) -> io::Error {
        let mut buffer = vec![0; MAX_BYTES];
        while !self.stop.is_cancelled() {
            match socket.recv_from(&mut buffer) {
                Ok((length, sender)) if self.access.allows(sender.ip()) => {
                    self.store.keep(buffer.get(..length).unwrap_or_default(), None);
                }
                Ok(_) => self.complaints.count(Complaint::Stranger),
                Err(error) if is_passing(error.kind()) => {}
                Err(error) => return error,
            }
        }
        io::ErrorKind::Interrupted.into()
    }

    async fn connections(self, listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Error {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut readers = JoinSet::new();
        loop {
            while readers.try_join_next().is_some() {}
            let Ok((socket, sender)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            if !self.access.allows(sender.ip()) {
                self.complaints.count(Complaint::Stranger);
                continue;
            }
            keep_alive(&socket);
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                self.complaints.count(Complaint::TooManyConnections);
                continue;
            };
            let (receiver, tls) = (self.clone(), tls.clone());
            let read = async move {
                match tls {
                    None => receiver.stream(socket).await,
                    Some(tls) => match timeout(HANDSHAKE, tls.accept(socket)).await {
                        Ok(Ok(stream)) => receiver.stream(stream).await,
                        Ok(Err(_)) | Err(_) => receiver.complaints.count(Complaint::Handshake),
                    },
                }
                drop(place);
            };
            readers.spawn(read.in_current_span());
        }
    }

    async fn stream(&self, socket: impl AsyncRead + Unpin) {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let lost = self.packets(socket, connection).await;
        self.store.disconnected(connection, lost).await;
    }

    /// Reads one connection to its end; tells whether more would have come. Each packet says its length.
    async fn packets(&self, mut socket: impl AsyncRead + Unpin, connection: u64) -> bool {
        let (mut waiting, mut last) = (Vec::with_capacity(MAX_BYTES), Instant::now());
        loop {
            match socket.read_buf(&mut waiting).await {
                Ok(0) => return !waiting.is_empty() || last.elapsed() < QUIET,
                Err(_) => return true,
                Ok(_) => last = Instant::now(),
            }
            let mut rest = waiting.as_slice();
            while !rest.is_empty() {
                match packet::length(rest) {
                    Ok(Some(length)) if length <= rest.len() => {
                        let (packet, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                        self.store.keep(packet, Some(connection));
                        rest = after;
                    }
                    Ok(_) => break,
                    // Where the next packet begins cannot be known.
                    Err(bad) => {
                        self.complaints.count(Complaint::Bad(bad));
                        return true;
                    }
                }
            }
            let taken = waiting.len() - rest.len();
            waiting.drain(..taken);
        }
    }
}

/// A sender that vanished without a word gives its place back; one that has nothing to say, at night, keeps it.
fn keep_alive(socket: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
}

fn udp(on: Listen) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(on.address), Type::DGRAM, Some(Protocol::UDP))?;
    // As much as the kernel gives; less is no reason not to listen.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&on.address.into())?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    Ok(socket.into())
}

/// Whether a read may be tried again. An unreachable port that we answered to is told on the next read, too.
fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sender_by_tcp_is_asked_whether_it_is_still_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert!(!SockRef::from(&socket).keepalive().unwrap());
        keep_alive(&socket);
        assert!(SockRef::from(&socket).keepalive().unwrap());
    }
}
