//! The connection to the PBX: datagrams from its address alone, or a stream, with or without TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Config;
use super::server::{Server, Transport};
use crate::feeds::sip::{BadStream, Frames};
use crate::feeds::tls;

/// More than a datagram can hold.
const DATAGRAM: usize = 65_536;
/// A message that the PBX does not take within this time is not taken at all.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// RFC 5626 3.5.1
const KEEP_ALIVE: &[u8] = b"\r\n\r\n";

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("`{0}` cannot be resolved: check the name in `server`, and the DNS")]
    Unresolved(String),
    #[error("the PBX cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("the PBX did not take the connection within {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Tls(#[from] tls::SetupError),
    #[error("the certificate of the PBX is not trusted: {0}; set `ca_file` to the authority that issued it")]
    Distrusted(io::Error),
    #[error("nothing listens at the PBX's address any more")]
    Refused,
    #[error("the PBX closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the PBX sent {0}")]
    BadStream(#[from] BadStream),
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

pub struct Link {
    way: Way,
    local: SocketAddr,
    buffer: Vec<u8>,
}

enum Way {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>, Frames),
}

impl Link {
    /// Tries the server's addresses, one after the other.
    pub async fn open(config: &Config, server: &Server, limit: Duration) -> Result<Self, LinkError> {
        let unresolved = |_| LinkError::Unresolved(server.host.clone());
        let addresses = server.addresses().await.map_err(unresolved)?;
        let mut last = LinkError::Unresolved(server.host.clone());
        for address in addresses {
            match timeout(limit, Self::connect(config, server, address)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(error)) => last = error,
                Err(_) => last = LinkError::TimedOut(limit),
            }
        }
        Err(last)
    }

    async fn connect(config: &Config, server: &Server, address: SocketAddr) -> Result<Self, LinkError> {
        if server.transport == Transport::Udp {
            let socket = UdpSocket::bind(any(address)).await.map_err(LinkError::Unreachable)?;
            // The kernel keeps out what comes from elsewhere.
            socket.connect(address).await.map_err(LinkError::Unreachable)?;
            let local = socket.local_addr().map_err(LinkError::Unreachable)?;
            return Ok(Self { way: Way::Datagrams(socket), local, buffer: vec![0; DATAGRAM] });
        }
        let stream = TcpStream::connect(address).await.map_err(LinkError::Unreachable)?;
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().map_err(LinkError::Unreachable)?;
        let stream: Box<dyn Stream> = if server.transport == Transport::Tls {
            Box::new(secure(config, server, stream).await?)
        } else {
            Box::new(stream)
        };
        Ok(Self { way: Way::Stream(stream, Frames::default()), local, buffer: vec![0; DATAGRAM] })
    }

    /// This side's address, as the PBX reaches it.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next message's octets. May be dropped before it is done, without loss.
    pub async fn next(&mut self) -> Result<Vec<u8>, LinkError> {
        loop {
            match &mut self.way {
                Way::Datagrams(socket) => {
                    let length = socket.recv(&mut self.buffer).await.map_err(broken)?;
                    let octets = self.buffer.get(..length).unwrap_or_default();
                    // Keep-alives come back from some.
                    if octets.iter().any(|octet| !octet.is_ascii_whitespace() && *octet != 0) {
                        return Ok(octets.to_vec());
                    }
                }
                Way::Stream(stream, frames) => {
                    if let Some(frame) = frames.next_frame()? {
                        return Ok(frame);
                    }
                    let length = stream.read(&mut self.buffer).await.map_err(broken)?;
                    if length == 0 {
                        return Err(LinkError::Closed);
                    }
                    frames.push(self.buffer.get(..length).unwrap_or_default());
                }
            }
        }
    }

    pub async fn send(&mut self, octets: &[u8]) -> Result<(), LinkError> {
        match &mut self.way {
            Way::Datagrams(socket) => socket.send(octets).await.map(|_| ()).map_err(broken),
            Way::Stream(stream, _) => {
                let writing = async {
                    stream.write_all(octets).await?;
                    stream.flush().await
                };
                timeout(SEND_LIMIT, writing).await.map_err(|_| LinkError::TimedOut(SEND_LIMIT))?.map_err(broken)
            }
        }
    }

    /// Keeps the way open through firewalls, and shows on UDP whether anything listens there.
    pub async fn keep_alive(&mut self) -> Result<(), LinkError> {
        self.send(KEEP_ALIVE).await
    }
}

fn any(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

async fn secure(config: &Config, server: &Server, stream: TcpStream) -> Result<impl Stream + use<>, LinkError> {
    let connector = TlsConnector::from(Arc::clone(&tls::trusting(&config.ca_file)?));
    let name = ServerName::try_from(server.host.clone()).map_err(|_| LinkError::Unresolved(server.host.clone()))?;
    connector.connect(name, stream).await.map_err(|error| {
        if tls::is_distrust(&error) { LinkError::Distrusted(error) } else { LinkError::Unreachable(error) }
    })
}

fn broken(error: io::Error) -> LinkError {
    if error.kind() == io::ErrorKind::ConnectionRefused { LinkError::Refused } else { LinkError::Broken(error) }
}
