//! Subscriptions to extensions' dialogs on real sockets, message by message, against a pretend PBX.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctibridge::calls::event::What;
use ctibridge::calls::feed::{FeedMessage, Scope, Snapshot};
use ctibridge::calls::record::Extension;
use ctibridge::feeds::sip_dialog::{Config, Limits, run_with};
use ctibridge::feeds::{Phones, StatusHandle};
use ctibridge::phone::NumberPlan;
use ctibridge::secret::Secret;
use ctibridge::sim::pbx::Notifier;
use ctibridge::sim::pbx::notifier::{Algorithm, Manners, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::world::{LOOPBACK, SOON, wait};

const DIALOG_INFO: &str = "application/dialog-info+xml";

struct Watched {
    pbx: Notifier,
    status: StatusHandle,
    messages: mpsc::Receiver<(Arc<str>, FeedMessage)>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Watched {
    async fn by(transport: Transport, manners: Manners, change: impl FnOnce(&mut Config, &mut Limits)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pbx = Notifier::start(LOOPBACK, transport, manners).await.unwrap();
        let mut config = Config {
            name: "pbx1".to_owned(),
            server: pbx.uri(),
            domain: "pbx.example".to_owned(),
            username: "cti".to_owned(),
            password: Secret::new("ctisecret"),
            extensions: vec!["201".to_owned()],
            list: String::new(),
            same_pbx_as: String::new(),
            ca_file: String::new(),
            insecure: false,
        };
        let mut limits = Limits::default();
        change(&mut config, &mut limits);
        let plan = NumberPlan::new("GB", "", "2-6").unwrap();
        let phones = Phones { devices: BTreeMap::new(), agents: Vec::new(), plan };
        let (out, messages) = mpsc::channel(100_000);
        let (status, stop) = (StatusHandle::new("pbx1"), CancellationToken::new());
        let task = tokio::task::spawn(run_with(config, phones, limits, out, status.clone(), stop.clone()));
        Self { pbx, status, messages, stop, task }
    }

    async fn next(&mut self) -> FeedMessage {
        timeout(SOON, self.messages.recv()).await.expect("waited too long for a message").unwrap().1
    }

    async fn up(&mut self) -> usize {
        loop {
            if let FeedMessage::Up(Snapshot::Known(known)) = self.next().await {
                return known.legs.len();
            }
        }
    }

    /// What went to and fro, `count` lines of it.
    async fn log(&self, count: usize) -> Vec<String> {
        wait("the messages", || self.pbx.log().len() >= count).await;
        self.pbx.log()
    }

    async fn leave(self) -> Vec<String> {
        self.stop.cancel();
        timeout(SOON, self.task).await.expect("the feed does not end").unwrap();
        self.pbx.log()
    }
}

fn early(version: u32, number: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" state="full" entity="sip:201@pbx.example"><dialog id="d1" call-id="c1" direction="recipient"><state>early</state><remote><identity>sip:{number}@x</identity></remote><local><identity>sip:201@x</identity></local></dialog></dialog-info>"#
    )
}

const SUBSCRIBED: [&str; 6] = [
    "< SUBSCRIBE sip:201@pbx.example SIP/2.0 Expires: 300",
    "> SIP/2.0 401 As told",
    "< SUBSCRIBE sip:201@pbx.example SIP/2.0 Expires: 300 with digest",
    "> SIP/2.0 200 As told Expires: 300",
    "> NOTIFY",
    "< SIP/2.0 200 OK",
];

/// NOTIFY's address is the watcher's port, which differs.
fn told(log: &[String]) -> Vec<String> {
    log.iter().map(|line| if line.starts_with("> NOTIFY") { "> NOTIFY".to_owned() } else { line.clone() }).collect()
}

#[tokio::test]
async fn a_subscription_by_datagrams_and_by_a_stream_is_the_same_messages_and_leave_is_taken() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut watched = Watched::by(transport, Manners::default(), |_, _| {}).await;
        assert_eq!(watched.up().await, 0);
        assert_eq!(told(&watched.log(6).await), SUBSCRIBED);
        let address = watched.pbx.address();
        let log = told(&watched.leave().await);
        let farewell = format!("< SUBSCRIBE sip:{address} SIP/2.0 Expires: 0 with digest");
        assert_eq!(&log[6..8], [farewell.as_str(), "> SIP/2.0 200 As told Expires: 0"], "{log:#?}");
    }
}

