//! A pretend PBX that lets others subscribe to the dialogs of its extensions (RFC 6665, RFC 4235), on a real socket.
//!
//! It asks for a digest, can want longer subscriptions than it is asked for, forget them, refuse them, and say nothing at all.

mod digest;
pub mod exchange;
mod socket;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use digest::Algorithm;
use exchange::field;
pub use exchange::{Exchange, Notification};
use socket::{Peer, Socket};

/// Longer than any subscriber takes to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How it behaves. Can be changed while it runs.
#[derive(Debug, Clone)]
pub struct Manners {
    pub username: String,
    pub password: String,
    /// What digests are asked for, the preferred one first. Empty: none is.
    pub algorithms: Vec<Algorithm>,
    /// Shorter subscriptions are refused with 423.
    pub min_expires: u32,
    /// The longest that is granted.
    pub max_expires: u32,
    /// Answers every SUBSCRIBE with this, and these header fields.
    pub refuse: Option<(u16, String)>,
    /// Says nothing.
    pub silent: bool,
    /// NOTIFY goes out before the 200 that it belongs to.
    pub notify_first: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            username: "cti".to_owned(),
            password: "ctisecret".to_owned(),
            algorithms: vec![Algorithm::Md5],
            min_expires: 0,
            max_expires: 3600,
            refuse: None,
            silent: false,
            notify_first: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

pub struct Notifier {
    world: Arc<World>,
    address: SocketAddr,
    transport: Transport,
    _running: DropGuard,
}

/// What all of its parts share.
struct World {
    socket: Socket,
    state: Mutex<State>,
    /// Extensions that are subscribed to.
    subscribed: watch::Sender<Vec<String>>,
}

struct State {
    manners: Manners,
    /// By Call-ID.
    subscriptions: BTreeMap<String, Subscription>,
    /// What a new subscription is told first: state, content type and body, by extension.
    first: BTreeMap<String, (String, String)>,
    log: Vec<String>,
    nonce: u32,
    tag: u32,
}

#[derive(Clone)]
struct Subscription {
    extension: String,
    peer: Peer,
    call_id: String,
    /// As the watcher's From has it: its own side.
    watcher: String,
    us: String,
    contact: String,
    cseq: u32,
    expires: u32,
}

impl Notifier {
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(address: SocketAddr, transport: Transport, manners: Manners) -> io::Result<Self> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (socket, mut incoming) = Socket::open(address, transport, &tasks).await?;
        let address = socket.address();
        let state = State {
            manners,
            subscriptions: BTreeMap::new(),
            first: BTreeMap::new(),
            log: Vec::new(),
            nonce: 0,
            tag: 0,
        };
        let world = Arc::new(World { socket, state: Mutex::new(state), subscribed: watch::channel(Vec::new()).0 });
        let (own, stopping) = (Arc::clone(&world), stop.clone());
        let taking = async move {
            while let Some((peer, text)) = incoming.recv().await {
                own.take(&peer, &text).await;
            }
        };
        tasks.spawn(async move { stopping.run_until_cancelled(taking).await });
        Ok(Self { world, address, transport, _running: stop.drop_guard() })
    }

    /// The `server` of a feed.
    #[must_use]
    pub fn uri(&self) -> String {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        format!("sip:{};transport={transport}", self.address)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn change(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.world.lock().manners);
    }

