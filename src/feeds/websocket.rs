//! A websocket whose reader never waits: what it reads is kept in a bounded store until it is asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tracing::Instrument;

use super::session::Loss;
use super::status::StatusHandle;

/// What one message may measure; a longer one ends the connection.
const MESSAGE_BYTES: usize = 4 << 20;
/// Frames that may wait for what is behind the reader; one more ends the connection, and the next snapshot settles.
const WAITING_FRAMES: usize = 65_536;
/// The same in bytes, since frames differ in size.
const WAITING_BYTES: usize = 64 << 20;
/// After an excess of the other side, or of our own slowness: the same is likely to happen again at once.
const PAUSE_AFTER_EXCESS: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first packet to the end of the handshake.
    pub connect: Duration,
    pub ping_every: Duration,
    /// A connection on which nothing is heard for this long is gone.
    pub silence: Duration,
    pub message_bytes: usize,
    pub waiting_frames: usize,
    pub waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            ping_every: Duration::from_secs(5),
            silence: Duration::from_secs(15),
            message_bytes: MESSAGE_BYTES,
            waiting_frames: WAITING_FRAMES,
            waiting_bytes: WAITING_BYTES,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// The server speaks HTTP and does not want the websocket.
    #[error("refused with HTTP {0}")]
    Refused(u16),
    #[error(transparent)]
    Failed(tungstenite::Error),
}

/// One text frame; as long as it lives it takes room in the store.
pub struct RawFrame {
    text: Utf8Bytes,
    #[expect(dead_code, reason = "given back when the frame is dropped")]
    room: OwnedSemaphorePermit,
}

impl RawFrame {
    pub fn text(&self) -> &str {
        self.text.as_str()
    }
}

/// The frames of one connection. Dropping it ends the connection.
pub struct Stream {
    frames: mpsc::Receiver<RawFrame>,
    reader: JoinSet<Loss>,
}

/// Connects and begins to read.
pub async fn connect(
    request: Request,
    tls: Arc<ClientConfig>,
    limits: &Limits,
    status: &StatusHandle,
) -> Result<Stream, ConnectError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let handshake = connect_async_tls_with_config(request, Some(config), true, Some(Connector::Rustls(tls)));
    let (socket, _) = timeout(limits.connect, handshake)
        .await
        .map_err(|_| ConnectError::TimedOut(limits.connect))?
        .map_err(refusal)?;
    Ok(Stream::reading(socket, limits, status))
}

fn refusal(error: tungstenite::Error) -> ConnectError {
    if let tungstenite::Error::Http(response) = &error {
        return ConnectError::Refused(response.status().as_u16());
    }
    ConnectError::Failed(error)
}

impl Stream {
    /// The next frame, or why there will be none. Loses nothing when it is dropped while waiting.
    pub async fn next(&mut self) -> Result<RawFrame, Loss> {
        if let Some(frame) = self.frames.recv().await {
            return Ok(frame);
        }
        match self.reader.join_next().await {
            Some(Ok(loss)) => Err(loss),
            Some(Err(_)) | None => Err(Loss::new("the reader of the connection ended")),
        }
    }

    fn reading(socket: Socket, limits: &Limits, status: &StatusHandle) -> Self {
        let (store, frames) = mpsc::channel(limits.waiting_frames);
        let mut reader = JoinSet::new();
        let read = Reader {
            socket,
            store,
            room: Arc::new(Semaphore::new(limits.waiting_bytes)),
            limits: limits.clone(),
            status: status.clone(),
            heard: Instant::now(),
        };
        reader.spawn(read.run().in_current_span());
        Self { frames, reader }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Reader {
    socket: Socket,
    store: mpsc::Sender<RawFrame>,
    room: Arc<Semaphore>,
    limits: Limits,
    status: StatusHandle,
    heard: Instant,
}

impl Reader {
    async fn run(mut self) -> Loss {
        let every = self.limits.ping_every;
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What has arrived counts before the clock: after a standstill of this machine the other side is not to blame.
            let step = tokio::select! {
                biased;
                message = self.socket.next() => self.take(message),
                _ = pings.tick() => self.ping().await,
                () = sleep_until(self.heard + self.limits.silence) => Err(self.silent()),
            };
            if let Err(loss) = step {
                return loss;
            }
        }
    }

    fn take(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), Loss> {
        self.heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => self.keep(text),
            Some(Ok(Message::Close(frame))) => Err(closed(frame.map(|frame| frame.code.into()))),
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(closed(None)),
        }
    }

    fn keep(&self, text: Utf8Bytes) -> Result<(), Loss> {
        self.status.count_frame();
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes);
        let room = room.map_err(|_| self.overrun())?;
        self.store.try_send(RawFrame { text, room }).map_err(|_| self.overrun())
    }

    async fn ping(&mut self) -> Result<(), Loss> {
        let ping = self.socket.send(Message::Ping(Bytes::new()));
        match timeout(self.limits.silence, ping).await {
            Ok(sent) => sent.map_err(|error| broken(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> Loss {
        Loss::new(format!("nothing heard for {:?}", self.limits.silence))
    }

    /// Told here and not only by the loss, which comes when what is behind has taken all that waits.
    fn overrun(&self) -> Loss {
        self.status.count_overrun();
        let waiting = self.store.max_capacity() - self.store.capacity();
        tracing::warn!(waiting, "frames come faster than they are taken: the connection is dropped");
        Loss::new(format!("overrun: {waiting} frames were waiting")).pausing(PAUSE_AFTER_EXCESS)
    }
}

fn closed(code: Option<u16>) -> Loss {
    Loss::new(match code {
        Some(code) => format!("the other side closed the connection (code {code})"),
        None => "the other side closed the connection".to_owned(),
    })
}

fn broken(error: &tungstenite::Error) -> Loss {
    if let tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, max_size }) = error {
        let reason = format!("a frame of {size} bytes came; more than {max_size} is not read");
        return Loss::new(reason).pausing(PAUSE_AFTER_EXCESS);
    }
    Loss::new(format!("the connection broke: {error}"))
}