#[tokio::test]
async fn a_server_that_wants_longer_subscriptions_gets_them() {
    let manners = Manners { min_expires: 900, ..Manners::default() };
    let mut watched = Watched::by(Transport::Udp, manners, |_, _| {}).await;
    watched.up().await;
    let log = told(&watched.log(8).await);
    assert_eq!(
        log,
        [
            SUBSCRIBED[0],
            SUBSCRIBED[1],
            SUBSCRIBED[2],
            "> SIP/2.0 423 As told Min-Expires: 900",
            "< SUBSCRIBE sip:201@pbx.example SIP/2.0 Expires: 900 with digest",
            "> SIP/2.0 200 As told Expires: 900",
            "> NOTIFY",
            "< SIP/2.0 200 OK",
        ]
    );
}

#[tokio::test]
async fn a_server_that_forgot_us_is_subscribed_to_anew_and_the_extension_is_settled() {
    let manners = Manners { max_expires: 6, ..Manners::default() };
    let mut watched = Watched::by(Transport::Udp, manners, |_, _| {}).await;
    watched.pbx.set_first("201", DIALOG_INFO, &early(1, "+447700900123"));
    watched.up().await;
    watched.pbx.forget();
    let lost = loop {
        if let FeedMessage::Lost { scope, reason } = watched.next().await {
            break (scope, reason);
        }
    };
    assert_eq!(lost.0, Scope::Extension(Extension("201".into())));
    assert!(lost.1.contains("481"), "{}", lost.1);
    assert!(watched.up().await > 0);
    let log = told(&watched.log(10).await);
    assert!(log[6].contains("SUBSCRIBE sip:127.0.0.1") && log[7] == "> SIP/2.0 481 As told", "{log:#?}");
    assert_eq!(log[8..10], [SUBSCRIBED[2], "> SIP/2.0 200 As told Expires: 6"]);
}

