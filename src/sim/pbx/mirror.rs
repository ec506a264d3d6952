//! Plays recorded HEP packets to whoever listens, over one TCP connection.
//!
//! The recording has a packet a line, in hex; before it there may be the time at which it came.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// How long the listener may take to come up.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_millis(50);

/// A recorded mirror, in memory.
#[derive(Debug, Clone)]
pub struct Packets(Vec<Vec<u8>>);

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("line {line} of {path} is no packet in hex", path = path.display())]
    NotHex { path: PathBuf, line: usize },
}

impl Packets {
    /// # Errors
    /// When the file cannot be read, or a line holds no packet.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let packet = |(at, line): (usize, &str)| {
            let hex = line.rsplit(' ').next().unwrap_or_default();
            unhex(hex).ok_or_else(|| LoadError::NotHex { path: path.to_owned(), line: at + 1 })
        };
        lines.map(packet).collect::<Result<_, _>>().map(Self)
    }

    /// Sends all of it, as fast as it is taken.
    ///
    /// # Errors
    /// When nobody listens there, or the connection breaks.
    pub async fn play(&self, to: SocketAddr) -> std::io::Result<()> {
        let until = Instant::now() + CONNECT_LIMIT;
        let mut socket = loop {
            match TcpStream::connect(to).await {
                Ok(socket) => break socket,
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => sleep(RETRY).await,
            }
        };
        for packet in &self.0 {
            socket.write_all(packet).await?;
        }
        socket.shutdown().await
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
