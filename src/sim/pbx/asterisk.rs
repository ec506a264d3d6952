//! The pretend Asterisk: a real HTTP and websocket server on loopback, and the handles by which a test moves it.
//!
//! What REST answers is derived from the frames sent so far ([`World`]): a frame sent while nobody listens still changes it, as the
//! calls of a real PBX go on without us.

mod login;
mod rest;
mod socket;
mod variables;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use world::World;

/// How long [`Asterisk::stop`] waits for requests under way before it abandons them.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// How a real Asterisk treats a reader that does not read: a write that blocks this long ends the connection.
const ASTERISK_WRITE_LIMIT: Duration = Duration::from_millis(100);

/// How the pretend Asterisk is set up.
#[derive(Debug, Clone)]
pub struct Options {
    pub username: String,
    pub password: String,
    /// A socket whose reader blocks a write for longer is cut.
    /// The default of 10 s keeps a loaded test machine from being taken for a slow reader.
    pub write_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { username: "ctibridge".into(), password: "secret".into(), write_limit: Duration::from_secs(10) }
    }
}

impl Options {
    /// Cuts a slow reader after 100 ms of blocked write, as Asterisk does.
    #[must_use]
    pub fn cutting_slow_readers(mut self) -> Self {
        self.write_limit = ASTERISK_WRITE_LIMIT;
        self
    }
}

/// What the next websocket upgrades meet; REST is not touched by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refuse {
    /// They are let in.
    #[default]
    Nothing,
    /// 404, as while the modules of a starting Asterisk load.
    NotFound,
    /// 503, as a moment later.
    Unavailable,
}

/// The running server. Dropping it closes the listener and drops every socket.
#[derive(Debug)]
pub struct Asterisk {
    shared: Arc<Shared>,
    address: SocketAddr,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// What the handlers and the handle share.
#[derive(Debug)]
struct Shared {
    options: Options,
    world: Mutex<World>,
    /// Its lock is also the order of the frames: whoever sends holds it until every queue has taken the frame.
    sockets: tokio::sync::Mutex<Vec<socket::Listener>>,
    life: watch::Sender<Life>,
    requests: Mutex<BTreeMap<String, u64>>,
    manners: Mutex<Manners>,
    /// Cancelled to drop all sockets of the moment; replaced at once for those to come.
    cut: Mutex<CancellationToken>,
}

/// What has happened on the client's side of the sockets, to wait for.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    opened: u64,
    live: u64,
    /// The number of the newest connection that existed when the list was last read.
    channels_read: u64,
    bridges_read: u64,
}

/// How the server misbehaves at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Manners {
    refuse: Refuse,
    rest_status: Option<u16>,
    variable_latency: Duration,
}