#[tokio::test]
async fn a_digest_with_sha_256_and_with_session_keys_lets_us_in() {
    for algorithm in [Algorithm::Sha256, Algorithm::Md5Session, Algorithm::Sha256Session] {
        let manners = Manners { algorithms: vec![Algorithm::Strange, algorithm, Algorithm::Md5], ..Manners::default() };
        let mut watched = Watched::by(Transport::Udp, manners, |_, _| {}).await;
        watched.up().await;
        assert_eq!(told(&watched.log(6).await), SUBSCRIBED, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_the_reason_says_what_to_do() {
    let wrong = |config: &mut Config, _: &mut Limits| config.password = Secret::new("wrong");
    let watched = Watched::by(Transport::Udp, Manners::default(), wrong).await;
    wait("the reason", || watched.status.get().reason.is_some()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(told(&watched.pbx.log()), [SUBSCRIBED[0], SUBSCRIBED[1], SUBSCRIBED[2], "> SIP/2.0 401 As told"]);
    let reason = watched.status.get().reason.unwrap();
    assert!(reason.contains("check `username` and `password`"), "{reason}");
    assert!(!reason.contains("wrong"), "{reason}");
}

#[tokio::test]
async fn a_notify_before_the_answer_counts() {
    let manners = Manners { notify_first: true, ..Manners::default() };
    let mut watched = Watched::by(Transport::Udp, manners, |_, _| {}).await;
    watched.pbx.set_first("201", DIALOG_INFO, &early(1, "+447700900123"));
    assert!(watched.up().await > 0 || watched.up().await > 0);
}

#[tokio::test]
async fn a_server_that_is_gone_and_comes_back_is_found_again() {
    let quick = |_: &mut Config, limits: &mut Limits| limits.keep_alive = Duration::from_millis(100);
    let mut watched = Watched::by(Transport::Udp, Manners::default(), quick).await;
    watched.up().await;
    let address = watched.pbx.address();
    let gone = std::mem::replace(
        &mut watched.pbx,
        Notifier::start(LOOPBACK, Transport::Udp, Manners::default()).await.unwrap(),
    );
    drop(gone);
    wait("the loss", || watched.status.get().reason.is_some()).await;
    // Its port is free once its last task has ended.
    let until = Instant::now() + SOON;
    watched.pbx = loop {
        match Notifier::start(address, Transport::Udp, Manners::default()).await {
            Ok(back) => break back,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    watched.up().await;
}

/// A list's notification, as RFC 4662 5.5 has it.
#[tokio::test]
async fn one_subscription_to_a_list_watches_all_its_extensions() {
    let list = |config: &mut Config, _: &mut Limits| {
        config.list = "sip:blf@pbx.example".to_owned();
        config.extensions.clear();
    };
    let mut watched = Watched::by(Transport::Tcp, Manners::default(), list).await;
    let part = |number: u32| {
        format!(
            "--b1\r\nContent-Type: {DIALOG_INFO}\r\nContent-ID: <{number}@x>\r\n\r\n<dialog-info version=\"1\" state=\"full\" entity=\"sip:{number}@pbx.example\"></dialog-info>\r\n"
        )
    };
    let rlmi = "--b1\r\nContent-Type: application/rlmi+xml\r\n\r\n<list/>\r\n";
    let body = format!("{rlmi}{}{}--b1--\r\n", part(201), part(202));
    watched.pbx.set_first("blf", "multipart/related;type=\"application/rlmi+xml\";boundary=b1", &body);
    let mut up = Vec::new();
    while up.len() < 2 {
        if let FeedMessage::Up(Snapshot::Known(known)) = watched.next().await {
            up.push(known.scope);
        }
    }
    let extension = |text: &str| Scope::Extension(Extension(text.to_owned()));
    assert_eq!(up, [extension("201"), extension("202")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_forged_notifies_change_nothing() {
    let mut watched = Watched::by(Transport::Udp, Manners::default(), |_, _| {}).await;
    watched.up().await;
    let (call_id, watcher, us, contact) = watched.pbx.dialog("201").unwrap();
    let port: u16 = contact.rsplit(':').next().unwrap().parse().unwrap();
    let stranger = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let body = early(9, "+447700900999");
    let forged = |nth: usize| {
        // Each lacks one of what only the PBX and we know: the tags, the Call-ID, or the PBX's address.
        let (call_id, watcher, us) = match nth % 4 {
            0 => (format!("{call_id}x"), watcher.clone(), us.clone()),
            1 => (call_id.clone(), watcher.replace("tag=", "tag=x"), us.clone()),
            2 => (call_id.clone(), watcher.clone(), us.replace("tag=", "tag=x")),
            _ => (call_id.clone(), watcher.clone(), us.clone()),
        };
        format!(
            "NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{nth}\r\nFrom: {us}\r\nTo: {watcher}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} NOTIFY\r\nEvent: dialog\r\nSubscription-State: active\r\n\
             Content-Type: {DIALOG_INFO}\r\nContent-Length: {length}\r\n\r\n{body}",
            cseq = nth + 10,
            length = body.len()
        )
    };
    for nth in 0..100_000 {
        let text = forged(nth);
        if nth % 4 == 3 {
            stranger.send_to(text.as_bytes(), ("127.0.0.1", port)).unwrap();
        } else {
            watched.pbx.send_raw("201", &text).await;
        }
        if nth % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // The true one still counts, and is the only one. It is told until it arrives, as a PBX does that gets no answer.
    let (mut numbers, until) = (Vec::new(), Instant::now() + SOON);
    while numbers.is_empty() {
        assert!(Instant::now() < until, "the true notification never arrived");
        watched.pbx.notify("201", "active", DIALOG_INFO, &early(2, "+447700900123")).await;
        while let Ok(Some((_, message))) = timeout(Duration::from_millis(200), watched.messages.recv()).await {
            if let FeedMessage::Call(event) = message
                && let What::Appeared(leg) = event.what
                && leg.id.0 == "c1"
            {
                numbers.push(leg.number);
            }
        }
    }
    assert_eq!(numbers, ["+447700900123"]);
    let refused = watched.pbx.log().iter().filter(|line| line.contains("SIP/2.0 481")).count();
    assert!(refused > 0, "none of the forged ones arrived");
    println!("{refused} forged notifications were answered 481");
}