    /// The first lines and reasons of all that went to and fro, `>` sent and `<` received.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.world.lock().log.clone()
    }

    /// Waits until all of these are subscribed to.
    pub async fn subscribed(&self, extensions: &[&str]) {
        let mut now = self.world.subscribed.subscribe();
        let all = |now: &Vec<String>| extensions.iter().all(|extension| now.iter().any(|it| it == extension));
        let _ = timeout(PATIENCE, now.wait_for(all)).await;
    }

    /// Loses all subscriptions, as a restart does: refreshes get 481.
    pub fn forget(&self) {
        self.world.lock().subscriptions.clear();
        self.world.subscribed.send_replace(Vec::new());
    }

    /// What new subscriptions to this extension are told at once.
    pub fn set_first(&self, extension: &str, content_type: &str, body: &str) {
        self.world.lock().first.insert(extension.to_owned(), (content_type.to_owned(), body.to_owned()));
    }

    /// Tells all that watch this extension.
    pub async fn notify(&self, extension: &str, state: &str, content_type: &str, body: &str) {
        self.world.notify(extension, state, content_type, body).await;
    }

    /// Sends these octets to all that watch this extension, from the subscribed socket.
    pub async fn send_raw(&self, extension: &str, text: &str) {
        for subscription in self.world.of(extension) {
            self.world.socket.send(&subscription.peer, text).await;
        }
    }

    /// The Call-ID, the watcher's and our side of the subscription to this extension, and the watcher's Contact.
    #[must_use]
    pub fn dialog(&self, extension: &str) -> Option<(String, String, String, String)> {
        let one = self.world.of(extension).into_iter().next()?;
        Some((one.call_id, one.watcher, one.us, one.contact))
    }

    /// Plays what was notified once, at the pace that it had; waits until all its extensions are subscribed to. Gives how much
    /// behind that pace the slowest was, on a machine that has other things to do.
    pub async fn play(&self, exchange: &Exchange) -> Duration {
        let all = exchange.notifications();
        let mut behind = Duration::ZERO;
        let Some(began) = exchange.messages.first().map(|message| message.at) else {
            return behind;
        };
        let mut first: BTreeMap<&str, &Notification> = BTreeMap::new();
        for notification in &all {
            first.entry(&notification.extension).or_insert(notification);
        }
        for (extension, notification) in &first {
            self.set_first(extension, &notification.content_type, &notification.body);
        }
        self.subscribed(&first.keys().copied().collect::<Vec<_>>()).await;
        let start = Instant::now();
        for notification in &all {
            if first.get(notification.extension.as_str()).is_some_and(|it| std::ptr::eq(*it, notification)) {
                continue;
            }
            if notification.state == "terminated" {
                continue;
            }
            let due = start + notification.at.duration_since(began).unsigned_abs();
            sleep_until(due).await;
            let Notification { extension, state, content_type, body, .. } = notification;
            self.notify(extension, state, content_type, body).await;
            behind = behind.max(due.elapsed());
        }
        behind
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, extension: &str) -> Vec<Subscription> {
        let state = self.lock();
        state.subscriptions.values().filter(|it| it.extension == extension).cloned().collect()
    }

    async fn take(&self, peer: &Peer, text: &str) {
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return };
        let first = head.lines().next().unwrap_or_default().to_owned();
        self.lock().log.push(format!("< {}", summary(head, &first)));
        if self.lock().manners.silent || !first.starts_with("SUBSCRIBE ") {
            return;
        }
        let answer = self.subscribe(peer, head, &first);
        let tell = answer.tell.clone();
        if self.lock().manners.notify_first
            && let Some(call_id) = &tell
        {
            self.tell_first(call_id).await;
        }
        self.send(peer, &answer.text).await;
        if !self.lock().manners.notify_first
            && let Some(call_id) = &tell
        {
            self.tell_first(call_id).await;
        }
    }

    fn subscribe(&self, peer: &Peer, head: &str, first: &str) -> Answer {
        let mut state = self.lock();
        let value = |name: &str| field(head, name).unwrap_or_default();
        if let Some((code, fields)) = state.manners.refuse.clone() {
            return Answer::plain(head, code, &fields, None);
        }
        let call_id = value("Call-ID");
        let in_dialog = value("To").contains(";tag=");
        if in_dialog && !state.subscriptions.contains_key(&call_id) {
            return Answer::plain(head, 481, "", None);
        }
        if !in_dialog && !state.is_let_in(head, first) {
            let challenges = state.challenges();
            return Answer::plain(head, 401, &challenges, None);
        }
        let expires: u32 = value("Expires").parse().unwrap_or(3600);
        if expires > 0 && expires < state.manners.min_expires {
            let fields = format!("Min-Expires: {}\r\n", state.manners.min_expires);
            return Answer::plain(head, 423, &fields, None);
        }
        let expires = expires.min(state.manners.max_expires);
        let subscription = if let Some(known) = state.subscriptions.get(&call_id) {
            Subscription { expires, peer: peer.clone(), ..known.clone() }
        } else {
            state.tag += 1;
            let uri = first.split_whitespace().nth(1).unwrap_or_default();
            let extension = uri.trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned();
            Subscription {
                extension,
                peer: peer.clone(),
                call_id: call_id.clone(),
                watcher: value("From"),
                us: format!("{};tag=pbx{}", value("To"), state.tag),
                contact: value("Contact").trim_matches(['<', '>']).to_owned(),
                cseq: 0,
                expires,
            }
        };
        let fields = format!("Expires: {expires}\r\nContact: <sip:{}>\r\n", self.socket.address());
        let answer = Answer::with_to(head, 200, &fields, &subscription.us, Some(call_id.clone()));
        state.subscriptions.insert(call_id, subscription);
        drop(state);
        self.tell_subscribed();
        answer
    }

    fn tell_subscribed(&self) {
        let now = self.lock().subscriptions.values().map(|it| it.extension.clone()).collect();
        self.subscribed.send_replace(now);
    }

    async fn tell_first(&self, call_id: &str) {
        let (extension, is_over, first) = {
            let state = self.lock();
            let Some(one) = state.subscriptions.get(call_id) else { return };
            (one.extension.clone(), one.expires == 0, state.first.get(&one.extension).cloned().unwrap_or_default())
        };
        let state = if is_over { "terminated;reason=timeout" } else { "active" };
        self.notify_one(call_id, &extension, state, &first.0, &first.1).await;
    }

    async fn notify(&self, extension: &str, state: &str, content_type: &str, body: &str) {
        if !content_type.is_empty() {
            self.lock().first.insert(extension.to_owned(), (content_type.to_owned(), body.to_owned()));
        }
        for one in self.of(extension) {
            self.notify_one(&one.call_id, extension, state, content_type, body).await;
        }
    }

    async fn notify_one(&self, call_id: &str, extension: &str, state: &str, content_type: &str, body: &str) {
        let one = {
            let mut all = self.lock();
            let Some(one) = all.subscriptions.get_mut(call_id) else { return };
            one.cseq += 1;
            let one = one.clone();
            if state.starts_with("terminated") {
                all.subscriptions.remove(call_id);
            }
            one
        };
        if state.starts_with("terminated") {
            self.tell_subscribed();
        }
        let (address, transport) = (self.socket.address(), self.socket.transport());
        let kind = if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
        let text = format!(
            "NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/{transport} {address};branch=z9hG4bKn{call_id}.{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: {us}\r\nTo: {watcher}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} NOTIFY\r\n\
             Contact: <sip:{address}>\r\nEvent: dialog\r\nSubscription-State: {state}\r\n{kind}\
             Content-Length: {length}\r\n\r\n{body}",
            contact = one.contact,
            us = one.us,
            watcher = one.watcher,
            cseq = one.cseq,
            length = body.len(),
        );
        let _ = extension;
        self.send(&one.peer, &text).await;
    }

    async fn send(&self, peer: &Peer, text: &str) {
        let first = text.lines().next().unwrap_or_default().to_owned();
        self.lock().log.push(format!("> {}", summary(text, &first)));
        self.socket.send(peer, text).await;
    }
}

