//! The pretend Asterisk as a client meets it: over a real socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctibridge::sim::pbx::player::perform_at_once;
use ctibridge::sim::pbx::script::Ids;
use ctibridge::sim::pbx::{Asterisk, Caller, Options, Player, Recording, Refuse, Script, Speed};
use ctibridge::sim::story;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const SOON: Duration = Duration::from_secs(10);
const KEY: &str = "api_key=ctibridge:secret";

#[tokio::test]
async fn only_who_knows_the_password_comes_in() {
    let asterisk = start(Options::default()).await;
    let (status, body) = refused(&format!("{}?app=a&api_key=ctibridge:wrong", asterisk.url())).await;
    assert_eq!((status, body["message"].as_str()), (401, Some("Authentication required")));
    assert_eq!(refused(&format!("{}?{KEY}", asterisk.url())).await.0, 400);

    let rest = http().get(format!("{}/channels", asterisk.rest_url()));
    assert_eq!(rest.try_clone().unwrap().send().await.unwrap().status(), 401);
    assert_eq!(rest.basic_auth("ctibridge", Some("secret")).send().await.unwrap().status(), 200);
    assert_eq!(asterisk.requests("/ari/channels"), 2);
    assert_eq!(asterisk.connections(), 0);
}

#[tokio::test]
async fn frames_reach_only_those_who_subscribed_to_all_and_unchanged() {
    let asterisk = start(Options::default()).await;
    let mut all = Client::connect(&asterisk, "one").await;
    let mut own = Client::open(&format!("{}?app=two&{KEY}", asterisk.url())).await;
    let frame = r#"{ "type":"Odd",   "order" : 1, "a": 2 }"#;
    asterisk.send(frame).await;
    assert_eq!(all.text().await, frame);
    assert!(own.is_quiet().await);
    let applications = get(&asterisk, "applications").await.1;
    assert_eq!(applications[0]["channel_ids"], json!(["__AST_CHANNEL_ALL_TOPIC"]));
    assert_eq!(applications[1]["channel_ids"], json!([]));
}

