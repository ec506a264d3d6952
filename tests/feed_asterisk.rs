//! The life of an ARI feed against a pretend Asterisk on a real socket: what it says, and what it survives.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ctibridge::calls::event::{Presentation, What};
use ctibridge::calls::feed::{FeedMessage, Snapshot};
use ctibridge::feeds::asterisk::{self, Config, Limits};
use ctibridge::feeds::{FeedStatus, StatusHandle};
use ctibridge::secret::Secret;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);
const CREDENTIALS: &str = "Basic Y3RpOnNlY3JldA==";

#[tokio::test]
async fn the_snapshot_comes_before_the_frames_that_were_read_before_it() {
    let mut pbx = Pbx::start().await;
    pbx.rest_open.send_replace(false);
    pbx.set(|pbx| pbx.channels = format!("[{}]", channel("1.1", "PJSIP/trunk-00000001")));
    let mut feed = pbx.feed();

    let mut socket = pbx.accept().await;
    send(&mut socket, &created("2.2", "PJSIP/101-00000002")).await;
    feed.until(|status| status.frames == 1).await;
    pbx.rest_open.send_replace(true);

    assert_eq!(feed.up().await, ["1.1"]);
    assert_eq!(feed.appeared().await, "2.2");
    let request = pbx.requests();
    assert!(request.contains(&"/ari/events?app=ctibridge&subscribeAll=true".to_owned()));
}

#[tokio::test]
async fn a_wrong_password_says_what_to_check_and_is_tried_again() {
    let pbx = Pbx::start().await;
    let feed = pbx.feed_as("wrong", quick());

    pbx.until_tries(3).await;
    let status = feed.status.get();
    let reason = status.reason.unwrap();
    assert!(reason.contains("401") && reason.contains("ari.conf"), "{reason}");
    assert!(!status.been_up);
}

#[tokio::test]
async fn a_feed_comes_up_after_twenty_refusals() {
    let mut pbx = Pbx::start().await;
    pbx.set(|pbx| pbx.refuse = Some(StatusCode::SERVICE_UNAVAILABLE));
    let mut feed = pbx.feed_with(quick());

    pbx.until_tries(20).await;
    assert!(feed.status.get().reason.unwrap().contains("503"));
    pbx.set(|pbx| pbx.refuse = None);

    let _socket = pbx.accept().await;
    assert!(feed.up().await.is_empty());
    assert_eq!(feed.status.get().reason, None);
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let feed = Feed::start(config(address, "secret"), quick());

    feed.until(|status| status.reason.is_some()).await;
    let reason = feed.status.get().reason.unwrap();
    assert!(reason.contains("refused") && reason.contains("`url`"), "{reason}");

    let mut pbx = Pbx::start_at(address).await;
    let mut feed = feed;
    let _socket = pbx.accept().await;
    feed.up().await;
}

#[tokio::test]
async fn a_closed_connection_is_a_loss_after_its_last_frame() {
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed();
    let mut socket = pbx.accept().await;
    feed.up().await;

    send(&mut socket, &created("2.2", "PJSIP/101-00000002")).await;
    drop(socket);
    assert_eq!(feed.appeared().await, "2.2");
    feed.lost().await;

    let _socket = pbx.accept().await;
    feed.up().await;
}