impl State {
    fn challenges(&mut self) -> String {
        self.nonce += 1;
        let nonce = format!("nonce{}", self.nonce);
        self.manners.algorithms.iter().map(|it| digest::challenge(*it, &nonce)).collect()
    }

    fn is_let_in(&self, head: &str, first: &str) -> bool {
        let Manners { username, password, algorithms, .. } = &self.manners;
        if algorithms.is_empty() {
            return true;
        }
        let method = first.split_whitespace().next().unwrap_or_default();
        field(head, "Authorization")
            .is_some_and(|answer| digest::is_right(&answer, method, username, password, algorithms))
    }
}

/// What is sent back, and which subscription is to be told its state.
struct Answer {
    text: String,
    tell: Option<String>,
}

impl Answer {
    fn plain(head: &str, code: u16, fields: &str, tell: Option<String>) -> Self {
        let to = field(head, "To").unwrap_or_default();
        let to = if to.contains(";tag=") { to } else { format!("{to};tag=none") };
        Self::with_to(head, code, fields, &to, tell)
    }

    fn with_to(head: &str, code: u16, fields: &str, to: &str, tell: Option<String>) -> Self {
        let value = |name: &str| field(head, name).unwrap_or_default();
        let text = format!(
            "SIP/2.0 {code} As told\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{fields}Content-Length: 0\r\n\r\n",
            value("Via"),
            value("From"),
            value("Call-ID"),
            value("CSeq"),
        );
        Self { text, tell }
    }
}

/// `SUBSCRIBE sip:201@… SIP/2.0`, with what matters behind it.
fn summary(head: &str, first: &str) -> String {
    let told = ["Expires", "Min-Expires", "Subscription-State"];
    let told: Vec<String> =
        told.iter().filter_map(|name| field(head, name).map(|value| format!(" {name}: {value}"))).collect();
    let digest = if field(head, "Authorization").is_some() { " with digest" } else { "" };
    format!("{first}{}{digest}", told.concat())
}