#[tokio::test]
async fn who_loses_the_name_is_told_and_hears_nothing_more_on_an_open_line() {
    let asterisk = start(Options::default()).await;
    let mut first = Client::connect(&asterisk, "ctibridge").await;
    let mut second = Client::connect(&asterisk, "ctibridge").await;
    let told: Value = serde_json::from_str(&first.text().await).unwrap();
    assert_eq!((&told["type"], &told["application"]), (&json!("ApplicationReplaced"), &json!("ctibridge")));

    asterisk.send("{}").await;
    assert_eq!(second.text().await, "{}");
    assert!(first.is_quiet().await);
    first.socket.send(Message::Ping("there?".into())).await.unwrap();
    assert_eq!(first.next().await.unwrap().unwrap(), Message::Pong("there?".into()));
    assert_eq!(get(&asterisk, "applications").await.1.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_snapshot_follows_the_frames_though_nobody_listens() {
    let asterisk = start(Options::default()).await;
    for frame in read("gap-1-before.jsonl").lines() {
        asterisk.send(frame).await;
    }
    for (path, file) in [("channels", "channels-during-calls.json"), ("bridges", "bridges-during-calls.json")] {
        let recorded: Value = serde_json::from_str(&read(file)).unwrap();
        let (status, ours) = get(&asterisk, path).await;
        assert_eq!((status, by_id(ours)), (200, by_id(recorded)), "{path}");
    }
    asterisk.set_channels(vec![json!({ "id": "1.0", "name": "PJSIP/101-00000000" })]);
    assert_eq!(get(&asterisk, "channels").await.1.as_array().unwrap().len(), 1);
    assert_eq!(get(&asterisk, "channels/1.0").await.0, 200);
    asterisk.forget_calls();
    assert_eq!(get(&asterisk, "bridges").await.1, json!([]));
}

#[tokio::test]
async fn a_channel_tells_its_variables_while_it_lives() {
    let asterisk = start(Options::default()).await;
    let call = Script::inbound_private(&Caller::new("+493023125444", ""), "+493023125101").ring(&["101"]);
    let reel = call.reel(jiff::Timestamp::now(), &Ids::new(1)).unwrap();
    let channel = reel.variables[0].channel.clone();
    let pres = format!("channels/{channel}/variable?variable=CALLERID(pres)");
    assert_eq!(get(&asterisk, &pres).await, (404, json!({ "message": "Channel not found" })));

    perform_at_once(&asterisk, &[(Duration::ZERO, reel)]).await;
    assert_eq!(get(&asterisk, &pres).await, (200, json!({ "value": "prohib_not_screened" })));
    let endpoint = format!("channels/{channel}/variable?variable=CHANNEL(endpoint)");
    assert_eq!(get(&asterisk, &endpoint).await, (200, json!({ "value": "trunk" })));
    let unknown = format!("channels/{channel}/variable?variable=NOSUCHVAR");
    assert_eq!(get(&asterisk, &unknown).await, (404, json!({ "message": "Provided variable was not found" })));
    assert_eq!(asterisk.requests("/ari/channels/{id}/variable"), 4);

    asterisk.set_variable_latency(Duration::from_millis(200));
    let asked = Instant::now();
    get(&asterisk, &pres).await;
    assert!(asked.elapsed() >= Duration::from_millis(200));
    asterisk.fail_rest(Some(503));
    assert_eq!(http().get(format!("{}/channels", asterisk.rest_url())).send().await.unwrap().status(), 503);
}

#[tokio::test]
async fn a_recording_is_played_frame_for_frame() {
    let asterisk = start(Options::default()).await;
    let mut client = Client::connect(&asterisk, "ctibridge").await;
    let recording = Recording::load(&fixture("02-inbound-missed-caller-cancels.jsonl")).unwrap();
    client.read_snapshot(&asterisk).await;
    let (played, heard) = tokio::join!(recording.play(&asterisk, Speed::AsFast), client.texts(recording.len()));
    played.unwrap();
    assert_eq!(heard.join("\n"), read("02-inbound-missed-caller-cancels.jsonl").trim_end());

    // A question that comes late because the play did not wait is answered all the same.
    let late = get(&asterisk, "channels/1795282015.6/variable?variable=CALLERID(pres)").await;
    assert_eq!(late, (200, json!({ "value": "allowed_not_screened" })));
    assert_eq!(get(&asterisk, "channels").await.1, json!([]));
}

#[tokio::test]
async fn a_recording_can_keep_a_share_of_its_own_time() {
    let asterisk = start(Options::default()).await;
    let mut client = Client::connect(&asterisk, "ctibridge").await;
    client.read_snapshot(&asterisk).await;
    let recording = Recording::load(&fixture("02-inbound-missed-caller-cancels.jsonl")).unwrap();
    let begun = Instant::now();
    let (played, _) = tokio::join!(recording.play(&asterisk, Speed::Times(10.0)), client.texts(recording.len()));
    played.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500), "five seconds, ten times as fast: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_recorded_death_of_the_pbx_cuts_the_line_and_goes_on_when_the_client_is_back() {
    let asterisk = start(Options::default()).await;
    let recording = Recording::load(&fixture("55-asterisk-killed.jsonl")).unwrap();
    recording.prepare(&asterisk);
    let client = async {
        let mut before = Client::connect(&asterisk, "ctibridge").await;
        before.read_snapshot(&asterisk).await;
        let mut heard = before.texts(110).await;
        assert!(before.is_cut().await);
        assert_eq!(asterisk.requests("/ari/events"), 1);
        let mut after = Client::connect(&asterisk, "ctibridge").await;
        assert_eq!(get(&asterisk, "channels").await.1, json!([]));
        after.read_snapshot(&asterisk).await;
        heard.extend(after.texts(recording.len() - 110).await);
        heard
    };
    let (played, heard) = tokio::join!(recording.play(&asterisk, Speed::AsFast), client);
    played.unwrap();
    assert_eq!(heard.join("\n"), read("55-asterisk-killed.jsonl").trim_end());
    assert_eq!(asterisk.connections(), 2);
}

#[tokio::test]
async fn the_line_can_fail_in_every_way_of_a_real_one() {
    let asterisk = start(Options::default()).await;
    let mut client = Client::connect(&asterisk, "ctibridge").await;
    asterisk.cut();
    assert!(client.is_cut().await);
    assert!(asterisk.wait_disconnected(SOON).await);
    asterisk.refuse(Refuse::NotFound);
    let url = format!("{}?app=ctibridge&subscribeAll=true&{KEY}", asterisk.url());
    assert_eq!(refused(&url).await.0, 404);
    asterisk.refuse(Refuse::Unavailable);
    assert_eq!(refused(&url).await.0, 503);
    asterisk.refuse(Refuse::Nothing);

    asterisk.stop().await;
    assert!(matches!(connect_async(&url).await, Err(Error::Io(_))));
    asterisk.restart().await.unwrap();
    let mut client = Client::connect(&asterisk, "ctibridge").await;
    assert!(asterisk.wait_connected(2, SOON).await);
    asterisk.send("{}").await;
    assert_eq!(client.text().await, "{}");

    drop(asterisk);
    assert!(client.is_cut().await);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_and_holds_up_nobody() {
    // Ten times the real limit, so that a busy test machine is not taken for a slow reader.
    let limit = 10 * Options::default().cutting_slow_readers().write_limit;
    let asterisk = start(Options { write_limit: limit, ..Options::default() }).await;
    let _idle = Client::connect(&asterisk, "idle").await;
    let mut reader = Client::connect(&asterisk, "reader").await;
    let frame = json!({ "type": "Long", "text": "x".repeat(64 * 1024) }).to_string();
    let sending = async {
        for _ in 0..400 {
            asterisk.send(&frame).await;
        }
    };
    let (heard, ()) = tokio::join!(reader.texts(400), sending);
    assert_eq!(heard.len(), 400);
    assert_eq!(asterisk.open_sockets(), 1);
}

#[tokio::test]
async fn many_scripted_calls_at_once_leave_nothing_behind() {
    let asterisk = Arc::new(start(Options::default()).await);
    let mut client = Client::connect(&asterisk, "ctibridge").await;
    let scenes = story::once(&[Caller::new("+493023125444", "Erika Muster")]);
    let (ids, now) = (Ids::new(1), jiff::Timestamp::now());
    let reels = scenes.iter().map(|scene| (scene.at, scene.script.reel(now, &ids).unwrap())).collect::<Vec<_>>();
    let frames = reels.iter().map(|(_, reel)| reel.cues.len()).sum();
    tokio::join!(perform_at_once(&asterisk, &reels), client.texts(frames));
    assert_eq!((asterisk.channels().len(), asterisk.bridges().len()), (0, 0));

    let call = Script::internal("101", "102").ring(&["102"]).after(100).answer("102").talk(100).hangup_by_caller();
    let mut player = Player::new(Arc::clone(&asterisk), 2);
    player.start(&call, Duration::ZERO).unwrap();
    player.start(&call, Duration::from_millis(50)).unwrap();
    assert_eq!(player.under_way(), 2);
    let begun = Instant::now();
    let scenes = story::once(&[]).into_iter().take(1).map(|scene| story::Scene { script: call.clone(), ..scene });
    let mut told = Vec::new();
    story::play(scenes, &mut player, |line| told.push(line.to_owned())).await.unwrap();
    assert_eq!(told.len(), 1);
    player.finish().await;
    assert!((Duration::from_millis(200)..SOON).contains(&begun.elapsed()));
    assert_eq!(get(&asterisk, "channels").await.1, json!([]));
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn connect(asterisk: &Asterisk, app: &str) -> Self {
        Self::open(&format!("{}?app={app}&subscribeAll=true&{KEY}", asterisk.url())).await
    }

    async fn open(url: &str) -> Self {
        let (socket, _) = timeout(SOON, connect_async(url)).await.unwrap().unwrap();
        Self { socket }
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(SOON, self.socket.next()).await.unwrap()
    }

    async fn text(&mut self) -> String {
        self.next().await.unwrap().unwrap().into_text().unwrap().to_string()
    }

    async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(self.text().await);
        }
        texts
    }

    async fn is_quiet(&mut self) -> bool {
        timeout(Duration::from_millis(100), self.socket.next()).await.is_err()
    }

    /// Gone without a close frame.
    async fn is_cut(&mut self) -> bool {
        matches!(self.next().await, Some(Err(Error::Protocol(_) | Error::Io(_))))
    }

    async fn read_snapshot(&mut self, asterisk: &Asterisk) {
        get(asterisk, "channels").await;
        get(asterisk, "bridges").await;
        assert!(asterisk.wait_snapshot_read(SOON).await);
    }
}

async fn start(options: Options) -> Asterisk {
    Asterisk::start(SocketAddr::from(([127, 0, 0, 1], 0)), options).await.unwrap()
}

/// The status and the JSON body (`null` where there is none) of an upgrade that is not granted.
async fn refused(url: &str) -> (u16, Value) {
    match connect_async(url).await {
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice(body).unwrap_or_default())
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn http() -> reqwest::Client {
    // A second test finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(SOON).build().unwrap()
}

async fn get(asterisk: &Asterisk, path: &str) -> (u16, Value) {
    let request = http().get(format!("{}/{path}", asterisk.rest_url())).basic_auth("ctibridge", Some("secret"));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn by_id(list: Value) -> Vec<Value> {
    let Value::Array(mut list) = list else { panic!("not a list: {list}") };
    list.sort_by_key(|object| object["id"].to_string());
    list
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/asterisk-ari").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}