#[tokio::test]
async fn a_replaced_application_is_named_and_not_taken_back_at_once() {
    let pause = Duration::from_millis(700);
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed_with(Limits { replaced_pause: pause, ..quick() });
    let mut socket = pbx.accept().await;
    feed.up().await;

    let replaced = Instant::now();
    send(&mut socket, r#"{"type":"ApplicationReplaced","application":"ctibridge"}"#).await;
    let reason = feed.lost().await;
    assert!(reason.contains("`ctibridge`"), "{reason}");

    let _socket = pbx.accept().await;
    assert!(replaced.elapsed() >= pause);
    feed.up().await;
}

#[tokio::test]
async fn a_silent_connection_is_a_loss() {
    let mut limits = quick();
    limits.socket.ping_every = Duration::from_millis(50);
    limits.socket.silence = Duration::from_millis(300);
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed_with(limits);

    // Open, but nobody reads from it: no pong.
    let _stalled = pbx.accept().await;
    feed.up().await;
    let reason = feed.lost().await;
    assert!(reason.contains("nothing heard"), "{reason}");
}

#[tokio::test]
async fn pongs_keep_a_quiet_connection() {
    let mut limits = quick();
    limits.socket.ping_every = Duration::from_millis(20);
    limits.socket.silence = Duration::from_millis(300);
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed_with(limits);
    let mut socket = pbx.accept().await;
    feed.up().await;

    for _ in 0..40 {
        assert!(matches!(socket.recv().await, Some(Ok(Message::Ping(_)))));
    }
    assert!(feed.messages.try_recv().is_err(), "nothing was to be said");
}

#[tokio::test]
async fn a_huge_frame_ends_the_connection_and_the_next_one_is_fine() {
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed();
    let mut socket = pbx.accept().await;
    feed.up().await;

    let huge = Message::Text("x".repeat(40 << 20).into());
    // The feed hangs up in the middle of it.
    let _ = socket.send(huge).await;
    let reason = feed.lost().await;
    assert!(reason.contains("41943040 bytes") && reason.contains("4194304"), "{reason}");

    let _socket = pbx.accept().await;
    feed.up().await;
}

#[tokio::test]
async fn frames_that_are_not_understood_are_counted() {
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed();
    let mut socket = pbx.accept().await;
    feed.up().await;

    for frame in ["no JSON at all", "[]", r#"{"type":"ChannelCreated"}"#, r#"{"type":"FromTheFuture","channel":7}"#] {
        send(&mut socket, frame).await;
    }
    socket.send(Message::Binary(vec![0; 100].into())).await.unwrap();
    send(&mut socket, &created("2.2", "PJSIP/101-00000002")).await;

    assert_eq!(feed.appeared().await, "2.2");
    let status = feed.status.get();
    assert_eq!((status.frames, status.bad, status.unknown), (5, 3, 1));
}

#[tokio::test]
async fn a_consumer_that_does_not_read_costs_the_connection_and_not_the_memory() {
    let mut limits = quick();
    limits.socket.waiting_frames = 50;
    overrun_and_settle(limits, 50..=120).await;
}

#[tokio::test]
async fn frames_that_wait_are_bounded_in_bytes_too() {
    let mut limits = quick();
    limits.socket.waiting_bytes = 50 * created("1000", "PJSIP/101-00000002").len();
    overrun_and_settle(limits, 50..=120).await;
}

/// The channel behind the feed holds 64 messages.
async fn overrun_and_settle(limits: Limits, delivered: std::ops::RangeInclusive<usize>) {
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed_with(limits);
    let mut socket = pbx.accept().await;
    feed.up().await;

    for id in 1000..2000 {
        let frame = Message::Text(created(&id.to_string(), "PJSIP/101-00000002").into());
        if socket.send(frame).await.is_err() {
            break;
        }
    }
    feed.until(|status| status.overruns == 1).await;

    let mut ids = Vec::new();
    let reason = loop {
        match feed.next().await {
            FeedMessage::Lost { reason, .. } => break reason,
            message => ids.push(leg_of(&message)),
        }
    };
    assert!(reason.starts_with("overrun"), "{reason}");
    assert!(delivered.contains(&ids.len()), "{}", ids.len());
    let in_order: Vec<_> = (1000..1000 + ids.len()).map(|id| id.to_string()).collect();
    assert_eq!(ids, in_order);

    let _socket = pbx.accept().await;
    feed.up().await;
}

#[tokio::test]
async fn without_a_snapshot_the_connection_is_tried_again() {
    let mut pbx = Pbx::start().await;
    pbx.set(|pbx| pbx.rest_status = StatusCode::INTERNAL_SERVER_ERROR);
    let mut feed = pbx.feed_with(quick());

    for _ in 0..3 {
        let mut socket = pbx.accept().await;
        while let Some(Ok(_)) = socket.recv().await {}
    }
    let reason = feed.status.get().reason.unwrap();
    assert!(reason.contains("500") && reason.contains("REST"), "{reason}");

    pbx.set(|pbx| pbx.rest_status = StatusCode::OK);
    feed.up().await;
    assert!(feed.messages.try_recv().is_err());
}

#[tokio::test]
async fn a_presentation_is_asked_once_and_told() {
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed();
    let mut socket = pbx.accept().await;
    feed.up().await;

    inbound_call(&mut socket, "3.3").await;
    assert_eq!(feed.presentation().await, Presentation::Withheld);
    let asked = "/ari/channels/3.3/variable?variable=CALLERID%28pres%29";
    let asks = pbx.requests().into_iter().filter(|uri| uri == asked);
    assert_eq!(asks.count(), 1);
}

#[tokio::test]
async fn a_caller_who_was_there_before_is_asked_for_too() {
    let mut pbx = Pbx::start().await;
    pbx.set(|pbx| pbx.channels = format!("[{}]", channel("1.1", "PJSIP/trunk-00000001")));
    let mut feed = pbx.feed();
    let _socket = pbx.accept().await;

    assert_eq!(feed.up().await, ["1.1"]);
    assert_eq!(feed.presentation().await, Presentation::Withheld);
}

#[tokio::test]
async fn a_question_without_an_answer_does_not_delay_frames() {
    let mut pbx = Pbx::start().await;
    let mut feed = pbx.feed_with(Limits { ask: Duration::from_millis(500), ..quick() });
    let mut socket = pbx.accept().await;
    feed.up().await;

    pbx.rest_open.send_replace(false);
    inbound_call(&mut socket, "3.3").await;
    send(&mut socket, &created("4.4", "PJSIP/101-00000004")).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "4.4") {
        if let FeedMessage::Call(event) = feed.next().await {
            match event.what {
                What::Appeared(leg) => seen.push(leg.id.0),
                What::Presentation { .. } => panic!("it was to come late"),
                _ => {}
            }
        }
    }
    assert_eq!(feed.presentation().await, Presentation::Unknown);
}