impl Asterisk {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(address: SocketAddr, options: Options) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(options));
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let running = Mutex::new(Some(serve(listener, &shared)));
        Ok(Self { shared, address, running })
    }

    /// `ws://127.0.0.1:PORT/ari/events`
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/ari/events", self.address)
    }

    /// `http://127.0.0.1:PORT/ari`
    #[must_use]
    pub fn rest_url(&self) -> String {
        format!("http://{}/ari", self.address)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends this exact text to every socket with `subscribeAll=true` that was not replaced, and lets it change what REST says.
    /// Returns when each socket's queue has it; a reader that blocks is waited for no longer than [`Options::write_limit`].
    pub async fn send(&self, frame: &str) {
        self.shared.send(frame).await;
    }

    /// Returns when all that was sent has been handed to the operating system.
    pub async fn flush(&self) {
        let waits = self.shared.sockets.lock().await.iter().map(socket::Listener::flush).collect::<Vec<_>>();
        for wait in waits {
            wait.await;
        }
    }

    /// Replaces what `GET /channels` says; later frames go on changing it.
    pub fn set_channels(&self, channels: Vec<Value>) {
        self.world().set_channels(channels);
    }

    /// Replaces what `GET /bridges` says; later frames go on changing it.
    pub fn set_bridges(&self, bridges: Vec<Value>) {
        self.world().set_bridges(bridges);
    }

    /// Sets a variable of a channel, to be asked for while the channel lives.
    pub fn set_variable(&self, channel: &str, name: &str, value: &str) {
        self.world().set_variable(channel, name, value);
    }

    /// Forgets all calls and variables, as a PBX that was started anew.
    pub fn forget_calls(&self) {
        *self.world() = World::default();
    }

    /// What `GET /channels` says at the moment.
    #[must_use]
    pub fn channels(&self) -> Vec<Value> {
        self.world().channels()
    }

    /// What `GET /bridges` says at the moment.
    #[must_use]
    pub fn bridges(&self) -> Vec<Value> {
        self.world().bridges()
    }

    /// Kept within the PBX, since whoever holds the guard stops every request and frame.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// How long `GET /channels/{id}/variable` takes from now on.
    pub fn set_variable_latency(&self, latency: Duration) {
        lock(&self.shared.manners).variable_latency = latency;
    }

    /// From now on REST (not the websocket) answers with this HTTP status; `None` ends it.
    pub fn fail_rest(&self, status: Option<u16>) {
        lock(&self.shared.manners).rest_status = status;
    }

    /// What upgrades meet from now on.
    pub fn refuse(&self, how: Refuse) {
        lock(&self.shared.manners).refuse = how;
    }

    /// Drops all sockets of the moment without a close frame.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Closes the listener and drops all connections: the next attempt meets "connection refused". The calls live on.
    pub async fn stop(&self) {
        let Some(mut running) = lock(&self.running).take() else {
            return;
        };
        self.cut();
        running.stop.cancel();
        // A request that outlasts the limit is abandoned with the set.
        let _ = timeout(STOP_LIMIT, running.tasks.join_next()).await;
        running.tasks.shutdown().await;
        // An upgrade that was being granted meanwhile has its socket only now.
        self.cut();
    }

    /// Listens again on the same port; does nothing while it still does.
    ///
    /// # Errors
    /// Somebody else took the port.
    pub async fn restart(&self) -> io::Result<()> {
        if lock(&self.running).is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        *lock(&self.running) = Some(serve(listener, &self.shared));
        Ok(())
    }

    /// How many websockets have been opened so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.life.borrow().opened
    }

    /// How many websockets are open now.
    #[must_use]
    pub fn open_sockets(&self) -> u64 {
        self.shared.life.borrow().live
    }

    /// Waits until `n` websockets have been opened in all and one is open; `false` when that did not happen within the time.
    pub async fn wait_connected(&self, n: u64, within: Duration) -> bool {
        self.wait_life(within, |life| life.opened >= n && life.live > 0).await
    }

    /// Waits until no websocket is open; `false` when that did not happen within the time.
    pub async fn wait_disconnected(&self, within: Duration) -> bool {
        self.wait_life(within, |life| life.live == 0).await
    }

    /// Waits until channels and bridges have been read since the newest websocket was opened.
    pub async fn wait_snapshot_read(&self, within: Duration) -> bool {
        self.wait_life(within, |life| life.channels_read >= life.opened && life.bridges_read >= life.opened).await
    }

    /// How many REST requests a path has had, refused ones included: `/ari/events`, `/ari/channels`, `/ari/channels/{id}`,
    /// `/ari/channels/{id}/variable`, …; the braces are meant literally.
    #[must_use]
    pub fn requests(&self, path: &str) -> u64 {
        lock(&self.shared.requests).get(path).copied().unwrap_or_default()
    }

    async fn wait_life(&self, within: Duration, so: impl FnMut(&Life) -> bool) -> bool {
        let mut life = self.shared.life.subscribe();
        timeout(within, life.wait_for(so)).await.is_ok_and(|seen| seen.is_ok())
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        self.cut();
        if let Some(running) = lock(&self.running).take() {
            running.stop.cancel();
        }
    }
}

impl Shared {
    fn new(options: Options) -> Self {
        Self {
            options,
            world: Mutex::default(),
            sockets: tokio::sync::Mutex::default(),
            life: watch::Sender::default(),
            requests: Mutex::default(),
            manners: Mutex::default(),
            cut: Mutex::default(),
        }
    }

    async fn send(&self, frame: &str) {
        let mut sockets = self.sockets.lock().await;
        lock(&self.world).apply(frame);
        for socket in sockets.iter().filter(|socket| socket.listens()) {
            socket.send(frame).await;
        }
        sockets.retain(socket::Listener::is_open);
    }

    fn cut(&self) {
        let old = std::mem::take(&mut *lock(&self.cut));
        old.cancel();
    }
}

fn serve(listener: TcpListener, shared: &Arc<Shared>) -> Running {
    let stop = CancellationToken::new();
    let router = rest::router(Arc::clone(shared));
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // The accept loop retries by itself and ends only by `stop`.
        let _ = serving.await;
    });
    Running { stop, tasks }
}

/// A panic while the lock was held leaves plain data behind, so that it is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