#[tokio::test]
async fn stop_ends_it_within_a_second_whatever_it_does() {
    let mut pbx = Pbx::start().await;
    let mut up = pbx.feed();
    let _socket = pbx.accept().await;
    up.up().await;
    up.stops().await;

    pbx.rest_open.send_replace(false);
    let mut waiting_for_rest = pbx.feed();
    let _socket = pbx.accept().await;
    waiting_for_rest.stops().await;

    pbx.set(|pbx| pbx.refuse = Some(StatusCode::NOT_FOUND));
    let mut backing_off = pbx.feed();
    backing_off.until(|status| status.reason.is_some()).await;
    backing_off.stops().await;
}

#[tokio::test]
async fn check_tells_the_version_or_what_to_do() {
    let pbx = Pbx::start().await;
    let fine = asterisk::try_once(&config(pbx.address, "secret")).await;
    assert_eq!(fine.unwrap(), "Asterisk 22.10.1, 0 channels up");

    let refused = asterisk::try_once(&config(pbx.address, "wrong")).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("`password`"), "{error}");
}

// ---- the feed under test ----

struct Feed {
    messages: mpsc::Receiver<(Arc<str>, FeedMessage)>,
    status: StatusHandle,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn quick() -> Limits {
    let mut limits = Limits::default();
    limits.retry.first = Duration::from_millis(5);
    limits.retry.cap = Duration::from_millis(20);
    limits
}

fn config(address: SocketAddr, password: &str) -> Config {
    Config {
        name: "pbx1".to_owned(),
        url: format!("ws://{address}/ari/events"),
        username: "cti".to_owned(),
        password: Secret::new(password),
        app: "ctibridge".to_owned(),
        trunks: vec!["PJSIP/trunk".to_owned()],
        ca_file: String::new(),
        insecure: false,
    }
}

impl Feed {
    fn start(config: Config, limits: Limits) -> Self {
        let (out, messages) = mpsc::channel(64);
        let status = StatusHandle::new(config.name.as_str());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(asterisk::run_with(config, BTreeMap::new(), limits, out, status.clone(), stop.clone()));
        Self { messages, status, stop, tasks }
    }

    async fn next(&mut self) -> FeedMessage {
        let (name, message) = within(self.messages.recv()).await.unwrap();
        assert_eq!(&*name, "pbx1");
        message
    }

    /// The ids of the legs in the snapshot.
    async fn up(&mut self) -> Vec<String> {
        let message = self.next().await;
        let FeedMessage::Up(Snapshot::Known(known)) = message else {
            panic!("not up: {message:?}");
        };
        self.until(|status| status.been_up).await;
        known.legs.into_iter().map(|leg| leg.leg.id.0).collect()
    }

    async fn appeared(&mut self) -> String {
        leg_of(&self.next().await)
    }

    async fn lost(&mut self) -> String {
        let message = self.next().await;
        let FeedMessage::Lost { reason, .. } = message else {
            panic!("not lost: {message:?}");
        };
        reason
    }

    async fn presentation(&mut self) -> Presentation {
        loop {
            if let FeedMessage::Call(event) = self.next().await
                && let What::Presentation { presentation, .. } = event.what
            {
                return presentation;
            }
        }
    }

    async fn until(&self, holds: impl Fn(&FeedStatus) -> bool) {
        wait_for(|| holds(&self.status.get())).await;
    }

    async fn stops(&mut self) {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(1), self.tasks.join_next()).await;
        assert!(matches!(ended, Ok(Some(Ok(())))), "{ended:?}");
    }
}

fn leg_of(message: &FeedMessage) -> String {
    let FeedMessage::Call(event) = message else {
        panic!("no event: {message:?}");
    };
    let What::Appeared(leg) = &event.what else {
        panic!("no new leg: {event:?}");
    };
    leg.id.0.clone()
}

async fn within<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

async fn wait_for(holds: impl Fn() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

// ---- the pretend Asterisk ----

struct Pbx {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    rest_open: watch::Sender<bool>,
    sockets: mpsc::Receiver<WebSocket>,
    _server: JoinSet<()>,
}

struct World {
    channels: String,
    rest_status: StatusCode,
    refuse: Option<StatusCode>,
    requests: Vec<String>,
}

#[derive(Clone)]
struct Server {
    world: Arc<Mutex<World>>,
    rest_open: watch::Receiver<bool>,
    sockets: mpsc::Sender<WebSocket>,
}

impl Pbx {
    async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn start_at(address: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World {
            channels: "[]".to_owned(),
            rest_status: StatusCode::OK,
            refuse: None,
            requests: Vec::new(),
        }));
        let (rest_open, opened) = watch::channel(true);
        let (accepted, sockets) = mpsc::channel(16);
        let app = router(Server { world: world.clone(), rest_open: opened, sockets: accepted });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, world, rest_open, sockets, _server: server }
    }

    fn feed(&self) -> Feed {
        self.feed_with(Limits::default())
    }

    fn feed_with(&self, limits: Limits) -> Feed {
        self.feed_as("secret", limits)
    }

    fn feed_as(&self, password: &str, limits: Limits) -> Feed {
        Feed::start(config(self.address, password), limits)
    }

    fn set(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    fn requests(&self) -> Vec<String> {
        self.world.lock().unwrap().requests.clone()
    }

    async fn until_tries(&self, tries: usize) {
        let events = |uri: &&String| uri.starts_with("/ari/events");
        wait_for(|| self.requests().iter().filter(events).count() >= tries).await;
    }

    async fn accept(&mut self) -> WebSocket {
        within(self.sockets.recv()).await.unwrap()
    }
}

fn router(server: Server) -> Router {
    Router::new()
        .route("/ari/events", get(events))
        .route("/ari/channels", get(channels))
        .route("/ari/bridges", get(bridges))
        .route("/ari/asterisk/info", get(info))
        .route("/ari/channels/{id}/variable", get(variable))
        .with_state(server)
}

impl Server {
    fn admit(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), StatusCode> {
        let mut world = self.world.lock().unwrap();
        world.requests.push(uri.to_string());
        match headers.get("authorization") {
            Some(value) if value == CREDENTIALS => Ok(()),
            _ => Err(StatusCode::UNAUTHORIZED),
        }
    }

    async fn rest(mut self, headers: HeaderMap, uri: Uri, body: String) -> Response {
        if let Err(refused) = self.admit(&headers, &uri) {
            return refused.into_response();
        }
        self.rest_open.wait_for(|open| *open).await.unwrap();
        let status = self.world.lock().unwrap().rest_status;
        (status, body).into_response()
    }
}

async fn events(State(server): State<Server>, headers: HeaderMap, uri: Uri, upgrade: WebSocketUpgrade) -> Response {
    if let Err(refused) = server.admit(&headers, &uri) {
        return refused.into_response();
    }
    if let Some(status) = server.world.lock().unwrap().refuse {
        return status.into_response();
    }
    upgrade.on_upgrade(|socket| async move { server.sockets.send(socket).await.unwrap() })
}

async fn channels(State(server): State<Server>, headers: HeaderMap, uri: Uri) -> Response {
    let body = server.world.lock().unwrap().channels.clone();
    server.rest(headers, uri, body).await
}

async fn bridges(State(server): State<Server>, headers: HeaderMap, uri: Uri) -> Response {
    server.rest(headers, uri, "[]".to_owned()).await
}

async fn info(State(server): State<Server>, headers: HeaderMap, uri: Uri) -> Response {
    let body = r#"{"build":{},"system":{"version":"22.10.1","entity_id":"x"}}"#;
    server.rest(headers, uri, body.to_owned()).await
}

async fn variable(State(server): State<Server>, headers: HeaderMap, uri: Uri, Path(_): Path<String>) -> Response {
    let body = r#"{"value":"prohib_not_screened"}"#;
    server.rest(headers, uri, body.to_owned()).await
}

fn channel(id: &str, name: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"{name}","state":"Ring","protocol_id":"","caller":{{"name":"","number":"+4930231250401"}},"connected":{{"name":"","number":""}},"accountcode":"","dialplan":{{"context":"from-trunk","exten":"+493023125201","priority":1,"app_name":"","app_data":""}},"creationtime":"2026-11-21T17:45:36.407+0000","language":"en"}}"#
    )
}

fn frame(kind: &str, channel: &str) -> String {
    format!(
        r#"{{"type":"{kind}","timestamp":"2026-11-21T17:45:36.407+0000","channel":{channel},"asterisk_id":"x","application":"ctibridge"}}"#
    )
}

fn created(id: &str, name: &str) -> String {
    frame("ChannelCreated", &channel(id, name))
}

async fn inbound_call(socket: &mut WebSocket, id: &str) {
    let channel = channel(id, "PJSIP/trunk-00000003");
    for kind in ["ChannelCreated", "ChannelVarset", "ChannelDialplan"] {
        send(socket, &frame(kind, &channel)).await;
    }
}

async fn send(socket: &mut WebSocket, frame: &str) {
    socket.send(Message::Text(frame.into())).await.unwrap();
}
